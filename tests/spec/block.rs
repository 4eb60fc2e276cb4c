//! Generated parts of hand-written files: found by their markers, compared, rewritten on demand.

use std::fmt::Write as _;

const BEGIN: &str = "-- begin generated: ";
const END: &str = "-- end generated";

/// One generated part of one file.
pub(crate) struct Block {
    file: &'static str,
    name: String,
    text: String,
}

impl Block {
    pub(crate) fn new(file: &'static str, name: &str, render: impl FnOnce() -> String) -> Self {
        Self {
            file,
            name: name.to_owned(),
            text: render(),
        }
    }
}

/// A file of the project.
pub(crate) fn read(file: &str) -> String {
    let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares every part with its text; with `P2PDI_BLESS=1` in the environment, rewrites the files instead.
pub(crate) fn hold(blocks: &[Block]) {
    let bless = std::env::var_os("P2PDI_BLESS").is_some_and(|value| value == "1");
    let mut files: Vec<&str> = blocks.iter().map(|block| block.file).collect();
    files.dedup();
    for file in files {
        let blocks: Vec<&Block> = blocks.iter().filter(|block| block.file == file).collect();
        let is = read(file);
        let should = rendered(file, &is, &blocks);
        if is == should {
            continue;
        }
        if bless {
            let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(&path, should).unwrap_or_else(|error| panic!("{path}: {error}"));
        } else {
            panic!(
                "{file} differs from the code; P2PDI_BLESS=1 rewrites it\n{}",
                first_difference(&is, &should)
            );
        }
    }
}

/// `file` with every part replaced by what it should be.
fn rendered(file: &str, text: &str, blocks: &[&Block]) -> String {
    let mut out = String::new();
    let mut waiting = blocks.to_vec();
    let mut inside = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(BEGIN) {
            assert!(!inside, "{file}: part {name} begins inside another");
            inside = true;
            let position = waiting.iter().position(|block| block.name == name);
            let position =
                position.unwrap_or_else(|| panic!("{file}: nobody renders {name}, or it stands twice"));
            let block = waiting.remove(position);
            writeln!(out, "{line}\n{}\n{END}", block.text.trim_end()).expect("a String takes all");
        } else if line == END {
            assert!(inside, "{file}: a part ends that has not begun");
            inside = false;
        } else if !inside {
            writeln!(out, "{line}").expect("a String takes all");
        }
    }
    assert!(!inside, "{file}: the last part has no end");
    if let Some(missing) = waiting.first() {
        panic!("{file}: add the lines\n{BEGIN}{}\n{END}", missing.name);
    }
    out
}

fn first_difference(is: &str, should: &str) -> String {
    let (mut old, mut new) = (is.lines(), should.lines());
    for number in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => {
                return format!(
                    "line {number}\n  file: {}\n  code: {}",
                    old.unwrap_or("-"),
                    new.unwrap_or("-")
                );
            }
        }
    }
    "they differ in their line ends".to_owned()
}

/// The lines of a text that are written by hand, with their numbers.
pub(crate) fn written_by_hand(text: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (position, line) in text.lines().enumerate() {
        if line.starts_with(BEGIN) {
            inside = true;
        } else if line == END {
            inside = false;
        } else if !inside {
            lines.push((position + 1, line));
        }
    }
    lines
}

/// Columns of a table: each cell wrapped to its width, the whole indented like the prose.
pub(crate) fn row(widths: &[usize], cells: &[&str]) -> String {
    let wrapped: Vec<Vec<String>> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| wrap(cell, *width))
        .collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    let mut out = String::new();
    for line in 0..height {
        let mut text = " ".repeat(INDENT);
        for (cell, width) in wrapped.iter().zip(widths) {
            let part = cell.get(line).map_or("", String::as_str);
            write!(text, "{part:<width$}  ").expect("a String takes all");
        }
        writeln!(out, "{}", text.trim_end()).expect("a String takes all");
    }
    out
}

/// A paragraph at the prose's indent.
pub(crate) fn paragraph(text: &str) -> String {
    let lines = wrap(text, COLUMNS - INDENT);
    lines
        .iter()
        .map(|line| format!("{}{line}\n", " ".repeat(INDENT)))
        .collect()
}

/// Columns of a page.
pub(crate) const COLUMNS: usize = 72;
const INDENT: usize = 3;

/// Lines of at most `width`; two blanks after a sentence, as in the prose.
fn wrap(text: &str, width: usize) -> Vec<String> {
    if text.starts_with(' ') {
        // A cell that is aligned already.
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("at least one line");
        let blanks = if line.ends_with('.') { 2 } else { 1 };
        if !line.is_empty() && line.len() + blanks + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push_str(&" ".repeat(blanks));
            }
            line.push_str(word);
        }
    }
    lines
}

/// A number as people read it: with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
