//! A command line, checked against the table of commands before anything is read from it.

use super::commands::{CommandRow, nearest};
use super::failure::Failure;
use p2pdi::name::{HostPort, PeerName};
use p2pdi::rate::Rate;
use pico_args::Arguments;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The options and operands of one command.
#[derive(Debug)]
pub(super) struct Line {
    options: Arguments,
    operands: Vec<String>,
}

impl Line {
    /// Sorts words into options and operands. `--flag=value` and `--flag value` are the same; after `--`
    /// everything is an operand.
    pub(super) fn parse(command: &CommandRow, words: Vec<String>) -> Result<Self, Failure> {
        let (mut options, mut operands) = (Vec::new(), Vec::new());
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if word == "--" {
                operands.extend(words);
                break;
            }
            if !word.starts_with('-') || word == "-" {
                operands.push(word);
                continue;
            }
            let (flag, attached) = match word.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let Some(row) = command.options.iter().find(|row| row.flag == flag) else {
                let flags = command.options.iter().map(|row| row.flag);
                let hint =
                    nearest(&flag, flags).map_or(String::new(), |near| format!("; did you mean {near}?"));
                let name = command.name;
                return Err(Failure::usage(format!(
                    "{name}: unknown option {flag}{hint} (`p2pdi help {name}`)"
                )));
            };
            options.push(flag.clone());
            match (row.value, attached) {
                (None, None) => {}
                (None, Some(_)) => return Err(Failure::usage(format!("{flag} takes no value"))),
                (Some(_), Some(value)) => options.push(value),
                (Some(what), None) => {
                    let value = words.next().filter(|value| !value.starts_with("--"));
                    options.push(
                        value
                            .ok_or_else(|| Failure::usage(format!("{flag} needs a value: {flag} {what}")))?,
                    );
                }
            }
        }
        if command.operands.is_empty()
            && let Some(extra) = operands.first()
        {
            let name = command.name;
            return Err(Failure::usage(format!(
                "{name} takes no operand, and got `{extra}` (`p2pdi help {name}`)"
            )));
        }
        let options = Arguments::from_vec(options.into_iter().map(Into::into).collect());
        Ok(Self { options, operands })
    }

    /// The operands.
    pub(super) fn operands(&self) -> &[String] {
        &self.operands
    }

    /// True if the switch was given, however often.
    pub(super) fn switch(&mut self, flag: &'static str) -> bool {
        let mut given = false;
        while self.options.contains(flag) {
            given = true;
        }
        given
    }

    /// Every value of an option, in the order given.
    fn texts(&mut self, flag: &'static str) -> Vec<String> {
        let mut values = Vec::new();
        while let Ok(Some(value)) = self.options.opt_value_from_str::<_, String>(flag) {
            values.push(value);
        }
        values
    }

    /// Every value of an option, read by `read`; `wanted` says what it should look like.
    pub(super) fn values<T>(
        &mut self,
        flag: &'static str,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        let texts = self.texts(flag);
        let read =
            |text: &String| read(text).ok_or_else(|| Failure::usage(format!("{flag} {text}: not {wanted}")));
        texts.iter().map(read).collect()
    }

    /// The value of an option that is given at most once.
    pub(super) fn value<T>(
        &mut self,
        flag: &'static str,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let mut values = self.values(flag, wanted, read)?;
        if values.len() > 1 {
            return Err(Failure::usage(format!(
                "{flag} was given {} times; once is enough",
                values.len()
            )));
        }
        Ok(values.pop())
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &mut self,
        flag: &'static str,
        range: core::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Failure> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        self.value(flag, &wanted, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// `HOST:PORT`, once.
    pub(super) fn address(&mut self, flag: &'static str) -> Result<Option<HostPort>, Failure> {
        self.value(flag, "HOST:PORT", HostPort::parse)
    }

    /// `HOST:PORT`, any number of times.
    pub(super) fn addresses(&mut self, flag: &'static str) -> Result<Vec<HostPort>, Failure> {
        self.values(flag, "HOST:PORT", HostPort::parse)
    }

    /// The registration server, where a command cannot do without.
    pub(super) fn rs(&mut self) -> Result<HostPort, Failure> {
        self.address("--rs")?
            .ok_or_else(|| Failure::usage("which RS? give --rs HOST:PORT"))
    }

    /// An address of this machine to listen on.
    pub(super) fn listen(&mut self, default: &str) -> Result<SocketAddr, Failure> {
        let given = self.address("--listen")?;
        Self::listen_at(given, default)
    }

    /// The address that was given to listen on, or else the default one.
    pub(super) fn listen_at(given: Option<HostPort>, default: &str) -> Result<SocketAddr, Failure> {
        let Some(wanted) = given.or_else(|| HostPort::parse(default)) else {
            return Err(Failure::usage("--listen: not HOST:PORT"));
        };
        let found =
            p2pdi::net::resolve(&wanted).map_err(|error| Failure::usage(format!("--listen {error}")))?;
        found
            .first()
            .copied()
            .ok_or_else(|| Failure::usage(format!("--listen {wanted}: no such address")))
    }

    /// A limit of a link.
    pub(super) fn rate(&mut self, flag: &'static str) -> Result<Option<Rate>, Failure> {
        self.value(flag, "a rate as 20mbit, 2.5MB or 500KiB", Rate::parse)
    }

    /// A path.
    pub(super) fn path(&mut self, flag: &'static str) -> Result<Option<PathBuf>, Failure> {
        self.value(flag, "a path", |text| {
            (!text.is_empty()).then(|| PathBuf::from(text))
        })
    }

    /// The peer's name.
    pub(super) fn peer_name(&mut self) -> Result<Option<PeerName>, Failure> {
        self.value(
            "--name",
            "a name of at most 255 bytes without control characters",
            |text| PeerName::new(text).ok(),
        )
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(
        &mut self,
        flag: &'static str,
        words: &[(&str, T)],
    ) -> Result<Vec<T>, Failure> {
        let wanted = words
            .iter()
            .map(|(word, _)| *word)
            .collect::<Vec<_>>()
            .join(" or ");
        self.values(flag, &wanted, |text| {
            words
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::commands::find;
    use super::*;

    fn line(command: &str, words: &[&str]) -> Result<Line, String> {
        let command = find(command).expect("a command");
        Line::parse(command, words.iter().map(|word| (*word).to_owned()).collect())
            .map_err(|failure| failure.text)
    }

    #[test]
    fn words_are_sorted_as_users_expect() {
        let mut parsed = line(
            "get",
            &[
                "a",
                "--out=x",
                "--peer",
                "h:1",
                "b",
                "--peer=i:2",
                "--json",
                "--",
                "--c",
            ],
        )
        .expect("a line");
        assert_eq!(parsed.operands(), ["a", "b", "--c"]);
        let peers = parsed.addresses("--peer").expect("addresses");
        assert_eq!(
            peers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["h:1", "i:2"],
            "in order"
        );
        assert!(parsed.switch("--json") && !parsed.switch("--quiet"));
        assert_eq!(parsed.path("--out").expect("a path"), Some(PathBuf::from("x")));
    }

    #[test]
    fn wrong_words_are_named_with_the_fix() {
        for (command, words, says) in [
            ("get", vec!["--ot", "x"], "did you mean --out?"),
            ("get", vec!["--out"], "--out needs a value: --out DIR"),
            ("get", vec!["--out", "--json"], "--out needs a value"),
            ("get", vec!["--json=1"], "--json takes no value"),
            ("list", vec!["x"], "list takes no operand"),
        ] {
            let text = line(command, &words).expect_err("a fault");
            assert!(text.contains(says), "{text}");
        }
        let mut parsed = line("rs", &["--workers", "0", "--lease", "5", "--lease", "6"]).expect("a line");
        assert!(
            parsed
                .number("--workers", 1..=9)
                .is_err_and(|f| f.text.contains("from 1 to 9"))
        );
        assert!(
            parsed
                .number("--lease", 1..=9)
                .is_err_and(|f| f.text.contains("2 times"))
        );
    }
}
