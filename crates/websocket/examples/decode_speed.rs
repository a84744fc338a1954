//! Prints what encoding and decoding a message costs, in nanoseconds.
//!
//! `cargo run --release -p fanfare-websocket --example decode_speed`

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use fanfare_websocket::{
    Decoder, DeflateSettings, Deflater, Limits, MessageKind, Role, encode_compressed_message,
    encode_compressed_message_masked, encode_message, encode_message_masked, encode_with, handshake,
};

const LIMITS: Limits = Limits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20 };

/// Messages per read, about what a busy connection delivers at once.
const BATCH: usize = 16;

fn main() -> std::io::Result<()> {
    for length in [64, 1_024, 16_384] {
        let payload: Vec<u8> =
            br#"{"channel":"prices","id":1024,"data":"0123456789"}"#.iter().copied().cycle().take(length).collect();
        report("encode", length, &mut encode(&payload))?;
        report("encode in place", length, &mut encode_in_place(&payload))?;
        report("decode", length, &mut decode(&payload, false, usize::MAX))?;
        report("decode in two reads", length, &mut decode(&payload, false, 2))?;
        report("compress", length, &mut compress(&payload))?;
        report("decode compressed", length, &mut decode(&payload, true, usize::MAX))?;
    }
    Ok(())
}

/// Measures `run`, which deals with [`BATCH`] messages.
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
    writeln!(std::io::stdout(), "{length:>6} bytes  {what:<20} {nanos:>9.1} ns")
}

fn encode(payload: &[u8]) -> impl FnMut() {
    let mut out = Vec::new();
    move || {
        out.clear();
        for _ in 0..BATCH {
            encode_message(&mut out, MessageKind::Text, black_box(payload));
        }
        black_box(&out);
    }
}

fn encode_in_place(payload: &[u8]) -> impl FnMut() {
    let mut out = Vec::new();
    move || {
        out.clear();
        for _ in 0..BATCH {
            encode_with(&mut out, MessageKind::Text, |out| {
                out.extend_from_slice(black_box(payload));
            });
        }
        black_box(&out);
    }
}

fn compress(payload: &[u8]) -> impl FnMut() {
    let mut out = Vec::new();
    let mut deflater = Deflater::new(6, 15);
    move || {
        out.clear();
        for _ in 0..BATCH {
            encode_compressed_message(&mut out, MessageKind::Text, payload, &mut deflater);
        }
        black_box(&out);
    }
}

/// Decodes a batch, each message in as many reads as `pieces`, or all of it in
/// one read.
fn decode(payload: &[u8], compressed: bool, pieces: usize) -> impl FnMut() {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut wire = Vec::new();
    let mut deflater = Deflater::new(6, 15);
    for _ in 0..BATCH {
        if compressed {
            let kind = MessageKind::Text;
            encode_compressed_message_masked(&mut wire, kind, payload, &mut deflater, mask);
        } else {
            encode_message_masked(&mut wire, MessageKind::Text, payload, mask);
        }
    }
    let settings = DeflateSettings::default();
    let mut decoder = match handshake::negotiate_deflate("permessage-deflate", &settings) {
        Some(agreement) if compressed => Decoder::with_deflate(Role::Server, &agreement),
        _ => Decoder::new(Role::Server),
    };
    let read_size = if pieces == usize::MAX { wire.len() } else { wire.len() / BATCH / pieces + 1 };
    let mut reads = wire.clone();
    move || {
        // Copying stands for the read, and undoes the unmasking.
        reads.copy_from_slice(&wire);
        let mut messages = 0;
        for mut input in reads.chunks_mut(read_size) {
            while !input.is_empty() {
                let Ok((consumed, incoming)) = decoder.decode(input, &LIMITS) else {
                    return;
                };
                messages += usize::from(black_box(incoming).is_some());
                input = &mut input[consumed..];
            }
            decoder.release();
        }
        assert!(messages == BATCH, "messages went missing");
    }
}
