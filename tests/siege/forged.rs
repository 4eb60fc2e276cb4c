//! Datagrams from addresses that are not the sender's, and what one address may do.

use super::process::{Running, run, serve};
use super::space::{CLIENTS, SERVER, SERVER_IP, Space};
use super::{amount, total};
use p2pdi::id::AddressToken;
use p2pdi::limits::{ADDRESS_JOINS, RS_CONNECTIONS_PER_ADDRESS_MAX};
use p2pdi::net::connections_within;
use p2pdi::rng::Rng;
use p2pdi::wire::samples::samples;
use p2pdi::wire::{Direction, Transport, datagram};
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};

fn rs_in(space: &Space) -> Running {
    space.on(SERVER, || serve(&["rs", "--listen", &format!("{SERVER_IP}:0")]))
}

fn asked(space: &Space, words: &[&str]) -> Vec<Value> {
    let ended = space.on(CLIENTS, || run(words));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.json()
}

/// Bytes that IP has taken in and sent out on a machine, without what is below it.
fn octets(space: &Space, machine: usize) -> (u64, u64) {
    space.on(machine, || {
        let text = std::fs::read_to_string("/proc/thread-self/net/netstat").expect("counters");
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("IpExt: "));
        let heads: Vec<&str> = lines.next().expect("heads").split(' ').collect();
        let values: Vec<&str> = lines.next().expect("values").split(' ').collect();
        let of = |name| {
            let at = heads.iter().position(|head| *head == name).expect("the counter");
            values[at].parse::<u64>().expect("a number")
        };
        (of("InOctets"), of("OutOctets"))
    })
}

/// What an attacker writes: every request there is with tokens and cookies that are guessed, and noise.
fn forgeries(rng: &mut Rng) -> Vec<Vec<u8>> {
    let requests = samples().into_iter().filter(|sample| {
        sample.row().direction == Direction::PeerToRs && sample.row().transport != Transport::Tcp
    });
    let mut all = Vec::new();
    for request in requests {
        all.push(datagram(&request, AddressToken::default()));
        all.push(datagram(&request, AddressToken(rng.bytes())));
    }
    // As short as a datagram can be, cut ones, other versions.
    all.push(vec![0]);
    all.push(b"J\0\0\0\x01".to_vec());
    let whole = all[0].clone();
    all.push(whole[..whole.len() - 3].to_vec());
    all.push([&whole[..5], &[0xff, 0xff], &whole[7..]].concat());
    all.push(rng.bytes::<64>().to_vec());
    all
}

#[test]
fn forged_datagrams_change_nothing_and_are_not_multiplied() {
    const SOURCES: u64 = 512;
    let Some(space) = Space::new() else { return };
    let count = amount(5_000, 100_000);
    assert_eq!(connections_within(600, 1, 0), 600, "raise ulimit -n");
    let server = rs_in(&space);
    let rs: SocketAddr = server.address.parse().expect("an address");
    let at = ["--rs", &server.address, "--json"];
    let load = [
        "load",
        "--secs",
        "1",
        "--rate",
        "10",
        "--keep",
        "--connections",
        "5",
    ];
    asked(&space, &[&load[..], &["--contents", "20"], &at].concat());
    let seen = || {
        let listed = asked(&space, &[&["list"], &at[..]].concat());
        let mut peers = asked(&space, &[&["peers"], &at[..]].concat());
        for peer in &mut peers {
            peer["lease_secs"] = Value::Null;
        }
        (listed, peers)
    };
    let before = seen();
    let (in_before, out_before) = octets(&space, SERVER);
    let mut rng = Rng::from_seed(1);
    let forgeries = forgeries(&mut rng);
    space.on(CLIENTS, || {
        let socket = |number: u64| {
            let ip = format!("10.77.{}.{}", 128 + number / 250, 1 + number % 250);
            let socket = UdpSocket::bind(format!("{ip}:0")).expect("an address of ours");
            socket.connect(rs).expect("connected");
            socket
        };
        let sockets: Vec<UdpSocket> = (0..SOURCES).map(socket).collect();
        for number in 0..count {
            // Not so fast that the kernel drops them before the RS sees any.
            if number % 50 == 0 {
                std::thread::park_timeout(std::time::Duration::from_millis(1));
            }
            let bytes = &forgeries[number % forgeries.len()];
            let from = usize::try_from(rng.below(SOURCES)).expect("small");
            // An answer of before shows as an error of the next call: it is sent all the same.
            let _ = sockets[from].send(bytes).or_else(|_| sockets[from].send(bytes));
        }
    });
    // What the kernel still holds for it is answered too.
    let mut last = 0;
    let told = super::process::eventually("the last of them", || {
        std::thread::park_timeout(std::time::Duration::from_millis(300));
        let told = asked(&space, &[&["status"], &at[..]].concat()).remove(0);
        let sum = total(&told, "dropped", "datagram: no valid address token")
            + total(&told, "dropped", "datagram: no request");
        (core::mem::replace(&mut last, sum) == sum).then_some(told)
    });
    let (in_after, out_after) = octets(&space, SERVER);
    let (taken, sent) = (in_after - in_before, out_after - out_before);
    let refused = total(&told, "dropped", "datagram: no valid address token");
    let unreadable = total(&told, "dropped", "datagram: no request");
    println!(
        "{count} forged datagrams: {taken} bytes in, {sent} bytes out; {refused} without a token, {unreadable} unreadable"
    );
    assert!(sent <= taken, "{sent} bytes for {taken}");
    assert!(refused + unreadable >= count as u64 * 9 / 10, "{told}");
    assert_eq!(seen(), before);
    assert_eq!(
        total(&told, "refused", "BadCookie"),
        0,
        "no cookie was even looked at"
    );
}

#[test]
fn one_address_has_so_many_connections_and_joins() {
    let Some(space) = Space::new() else { return };
    let many = RS_CONNECTIONS_PER_ADDRESS_MAX + 50;
    assert_eq!(connections_within(many, 1, 0), many, "raise ulimit -n");
    let server = rs_in(&space);
    let at = ["load", "--rs", &server.address, "--mix", "join", "--secs", "1"];
    let crowd = many.to_string();
    let refused = space.on(CLIENTS, || run(&[&at[..], &["--connections", &crowd]].concat()));
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    let says = format!("serves {RS_CONNECTIONS_PER_ADDRESS_MAX} connections of one address");
    assert!(refused.stderr.contains(&says), "{}", refused.stderr);
    // As many joins as one core can ask for, and more than an address may.
    let joined = asked(
        &space,
        &[&at[..], &["--connections", "4", "--window", "64", "--json"]].concat(),
    )
    .remove(0);
    let answers = joined["all"]["answers"].as_u64().expect("a count");
    let no = joined["refused"]["503"].as_u64().unwrap_or(0);
    println!("{answers} joins of one address, {no} of them refused");
    let log = server.stderr();
    let warned = log.lines().filter(|line| line.contains("joins, and for"));
    assert!(warned.count() <= 1, "one line a minute: {log}");
    assert!(answers - no <= ADDRESS_JOINS + 1_000, "{joined}");
    assert!(answers <= ADDRESS_JOINS || no > 0, "{joined}");
}
