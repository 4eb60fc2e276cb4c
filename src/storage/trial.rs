//! A file on trial: nothing is written to it before everything in it was read.
//!
//! A database may repair or mark its file when it is opened. Until [`Trial::end`] all of that goes into memory
//! only, and ends there. Invariant: a file whose trial has not ended is as it was, byte for byte.

use parking_lot::Mutex;
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Bytes are kept apart by blocks of this size while on trial.
const BLOCK_BYTES: u64 = 4_096;

/// What was written while on trial.
#[derive(Debug)]
struct Draft {
    bytes: u64,
    /// How much of the file was never cut off.
    kept: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

/// A file, or anything like it, on trial.
#[derive(Debug)]
pub(super) struct Trial<B> {
    file: B,
    /// None once it is over.
    draft: Mutex<Option<Draft>>,
}

impl<B: StorageBackend> Trial<B> {
    pub(super) fn new(file: B) -> io::Result<Arc<Self>> {
        let bytes = file.len()?;
        let draft = Draft {
            bytes,
            kept: bytes,
            blocks: BTreeMap::new(),
        };
        Ok(Arc::new(Self {
            file,
            draft: Mutex::new(Some(draft)),
        }))
    }

    /// Forgets what was written; from now on writes are writes. Nobody may use the file as it was on trial any more.
    pub(super) fn end(&self) {
        *self.draft.lock() = None;
    }

    /// A block as it is so far; beyond the end of the file there are zeros.
    fn block(&self, draft: &Draft, number: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = draft.blocks.get(&number) {
            return Ok(block.clone());
        }
        let mut block = vec![0; usize::try_from(BLOCK_BYTES).unwrap_or(0)];
        let from = number * BLOCK_BYTES;
        let there = draft.kept.saturating_sub(from).min(BLOCK_BYTES);
        let there = usize::try_from(there).unwrap_or(0);
        if there > 0 {
            self.file.read(from, &mut block[..there])?;
        }
        Ok(block)
    }
}

/// The blocks of a range, each with where it begins in the range and the part of it that the range covers.
fn blocks(
    offset: u64,
    bytes: usize,
) -> impl Iterator<Item = (u64, core::ops::Range<usize>, core::ops::Range<usize>)> {
    let end = offset + bytes as u64;
    (offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)).map(move |number| {
        let from = offset.max(number * BLOCK_BYTES);
        let to = end.min((number + 1) * BLOCK_BYTES);
        let within = |at: u64, start: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
        let start = number * BLOCK_BYTES;
        (
            number,
            within(from, offset)..within(to, offset),
            within(from, start)..within(to, start),
        )
    })
}

/// The same file for the database and for whoever judges it.
#[derive(Debug)]
pub(super) struct Shared<B>(pub(super) Arc<Trial<B>>);

impl<B: StorageBackend> StorageBackend for Shared<B> {
    fn len(&self) -> io::Result<u64> {
        match &*self.0.draft.lock() {
            Some(draft) => Ok(draft.bytes),
            None => self.0.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let draft = self.0.draft.lock();
        let Some(draft) = draft.as_ref() else {
            return self.0.file.read(offset, out);
        };
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > draft.bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, part, of_block) in blocks(offset, out.len()) {
            out[part].copy_from_slice(&self.0.block(draft, number)?[of_block]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut draft = self.0.draft.lock();
        let Some(draft) = draft.as_mut() else {
            return self.0.file.set_len(len);
        };
        if len < draft.bytes {
            draft.kept = draft.kept.min(len);
            draft.blocks.retain(|number, _| number * BLOCK_BYTES < len);
            if let Some(last) = draft.blocks.get_mut(&(len / BLOCK_BYTES)) {
                last[usize::try_from(len % BLOCK_BYTES).unwrap_or(0)..].fill(0);
            }
        }
        draft.bytes = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.0.draft.lock().is_some() {
            return Ok(());
        }
        self.0.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut draft = self.0.draft.lock();
        let Some(draft) = draft.as_mut() else {
            return self.0.file.write(offset, data);
        };
        for (number, part, of_block) in blocks(offset, data.len()) {
            let mut block = self.0.block(draft, number)?;
            block[of_block].copy_from_slice(&data[part]);
            draft.blocks.insert(number, block);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }
}

/// A real file, held by one process.
#[derive(Debug)]
pub(super) struct HeldFile(pub(super) File);

impl StorageBackend for HeldFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
