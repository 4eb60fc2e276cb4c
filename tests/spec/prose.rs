//! The form of the specifications, and the numbers their prose mentions.

use crate::block::{COLUMNS, read, written_by_hand};
use crate::{SPECS, bounds, machines, ring};
use p2pdi::limits::{KEEP_ALIVE, LEASE_SECS};
use p2pdi::wire::{Refusal, TABLE};

#[test]
fn specifications_are_plain_text_of_72_columns() {
    for file in SPECS {
        for (position, line) in read(file).lines().enumerate() {
            let number = position + 1;
            assert!(line.is_ascii(), "{file}:{number}: not ASCII: {line}");
            assert!(line.len() <= COLUMNS, "{file}:{number}: {} columns", line.len());
            assert_eq!(line, line.trim_end(), "{file}:{number}: blanks at the end");
            assert!(!line.contains('\t'), "{file}:{number}: a tab");
        }
    }
}

/// Section numbers of headings, in order.
fn headings(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (number, line) in written_by_hand(text) {
        let first = line.split(' ').next().unwrap_or_default();
        let Some(section) = first.strip_suffix('.') else {
            continue;
        };
        if section
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        {
            found.push((section.to_owned(), number));
        }
    }
    found
}

#[test]
fn sections_are_numbered_without_gaps_and_references_find_them() {
    for file in SPECS {
        let text = read(file);
        let headings = headings(&text);
        let mut last: Vec<u32> = Vec::new();
        for (section, number) in &headings {
            let parts: Vec<u32> = section
                .split('.')
                .map(|part| part.parse().expect("digits"))
                .collect();
            let (own, above) = parts.split_last().expect("a number");
            let follows = last.get(above.len()).copied().unwrap_or(0) + 1;
            assert!(
                last.starts_with(above) && *own == follows,
                "{file}:{number}: {section} is out of order"
            );
            last = parts;
        }
        // A reference may be broken over two lines.
        let words: Vec<&str> = written_by_hand(&text)
            .into_iter()
            .flat_map(|(_, line)| line.split(' '))
            .collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        for pair in words
            .windows(2)
            .filter(|pair| matches!(pair[0].trim_start_matches('('), "Section" | "Sections"))
        {
            let section = pair[1].trim_end_matches(|c: char| !c.is_ascii_digit());
            assert!(
                headings.iter().any(|(known, _)| known == section),
                "{file}: no Section {section}"
            );
        }
    }
}

/// Numbers of three digits and more, as the prose writes them.
fn numbers(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == ',' || c == '.')) {
        let word = word.trim_matches([',', '.']);
        let plain = word.replace(',', "");
        // A leading zero is a document's number.
        if plain.len() >= 3 && !plain.starts_with('0') && plain.bytes().all(|b| b.is_ascii_digit()) {
            found.push(plain);
        }
    }
    found
}

#[test]
fn numbers_in_the_prose_come_from_the_code() {
    let code: Vec<u64> = bounds::WIRE_BOUNDS
        .iter()
        .chain(machines::REGISTRY_BOUNDS)
        .chain(machines::INDEX_BOUNDS)
        .chain(ring::RING_BOUNDS)
        .map(|(_, value)| *value)
        .chain(TABLE.iter().map(|row| row.bytes_max as u64))
        .chain(Refusal::TABLE.iter().map(|(code, ..)| u64::from(*code)))
        .chain([u64::from(LEASE_SECS), KEEP_ALIVE.0 / 1_000_000])
        .collect();
    // Facts of the world and of the original systems, which no constant of ours can change.
    const FACTS: &[u64] = &[
        100, 128, 1_001, 7_734, 65_423, 127, 5_000, 5_500, 6_000, 724, 751, 797, 993, 2_001, 2_003,
    ];
    for file in SPECS {
        for (line_number, line) in written_by_hand(&read(file)) {
            if line.contains("RFC ") {
                continue;
            }
            for number in numbers(line) {
                let value: u64 = number.parse().expect("digits");
                let known = code.contains(&value) || FACTS.contains(&value);
                assert!(
                    known,
                    "{file}:{line_number}: {number} is no number of the code: {line}"
                );
            }
        }
    }
}
