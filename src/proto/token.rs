//! Address tokens: proof that a UDP client receives at the address it writes from.
//!
//! Invariant: stateless. A token is a keyed hash of the address and of the period it was made in, so a flood
//! of strangers costs no memory, and a token is worth nothing elsewhere or two periods later.

use crate::id::AddressToken;
use crate::limits::TOKEN_PERIOD;
use crate::rng::Rng;
use crate::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// Makes and checks tokens under a key of its own.
#[derive(Clone, Debug)]
pub struct AddressTokens {
    key: [u8; 32],
}

impl AddressTokens {
    /// Draws a key.
    pub fn new(rng: &mut Rng) -> Self {
        Self { key: rng.bytes() }
    }

    fn token_of(&self, period: u64, from: SocketAddr) -> AddressToken {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&period.to_be_bytes());
        // Of different lengths, so that no address of one kind is one of the other.
        match from.ip() {
            IpAddr::V4(ip) => hasher.update(&ip.octets()),
            IpAddr::V6(ip) => hasher.update(&ip.octets()),
        };
        hasher.update(&from.port().to_be_bytes());
        let mut token = [0; 8];
        hasher.finalize_xof().fill(&mut token);
        AddressToken(token)
    }

    /// The token of an address, now.
    pub fn issue(&self, now: Instant, from: SocketAddr) -> AddressToken {
        self.token_of(now.0 / TOKEN_PERIOD.0, from)
    }

    /// True for the address's token of this period or the one before.
    pub fn check(&self, now: Instant, from: SocketAddr, token: AddressToken) -> bool {
        let period = now.0 / TOKEN_PERIOD.0;
        token == self.token_of(period, from) || token == self.token_of(period.saturating_sub(1), from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_belong_to_an_address_and_end() {
        let tokens = AddressTokens::new(&mut Rng::from_seed(1));
        let here = "192.0.2.1:5000".parse().expect("an address");
        let there = "192.0.2.1:5001".parse().expect("an address");
        let now = Instant(TOKEN_PERIOD.0 * 7);
        let token = tokens.issue(now, here);
        assert!(tokens.check(now, here, token));
        assert!(tokens.check(now.after(TOKEN_PERIOD), here, token));
        assert!(!tokens.check(now.after(TOKEN_PERIOD).after(TOKEN_PERIOD), here, token));
        assert!(!tokens.check(now, there, token));
        assert!(!AddressTokens::new(&mut Rng::from_seed(2)).check(now, here, token));
    }
}
