//! The canonical encoding of a directory: a content of kind `tree`.
//!
//! Magic, then the entries by rising path. Invariant: equal directories have equal encodings, so equal ids;
//! a decoded tree is sorted, has no path twice, and no file lies below another file.

use super::codec::{Field, FieldRow, Layout, Reader, choice, record};
use super::error::{DecodeError, Fault};
use crate::id::ContentId;
use crate::name::{ContentName, NameFault};

/// The first bytes of a tree, its kind and version.
const TREE_MAGIC: [u8; 8] = *b"P2PDItr1";

record! {
    /// A file in a tree.
    TreeFile {
        /// length of the file
        bytes: u64,
        /// BLAKE3 of the file
        id: ContentId,
        /// 1 if its owner may execute it
        executable: bool,
    }
}

choice! {
    /// What lies at a path.
    TreeNode {
        /// a file
        0 => File(TreeFile),
        /// an empty directory; its value is always 0
        1 => EmptyDirectory(bool),
    }
}

record! {
    /// One entry of a tree.
    TreeEntry {
        /// path below the directory
        path: ContentName,
        /// what lies there
        node: TreeNode,
    }
}

/// A directory's entries, by rising path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(Vec<TreeEntry>);

impl Tree {
    /// The tree of these entries, in whatever order they come; the first of a path counts.
    pub fn new(mut entries: Vec<TreeEntry>) -> Self {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries.dedup_by(|b, a| a.path == b.path);
        Self(entries)
    }

    /// Its entries.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.0
    }

    /// Its canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = TREE_MAGIC.to_vec();
        self.0.iter().for_each(|entry| entry.put(&mut out));
        out
    }

    /// Reads the canonical bytes.
    ///
    /// # Errors
    /// They are not a tree, or not in the canonical order.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        if <[u8; 8]>::take(&mut input, "magic")? != TREE_MAGIC {
            return Err(DecodeError::new("magic", Fault::Magic));
        }
        let mut entries: Vec<TreeEntry> = Vec::new();
        let mut left = Reader::new(input.rest());
        while !left.is_empty() {
            let entry = TreeEntry::take(&mut left, "entry")?;
            if entry.node == TreeNode::EmptyDirectory(true) {
                return Err(DecodeError::new("node", Fault::Unknown(1)));
            }
            let follows =
                entries.last().is_none_or(|last| last.path < entry.path) && !lies_below(&entry, &entries);
            if !follows {
                return Err(DecodeError::new("path", Fault::Name(NameFault::Escapes)));
            }
            entries.push(entry);
        }
        Ok(Self(entries))
    }
}

/// True if something above the entry's path is itself an entry; not always the last one: `a`, `a b`, `a/x`.
fn lies_below(entry: &TreeEntry, sorted: &[TreeEntry]) -> bool {
    let path = entry.path.as_str();
    let is_entry = |above: &str| {
        sorted
            .binary_search_by(|other| other.path.as_str().cmp(above))
            .is_ok()
    };
    path.match_indices('/').any(|(end, _)| is_entry(&path[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> TreeEntry {
        let id = ContentId(*blake3::hash(path.as_bytes()).as_bytes());
        TreeEntry {
            path: ContentName::new(path).expect("a name"),
            node: TreeNode::File(TreeFile {
                bytes: 3,
                id,
                executable: false,
            }),
        }
    }

    #[test]
    fn equal_directories_have_equal_bytes() {
        let one = Tree::new(vec![file("b"), file("a/x"), file("a b")]);
        let two = Tree::new(vec![file("a b"), file("b"), file("a/x")]);
        assert_eq!(one.encode(), two.encode());
        assert_eq!(Tree::decode(&one.encode()), Ok(one));
    }

    #[test]
    fn ill_formed_trees_are_refused() {
        let bytes = Tree::new(vec![file("a"), file("b")]).encode();
        for cut in 0..bytes.len() {
            let left = Tree::decode(&bytes[..cut]);
            assert!(
                left.is_err() || left.is_ok_and(|tree| tree.encode() == bytes[..cut]),
                "cut at {cut}"
            );
        }
        let swapped = Tree(vec![file("b"), file("a")]).encode();
        assert!(Tree::decode(&swapped).is_err(), "not sorted");
        let nested = Tree(vec![file("a"), file("a/b")]).encode();
        assert!(Tree::decode(&nested).is_err(), "a file below a file");
        let apart = Tree(vec![file("a"), file("a b"), file("a/b")]).encode();
        assert!(
            Tree::decode(&apart).is_err(),
            "a file below a file, with another between them in the order"
        );
        let mut directory = file("d");
        directory.node = TreeNode::EmptyDirectory(true);
        assert!(
            Tree::decode(&Tree(vec![directory]).encode()).is_err(),
            "a second encoding of one directory"
        );
    }
}
