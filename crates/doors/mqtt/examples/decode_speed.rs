//! Prints what reading and writing packets costs, in nanoseconds.
//!
//! `cargo run --release -p fanfare-mqtt --example decode_speed`

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use bytes::Bytes;
use fanfare_mqtt::codec::{Limits, Packet, decode, encode_publish};

const LIMITS: Limits = Limits { packet_bytes: 1 << 20, filters: 1_000 };
const TOPIC: &str = "sensors/7/temperature";

/// Packets per read, about what a busy connection brings at once.
const BATCH: usize = 64;

fn main() -> std::io::Result<()> {
    for length in [64, 1_024, 16_384] {
        let payload: Vec<u8> = br#"{"celsius":21.5,"n":1024}"#.iter().copied().cycle().take(length).collect();
        report("encode", length, &mut encode(&payload))?;
        report("decode", length, &mut read(&payload, |payload| _ = black_box(payload)))?;
        report(
            "decode and copy",
            length,
            &mut read(&payload, |payload| drop(black_box(Bytes::copy_from_slice(payload)))),
        )?;
    }
    Ok(())
}

/// Measures `run`, which deals with [`BATCH`] packets.
fn report(what: &str, length: usize, run: &mut dyn FnMut()) -> std::io::Result<()> {
    let measure = |times: u32, run: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..times).for_each(|_| run());
        start.elapsed()
    };
    // Warm up, and find out how often is long enough.
    let once = measure(20, run).as_nanos().max(1) / 20;
    let times = u32::try_from(50_000_000 / once.max(1)).unwrap_or(1).clamp(10, 200_000);
    let best = (0..5).map(|_| measure(times, run)).min().unwrap_or_default();
    let nanos = best.as_secs_f64() * 1e9 / f64::from(times) / BATCH as f64;
    writeln!(std::io::stdout(), "{length:>6} bytes  {what:<16} {nanos:>8.1} ns")
}

fn encode(payload: &[u8]) -> impl FnMut() {
    let mut out = Vec::new();
    move || {
        out.clear();
        for _ in 0..BATCH {
            encode_publish(&mut out, black_box(TOPIC), black_box(payload), false);
        }
        black_box(&out);
    }
}

fn read(payload: &[u8], take: impl Fn(&[u8])) -> impl FnMut() {
    let mut wire = Vec::new();
    (0..BATCH).for_each(|_| encode_publish(&mut wire, TOPIC, payload, false));
    move || {
        let mut input = black_box(&wire[..]);
        let mut packets = 0;
        while let Ok(Some((Packet::Publish(publish), length))) = decode(input, &LIMITS) {
            take(black_box(publish).payload);
            packets += 1;
            input = &input[length..];
        }
        assert!(packets == BATCH, "packets went missing");
    }
}
