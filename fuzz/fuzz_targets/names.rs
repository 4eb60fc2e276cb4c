//! Names of contents, peers and hosts, addresses and rates: what is taken leads nowhere else and shows as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pdi::limits::{COMPONENT_BYTES_MAX, NAME_BYTES_MAX};
use p2pdi::locate::Request;
use p2pdi::name::{ContentName, Host, HostPort, PeerName, printable};
use p2pdi::rate::Rate;

fuzz_target!(|text: &str| {
    if let Ok(name) = ContentName::new(text) {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= NAME_BYTES_MAX);
        assert!(!text.contains(['\0', '\n', '\x1b']));
        for component in text.split('/') {
            assert!(!component.is_empty() && component.len() <= COMPONENT_BYTES_MAX);
            assert!(component != "." && component != "..", "{text:?} leads out");
        }
        let below = std::path::Path::new("/shared").join(text);
        assert!(below.starts_with("/shared"), "{text:?} leads out");
    }
    if let Ok(name) = PeerName::new(text) {
        assert_eq!(printable(name.as_str()), text, "a name moves no cursor");
    }
    if let Ok(host) = Host::new(text) {
        let address = HostPort { host, port: 1 };
        assert_eq!(HostPort::parse(&address.to_string()), Some(address));
    }
    let shown = printable(text);
    assert!(shown.chars().all(|char| !char.is_control()), "{shown:?}");
    if let Some(address) = HostPort::parse(text) {
        assert_eq!(HostPort::parse(&address.to_string()), Some(address));
    }
    let _ = Rate::parse(text);
    let _ = Request::parse(text);
});
