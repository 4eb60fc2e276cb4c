//! The one client that asks every server: a socket a thread, a window of datagrams under way, nothing in between.

use crate::batch::{Batch, WINDOW, send};
use hdrhistogram::Histogram;
use nix::sys::socket::MultiHeaders;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Threads that ask.
const CLIENTS: u64 = 2;
/// Different questions of a client, asked in turn.
pub(crate) const QUESTIONS: u32 = 4_096;

/// What a client asks. Each question has its place in the list as its number.
pub(crate) struct Questions {
    pub(crate) datagrams: Vec<Vec<u8>>,
    /// Where an answer has the number of its question.
    pub(crate) number_at: usize,
    /// A shorter answer is a refusal.
    pub(crate) answer_bytes_min: usize,
}

/// Makes the questions of a client, for its socket and seed.
pub(crate) type Making = fn(&UdpSocket, u64) -> Questions;

/// What came of asking for a while.
pub(crate) struct Round {
    pub(crate) per_sec: f64,
    /// Microseconds from a question's way out to its answer's way in.
    pub(crate) latencies: Histogram<u64>,
}

impl Round {
    pub(crate) fn p99_us(&self) -> u64 {
        self.latencies.value_at_quantile(0.99)
    }
}

fn ask(server: SocketAddr, secs: u64, questions: &Questions, socket: &UdpSocket) -> Round {
    socket.connect(server).expect("connected");
    let mut numbers = (0..QUESTIONS as usize).cycle();
    let mut sent_at = vec![None; QUESTIONS as usize];
    let (mut take, mut give) = (Batch::new(), MultiHeaders::preallocate(WINDOW, None));
    let nowhere = [None; WINDOW];
    let begun = Instant::now();
    let mut latencies = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds");
    let mut room = WINDOW;
    while begun.elapsed() < Duration::from_secs(secs) {
        let now = Instant::now();
        let next = numbers.by_ref().take(room);
        let next: Vec<&[u8]> = next
            .map(|number| {
                sent_at[number] = Some(now);
                &questions.datagrams[number][..]
            })
            .collect();
        send(socket, &mut give, &next, &nowhere[..next.len()]);
        take.receive(socket);
        let now = Instant::now();
        let before = latencies.len();
        for answer in take.datagrams() {
            assert!(answer.len() >= questions.answer_bytes_min, "refused: {answer:?}");
            let number = answer[questions.number_at..].first_chunk().expect("a number");
            let sent_at = sent_at[u32::from_be_bytes(*number) as usize].take();
            let micros = sent_at.map(|sent_at| (now - sent_at).as_micros());
            if let Some(micros) = micros {
                latencies.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX).max(1));
            }
        }
        room = usize::try_from(latencies.len() - before).expect("few");
        if room == 0 {
            // Nothing for a while: they are lost.
            room = WINDOW;
        }
    }
    Round {
        per_sec: latencies.len() as f64 / begun.elapsed().as_secs_f64(),
        latencies,
    }
}

/// Asks with all clients at once.
pub(crate) fn ask_all(server: SocketAddr, secs: u64, making: Making) -> Round {
    let ready = |seed| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(server).expect("connected");
        let patience = Some(Duration::from_millis(200));
        socket.set_read_timeout(patience).expect("a timeout");
        let questions = making(&socket, seed);
        (socket, questions)
    };
    let clients: Vec<_> = (0..CLIENTS).map(ready).collect();
    std::thread::scope(|scope| {
        let clients: Vec<_> = clients
            .iter()
            .map(|(socket, questions)| scope.spawn(move || ask(server, secs, questions, socket)))
            .collect();
        let rounds = clients.into_iter().map(|client| client.join().expect("a client"));
        let both = rounds.reduce(|mut one, other| {
            one.per_sec += other.per_sec;
            one.latencies.add(other.latencies).expect("the same bounds");
            one
        });
        both.expect("a client")
    })
}
