//! Comma-separated values as RFC 4180 has them, for the files of a run.
//!
//! Belongs here: quoting, both ways. Not here: what the columns mean.

/// One record as a line; a field is quoted only where it must be.
pub(in crate::cli) fn line(fields: &[&str]) -> String {
    let mut text = String::new();
    for (n, field) in fields.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            text.push('"');
            text.push_str(&field.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(field);
        }
    }
    text.push('\n');
    text
}

/// All records of a text. Anything is some CSV: a quote that is never closed ends with the text.
pub(in crate::cli) fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(core::mem::take(&mut field)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                record.push(core::mem::take(&mut field));
                records.push(core::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_whatever_is_in_them() {
        let fields = ["plain", "", "a,b", "say \"yes\"", "two\nlines", "\r\n", " "];
        let text = line(&fields) + &line(&["next"]);
        assert_eq!(
            records(&text),
            vec![fields.map(str::to_owned).to_vec(), vec!["next".to_owned()]]
        );
    }

    #[test]
    fn other_programs_line_ends_and_no_last_one() {
        assert_eq!(records("a,b\r\nc,d"), vec![vec!["a", "b"], vec!["c", "d"]]);
        assert_eq!(records("a,\"open"), vec![vec!["a", "open"]]);
        assert!(records("").is_empty());
    }
}
