//! `p2pdi peer`, and what `get` shares with it: identity, modes, the peer's settings.

use super::failure::{Exit, Failure};
use super::line::Line;
use super::query::transport;
use super::{hashing, menu, say, signals};
use p2pdi::limits::{PEER_CONNECTIONS, PEER_CONNECTIONS_MAX};
use p2pdi::name::PeerName;
use p2pdi::net::{Clock, Pacer, Stop};
use p2pdi::peer::{Peer, PeerSettings};
use p2pdi::rng::Rng;
use p2pdi::storage::State;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ways contents are found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) central: bool,
    pub(super) gossip: bool,
}

#[derive(Clone, Copy)]
enum Mode {
    Central,
    Gossip,
    Ring,
}

/// The modes asked for; both that there are, if none is.
pub(super) fn modes(line: &mut Line) -> Result<Modes, Failure> {
    let words = [
        ("central", Mode::Central),
        ("gossip", Mode::Gossip),
        ("chord", Mode::Ring),
        ("naive", Mode::Ring),
    ];
    let asked = line.word("--mode", &words)?;
    if asked.iter().any(|mode| matches!(mode, Mode::Ring)) {
        return Err(Failure::usage(
            "--mode chord and naive come with the ring; use central or gossip",
        ));
    }
    let has = |wanted: fn(&Mode) -> bool| asked.is_empty() || asked.iter().any(wanted);
    Ok(Modes {
        central: has(|mode| matches!(mode, Mode::Central)),
        gossip: has(|mode| matches!(mode, Mode::Gossip)),
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
        central,
        listen,
        advertise,
        name,
        directories,
        up_limit,
        connections_max,
    };
    let peer =
        Peer::start(settings, state, clock, &stop).map_err(|error| Failure::io("listening", &error))?;
    say::result(&format!("listening on {}", peer.address()));
    let gossip = (modes.gossip && !with_menu).then(|| start_gossip(&peer, given.clone()));
    if with_menu {
        menu::run(&peer, &given, &Pacer::new(clock, down), json, &stop);
        stop.trigger();
    } else {
        if let Some(member) = peer.member() {
            member.want(true);
        }
        hashing::show(&peer, &bar, &stop);
        stop.wait();
    }
    peer.join();
    if let Some(Ok(thread)) = gossip {
        let _ = thread.join();
    }
    Ok(())
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
