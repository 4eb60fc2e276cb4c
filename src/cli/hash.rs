//! `p2pdi hash`.

use super::failure::Failure;
use super::line::Line;
use super::say;
use p2pdi::id::ContentId;
use p2pdi::name::printable;
use p2pdi::storage::{HashFault, Stamp, hash_file, scan, tree_of};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn run(mut line: Line) -> Result<(), Failure> {
    let json = line.switch("--json");
    if line.operands().is_empty() {
        return Err(Failure::usage("hash what? give files or directories"));
    }
    for operand in line.operands() {
        let path = Path::new(operand);
        let metadata = path
            .metadata()
            .map_err(|error| Failure::io(path.display(), &error))?;
        if metadata.is_dir() {
            hash_directory(path, json)?;
        } else {
            let stamp = Stamp::of(&metadata);
            show(operand, hash(path, stamp)?, stamp.bytes, json);
        }
    }
    Ok(())
}

fn hash(path: &Path, stamp: Stamp) -> Result<ContentId, Failure> {
    hash_file(path, stamp)
        .map(|manifest| manifest.id())
        .map_err(|fault| match fault {
            HashFault::Io(error) => Failure::io(path.display(), &error),
            HashFault::Changed => Failure::new(
                super::failure::Exit::Failed,
                format!(
                    "{}: it changes while it is read; try again when it is written",
                    path.display()
                ),
            ),
        })
}

/// Every file, then the directory itself.
fn hash_directory(directory: &Path, json: bool) -> Result<(), Failure> {
    let scanned = scan(directory);
    if let Some(skipped) = scanned.skipped.first() {
        return Err(Failure::new(super::failure::Exit::Failed, skipped.clone()));
    }
    let mut ids = BTreeMap::new();
    for (name, (path, stamp)) in &scanned.files {
        let id = hash(path, *stamp)?;
        show(&path.display().to_string(), id, stamp.bytes, json);
        ids.insert(name.clone(), id);
    }
    if let Some(tree) = tree_of(&scanned, |name| ids.get(name).copied()) {
        let bytes = tree.encode();
        let id = ContentId(*blake3::hash(&bytes).as_bytes());
        show(
            &format!("{}/", directory.display().to_string().trim_end_matches('/')),
            id,
            bytes.len() as u64,
            json,
        );
    }
    Ok(())
}

/// As `b3sum` prints it: the id, two spaces, the name.
fn show(name: &str, id: ContentId, bytes: u64, json: bool) {
    if json {
        say::result(&json!({ "name": name, "id": id.to_string(), "bytes": bytes }).to_string());
    } else {
        say::result(&format!("{id}  {}", printable(name)));
    }
}
