//! A content as the catalog keeps it: one piece of memory, shared by every table that names it.
//!
//! Invariant: the bytes begin with name, zero and id, so they lie in the order of [`ContentKey`], and a table of them
//! is searched by the bytes of a key.

use crate::id::{ContentId, RfcNumber};
use crate::limits::MEDIA_TYPE_BYTES_MAX;
use crate::proto::change::key_bytes;
use crate::wire::{ContentInfo, ContentKey, ContentKind, Field, Reader};
use core::borrow::Borrow;
use std::sync::Arc;

const ID_BYTES: usize = size_of::<ContentId>();
/// Above every byte that can follow a key: the kind.
const PAST_KEY: u8 = 0xff;

/// Everything known of a content but its holders.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::proto) struct Content(Arc<[u8]>);

impl Borrow<[u8]> for Content {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Content {
    pub(super) fn new(info: &ContentInfo) -> Self {
        let mut bytes = key_bytes(&info.key());
        info.kind.put(&mut bytes);
        info.bytes.put(&mut bytes);
        info.modified.put(&mut bytes);
        info.media_type.put(&mut bytes);
        info.number.put(&mut bytes);
        info.title.put(&mut bytes);
        Self(bytes.into())
    }

    /// What comes before every content of this id, in an order by id.
    pub(super) fn before_all_of(id: ContentId) -> Self {
        let mut bytes = [0; 1 + ID_BYTES];
        bytes[1..].copy_from_slice(&id.0);
        Self(bytes.as_slice().into())
    }

    /// Where the contents after a key begin.
    pub(super) fn start_after(key: &ContentKey) -> Vec<u8> {
        let mut bytes = key_bytes(key);
        bytes.push(PAST_KEY);
        bytes
    }

    pub(super) fn starts_with(&self, bytes: &[u8]) -> bool {
        self.0.starts_with(bytes)
    }

    pub(super) fn is_before(&self, bytes: &[u8]) -> bool {
        self.0[..] < *bytes
    }

    /// Name, zero and id.
    pub(super) fn key(&self) -> &[u8] {
        &self.0[..self.name_bytes() + 1 + ID_BYTES]
    }

    fn name_bytes(&self) -> usize {
        // A name has no control characters.
        self.0.iter().position(|byte| *byte == 0).unwrap_or(0)
    }

    pub(super) fn id(&self) -> &[u8] {
        let from = self.name_bytes() + 1;
        &self.0[from..from + ID_BYTES]
    }

    fn take(&self) -> Option<ContentInfo> {
        let name_bytes = self.name_bytes();
        let name = core::str::from_utf8(&self.0[..name_bytes]).ok()?;
        let left = &mut Reader::new(&self.0[name_bytes + 1..]);
        Some(ContentInfo {
            name: crate::name::ContentName::new(name).ok()?,
            id: Field::take(left, "id").ok()?,
            kind: Field::take(left, "kind").ok()?,
            bytes: Field::take(left, "bytes").ok()?,
            modified: Field::take(left, "modified").ok()?,
            media_type: Field::take(left, "media_type").ok()?,
            number: Field::take(left, "number").ok()?,
            title: Field::take(left, "title").ok()?,
        })
    }

    pub(in crate::proto) fn info(&self) -> ContentInfo {
        self.take()
            .unwrap_or_else(|| unreachable!("made of a content's information"))
    }

    pub(super) fn kind(&self) -> ContentKind {
        match self.0.get(self.name_bytes() + 1 + ID_BYTES) {
            Some(0) => ContentKind::File,
            _ => ContentKind::Tree,
        }
    }

    /// Without reading the rest: a restart asks every content.
    pub(super) fn number(&self) -> Option<RfcNumber> {
        let left = &mut Reader::new(&self.0[self.key().len()..]);
        ContentKind::take(left, "kind").ok()?;
        u64::take(left, "bytes").ok()?;
        i64::take(left, "modified").ok()?;
        left.text(MEDIA_TYPE_BYTES_MAX, "media_type").ok()?;
        Field::take(left, "number").ok()?
    }
}

/// The same in the order of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ById(pub(super) Content);

impl ById {
    /// Contents in this order. An id's first bytes nearly always tell, and lie beside each other: sorted by what the
    /// contents point to, a million of them took two seconds.
    pub(super) fn ordered<'c>(contents: impl Iterator<Item = &'c Content>) -> impl Iterator<Item = Self> {
        let begin = |content: &Content| content.id().first_chunk::<8>().copied();
        let mut all: Vec<_> = contents
            .map(|content| (begin(content), Self(content.clone())))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, content)| content)
    }
}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.0.id(), &self.0).cmp(&(other.0.id(), &other.0))
    }
}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ContentName;
    use crate::wire::Text;

    #[test]
    fn contents_lie_in_the_order_of_their_keys_and_come_back() {
        let mut infos = Vec::new();
        for name in ["a", "a/b", "a b", "ab", "ä", "z"] {
            for id in [0, 1, 0xff] {
                infos.push(ContentInfo {
                    kind: if id == 1 {
                        ContentKind::Tree
                    } else {
                        ContentKind::File
                    },
                    name: ContentName::new(name).expect("a name"),
                    id: ContentId([id; 32]),
                    bytes: 1,
                    modified: -1,
                    media_type: Text::cut("a/b"),
                    number: (id == 0).then_some(RfcNumber(7)),
                    title: (id == 1).then(|| Text::cut("T")),
                });
            }
        }
        let contents: Vec<Content> = infos.iter().map(Content::new).collect();
        let mut by_id: Vec<ById> = contents.iter().cloned().map(ById).collect();
        by_id.sort();
        assert_eq!(ById::ordered(contents.iter()).collect::<Vec<_>>(), by_id);
        for one in &infos {
            let content = Content::new(one);
            assert_eq!(content.info(), *one);
            assert_eq!((content.kind(), content.number()), (one.kind, one.number));
            assert_eq!(content.key(), key_bytes(&one.key()));
            for other in &infos {
                let later = Content::new(other);
                assert_eq!(content.cmp(&later), one.key().cmp(&other.key()));
                let by_id = ById(content.clone()).cmp(&ById(later.clone()));
                assert_eq!(by_id, (one.id, &one.name).cmp(&(other.id, &other.name)));
                let bytes: &[u8] = later.borrow();
                assert_eq!(
                    bytes > &Content::start_after(&one.key())[..],
                    other.key() > one.key()
                );
                assert_eq!(
                    ById(later) > ById(Content::before_all_of(one.id)),
                    other.id >= one.id
                );
            }
        }
    }
}
