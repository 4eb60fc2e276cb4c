//! A getter that is killed again and again, at random moments of its life.

use super::amount;
use super::process::{PATIENCE, Running, Words, pieces_kept};
use super::relay::Relay;
use p2pdi::id::piece_bytes;
use p2pdi::limits::WINDOW_PIECES_MAX;
use p2pdi::proto::transfer::piece_count;
use p2pdi::rng::Rng;
use std::path::Path;
use std::time::{Duration, Instant};

/// A download lives so many lives on average: kills hit its beginning, its middle and its end.
const LIVES: u64 = 8;

/// Between two looks at a download.
const LOOK: Duration = Duration::from_millis(2);

/// When a getter is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// When so many more bytes have come.
    After(u64),
    /// So long after its start.
    Early(Duration),
    /// So long after everything has come: while it is brought to the disk and renamed.
    AtTheEnd(Duration),
}

impl Moment {
    fn any(rng: &mut Rng, bytes: u64) -> Self {
        match rng.below(5) {
            0 => Self::Early(Duration::from_micros(rng.below(60_000))),
            1 => Self::AtTheEnd(Duration::from_micros(rng.below(150_000))),
            _ => Self::After(rng.below(2 * bytes / LIVES)),
        }
    }

    /// Waits for it; true if the getter ended before.
    fn wait(self, getter: &mut Running, relay: &Relay, out: &Path, count: u32) -> bool {
        let begun = Instant::now();
        let target = match self {
            Self::After(bytes) => relay.passed() + bytes,
            Self::Early(_) | Self::AtTheEnd(_) => 0,
        };
        let come = || match self {
            Self::After(_) => relay.wait_for(target, LOOK),
            Self::Early(_) => true,
            Self::AtTheEnd(_) => {
                std::thread::park_timeout(LOOK);
                pieces_kept(out) == u64::from(count) || out.join("big").exists()
            }
        };
        while !come() {
            if getter.ended().is_some() {
                return true;
            }
            assert!(begun.elapsed() < PATIENCE, "the download does not go on");
        }
        if let Self::Early(pause) | Self::AtTheEnd(pause) = self {
            std::thread::park_timeout(pause);
        }
        getter.ended().is_some()
    }
}

#[test]
fn killed_at_random_moments_it_goes_on() {
    let (kills, bytes) = amount((14, 64 << 20), (200, 1 << 30));
    let place = tempfile::tempdir().expect("a directory");
    let (relay, _source) = Relay::before_holder(place.path(), "a", bytes, &[]);
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let (seed, bytes) = (4, bytes as u64);
    let count = piece_count(bytes);
    let mut rng = Rng::from_seed(seed);
    let here = |out: &Path| match out.join("big").exists() {
        true => u64::from(count),
        false => pieces_kept(out),
    };
    // Over two connections, as one lone holder of a large content is asked.
    let in_flight = 2 * u64::from(WINDOW_PIECES_MAX + 1) * piece_bytes(bytes);
    let (mut killed, mut downloads, mut at_the_end, mut worst, mut all) = (0, 0, 0, 0, 0);
    while killed < kills {
        let out = place.path().join(format!("out{downloads}"));
        downloads += 1;
        let words = Words::get("big", &out).from([&*relay.address]).and(&["--quiet"]);
        loop {
            let (kept, passed) = (here(&out), relay.passed());
            let mut getter = words.spawn();
            let moment = Moment::any(&mut rng, bytes);
            let ended = killed == kills || moment.wait(&mut getter, &relay, &out, count);
            let life = format!("seed {seed}, kill {killed}, {moment:?}");
            if ended {
                let status = getter.end();
                assert!(status.success(), "{life}: {status}: {}", getter.stderr());
            } else {
                getter.kill();
                killed += 1;
            }
            let (now, came) = (here(&out), relay.passed() - passed);
            assert!(now >= kept, "{life}: of {kept} pieces {now} are left");
            let again = came.saturating_sub((now - kept) * piece_bytes(bytes));
            // Labels, choices, manifests and what two connections send twice, as in downloads that nobody kills.
            let overhead = came / 20 + 256 * 1024;
            assert!(
                again <= in_flight + overhead,
                "{life}: {came} bytes came for {} pieces",
                now - kept
            );
            (worst, all) = (again.max(worst), all + again);
            at_the_end += u64::from(!ended && now == u64::from(count));
            // Whatever the moment was: the final name is absent, or everything is there.
            if let Ok(got) = std::fs::read(out.join("big")) {
                assert!(got == content, "{life}: wrong content under the final name");
            }
            if ended {
                break;
            }
        }
        assert!(out.join("big").exists());
        let left = out.read_dir().expect("listed").count();
        assert_eq!(left, 1, "nothing else is left in --out");
        std::fs::remove_dir_all(&out).expect("removed");
    }
    println!(
        "{kills} kills ({at_the_end} of them at the end) in {downloads} downloads of {bytes} bytes: {} fetched \
         again a kill, {worst} at most, of {in_flight} that could be in flight",
        all / killed
    );
    let most = downloads * bytes + downloads * bytes / 20 + killed * (in_flight + 256 * 1024);
    assert!(relay.passed() <= most, "{} bytes came", relay.passed());
}
