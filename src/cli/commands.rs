//! The one table of commands and options: help and the check of a command line are made from it.

/// An option of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionRow {
    pub(super) flag: &'static str,
    /// What its value is called; none for a switch.
    pub(super) value: Option<&'static str>,
    pub(super) help: &'static str,
}

/// A command.
#[derive(Debug)]
pub(super) struct CommandRow {
    pub(super) name: &'static str,
    /// What it takes besides options.
    pub(super) operands: &'static str,
    pub(super) help: &'static str,
    pub(super) options: &'static [OptionRow],
    pub(super) examples: &'static [&'static str],
}

const fn takes(flag: &'static str, value: &'static str, help: &'static str) -> OptionRow {
    OptionRow {
        flag,
        value: Some(value),
        help,
    }
}

const fn switch(flag: &'static str, help: &'static str) -> OptionRow {
    OptionRow {
        flag,
        value: None,
        help,
    }
}

const JSON: OptionRow = switch("--json", "print JSON: one object, or one a line");
const RS: OptionRow = takes("--rs", "HOST:PORT", "the registration server");
const PEER: OptionRow = takes("--peer", "HOST:PORT", "a peer to ask (may be repeated)");
const RING: OptionRow = takes("--ring", "HOST:PORT", "a node of the ring to find contents by");
const MODE: OptionRow = takes(
    "--mode",
    "central|gossip",
    "how contents are found (may be repeated; default: both)",
);
const PEER_MODE: OptionRow = takes(
    "--mode",
    "central|gossip|chord|naive",
    "how contents are found (may be repeated; default: the first two, and chord with --ring)",
);
const TRANSPORT: OptionRow = takes(
    "--transport",
    "tcp|udp",
    "what requests to the RS travel on (default tcp)",
);
const NAME: OptionRow = takes(
    "--name",
    "NAME",
    "this peer's name (default: host name and a suffix, kept in --state)",
);
const STATE: OptionRow = takes(
    "--state",
    "DIR",
    "what is remembered between runs (default: the XDG state directory)",
);
const UP: OptionRow = takes(
    "--up-limit",
    "RATE",
    "limit of what is sent, as 20mbit, 2.5MB, 500KiB a second",
);
const DOWN: OptionRow = takes("--down-limit", "RATE", "limit of what is received");

/// Every command, in the order of the help.
pub(super) const COMMANDS: &[CommandRow] = &[
    CommandRow {
        name: "rs",
        operands: "",
        help: "serve as the registration server",
        options: &[
            takes(
                "--listen",
                "HOST:PORT",
                "where to listen, TCP and UDP (default 0.0.0.0:65423; [::] takes IPv4 too)",
            ),
            takes(
                "--data",
                "DIR",
                "keep peers and contents here over restarts (default: nowhere)",
            ),
            takes("--workers", "N", "threads that serve (default 8)"),
            takes(
                "--lease",
                "SECS",
                "how long a registration lasts without a sign of life (default 7200)",
            ),
            takes(
                "--policy",
                "least-used|most-recent|rotate",
                "which holder is named first (default least-used)",
            ),
        ],
        examples: &[
            "p2pdi rs --data /var/lib/p2pdi",
            "p2pdi rs --listen 127.0.0.1:0 --policy rotate",
        ],
    },
    CommandRow {
        name: "peer",
        operands: "",
        help: "share directories, in place, until stopped",
        options: &[
            RS,
            PEER,
            PEER_MODE,
            takes(
                "--ring",
                "HOST:PORT",
                "a node of the ring to join (without it, chord and naive begin one)",
            ),
            takes("--id-bits", "N", "bits of the ring's ids, 1 to 160 (default 160)"),
            takes(
                "--hash",
                "sha1|blake3",
                "what the ring's ids are made with (default sha1)",
            ),
            takes(
                "--ids-per-host",
                "N",
                "ring: nodes of one host that this one takes note of (default 64)",
            ),
            takes("--dir", "DIR", "a directory to share (may be repeated)"),
            takes(
                "--listen",
                "HOST:PORT",
                "where to listen (default 0.0.0.0:0: any free port)",
            ),
            takes(
                "--advertise",
                "HOST:PORT",
                "the address others are given (default: the one the RS sees)",
            ),
            NAME,
            STATE,
            TRANSPORT,
            UP,
            DOWN,
            takes("--max-conns", "N", "connections served at once (default 256)"),
            switch("--menu", "the numbered menu of the original programs, on stdin"),
            JSON,
        ],
        examples: &[
            "p2pdi peer --rs rs.lab:65423 --dir docs",
            "p2pdi peer --rs rs.lab:65423 --dir docs --menu",
        ],
    },
    CommandRow {
        name: "get",
        operands: "WHAT...",
        help: "fetch files and directories by name, id, name@id-prefix or RFC number",
        options: &[
            switch("--all", "everything there is, instead of WHAT"),
            RS,
            PEER,
            RING,
            takes("--out", "DIR", "where to put them (default: here)"),
            MODE,
            takes(
                "--linger",
                "SECS|forever",
                "serve and register what was fetched, for so long (default 0)",
            ),
            takes(
                "--listen",
                "HOST:PORT",
                "where to serve meanwhile, at once (default 0.0.0.0:0)",
            ),
            NAME,
            STATE,
            UP,
            DOWN,
            TRANSPORT,
            takes(
                "--strategy",
                "swarm|parts",
                "whoever is fast sends more, or part i of n from holder i (default swarm)",
            ),
            switch(
                "--why",
                "tell what bounded the transfer, and what each holder gave",
            ),
            switch("--quiet", "no progress"),
            JSON,
        ],
        examples: &[
            "p2pdi get rfc793.txt --rs rs.lab:65423",
            "p2pdi get --all --rs rs.lab:65423 --out docs",
            "p2pdi get disk.img --peer 10.0.0.7:6000 --why",
        ],
    },
    CommandRow {
        name: "list",
        operands: "",
        help: "what is registered at the RS",
        options: &[
            RS,
            switch("--trees", "directories instead of files"),
            TRANSPORT,
            JSON,
        ],
        examples: &["p2pdi list --rs rs.lab:65423"],
    },
    CommandRow {
        name: "peers",
        operands: "",
        help: "the active peers (PQuery)",
        options: &[RS, TRANSPORT, JSON],
        examples: &["p2pdi peers --rs rs.lab:65423"],
    },
    CommandRow {
        name: "search",
        operands: "WHAT",
        help: "who holds a content",
        options: &[RS, TRANSPORT, JSON],
        examples: &[
            "p2pdi search rfc793.txt --rs rs.lab:65423",
            "p2pdi search 793 --rs rs.lab:65423",
        ],
    },
    CommandRow {
        name: "index",
        operands: "",
        help: "a peer's index, its own contents and those it has heard of (RFCQuery)",
        options: &[PEER, JSON],
        examples: &["p2pdi index --peer 10.0.0.7:6000"],
    },
    CommandRow {
        name: "status",
        operands: "",
        help: "an RS's own account: what is there, what was served, refused and dropped",
        options: &[RS, TRANSPORT, JSON],
        examples: &["p2pdi status --rs rs.lab:65423"],
    },
    CommandRow {
        name: "ring",
        operands: "fingers|neighbours|lookup KEY|put FILE|get NAME",
        help: "what a node knows of its ring; owners of keys; files put into the ring and got from it",
        options: &[
            takes("--node", "HOST:PORT", "a peer in mode chord or naive"),
            takes("--out", "DIR", "where ring get puts the file (default: here)"),
            JSON,
        ],
        examples: &[
            "p2pdi ring fingers --node 10.0.0.7:6000",
            "p2pdi ring put disk.img --node 10.0.0.7:6000",
        ],
    },
    CommandRow {
        name: "hash",
        operands: "FILE|DIR...",
        help: "the ids of files and directories, as get takes them",
        options: &[JSON],
        examples: &["p2pdi hash disk.img"],
    },
    CommandRow {
        name: "lab",
        operands: "task1|task2",
        help: "the two classic experiments with real processes: curves, CSV and SVG",
        options: &[
            takes(
                "--order",
                "best|worst-order|worst-relay",
                "in which order task2 takes the documents (default best)",
            ),
            takes(
                "--docs",
                "DIR",
                "sixty documents (default: our own rfcs/ and made-up ones)",
            ),
            takes("--up-limit", "RATE", "every peer's uplink (default 20mbit)"),
            takes(
                "--out",
                "DIR",
                "where CSV, JSON and the picture go (default: lab)",
            ),
            JSON,
        ],
        examples: &[
            "p2pdi lab task1",
            "p2pdi lab task2 --order worst-order --docs rfc-texts",
        ],
    },
    CommandRow {
        name: "sim",
        operands: "swarm|ring",
        help: "the machines of the real program, simulated: a swarm, or a ring of any size",
        options: &[
            takes(
                "--nodes",
                "N",
                "peers besides the source (default: 5, 15, 100 and 1000); nodes of the ring (default: all experiments)",
            ),
            takes("--lookups", "N", "lookups in a ring (default 10000)"),
            takes("--pieces", "K", "pieces of 64 KiB (default 256)"),
            takes("--seed", "N", "decides what is left to chance (default 1)"),
            takes("--up", "RATE", "every link, both ways (default 100mbit)"),
            takes("--latency-ms", "N", "from one peer to another (default 0.2)"),
            takes(
                "--freeloaders",
                "N",
                "so many of the peers give nothing; with and without the rule against it",
            ),
            takes("--out", "DIR", "where CSV and picture go (default: none)"),
            JSON,
        ],
        examples: &[
            "p2pdi sim swarm",
            "p2pdi sim swarm --nodes 15 --freeloaders 5",
            "p2pdi sim ring --out ring",
            "p2pdi sim ring --nodes 1000000 --lookups 100000",
        ],
    },
    CommandRow {
        name: "load",
        operands: "",
        help: "many clients of an RS at once, and how long it takes to answer them",
        options: &[
            RS,
            TRANSPORT,
            takes("--threads", "N", "threads that ask (default 1)"),
            takes(
                "--connections",
                "N",
                "connections, over UDP sockets, of all threads (default 50)",
            ),
            takes(
                "--window",
                "N",
                "clients on each connection, with one request each under way (default 1)",
            ),
            takes("--secs", "N", "how long is measured (default 10)"),
            takes(
                "--rate",
                "N",
                "requests a second in all, meant for fixed times whatever the answers do (default: each client asks again when it has its answer)",
            ),
            takes(
                "--mix",
                "KIND[=N],...",
                "of join, keepalive, register, search, list, peers; N is how often (default search)",
            ),
            takes(
                "--contents",
                "N",
                "registered before anything is measured (default 1000)",
            ),
            switch("--keep", "leave all of it registered at the end"),
            JSON,
        ],
        examples: &[
            "p2pdi load --rs rs.lab:65423 --connections 50",
            "p2pdi load --rs rs.lab:65423 --transport udp --window 16 --rate 20000",
            "p2pdi load --rs rs.lab:65423 --mix search=90,list=1,register=9 --json",
        ],
    },
];

/// The command of a name.
pub(super) fn find(name: &str) -> Option<&'static CommandRow> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// All commands, a line each.
pub(super) fn overview() -> String {
    let mut text = String::from(
        "p2pdi: peer-to-peer file distribution for networks you control\n\n\
         usage: p2pdi COMMAND [OPTIONS]\n\ncommands:\n",
    );
    for command in COMMANDS {
        text.push_str(&format!("  {:7} {}\n", command.name, command.help));
    }
    text.push_str(
        "\n`p2pdi help COMMAND` tells more. Exit codes: 0 done, 1 failed, 2 usage, 3 not found,\n\
         4 refused or ambiguous, 5 failed verification, 75 interrupted but resumable.",
    );
    text
}

/// One command with its options.
pub(super) fn help(command: &CommandRow) -> String {
    let operands = if command.operands.is_empty() {
        String::new()
    } else {
        format!(" {}", command.operands)
    };
    let mut text = format!(
        "p2pdi {}: {}\n\nusage: p2pdi {}{operands} [OPTIONS]\n\noptions:\n",
        command.name, command.help, command.name
    );
    for option in command.options {
        let left = option
            .value
            .map_or(option.flag.to_owned(), |value| format!("{} {value}", option.flag));
        if left.len() > 24 {
            text.push_str(&format!("  {left}\n  {:24}  {}\n", "", option.help));
        } else {
            text.push_str(&format!("  {left:24}  {}\n", option.help));
        }
    }
    text.push_str("\nexamples:");
    for example in command.examples {
        text.push_str(&format!("\n  {example}"));
    }
    text
}

/// The name most like a mistyped one, if any is like it.
pub(super) fn nearest<'n>(typed: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let scored = names.map(|name| (edits(typed, name), name));
    scored
        .min()
        .filter(|(edits, _)| *edits <= 2.max(typed.len() / 3))
        .map(|(_, name)| name)
}

/// How many letters must change to make one word of the other (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_word() {
        let flags = || ["--listen", "--linger", "--rs", "--json"].into_iter();
        assert_eq!(nearest("--lisen", flags()), Some("--listen"));
        assert_eq!(nearest("--jsn", flags()), Some("--json"));
        assert_eq!(nearest("--completely-else", flags()), None);
    }

    #[test]
    fn no_option_stands_twice() {
        for command in COMMANDS {
            let mut flags: Vec<_> = command.options.iter().map(|option| option.flag).collect();
            flags.sort_unstable();
            let before = flags.len();
            flags.dedup();
            assert_eq!(flags.len(), before, "{}", command.name);
        }
    }
}
