//! Number and title of an RFC, read from its text.
//!
//! The texts span fifty years, so this goes by what they share: a block of header lines, then the title
//! between blank lines. Early ones carry a line `Title:` instead.

use super::open::open_regular;
use crate::id::RfcNumber;
use crate::limits::{HEADING_BYTES, TITLE_BYTES_MAX};
use std::io::{self, Read as _};
use std::path::Path;

/// What an RFC says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// Its number.
    pub number: Option<RfcNumber>,
    /// Its title, on one line.
    pub title: Option<String>,
}

/// Reads the heading of a file.
///
/// # Errors
/// The file cannot be read.
pub fn read_heading(path: &Path) -> io::Result<Heading> {
    let mut start = Vec::new();
    open_regular(path)?.take(HEADING_BYTES).read_to_end(&mut start)?;
    Ok(heading_of(&String::from_utf8_lossy(&start)))
}

fn heading_of(text: &str) -> Heading {
    let text = text.trim_start_matches('\u{feff}');
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    Heading {
        number: lines.iter().find_map(|line| number_in(line)),
        title: title_in(&lines),
    }
}

fn number_in(line: &str) -> Option<RfcNumber> {
    let lower = line.to_ascii_lowercase();
    let rest = ["request for comments:", "rfc:", "rfc "]
        .iter()
        .find_map(|start| lower.strip_prefix(start))?;
    let rest = rest.trim_start();
    let digits = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
    digits.parse().ok().map(RfcNumber)
}

fn title_in(lines: &[&str]) -> Option<String> {
    let labelled = lines.iter().take(40).find_map(|line| line.strip_prefix("Title:"));
    if let Some(title) = labelled {
        return tidy([title.trim()]);
    }
    // Blocks of lines between blank ones: the header comes first, the title second.
    let mut blocks = lines
        .split(|line| line.is_empty())
        .filter(|block| !block.is_empty());
    let header = blocks.next()?;
    let is_header = header
        .iter()
        .any(|line| number_in(line).is_some() || line.starts_with("Network Working Group"));
    let title = if is_header {
        blocks.find(|block| !is_note(block))?
    } else {
        header
    };
    // A rule under the title is no part of it.
    tidy(
        title
            .iter()
            .copied()
            .filter(|line| line.chars().any(char::is_alphanumeric)),
    )
}

/// Header lines that stand apart from the first block: `Category:`, `STD: 97`, `ISSN:` …
fn is_note(block: &[&str]) -> bool {
    block.iter().all(|line| {
        let label = line.split_once(':').map(|(label, _)| label);
        number_in(line).is_some()
            || label.is_some_and(|label| {
                [
                    "category",
                    "std",
                    "bcp",
                    "fyi",
                    "issn",
                    "obsoletes",
                    "updates",
                    "nic",
                    "references",
                ]
                .contains(&label.to_ascii_lowercase().as_str())
            })
    })
}

fn tidy<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let words: Vec<&str> = lines.into_iter().flat_map(str::split_whitespace).collect();
    let mut title = crate::name::printable(&words.join(" "));
    title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX));
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, number: Option<u32>, title: Option<&str>) {
        let heading = heading_of(text);
        assert_eq!(heading.number, number.map(RfcNumber), "{text}");
        assert_eq!(heading.title.as_deref(), title, "{text}");
    }

    #[test]
    fn headings_of_fifty_years() {
        check(
            "\n\nNetwork Working Group      S. Crocker\nRequest for Comments: 1      UCLA\n\n    Title:   Host Software\n",
            Some(1),
            Some("Host Software"),
        );
        check(
            "\nRFC 768      J. Postel\n    28 August 1980\n\n  User Datagram Protocol\n  -----------\n\nIntroduction\n",
            Some(768),
            Some("User Datagram Protocol"),
        );
        check(
            "\n\nRFC: 793\n      \n      \n   TRANSMISSION CONTROL PROTOCOL\n   \n  DARPA\n",
            Some(793),
            Some("TRANSMISSION CONTROL PROTOCOL"),
        );
        check(
            "\u{feff}\n\nInternet Engineering Task Force (IETF)   R. Fielding\nRequest for Comments: 9110   Adobe\nSTD: 97   M.\n\n\n      HTTP Semantics\n\nAbstract\n",
            Some(9110),
            Some("HTTP Semantics"),
        );
        check(
            "Network Working Group   A. B\nRequest for Comments: 7   C\n\nCategory: Standards Track\n\n   A Title\n   on Two Lines\n\nText\n",
            Some(7),
            Some("A Title on Two Lines"),
        );
    }

    #[test]
    fn anything_else_is_no_reason_to_fail() {
        check("", None, None);
        check("\n\n\n", None, None);
        check(
            "plain words\nof one block\n\nmore",
            None,
            Some("plain words of one block"),
        );
        check("RFC 99999999999999\n", None, Some("RFC 99999999999999"));
    }
}
