//! Prints what reading and writing a PUBLISH costs, in nanoseconds: 200,000 of MQTT 5 with quality
//! of service 1 and a topic of 21 bytes, fed in reads of 16 KiB, the best of five runs.
//!
//! `cargo run --release -p fanfare-mqtt-codec --example decode_speed`

use std::hint::black_box;
use std::io::Write as _;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use fanfare_mqtt_codec::{Level, Packet, Publish, PublishProperties, Qos, UserProperties, decode, frame};

const MESSAGES: usize = 200_000;
const READ_BYTES: usize = 16 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pairs = [("tenant", "acme"), ("trace", "0123456789abcdef")];
    let some = PublishProperties {
        content_type: Some("application/json"),
        expiry_seconds: Some(60),
        user: UserProperties::new(&pairs),
        ..PublishProperties::default()
    };
    for (what, properties) in [("no properties", PublishProperties::default()), ("4 properties", some)] {
        for payload_bytes in [64, 1024] {
            let payload = vec![b'x'; payload_bytes];
            let publish = Publish {
                topic: "sensors/0042/humidity",
                payload: &payload,
                packet_id: NonZeroU16::new(7),
                qos: Qos::AtLeastOnce,
                properties,
                ..Publish::default()
            };
            let mut wire = Vec::new();
            for _ in 0..MESSAGES {
                publish.encode(Level::V5, u32::MAX, &mut wire)?;
            }
            let read = best(|| assert!(count(&wire) == MESSAGES, "messages went missing"));
            let mut out = Vec::new();
            let written = best(|| {
                for _ in 0..MESSAGES {
                    if out.len() > READ_BYTES {
                        out.clear();
                    }
                    assert!(black_box(&publish).encode(Level::V5, u32::MAX, &mut out).is_ok(), "it fits");
                }
                black_box(&out);
            });
            writeln!(
                std::io::stdout(),
                "{payload_bytes:>5} bytes, {what:<14} read {read:>6.1} ns, write {written:>6.1} ns"
            )?;
        }
    }
    Ok(())
}

/// Nanoseconds per message in the best of five runs.
fn best(mut run: impl FnMut()) -> f64 {
    let measure = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    let best = (0..5).map(|_| measure(&mut run)).min().unwrap_or(Duration::ZERO);
    best.as_secs_f64() * 1e9 / MESSAGES as f64
}

/// Reads all of `wire` as a connection would: into a buffer, whose rest moves to the front.
fn count(wire: &[u8]) -> usize {
    let (mut buffer, mut messages) = (Vec::with_capacity(2 * READ_BYTES), 0);
    for read in wire.chunks(READ_BYTES) {
        buffer.extend_from_slice(read);
        let mut start = 0;
        while let Ok(Some(found)) = frame(&buffer[start..], 1 << 20) {
            let Ok(Packet::Publish(publish)) = decode(Level::V5, &found) else { return messages };
            black_box(&publish);
            messages += 1;
            start += found.length;
        }
        buffer.drain(..start);
    }
    messages
}
