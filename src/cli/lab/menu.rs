//! The numbered menu of `p2pdi peer --menu --json`, from the side of the one who types.
//!
//! Belongs here: which lines to write and what the answers must say. Not here: pipes (`processes`), or
//! which documents (`plan`).

use crate::cli::failure::Exit;
use p2pdi::name::{ContentName, HostPort};
use serde_json::Value;

/// Menu line 1.
pub(super) const REGISTER: &str = "1\n";
/// Menu line 3.
pub(super) const PEER_QUERY: &str = "3\n";
/// Menu line 4.
pub(super) const INDEX_QUERY: &str = "4\n";
/// Menu line 0.
pub(super) const QUIT: &str = "0\n";

/// The address in the first line of a process that serves.
pub(super) fn listening_on(line: &str) -> Option<HostPort> {
    line.strip_prefix("listening on ").and_then(HostPort::parse)
}

/// Menu line 8 with its two answers: download this from there.
pub(super) fn download(name: &ContentName, holder: &HostPort) -> String {
    format!("8\n{name}\n{holder}\n")
}

/// Why an answer is not the one that was wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// What the run exits with because of it.
    pub(super) exit: Exit,
    /// What the peer said.
    pub(super) text: String,
}

/// The answer in `line`, which must be the event `wanted`.
///
/// # Errors
/// The peer reports a failure, or says something else.
pub(super) fn answer(line: &str, wanted: &str) -> Result<Value, Misfit> {
    let misfit = |exit, text| Err(Misfit { exit, text });
    let Ok(value) = serde_json::from_str::<Value>(line) else {
        return misfit(
            Exit::Failed,
            format!("answered `{}` instead of JSON", p2pdi::name::printable(line)),
        );
    };
    match value["event"].as_str() {
        Some(event) if event == wanted => Ok(value),
        Some("failed") => {
            let error = p2pdi::name::printable(value["error"].as_str().unwrap_or("it does not say why"));
            misfit(exit_of(&value["exit"]), format!("failed: {error}"))
        }
        _ => misfit(
            Exit::Failed,
            format!("answered {value} instead of the event `{wanted}`"),
        ),
    }
}

fn exit_of(code: &Value) -> Exit {
    let all = [Exit::Usage, Exit::NotFound, Exit::Refused, Exit::Unverified];
    all.into_iter()
        .find(|exit| code.as_u64() == Some(u64::from(exit.code())))
        .unwrap_or(Exit::Failed)
}

/// What a finished download says of itself.
#[derive(Debug, PartialEq)]
pub(super) struct Done {
    /// How many bytes arrived.
    pub(super) bytes: u64,
    /// How long it took the peer.
    pub(super) secs: f64,
}

/// Reads a `done`, which must be of this document and name nobody but this holder as a source.
///
/// # Errors
/// What is different.
pub(super) fn done(value: &Value, name: &ContentName, holder: &HostPort) -> Result<Done, String> {
    if value["name"].as_str() != Some(name.as_str()) {
        return Err(format!("answered for {} instead of {name}", value["name"]));
    }
    let (Some(bytes), Some(secs)) = (value["bytes"].as_u64(), value["secs"].as_f64()) else {
        return Err(format!("did not say bytes and secs of {name}: {value}"));
    };
    for source in value["holders"].as_array().into_iter().flatten() {
        let from_holder = source["host"].as_str() == Some(holder.host.as_str())
            && source["port"].as_u64() == Some(u64::from(holder.port));
        if !from_holder && source["bytes"].as_u64() != Some(0) {
            return Err(format!("took bytes of {name} from {source} instead of {holder}"));
        }
    }
    Ok(Done { bytes, secs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_what_was_wanted_or_say_why() {
        assert!(answer(r#"{"event":"peers","peers":[],"later":1}"#, "peers").is_ok());
        let refused = answer(r#"{"event":"failed","error":"no","exit":4}"#, "peers").unwrap_err();
        assert_eq!(
            refused,
            Misfit {
                exit: Exit::Refused,
                text: "failed: no".to_owned()
            }
        );
        assert_eq!(answer("hello", "peers").unwrap_err().exit, Exit::Failed);
        assert!(
            answer(r#"{"event":"index"}"#, "peers")
                .unwrap_err()
                .text
                .contains("`peers`")
        );
    }

    #[test]
    fn a_document_must_come_from_its_holder() {
        let name = ContentName::new("rfc20.txt").unwrap();
        let holder = HostPort::parse("127.0.0.1:9").unwrap();
        let mut value = serde_json::json!({"event": "done", "name": "rfc20.txt", "bytes": 7, "secs": 0.5,
            "holders": [{"host": "127.0.0.1", "port": 9, "bytes": 7}, {"host": "127.0.0.1", "port": 8, "bytes": 0}]});
        assert_eq!(done(&value, &name, &holder), Ok(Done { bytes: 7, secs: 0.5 }));
        value["holders"][1]["bytes"] = 3.into();
        assert!(
            done(&value, &name, &holder)
                .unwrap_err()
                .contains("instead of 127.0.0.1:9")
        );
        value["name"] = "rfc21.txt".into();
        assert!(done(&value, &name, &holder).is_err());
    }

    #[test]
    fn the_first_line_names_the_address() {
        assert_eq!(
            listening_on("listening on 127.0.0.1:5000").map(|a| a.port),
            Some(5000)
        );
        assert_eq!(listening_on("listening in"), None);
    }

    #[test]
    fn a_download_is_three_lines() {
        let holder = HostPort::parse("127.0.0.1:9").unwrap();
        assert_eq!(
            download(&ContentName::new("a b").unwrap(), &holder),
            "8\na b\n127.0.0.1:9\n"
        );
    }
}
