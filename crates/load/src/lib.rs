//! Load against any Fanfare: fan-out, pairs, idle connections, reconnect storms.
//!
//! One thread drives every connection over plain non-blocking sockets, so that the generator costs
//! less than the server it measures. Every case checks what it received byte for byte: a server that
//! loses, repeats, reorders or alters a message makes the run fail.
//!
//! It is not a client library: it speaks just enough of four dialects (Fanfare's native protocol, the
//! bare one of `bench/bun-server.js`, MQTT, and Momento Topics), without TLS.

mod args;
mod dialect;
mod fanout;
mod fleet;
mod frames;
mod http2;
mod idle;
mod link;
mod measure;
mod momento;
mod mqtt;
mod muster;
mod offline;
mod output;
mod packets;
mod pairs;
mod payload;
mod process;
mod report;
mod storm;
mod target;
mod topicitem;
mod websocket;
mod wire;

pub use args::{
    BenchArgs, Case, Common, DialectName, FanoutArgs, IdleArgs, OfflineArgs, PairsArgs, Phase, StormArgs, Token,
};
pub use report::{
    Cost, CpuClock, FanoutReport, IdleMemory, IdleReport, Latency, Memory, OfflineReport, PairsReport, Report,
    ServerCost, StormReport,
};

/// Runs one case and prints its figures.
///
/// # Errors
///
/// When the server cannot be reached, refuses, stalls, or delivers anything but exactly what was
/// published.
pub fn run(args: BenchArgs) -> anyhow::Result<()> {
    let report = measure_case(&args)?;
    output::show(&report, args.common.json)
}

/// Runs one case and returns its figures.
///
/// # Errors
///
/// As [`run`].
pub fn measure_case(args: &BenchArgs) -> anyhow::Result<Report> {
    let common = &args.common;
    if common.streams > 1 && !matches!(args.case, Case::Fanout(_) | Case::Idle(_)) {
        anyhow::bail!("--streams: only fanout and idle have connections with more than one subscription");
    }
    Ok(match &args.case {
        Case::Fanout(case) => Report::Fanout(fanout::run(common, case)?),
        Case::Pairs(case) => Report::Pairs(pairs::run(common, case)?),
        Case::Idle(case) => Report::Idle(idle::run(common, case)?),
        Case::Storm(case) => Report::Storm(storm::run(common, case)?),
        Case::Offline(case) => Report::Offline(offline::run(common, case)?),
    })
}
