//! `p2pdi peer`, and what `get` shares with it: identity, modes, the peer's settings.

use super::failure::{Exit, Failure};
use super::line::Line;
use super::query::transport;
use super::{hashing, keeping, menu, say, signals};
use p2pdi::limits::{PEER_CONNECTIONS, PEER_CONNECTIONS_MAX, RING_ID_BITS_MAX, RING_IDS_PER_HOST};
use p2pdi::name::{PeerName, printable};
use p2pdi::net::{Clock, Pacer, Stop};
use p2pdi::peer::{Peer, PeerSettings, RingWish};
use p2pdi::proto::chord::RingSettings;
use p2pdi::ring::{RingHash, RingSpace};
use p2pdi::rng::Rng;
use p2pdi::storage::State;
use p2pdi::wire::Refusal;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ways contents are found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) central: bool,
    pub(super) gossip: bool,
    /// True with fingers, false without; none if no ring is wanted.
    pub(super) ring: Option<bool>,
}

#[derive(Clone, Copy)]
enum Mode {
    Central,
    Gossip,
    Chord,
    Naive,
}

/// The modes asked for; those that need no ring, if none of them is.
pub(super) fn modes(line: &mut Line) -> Result<Modes, Failure> {
    let words = [
        ("central", Mode::Central),
        ("gossip", Mode::Gossip),
        ("chord", Mode::Chord),
        ("naive", Mode::Naive),
    ];
    let asked = line.word("--mode", &words)?;
    let has = |wanted: fn(&Mode) -> bool| asked.iter().any(wanted);
    let (central, gossip) = (
        has(|mode| matches!(mode, Mode::Central)),
        has(|mode| matches!(mode, Mode::Gossip)),
    );
    let (chord, naive) = (
        has(|mode| matches!(mode, Mode::Chord)),
        has(|mode| matches!(mode, Mode::Naive)),
    );
    if chord && naive {
        return Err(Failure::usage(
            "--mode chord and naive are one ring with and without fingers: choose",
        ));
    }
    let neither = !central && !gossip;
    Ok(Modes {
        central: central || neither,
        gossip: gossip || neither,
        ring: (chord || naive).then_some(chord),
    })
}

/// Opens the state directory given, or the default one of this use. Where the default one is in use by another
/// process of ours, the next one that is free serves: two peers of one user are two peers.
pub(super) fn open_state(given: Option<PathBuf>, default: &str) -> Result<State, Failure> {
    if let Some(directory) = given {
        return State::open(&directory).map_err(|error| Failure::io("--state", &error));
    }
    let base = default_state()?;
    let mut number = 1;
    loop {
        let name = if number == 1 {
            default.to_owned()
        } else {
            format!("{default}-{number}")
        };
        match State::open(&base.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && number < 1_000 => number += 1,
            other => return other.map_err(|error| Failure::io("the state directory", &error)),
        }
    }
}

fn default_state() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    base.map(|base| base.join("p2pdi"))
        .ok_or_else(|| Failure::usage("no home directory to remember things in: give --state DIR"))
}

/// The name given, the one remembered, or a new one: host name and a suffix.
pub(super) fn choose_name(given: Option<PeerName>, state: &mut State) -> Result<PeerName, Failure> {
    if let Some(name) = given {
        return Ok(name);
    }
    if let Some(name) = &state.name {
        return Ok(name.clone());
    }
    let mut rng = Rng::from_os().map_err(|error| Failure::io("randomness", &error))?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let named = PeerName::new(format!("{host}-{:04x}", rng.below(0x1_0000)));
    let name = named
        .or_else(|_| PeerName::new("peer"))
        .map_err(|fault| Failure::usage(format!("--name {fault}")))?;
    state
        .set_name(&name)
        .map_err(|error| Failure::io("--state", &error))?;
    Ok(name)
}

pub(super) fn run(mut line: Line) -> Result<(), Failure> {
    let json = line.switch("--json");
    let with_menu = line.switch("--menu");
    let rs = line.address("--rs")?;
    let given = line.addresses("--peer")?;
    let modes = modes(&mut line)?;
    let ring = ring_wish(&mut line, modes)?;
    let alone = ring.is_some() && rs.is_none() && !with_menu;
    let directories = shared_directories(&mut line)?;
    let connections = line.number("--max-conns", 1..=PEER_CONNECTIONS_MAX as u64)?;
    let connections_max = connections.map_or(PEER_CONNECTIONS, |n| {
        usize::try_from(n).unwrap_or(PEER_CONNECTIONS)
    });
    let down = line.rate("--down-limit")?;
    let listen = line.listen("0.0.0.0:0")?;
    let advertise = line.address("--advertise")?;
    let (transport, up_limit) = (transport(&mut line)?, line.rate("--up-limit")?);
    let name = line.peer_name()?;
    let mut state = open_state(line.path("--state")?, "peer")?;
    let name = choose_name(name, &mut state)?;

    let bar = hashing::bar();
    say::start_log_beside(&bar, if with_menu { "warn" } else { "info" });
    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    let clock = Clock::start();
    let central = modes.central;
    let settings = PeerSettings {
        rs,
        transport,
        ring,
        central,
        listen,
        advertise,
        name,
        directories,
        up_limit,
        connections_max,
    };
    let kept = state.directory().to_owned();
    let peer =
        Peer::start(settings, state, clock, &stop).map_err(|error| Failure::io("listening", &error))?;
    say::result(&format!("listening on {}", peer.address()));
    let keeping = keeping::start(&peer, &kept, Pacer::new(clock, down), clock, &stop)
        .map_err(|error| Failure::io("a thread for the ring", &error))?;
    let gossip = (modes.gossip && !with_menu).then(|| start_gossip(&peer, given.clone()));
    let mut refused = None;
    if with_menu {
        menu::run(&peer, &given, &Pacer::new(clock, down), json, &stop);
        stop.trigger();
    } else {
        if let Some(member) = peer.member() {
            member.want(true);
        }
        if let Some(ring) = peer.ring() {
            ring.want(true);
        }
        hashing::show(&peer, &bar, &stop);
        // A node of a ring and of nothing else is of no use if the ring will not have it.
        refused = peer
            .ring()
            .filter(|_| alone)
            .and_then(|ring| ring.wait_refused(&stop));
        if refused.is_some() {
            stop.trigger();
        }
        stop.wait();
    }
    peer.join();
    for thread in [gossip.and_then(Result::ok), keeping].into_iter().flatten() {
        let _ = thread.join();
    }
    refused.map_or(Ok(()), |(code, text)| Err(ring_refusal(code, &text)))
}

/// The failure of a node that the ring would not have.
pub(super) fn ring_refusal(code: Refusal, text: &str) -> Failure {
    let text = format!(
        "the ring refuses this node ({}): {}",
        code.code(),
        printable(text)
    );
    Failure::new(Exit::Refused, text)
}

/// The ring to be in, if one is wanted.
fn ring_wish(line: &mut Line, modes: Modes) -> Result<Option<RingWish>, Failure> {
    let contact = line.address("--ring")?;
    let bits = line.number("--id-bits", 1..=u64::from(RING_ID_BITS_MAX))?;
    let hashes = [("sha1", RingHash::Sha1), ("blake3", RingHash::Blake3)];
    let hash = line.word("--hash", &hashes)?.pop();
    let per_host = line.number("--ids-per-host", 1..=u64::from(u16::MAX))?;
    let Some(fingers) = modes.ring.or(contact.is_some().then_some(true)) else {
        if bits.is_some() || hash.is_some() || per_host.is_some() {
            return Err(Failure::usage(
                "--id-bits, --hash and --ids-per-host are for --mode chord or naive",
            ));
        }
        return Ok(None);
    };
    let per_host = per_host.and_then(|ids| usize::try_from(ids).ok());
    let bits = bits.and_then(|bits| u16::try_from(bits).ok());
    let space = RingSpace::new(bits.unwrap_or(RING_ID_BITS_MAX), hash.unwrap_or_default());
    Ok(space.map(|space| RingWish {
        settings: RingSettings {
            fingers,
            ids_per_host: per_host.unwrap_or(RING_IDS_PER_HOST),
            ..RingSettings::usual(space)
        },
        contacts: contact.into_iter().collect(),
        member: true,
    }))
}

fn start_gossip(
    peer: &Arc<Peer>,
    given: Vec<p2pdi::name::HostPort>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let peer = Arc::clone(peer);
    std::thread::Builder::new()
        .name("peer-gossip".to_owned())
        .spawn(move || peer.gossip_until_stop(&given))
}

fn shared_directories(line: &mut Line) -> Result<Vec<PathBuf>, Failure> {
    let directories = line.values("--dir", "a path", |text| {
        (!text.is_empty()).then(|| PathBuf::from(text))
    })?;
    for directory in &directories {
        check_directory(directory)?;
    }
    Ok(directories)
}

fn check_directory(directory: &Path) -> Result<(), Failure> {
    match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::usage(format!(
            "--dir {}: not a directory",
            directory.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::usage(format!(
            "--dir {}: there is no such directory",
            directory.display()
        ))),
        Err(error) => Err(Failure::new(
            Exit::Failed,
            format!("--dir {}: {error}", directory.display()),
        )),
    }
}
