//! Who asks, and which addresses it can use.

use crate::limits::{DATAGRAM_BYTES_MAX, FRAME_BYTES_MAX};
use crate::name::Host;
use std::net::{IpAddr, Ipv6Addr};

/// Who counts as one where connections and requests are counted: an IPv4 address, or a network of IPv6, for whoever
/// has one address there has 2^64 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressGroup(IpAddr);

impl AddressGroup {
    /// The group of an address; none for this machine's own.
    pub fn of(ip: IpAddr) -> Option<Self> {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return None;
        }
        Some(Self(match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        }))
    }
}

/// Where a request came from: what an answer may contain depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The address the request came from.
    pub ip: IpAddr,
    /// The address it was sent to, where the transport tells.
    pub reached: Option<IpAddr>,
    /// The longest answer, frame and all.
    pub answer_bytes_max: usize,
}

impl Asker {
    /// One that asked over a stream.
    pub const fn over_tcp(ip: IpAddr, reached: IpAddr) -> Self {
        Self {
            ip,
            reached: Some(reached),
            answer_bytes_max: FRAME_BYTES_MAX,
        }
    }

    /// One that asked by a datagram.
    pub const fn over_udp(ip: IpAddr) -> Self {
        Self {
            ip,
            reached: None,
            answer_bytes_max: DATAGRAM_BYTES_MAX,
        }
    }

    /// Who counts as one with it; none for this machine's own.
    pub fn group(&self) -> Option<AddressGroup> {
        AddressGroup::of(self.ip)
    }

    /// `host` as this asker can use it. A loopback address means "on the machine that answers", so somebody
    /// elsewhere is given the address it reached that machine by; `None` if the transport does not tell it.
    pub fn usable(&self, host: &Host) -> Option<Host> {
        if self.ip.to_canonical().is_loopback() || !host.is_loopback() {
            return Some(host.clone());
        }
        self.reached
            .filter(|ip| !ip.to_canonical().is_loopback())
            .map(Host::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_never_given_a_loopback_address() {
        let loopback = Host::new("127.0.0.1").expect("a host");
        let far: IpAddr = "192.0.2.7".parse().expect("an address");
        let here: IpAddr = "192.0.2.1".parse().expect("an address");
        assert_eq!(
            Asker::over_tcp(far, here).usable(&loopback),
            Host::new("192.0.2.1").ok()
        );
        assert_eq!(Asker::over_udp(far).usable(&loopback), None);
        let near: IpAddr = "::ffff:127.0.0.1".parse().expect("an address");
        assert_eq!(Asker::over_udp(near).usable(&loopback), Some(loopback));
    }
}
