//! A client that sends whatever bytes it likes, and a look at what that costs the other side.

use p2pdi::wire::{FrameHeader, HEADER_BYTES, Message, encode_frame, features, hello};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// A stream without manners.
pub(crate) struct Raw {
    stream: TcpStream,
}

/// A whole frame.
pub(crate) fn frame(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(message, &mut out);
    out
}

impl Raw {
    /// Connects, and says nothing.
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("a read timeout");
        stream.set_write_timeout(patience).expect("a write timeout");
        Self { stream }
    }

    /// Connects and exchanges versions.
    pub(crate) fn greeted(address: &str) -> Self {
        let mut raw = Self::connect(address);
        raw.send(&frame(&hello(features::HOLDER))).expect("greeted");
        assert!(matches!(raw.receive(), Some(Message::Version(_))), "greeted back");
        raw
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next frame; none when the other side has closed, cleanly or not.
    pub(crate) fn receive(&mut self) -> Option<Message> {
        let mut header = [0; HEADER_BYTES];
        if !self.fill(&mut header) {
            return None;
        }
        let header = FrameHeader::decode(header).expect("a frame of ours");
        let mut value = vec![0; header.bytes];
        self.fill(&mut value)
            .then(|| Message::decode(header.letter, &value).expect("a PDU of ours"))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        match self.stream.read_exact(buffer) {
            Ok(()) => true,
            Err(error) if is_end(&error) => false,
            Err(error) => panic!("the other side neither answers nor closes: {error}"),
        }
    }

    /// Everything that still comes until the other side closes.
    pub(crate) fn rest(&mut self) -> Vec<Message> {
        core::iter::from_fn(|| self.receive()).collect()
    }

    /// True if the other side has closed; reads over what it has said, and does not wait.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("nonblocking");
        let mut buffer = [0; 4_096];
        let closed = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        self.stream.set_nonblocking(false).expect("blocking");
        closed
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

fn status(id: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a living process");
    let line = text.lines().find(|line| line.starts_with(field)).expect("the field");
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident_kib(id: u32) -> u64 {
    status(id, "VmRSS:")
}

/// Memory of a process that is its own: without the pages of files that it has mapped.
pub(crate) fn own_kib(id: u32) -> u64 {
    status(id, "RssAnon:")
}

/// Threads of a process.
pub(crate) fn threads(id: u32) -> u64 {
    status(id, "Threads:")
}
