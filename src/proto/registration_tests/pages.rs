//! Long answers in short pages, and addresses that not everybody can use.

use super::*;
use crate::wire::ContentKey;

/// Asks page after page by datagrams; every page must fit into one.
fn paged<T: Clone, C>(
    stage: &mut Stage,
    mut question: impl FnMut(RequestNumber, Option<C>) -> Message,
    entries: impl Fn(Message) -> (bool, Vec<T>),
    cursor: impl Fn(&T) -> C,
) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for pages in 1.. {
        let request = stage.number();
        let message = question(request, all.last().map(&cursor));
        let answer = stage.ask(&udp(200), message);
        let bytes = frame(&answer).len();
        assert!(bytes <= DATAGRAM_BYTES_MAX, "{bytes} bytes");
        let (more, page) = entries(answer);
        assert!(!more || !page.is_empty(), "a page that leads nowhere");
        all.extend(page);
        if !more {
            assert!(pages > 3, "the test is about pages");
            break;
        }
    }
    all
}

impl Stage {
    fn cookie_of(&self, ip: u8) -> Cookie {
        let peer = self.rs.registry.get(PeerNumber(u64::from(ip - 9)));
        peer.map(|peer| peer.cookie)
            .expect("peers are numbered from 1, by rising address")
    }
}

fn crowd() -> Stage {
    let mut stage = Stage::with_policy(Policy::MostRecent);
    for ip in 10..90 {
        let member = stage.join(&format!("peer-{ip}"), ip);
        stage.register(member, &format!("file-{ip:03}.txt"));
        stage.register(member, "shared.txt");
    }
    // Some are gone: pages are of those that are left.
    for ip in (10..90).step_by(7) {
        let cookie = stage.cookie_of(ip);
        stage.leave(Member { ip, cookie });
    }
    stage
}

#[test]
fn pages_of_peers_make_the_whole() {
    let mut stage = crowd();
    let all = paged(
        &mut stage,
        |request, after: Option<PeerNumber>| {
            PQuery {
                request,
                cookie: None,
                after: after.unwrap_or_default(),
            }
            .into()
        },
        |answer| {
            let page = pdu!(Peers, answer);
            (page.more, page.peers.into_vec())
        },
        |peer: &PeerInfo| peer.number,
    );
    assert_eq!(all, stage.seen());
    assert!(all.windows(2).all(|pair| pair[0].number < pair[1].number));
}

#[test]
fn pages_of_contents_make_the_whole() {
    let mut stage = crowd();
    // A content with dozens of holders does not fit into any datagram.
    let member = stage.join("last", 95);
    for ip in 10..90 {
        let cookie = stage.cookie_of(ip);
        stage.deregister(Member { ip, cookie }, "shared.txt");
    }
    stage.register(member, "shared.txt");
    let question = |request, after| {
        Message::from(ListContents {
            request,
            kind: ContentKind::File,
            after,
        })
    };
    let entries = |answer| {
        let page = pdu!(Contents, answer);
        (page.more, page.contents.into_vec())
    };
    let all = paged(&mut stage, question, entries, |listing: &Listing| {
        listing.content.key()
    });
    let request = stage.number();
    let (more, whole) = entries(stage.tell(question(request, None)));
    assert!(!more);
    assert_eq!(all, whole);
    assert_eq!(all.len(), 69);
}

#[test]
fn pages_of_a_search_make_the_whole() {
    let mut stage = Stage::with_policy(Policy::MostRecent);
    for ip in 10..60 {
        let member = stage.join(&format!("peer-{ip}"), ip);
        let info = ContentInfo {
            id: ContentId([ip; 32]),
            ..content("same.txt")
        };
        let register = stage.register_message(member, info, true);
        stage.tell(register);
    }
    let question = |request, after: Option<ContentKey>| {
        let wanted = Wanted::Name(content_name("same.txt"));
        Message::from(Search {
            request,
            wanted,
            after,
        })
    };
    let entries = |answer| {
        let page = pdu!(Found, answer);
        (page.more, page.contents.into_vec())
    };
    let all = paged(&mut stage, question, entries, |listing: &Listing| {
        listing.content.key()
    });
    let request = stage.number();
    assert_eq!(all, entries(stage.tell(question(request, None))).1);
    assert_eq!(all.len(), 50);
    // Behind the last there is nothing, and that is not an error.
    let request = stage.number();
    let end = question(request, all.last().map(|listing| listing.content.key()));
    assert_eq!(entries(stage.tell(end)), (false, Vec::new()));
}

#[test]
fn a_page_ends_at_its_most_entries() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    for file in 0..=PAGE_ENTRIES_MAX {
        let mut info = content(&format!("{file:05}"));
        info.media_type = Text::cut("");
        let register = stage.register_message(a, info, true);
        stage.tell(register);
    }
    let request = stage.number();
    let list = ListContents {
        request,
        kind: ContentKind::File,
        after: None,
    };
    let page = pdu!(Contents, stage.tell(list));
    assert!(page.more);
    let bytes = frame(&page.clone().into()).len();
    assert!(
        page.contents.len() == PAGE_ENTRIES_MAX || bytes > 130_000,
        "{} entries",
        page.contents.len()
    );
}

#[test]
fn an_entry_longer_than_a_datagram_is_for_tcp() {
    let mut stage = Stage::new();
    for ip in 10..60 {
        let member = stage.join(&format!("peer-{ip}"), ip);
        stage.register(member, "x");
    }
    let search = stage.search_message(Wanted::Name(content_name("x")));
    assert_eq!(refusal_code(stage.ask(&udp(200), search)), Refusal::UseTcp);
    assert_eq!(stage.holders("x").len(), 50);
}

#[test]
fn more_holders_than_an_answer_names_are_counted() {
    let mut stage = Stage::new();
    for ip in 10..110 {
        let member = stage.join(&format!("peer-{ip}"), ip);
        stage.register(member, "x");
    }
    let found = pdu!(Found, stage.search("x"));
    assert_eq!(found.contents[0].holders.len(), HOLDERS_PER_LISTING_MAX);
    assert_eq!(found.contents[0].holders_total, 100);
}

#[test]
fn a_loopback_address_is_for_the_same_machine_only() {
    let mut stage = Stage::new();
    let near = Asker::over_tcp([127, 0, 0, 1].into(), [127, 0, 0, 1].into());
    let join = stage.join_message("near", 1, None);
    let cookie = pdu!(Ack, stage.ask(&near, join)).cookie.expect("a cookie");
    stage.register(Member { ip: 0, cookie }, "x");
    let questions = |stage: &mut Stage| -> [Message; 3] {
        let request = stage.number();
        [
            PQuery {
                request,
                cookie: None,
                after: PeerNumber(0),
            }
            .into(),
            stage.search_message(Wanted::Name(content_name("x"))).into(),
            ListContents {
                request,
                kind: ContentKind::File,
                after: None,
            }
            .into(),
        ]
    };
    for question in questions(&mut stage) {
        let host_of = |answer: Message| match answer {
            Message::Peers(page) => page.peers[0].host.clone(),
            Message::Found(page) => page.contents[0].holders[0].host.clone(),
            Message::Contents(page) => page.contents[0].holders[0].host.clone(),
            other => panic!("{other:?}"),
        };
        // Elsewhere it is where the asker reached the RS; a datagram does not tell where that is.
        assert_eq!(host_of(stage.ask(&tcp(200), question.clone())), host(1));
        assert_eq!(
            refusal_code(stage.ask(&udp(200), question.clone())),
            Refusal::UseTcp
        );
        let here = stage.ask(&Asker::over_udp([127, 0, 0, 1].into()), question);
        assert_eq!(host_of(here), some(Host::new("127.0.0.1")));
    }
}

#[test]
fn a_peer_may_name_the_address_that_others_are_given() {
    let mut stage = Stage::new();
    let mut join = stage.join_message("a", 1, None);
    join.host = Some(some(Host::new("files.example")));
    let ack = pdu!(Ack, stage.ask(&tcp(10), join));
    assert_eq!(ack.host, Some(some(Host::new("files.example"))));
    assert_eq!(stage.seen()[0].host.as_str(), "files.example");
}
