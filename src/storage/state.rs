//! What a peer remembers between runs: its name, its cookies, how often it has started.
//!
//! Invariant: the directory belongs to one process at a time, and the file in it is replaced whole.

use crate::id::{Cookie, Incarnation};
use crate::name::{HostPort, PeerName};
use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A state directory, held until dropped.
#[derive(Debug)]
pub struct State {
    directory: PathBuf,
    _lock: File,
    /// The peer's name, if it was ever chosen.
    pub name: Option<PeerName>,
    /// How often a process has opened this directory, this one included.
    pub incarnation: Incarnation,
    cookies: Map<String, Value>,
}

const FILE: &str = "peer.json";

fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

impl State {
    /// Opens a state directory, creating it readable by its owner only.
    ///
    /// # Errors
    /// `ResourceBusy` while another process has it; `InvalidData` if its file is damaged; the file system's.
    pub fn open(directory: &Path) -> io::Result<Self> {
        at(
            directory,
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory),
        )?;
        let lock_path = directory.join("lock");
        let lock = at(
            &lock_path,
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&lock_path),
        )?;
        let busy = || {
            io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another p2pdi uses this state directory; give --state",
            )
        };
        at(directory, lock.try_lock().map_err(|_| busy()))?;
        let path = directory.join(FILE);
        let saved = match std::fs::read(&path) {
            Ok(bytes) => at(&path, serde_json::from_slice(&bytes).map_err(|_| damaged()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => json!({}),
            Err(error) => return at(&path, Err(error)),
        };
        let before = saved.get("incarnation").and_then(Value::as_u64).unwrap_or(0);
        let state = Self {
            directory: directory.to_owned(),
            _lock: lock,
            name: saved
                .get("name")
                .and_then(Value::as_str)
                .and_then(|name| PeerName::new(name).ok()),
            incarnation: Incarnation(u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)),
            cookies: saved
                .get("cookies")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        };
        state.save()?;
        Ok(state)
    }

    /// Where other rooms of this floor keep what they remember.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The cookie an RS gave us.
    pub fn cookie(&self, rs: &HostPort) -> Option<Cookie> {
        let text = self.cookies.get(&rs.to_string())?.as_str()?;
        u128::from_str_radix(text, 16)
            .ok()
            .map(|bits| Cookie(bits.to_be_bytes()))
    }

    /// Remembers the cookie of an RS.
    ///
    /// # Errors
    /// The file system's.
    pub fn set_cookie(&mut self, rs: &HostPort, cookie: Cookie) -> io::Result<()> {
        let text = format!("{:032x}", u128::from_be_bytes(cookie.0));
        self.cookies.insert(rs.to_string(), Value::String(text));
        self.save()
    }

    /// Remembers the peer's name.
    ///
    /// # Errors
    /// The file system's.
    pub fn set_name(&mut self, name: &PeerName) -> io::Result<()> {
        self.name = Some(name.clone());
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let path = self.directory.join(FILE);
        let saved = json!({
            "name": self.name.as_ref().map(PeerName::as_str),
            "incarnation": self.incarnation.0,
            "cookies": self.cookies,
        });
        at(
            &path,
            (|| {
                let mut file = tempfile::Builder::new()
                    .prefix(".peer")
                    .tempfile_in(&self.directory)?;
                file.write_all(saved.to_string().as_bytes())?;
                file.as_file().sync_all()?;
                file.persist(&path).map_err(|error| error.error)?;
                Ok(())
            })(),
        )
    }
}

fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "damaged: remove it to begin as a new peer, or give another --state",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_comes_back_as_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        let rs = HostPort::parse("rs.example:65423").expect("an address");
        let cookie = Cookie([9; 16]);
        let mut state = State::open(directory.path()).expect("open");
        assert_eq!(state.incarnation, Incarnation(1));
        state.set_cookie(&rs, cookie).expect("saved");
        state
            .set_name(&PeerName::new("b").expect("a name"))
            .expect("saved");
        drop(state);
        let state = State::open(directory.path()).expect("open");
        assert_eq!(state.incarnation, Incarnation(2));
        assert_eq!(state.cookie(&rs), Some(cookie));
        assert_eq!(state.name.as_ref().map(PeerName::as_str), Some("b"));
        let busy = State::open(directory.path())
            .map(|_| ())
            .map_err(|error| error.kind());
        assert_eq!(busy, Err(io::ErrorKind::ResourceBusy));
    }

    #[test]
    fn a_damaged_state_is_never_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(FILE), b"{half").expect("written");
        let fault = State::open(directory.path())
            .map(|_| ())
            .map_err(|error| error.kind());
        assert_eq!(fault, Err(io::ErrorKind::InvalidData));
        assert_eq!(
            std::fs::read(directory.path().join(FILE)).expect("read"),
            b"{half"
        );
    }
}
