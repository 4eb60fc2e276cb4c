//! Made-up documents, for when there are too few real ones: the same on every machine.
//!
//! Belongs here: their sizes and their text. Not here: files, or how many are wanted.

use p2pdi::rng::Rng;

/// Where the stream of made-up text begins.
const SEED: u64 = 65_423;

/// The smallest, the one where the large ones begin, and about the largest: bytes.
const SMALL_BYTES: u64 = 6_000;
const LARGE_BYTES: u64 = 170_000;

/// Of 60 documents 50 are small and 10 large: as the real ones, few of them hold half of all bytes.
const SMALL: usize = 50;
const LARGE: usize = 10;

/// Growth from one size to the next in thousandths: 6 to 160 kB in 50 steps, 170 to 500 kB in 10.
const SMALL_GROWTH: u64 = 1_069;
const LARGE_GROWTH: u64 = 1_127;

const WORDS: &[&str] = &[
    "the",
    "peer",
    "index",
    "document",
    "holder",
    "of",
    "a",
    "request",
    "and",
    "answer",
    "registration",
    "server",
    "is",
    "sent",
    "to",
    "by",
    "its",
    "port",
    "cookie",
    "when",
    "an",
    "active",
    "record",
    "must",
    "not",
    "be",
    "lease",
    "expires",
    "before",
    "next",
    "message",
    "carries",
    "length",
    "octets",
    "that",
    "follow",
    "each",
    "piece",
    "verified",
    "against",
    "hash",
    "then",
    "stored",
    "in",
    "order",
    "whatever",
    "transport",
    "delivers",
];

/// `count` documents as (name, text), at most 60.
pub(super) fn documents(count: usize) -> Vec<(String, String)> {
    let mut rng = Rng::from_seed(SEED);
    let sizes = shuffled_sizes(&mut rng);
    (1..)
        .zip(sizes)
        .take(count)
        .map(|(n, bytes)| (format!("generated-{n}.txt"), text(n, bytes, &mut rng)))
        .collect()
}

/// All 60 sizes in bytes, spread evenly on a logarithmic scale in whole numbers, then mixed.
fn shuffled_sizes(rng: &mut Rng) -> Vec<usize> {
    let grow = |start: u64, thousandths: u64| {
        core::iter::successors(Some(start), move |bytes| Some(bytes * thousandths / 1_000))
    };
    let mut sizes: Vec<usize> = grow(SMALL_BYTES, SMALL_GROWTH)
        .take(SMALL)
        .chain(grow(LARGE_BYTES, LARGE_GROWTH).take(LARGE))
        .filter_map(|bytes| usize::try_from(bytes).ok())
        .collect();
    for at in (1..sizes.len()).rev() {
        let other = usize::try_from(rng.below(at as u64 + 1)).unwrap_or(at);
        sizes.swap(at, other);
    }
    sizes
}

/// A text of exactly `bytes` bytes with the heading of an RFC.
fn text(number: usize, bytes: usize, rng: &mut Rng) -> String {
    let mut text = format!(
        "\n\n\n\nNetwork Working Group                                          p2pdi lab\n\
         Request for Comments: generated {number:<4}\n\
         Category: Experimental\n\n\n\
         {:>46}\n\n\n\
         Status of This Memo\n\n   This document was generated to fill a laboratory run. It says nothing.\n",
        format!("Generated Document {number}")
    );
    let mut section = 0;
    while text.len() < bytes {
        section += 1;
        text.push_str(&format!("\n{section}.  Section {section}\n"));
        for _ in 0..=rng.below(4) {
            paragraph(&mut text, rng);
        }
    }
    text.truncate(bytes.saturating_sub(1));
    text.push('\n');
    text
}

/// Three to ten lines of words, indented by three and at most 72 columns wide.
fn paragraph(text: &mut String, rng: &mut Rng) {
    for _ in 0..3 + rng.below(8) {
        let mut line = String::from("\n  ");
        while line.len() < 64 {
            let word = usize::try_from(rng.below(WORDS.len() as u64)).unwrap_or(0);
            line.push(' ');
            line.push_str(WORDS[word]);
        }
        text.push_str(&line);
    }
    text.push_str(".\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_documents_look_like_a_real_collection() {
        let documents = documents(60);
        assert_eq!(documents.len(), 60);
        let mut sizes: Vec<usize> = documents.iter().map(|(_, text)| text.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes[0], 6_000);
        assert!((450_000..550_000).contains(&sizes[59]), "{sizes:?}");
        let total: usize = sizes.iter().sum();
        assert!((5_200_000..5_800_000).contains(&total), "{total}");
        assert_eq!(documents[16].0, "generated-17.txt");
        assert!(documents[16].1.contains("Request for Comments: generated 17"));
        assert!(
            documents
                .iter()
                .all(|(_, text)| text.is_ascii() && text.ends_with('\n'))
        );
    }

    #[test]
    fn the_same_every_time_and_fewer_are_the_first_of_more() {
        let (few, all) = (documents(3), documents(60));
        assert_eq!(few, documents(3));
        let names = |list: &[(String, String)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&few), names(&all)[..3]);
        assert_eq!(few, all[..3]);
    }
}
