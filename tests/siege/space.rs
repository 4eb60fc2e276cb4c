//! Two machines of a network that exists for one test only: namespaces with a cable between them.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The RS's machine and the attackers'; gone when dropped.
pub(crate) struct Space {
    names: [String; 2],
}

/// Where the RS is.
pub(crate) const SERVER: usize = 0;
/// Where the attackers are: every address of 10.77.128.0/17 is theirs.
pub(crate) const CLIENTS: usize = 1;
/// The RS's address.
pub(crate) const SERVER_IP: &str = "10.77.0.1";
/// One of the attackers', which the RS's machine reaches without a router.
pub(crate) const CLIENTS_IP: &str = "10.77.0.2";

fn ip(words: &str) -> bool {
    let done = Command::new("ip").args(words.split_whitespace()).output();
    done.is_ok_and(|done| done.status.success())
}

impl Space {
    /// None, and why on stdout, where namespaces cannot be made.
    pub(crate) fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let tag = format!(
            "{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let names = [format!("p2pdi-rs-{tag}"), format!("p2pdi-cl-{tag}")];
        let [server, clients] = &names;
        let made = ip(&format!("netns add {server}")) && ip(&format!("netns add {clients}"));
        let space = Self { names: names.clone() };
        let ready = made
            && [
                format!("-n {server} link add rs0 type veth peer name cl0 netns {clients}"),
                format!("-n {server} addr add {SERVER_IP}/16 dev rs0"),
                format!("-n {server} link set rs0 up"),
                format!("-n {server} link set lo up"),
                format!("-n {clients} addr add {CLIENTS_IP}/16 dev cl0"),
                format!("-n {clients} link set cl0 up"),
                format!("-n {clients} link set lo up"),
                format!("-n {clients} route add local 10.77.128.0/17 dev lo"),
            ]
            .iter()
            .all(|words| ip(words));
        if !ready {
            println!("no network namespaces here (they need root and iproute2): not tried");
            return None;
        }
        Some(space)
    }

    /// Pulls the cable, or plugs it in again.
    pub(crate) fn cut(&self, is_cut: bool) {
        let way = if is_cut { "down" } else { "up" };
        assert!(ip(&format!("-n {} link set rs0 {way}", self.names[SERVER])));
    }

    /// Does something on one of the machines; what it starts runs there too.
    pub(crate) fn on<R: Send>(&self, machine: usize, work: impl FnOnce() -> R + Send) -> R {
        let path = format!("/run/netns/{}", self.names[machine]);
        std::thread::scope(|scope| {
            let there = scope.spawn(move || {
                let file = File::open(path).expect("a namespace");
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("moved");
                work()
            });
            there
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&format!("netns del {name}"));
        }
    }
}
