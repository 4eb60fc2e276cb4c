//! `p2pdi hash`.

use super::failure::{Exit, Failure};
use super::line::Line;
use super::say;
use crossbeam_channel::Receiver;
use p2pdi::id::ContentId;
use p2pdi::name::printable;
use p2pdi::storage::{HashFault, HashOrder, Hashed, Hashers, Scanned, Stamp, scan, tree_of};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One operand, looked at.
enum Operand {
    File(PathBuf, Stamp),
    Directory(PathBuf, Scanned),
}

pub(super) fn run(mut line: Line) -> Result<(), Failure> {
    let json = line.switch("--json");
    if line.operands().is_empty() {
        return Err(Failure::usage("hash what? give files or directories"));
    }
    // What comes before an operand that cannot be looked at is shown all the same.
    let mut operands = Vec::new();
    let mut failure = Ok(());
    for operand in line.operands() {
        match look_at(Path::new(operand)) {
            Ok(found) => operands.push(found),
            Err(why) => {
                failure = Err(why);
                break;
            }
        }
    }
    let mut results = Results::begin(&operands)?;
    for operand in &operands {
        match operand {
            Operand::File(path, stamp) => {
                let id = results.wait_for(path)?;
                show(&path.to_string_lossy(), id, stamp.bytes, json);
            }
            Operand::Directory(path, scanned) => show_directory(path, scanned, &mut results, json)?,
        }
    }
    failure
}

fn look_at(path: &Path) -> Result<Operand, Failure> {
    let metadata = path
        .metadata()
        .map_err(|error| Failure::io(path.display(), &error))?;
    if !metadata.is_dir() {
        return Ok(Operand::File(path.to_owned(), Stamp::of(&metadata)));
    }
    let scanned = scan(path);
    match scanned.skipped.first() {
        Some(skipped) => Err(Failure::new(Exit::Failed, skipped.clone())),
        None => Ok(Operand::Directory(path.to_owned(), scanned)),
    }
}

/// The hashing threads, and what they have told.
struct Results {
    /// Dropped, it ends them: a failure does not wait for the rest.
    _hashers: Hashers,
    done: Receiver<Hashed>,
    told: BTreeMap<PathBuf, Result<ContentId, HashFault>>,
}

impl Results {
    /// Hashes all these files, in the order in which they are shown; one that is named twice only once.
    fn begin(operands: &[Operand]) -> Result<Self, Failure> {
        let (hashers, done) = Hashers::new(HashOrder::AsGiven);
        let files = operands.iter().flat_map(|operand| match operand {
            Operand::File(path, stamp) => vec![(path.clone(), *stamp)],
            Operand::Directory(_, scanned) => scanned.files.values().cloned().collect(),
        });
        hashers
            .hash(files)
            .map_err(|error| Failure::io("starting threads", &error))?;
        Ok(Self {
            _hashers: hashers,
            done,
            told: BTreeMap::new(),
        })
    }

    /// The id of a file.
    fn wait_for(&mut self, path: &Path) -> Result<ContentId, Failure> {
        while !self.told.contains_key(path) {
            let hashed = self
                .done
                .recv()
                .map_err(|_| Failure::new(Exit::Failed, "the hashing threads are gone"))?;
            let id = hashed.result.map(|manifest| manifest.id());
            self.told.insert(hashed.path, id);
        }
        match &self.told[path] {
            Ok(id) => Ok(*id),
            Err(HashFault::Io(error)) => Err(Failure::io(path.display(), error)),
            Err(HashFault::Changed) => Err(Failure::new(
                Exit::Failed,
                format!(
                    "{}: it changes while it is read; try again when it is written",
                    path.display()
                ),
            )),
        }
    }
}

/// Every file, then the directory itself.
fn show_directory(
    directory: &Path,
    scanned: &Scanned,
    results: &mut Results,
    json: bool,
) -> Result<(), Failure> {
    let mut ids = BTreeMap::new();
    for (name, (path, stamp)) in &scanned.files {
        let id = results.wait_for(path)?;
        show(&path.display().to_string(), id, stamp.bytes, json);
        ids.insert(name.clone(), id);
    }
    if let Some(tree) = tree_of(scanned, |name| ids.get(name).copied()) {
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
