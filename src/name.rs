//! Names that come from people and from the network, checked once, where they are made.
//!
//! Invariant: a value of these types is safe to join to a directory and to print. Names are hostile on
//! arrival; after [`ContentName::new`] a name is relative, has no `.` or `..`, and no control characters.

use crate::limits::{COMPONENT_BYTES_MAX, HOST_BYTES_MAX, NAME_BYTES_MAX, PEER_NAME_BYTES_MAX};
use core::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// No bytes, or an empty component as in `a//b`.
    Empty,
    /// Longer than this many bytes.
    TooLong(usize),
    /// A control or text-direction character, which could rewrite a terminal.
    Control,
    /// Absolute, or with a component `.` or `..`: it would leave its directory.
    Escapes,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty or has an empty component"),
            Self::TooLong(max) => write!(f, "is longer than {max} bytes"),
            Self::Control => f.write_str("has control characters"),
            Self::Escapes => f.write_str("leads out of its directory"),
        }
    }
}

/// Characters that move the cursor, hide text or turn its direction.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with every dangerous character replaced, fit for a terminal and one line.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if is_dangerous(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Printable ASCII, as nearly all names are: told without decoding characters.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn check_component(component: &str, bytes_max: usize) -> Result<(), NameFault> {
    if component.is_empty() {
        Err(NameFault::Empty)
    } else if component.len() > bytes_max {
        Err(NameFault::TooLong(bytes_max))
    } else if !is_plain(component) && component.chars().any(is_dangerous) {
        Err(NameFault::Control)
    } else {
        Ok(())
    }
}

macro_rules! text_value {
    ($name:ident) => {
        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A content's name: its path below the shared directory, components joined by `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentName(String);
text_value!(ContentName);

impl ContentName {
    /// Checks a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, NameFault> {
        let text = text.into();
        if text.len() > NAME_BYTES_MAX {
            return Err(NameFault::TooLong(NAME_BYTES_MAX));
        }
        if text.starts_with('/') {
            return Err(NameFault::Escapes);
        }
        for component in text.split('/') {
            check_component(component, COMPONENT_BYTES_MAX)?;
            if component == "." || component == ".." && !cfg!(p2pdi_planted) {
                return Err(NameFault::Escapes);
            }
        }
        Ok(Self(text))
    }

    /// The last component: the file's own name.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

/// A peer's name, chosen by its user. Not unique: the cookie tells peers apart. Copies share their memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerName(Arc<str>);
text_value!(PeerName);

impl PeerName {
    /// Checks a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, NameFault> {
        let text = text.into();
        check_component(&text, PEER_NAME_BYTES_MAX)?;
        if text.contains('/') || text == "." || text == ".." {
            return Err(NameFault::Escapes);
        }
        Ok(Self(text.into()))
    }
}

/// A host: an IP address or a DNS name. Copies share their memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host(Arc<str>);
text_value!(Host);

impl Host {
    /// Checks a text: an IP address, or letters, digits, `-`, `_` and `.`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, NameFault> {
        let text = text.into();
        check_component(&text, HOST_BYTES_MAX)?;
        let dns = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if dns || text.parse::<IpAddr>().is_ok() {
            Ok(Self(text.into()))
        } else {
            Err(NameFault::Control)
        }
    }

    /// The host of an address, an IPv4 address mapped into IPv6 written as IPv4.
    pub fn of(ip: IpAddr) -> Self {
        Self(ip.to_canonical().to_string().into())
    }

    /// Its IP address, if it is one and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    /// True where only the host itself can reach it.
    pub fn is_loopback(&self) -> bool {
        // Asked for every holder in every answer: hardly any has to be read as an address.
        if self.0.starts_with("127.") || self.0.contains(':') {
            self.ip().is_some_and(|ip| ip.is_loopback())
        } else {
            &*self.0 == "localhost"
        }
    }
}

/// A host and a port: where a peer or the RS is reached. Written `HOST:PORT`, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The TCP (and for the RS also UDP) port.
    pub port: u16,
}

impl HostPort {
    /// Reads `HOST:PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if bracketed.is_none() && host.contains(':') {
            return None;
        }
        let host = Host::new(bracketed.unwrap_or(host)).ok()?;
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        Some(Self {
            host,
            port: if digits { port.parse().ok()? } else { return None },
        })
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> Self {
        Self {
            host: Host::of(addr.ip()),
            port: addr.port(),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.as_str().contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_content_names_are_refused() {
        for (name, fault) in [
            ("", NameFault::Empty),
            ("a//b", NameFault::Empty),
            ("a/", NameFault::Empty),
            ("/etc/passwd", NameFault::Escapes),
            ("..", NameFault::Escapes),
            ("a/../b", NameFault::Escapes),
            ("./a", NameFault::Escapes),
            ("a\0b", NameFault::Control),
            ("a\u{1b}[2Jb", NameFault::Control),
            ("a\u{9b}2Jb", NameFault::Control),
            ("a\u{202e}txt.exe", NameFault::Control),
        ] {
            assert_eq!(ContentName::new(name), Err(fault), "{name:?}");
        }
        assert_eq!(ContentName::new("x".repeat(256)), Err(NameFault::TooLong(255)));
        assert_eq!(ContentName::new("x/".repeat(501)), Err(NameFault::TooLong(1_000)));
        assert!(ContentName::new("a/..b/c d/…/日本.txt").is_ok());
    }

    #[test]
    fn addresses_print_and_parse() {
        for text in ["127.0.0.1:80", "[::1]:65423", "lab-3.example:1"] {
            assert_eq!(
                HostPort::parse(text).map(|a| a.to_string()),
                Some(text.to_owned())
            );
        }
        for text in [
            "",
            "host",
            ":1",
            "host:",
            "host:+1",
            "host:70000",
            "::1:80",
            "a b:1",
            "h/x:1",
        ] {
            assert_eq!(HostPort::parse(text), None, "{text}");
        }
    }

    #[test]
    fn mapped_addresses_are_written_as_ipv4() {
        let addr: SocketAddr = "[::ffff:10.0.0.7]:9".parse().expect("an address");
        assert_eq!(HostPort::from(addr).to_string(), "10.0.0.7:9");
    }

    #[test]
    fn terminals_are_safe_from_text() {
        assert_eq!(printable("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
    }
}
