//! The natural order of names: `rfc2.txt` before `rfc10.txt`, as people count.
//!
//! Belongs here: comparing. Not here: where the names come from.

use core::cmp::Ordering;

/// Compares two names, runs of digits by their value, everything else by its bytes.
///
/// Names that differ only in leading zeros are told apart by their bytes, so the order is total.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (left.first(), right.first()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (take_digits(&mut left), take_digits(&mut right));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            let order = x.cmp(y);
            (left, right) = (&left[1..], &right[1..]);
            order
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Takes the run of digits at the front; returns it without its leading zeros.
fn take_digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_by_value() {
        let mut names = [
            "rfc318.txt",
            "rfc20.txt",
            "a",
            "rfc1.txt",
            "rfc020.txt",
            "rfc",
            "rfc99999999999999999999.txt",
        ];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(
            names,
            [
                "a",
                "rfc",
                "rfc1.txt",
                "rfc020.txt",
                "rfc20.txt",
                "rfc318.txt",
                "rfc99999999999999999999.txt"
            ]
        );
    }
}
