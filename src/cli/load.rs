//! `p2pdi load`: what an RS answers in a second, and how long its clients wait.

use super::failure::Failure;
use super::line::Line;
use super::query::{conn_failure, transport};
use super::show::table;
use super::{say, signals};
use p2pdi::limits::{
    LOAD_CONNECTIONS_MAX, LOAD_CONTENTS_MAX, LOAD_RATE_MAX, LOAD_SECS_MAX, LOAD_THREADS_MAX, LOAD_WINDOW_MAX,
};
use p2pdi::load::{Latencies, LoadReport, LoadSettings, Mix, run as run_load};
use p2pdi::net::{LinkTransport, Stop};
use p2pdi::time::Span;
use serde_json::{Map, Value, json};

pub(super) fn run(mut line: Line) -> Result<(), Failure> {
    let json = line.switch("--json");
    let settings = settings(&mut line)?;
    say::start_log("warn");
    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    let report =
        run_load(&settings, &stop).map_err(|error| conn_failure(format!("RS {}", settings.rs), &error))?;
    if json {
        say::result(&report_json(&settings, &report).to_string());
    } else {
        say::result(&report_text(&settings, &report));
    }
    Ok(())
}

fn settings(line: &mut Line) -> Result<LoadSettings, Failure> {
    let mut count = |flag, max, default| {
        let given = line.number(flag, 1..=max)?.unwrap_or(default);
        usize::try_from(given).map_err(|_| Failure::usage(format!("{flag} {given}: too many")))
    };
    let threads = count("--threads", LOAD_THREADS_MAX, 1)?;
    let connections = count("--connections", LOAD_CONNECTIONS_MAX, 50)?;
    let window = count("--window", LOAD_WINDOW_MAX, 1)?;
    let secs = line.number("--secs", 1..=LOAD_SECS_MAX)?.unwrap_or(10);
    let wanted =
        "kinds as search,join or search=9,join=1 (of join, keepalive, register, search, list, peers)";
    let mix = line.value("--mix", wanted, Mix::parse)?;
    Ok(LoadSettings {
        rs: line.rs()?,
        transport: transport(line)?,
        threads,
        connections,
        window,
        span: Span::from_secs(secs),
        rate: line.number("--rate", 1..=LOAD_RATE_MAX)?,
        mix: mix
            .or_else(|| Mix::parse("search"))
            .ok_or_else(|| Failure::usage("--mix"))?,
        contents: line.number("--contents", 1..=LOAD_CONTENTS_MAX)?.unwrap_or(1_000),
        keep: line.switch("--keep"),
    })
}

/// The shares of requests that are told, each with its name.
const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

#[expect(clippy::cast_precision_loss, reason = "counts of a run fit well into 53 bits")]
fn per_sec(count: u64, span: Span) -> f64 {
    count as f64 / span.as_secs_f64().max(1e-6)
}

fn millis(span: Span) -> String {
    format!("{:.3} ms", span.as_secs_f64() * 1e3)
}

fn latencies_row(name: &str, latencies: &Latencies) -> Vec<String> {
    let shares = SHARES.map(|(_, share)| millis(latencies.within(share)));
    let count = latencies.count().to_string();
    [name.to_owned(), count]
        .into_iter()
        .chain(shares)
        .chain([millis(latencies.max())])
        .collect()
}

fn report_text(settings: &LoadSettings, report: &LoadReport) -> String {
    let tally = &report.tally;
    let loop_says = match settings.rate {
        Some(rate) => format!("open loop: {rate} requests a second, latencies from when each was due"),
        None => "closed loop: a client waits for its answer before it asks again".to_owned(),
    };
    let mut text = format!(
        "{loop_says}\n{:.0} answers a second in {:.1} s ({}, {} threads, {} connections, {} clients)\n\n",
        per_sec(tally.in_time, report.span),
        report.span.as_secs_f64(),
        transport_word(settings.transport),
        settings.threads,
        settings.connections,
        settings.connections * settings.window,
    );
    let mut rows: Vec<_> = tally
        .kinds
        .iter()
        .map(|(kind, latencies)| latencies_row(kind.word(), latencies))
        .collect();
    if rows.len() != 1 {
        rows.push(latencies_row("all", &tally.all()));
    }
    text.push_str(&table(&["KIND", "ANSWERS", "P50", "P99", "P99.9", "MAX"], &rows));
    let mut tell = |what: &str, count: u64| {
        if count > 0 {
            text.push_str(&format!("\n{what}: {count}"));
        }
    };
    for (code, count) in &tally.refused {
        tell(&format!("refused ({} {code:?})", code.code()), *count);
    }
    tell("not answered", tally.unanswered);
    tell("due and not sent, for no client was free", tally.unsent);
    tell("datagrams sent again", tally.repeats);
    tell("connections closed by the RS", tally.closed);
    text
}

const fn transport_word(transport: LinkTransport) -> &'static str {
    match transport {
        LinkTransport::Tcp => "tcp",
        LinkTransport::Udp => "udp",
    }
}

fn latencies_json(latencies: &Latencies) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("answers".to_owned(), json!(latencies.count()));
    for (name, share) in SHARES {
        fields.insert(format!("{name}_us"), json!(latencies.within(share).0));
    }
    fields.insert("max_us".to_owned(), json!(latencies.max().0));
    fields
}

fn report_json(settings: &LoadSettings, report: &LoadReport) -> Value {
    let tally = &report.tally;
    let kinds: Map<String, Value> = tally
        .kinds
        .iter()
        .map(|(kind, latencies)| (kind.word().to_owned(), latencies_json(latencies).into()))
        .collect();
    let refused: Map<String, Value> = tally
        .refused
        .iter()
        .map(|(code, count)| (code.code().to_string(), json!(count)))
        .collect();
    let mut fields = json!({
        "loop": if settings.rate.is_some() { "open" } else { "closed" },
        "transport": transport_word(settings.transport),
        "threads": settings.threads,
        "connections": settings.connections,
        "window": settings.window,
        "rate_wanted": settings.rate,
        "secs": report.span.as_secs_f64(),
        "answers_per_sec": per_sec(tally.in_time, report.span),
        "all": latencies_json(&tally.all()),
        "kinds": kinds,
    });
    if let Value::Object(fields) = &mut fields {
        fields.insert("refused".to_owned(), refused.into());
        fields.insert("unanswered".to_owned(), json!(tally.unanswered));
        fields.insert("unsent".to_owned(), json!(tally.unsent));
        fields.insert("repeats".to_owned(), json!(tally.repeats));
        fields.insert("closed".to_owned(), json!(tally.closed));
        fields.insert(
            "prepared_secs".to_owned(),
            json!(report.prepared_in.as_secs_f64()),
        );
    }
    fields
}
