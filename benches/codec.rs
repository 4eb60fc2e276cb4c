//! How fast PDUs become bytes and bytes become PDUs: every sample, and the pages that listings are made of.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use p2pdi::limits::{CHUNK_BYTES_MAX, FRAME_BYTES_MAX};
use p2pdi::wire::samples::samples;
use p2pdi::wire::{Field, Found, HEADER_BYTES, List, Message, Rest, encode_frame};
use std::hint::black_box;
use std::time::Duration;

/// The samples by name; where a PDU has several, numbered.
fn named_samples() -> Vec<(String, Message)> {
    let mut named: Vec<(String, Message)> = Vec::new();
    for sample in samples() {
        let name = sample.row().name;
        let earlier = named.iter().filter(|(_, other)| other.row().name == name).count();
        let name = if earlier == 0 {
            name.to_owned()
        } else {
            format!("{name}-{}", earlier + 1)
        };
        named.push((name, sample));
    }
    named
}

/// What samples are too small to show: a full page, a full chunk.
fn full_frames() -> Vec<(String, Message)> {
    let mut full = Vec::new();
    for (name, sample) in named_samples() {
        match sample {
            Message::Content(mut content) => {
                content.payload = Rest(vec![0x5a; CHUNK_BYTES_MAX]);
                full.push((format!("{name}-full"), content.into()));
            }
            Message::Found(found) => {
                let listing = found.contents[0].clone();
                let mut bytes = Vec::new();
                listing.put(&mut bytes);
                let entries = (FRAME_BYTES_MAX - HEADER_BYTES - 16) / bytes.len();
                let contents = List::first_of(std::iter::repeat_n(listing, entries));
                full.push((format!("{name}-full"), Found { contents, ..found }.into()));
            }
            _ => {}
        }
    }
    full
}

fn frame_of(message: &Message) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_frame(message, &mut frame);
    frame
}

fn throughput(frame: &[u8]) -> Throughput {
    Throughput::Bytes(frame.len() as u64)
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, message) in named_samples().into_iter().chain(full_frames()) {
        let mut frame = frame_of(&message);
        group.throughput(throughput(&frame));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            // Into a buffer that has its room already, as a connection's has.
            bencher.iter(|| {
                frame.clear();
                encode_frame(black_box(&message), &mut frame);
                black_box(&frame);
            });
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, message) in named_samples().into_iter().chain(full_frames()) {
        let frame = frame_of(&message);
        group.throughput(throughput(&frame));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            // Freeing is part of it: whoever decodes a message has to get rid of it. Shown by reference, for
            // moving a message out of the loop takes longer than decoding a short one.
            bencher.iter(|| {
                let message = Message::decode(black_box(frame[0]), black_box(&frame[HEADER_BYTES..]));
                black_box(&message);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = codec;
    // Short runs: there are some seventy of them.
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = encode, decode
}
criterion_main!(codec);
