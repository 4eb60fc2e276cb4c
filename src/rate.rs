//! Rates as people write them: `20mbit`, `2.5MB`, `500KiB`, each per second.

use core::fmt;
use core::num::NonZeroU64;

/// Bytes a second; never zero, for nothing would ever arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(NonZeroU64);

/// The units, longest first where one ends another, with their bytes a second.
const UNITS: &[(&str, f64)] = &[
    ("gbit", 125_000_000.0),
    ("mbit", 125_000.0),
    ("kbit", 125.0),
    ("bit", 0.125),
    ("gib", 1_073_741_824.0),
    ("mib", 1_048_576.0),
    ("kib", 1_024.0),
    ("gb", 1e9),
    ("mb", 1e6),
    ("kb", 1e3),
    ("b", 1.0),
];

impl Rate {
    /// `bytes` a second; `None` for zero.
    pub const fn from_bytes_per_sec(bytes: u64) -> Option<Self> {
        match NonZeroU64::new(bytes) {
            Some(bytes) => Some(Self(bytes)),
            None => None,
        }
    }

    /// Reads a number and a unit; the unit's case does not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (number, unit_bytes) = UNITS
            .iter()
            .find_map(|(unit, bytes)| text.strip_suffix(unit).map(|number| (number, *bytes)))?;
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let bytes = if plain {
            number.parse::<f64>().ok()? * unit_bytes
        } else {
            return None;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked on the same line"
        )]
        let whole = if (1.0..1e15).contains(&bytes) {
            bytes as u64
        } else {
            return None;
        };
        Self::from_bytes_per_sec(whole)
    }

    /// Bytes a second.
    pub const fn bytes_per_sec(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Rate {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get() as f64;
        match bytes * 8.0 {
            bits if bits >= 1e9 => write!(f, "{:.3} Gbit/s", bits / 1e9),
            bits if bits >= 1e6 => write!(f, "{:.1} Mbit/s", bits / 1e6),
            bits => write!(f, "{:.1} kbit/s", bits / 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_people_write_them() {
        for (text, bytes) in [
            ("20mbit", 2_500_000),
            ("2.5MB", 2_500_000),
            ("500KiB", 512_000),
            ("1Gbit", 125_000_000),
            ("800b", 800),
            ("100bit", 12),
        ] {
            assert_eq!(Rate::parse(text).map(Rate::bytes_per_sec), Some(bytes), "{text}");
        }
        for text in [
            "", "20", "mbit", "0mbit", "-1mb", "1e9mb", "20 mbps", "nanmb", "infkb",
        ] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }
}
