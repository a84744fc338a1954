//! Whatever arrives, and however it is cut.

use fanfare_mqtt::codec::{DecodeError, Limits, Packet, decode};
use proptest::prelude::*;

use crate::wire::{self, Hello};

const LIMITS: Limits = Limits { packet_bytes: 64 << 10, filters: 100 };

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn topic() -> impl Strategy<Value = String> {
    "[a-zä/$ ]{1,30}"
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => prop::collection::vec(any::<u8>(), 0..200), 1 => prop::collection::vec(any::<u8>(), 0..20_000)]
}

fn connect() -> impl Strategy<Value = Vec<u8>> {
    let user = prop::option::of(("[a-z]{0,9}", prop::option::of(payload())));
    let will = prop::option::of((topic(), payload()));
    ("[a-z0-9]{0,23}", any::<bool>(), any::<u16>(), will, user).prop_map(
        |(client_id, is_clean, keep_alive, will, user)| {
            let (user, password) = user.map_or((None, None), |(user, password)| (Some(user), password));
            Hello { client_id, is_clean, keep_alive, will, user, password, ..Hello::default() }.bytes()
        },
    )
}

/// A valid packet.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let filters = || prop::collection::vec("[a-z/+#]{0,20}", 1..6);
    let texts = |filters: &[String]| filters.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    prop_oneof![
        1 => connect(),
        4 => (topic(), payload(), any::<bool>(), 0_u16..9).prop_map(|(t, p, retain, id)| wire::publish(&t, &p, retain, id)),
        1 => (1_u16.., filters()).prop_map(move |(id, f)| wire::subscribe(id, &texts(&f).split('\n').collect::<Vec<_>>())),
        1 => (1_u16.., filters()).prop_map(move |(id, f)| wire::unsubscribe(id, &texts(&f).split('\n').collect::<Vec<_>>())),
        1 => Just(wire::PING.to_vec()),
        1 => Just(wire::DISCONNECT.to_vec()),
    ]
}

/// All packets of `input` as text, or the error at the end, and the bytes that are left.
fn read(mut input: &[u8], seen: &mut Vec<String>) -> usize {
    loop {
        match decode(input, &LIMITS) {
            Ok(Some((packet, length))) => {
                seen.push(describe(&packet));
                input = &input[length..];
            }
            Ok(None) => return input.len(),
            Err(error) => {
                seen.push(error.to_string());
                return 0;
            }
        }
    }
}

/// Looks at everything in a packet.
fn describe(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Subscribe(subscribe) => format!("{} {:?}", subscribe.id, subscribe.filters().collect::<Vec<_>>()),
        Packet::Unsubscribe(unsubscribe) => {
            format!("{} {:?}", unsubscribe.id, unsubscribe.filters().collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_part_of_a_packet_is_never_a_packet(bytes in packet()) {
        for end in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..end], &LIMITS), Ok(None), "{} of {} bytes", end, bytes.len());
        }
        let whole = decode(&bytes, &LIMITS);
        prop_assert!(matches!(whole, Ok(Some((_, length))) if length == bytes.len()), "{:?}", whole);
    }

    #[test]
    fn a_cut_body_is_refused_or_another_packet(bytes in packet()) {
        // The header says less than there is: every field must notice its own end.
        let body = body_of(&bytes);
        for end in 0..body.len().min(300) {
            let mut seen = Vec::new();
            read(&wire::packet(bytes[0], &body[..end]), &mut seen);
        }
    }

    #[test]
    fn flipped_bits_never_panic(bytes in packet()) {
        let mut bytes = bytes;
        bytes.truncate(200);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut seen = Vec::new();
            prop_assert!(read(&bytes, &mut seen) <= bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut seen = Vec::new();
        prop_assert!(read(&bytes, &mut seen) <= bytes.len());
    }

    #[test]
    fn packets_are_the_same_however_they_are_cut(packets in prop::collection::vec(packet(), 1..4), piece in 1_usize..9) {
        let bytes = packets.concat();
        let mut whole = Vec::new();
        prop_assert_eq!(read(&bytes, &mut whole), 0);
        prop_assert_eq!(whole.len(), packets.len());
        let (mut waiting, mut pieces) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(if bytes.len() > 4_000 { piece * 500 } else { piece }) {
            waiting.extend_from_slice(piece);
            let left = read(&waiting, &mut pieces);
            waiting.drain(..waiting.len() - left);
        }
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn what_is_announced_too_large_is_refused_at_once(length in LIMITS.packet_bytes..268_435_456) {
        let header = &wire_header(length)[..];
        let refused = Err(DecodeError::TooLarge { bytes: header.len() + length, limit: LIMITS.packet_bytes });
        prop_assert_eq!(decode(header, &LIMITS), refused);
    }
}

#[test]
fn two_packets_split_at_every_boundary_are_the_same() {
    let bytes =
        [wire::publish("a/b", b"payload", true, 3), wire::subscribe(7, &["x/+", "#"]), wire::PING.into()].concat();
    let mut whole = Vec::new();
    assert_eq!(read(&bytes, &mut whole), 0);
    for first in 0..=bytes.len() {
        let mut seen = Vec::new();
        let left = read(&bytes[..first], &mut seen);
        assert_eq!(read(&bytes[first - left..], &mut seen), 0);
        assert_eq!(seen, whole, "split at {first}");
    }
}

fn body_of(bytes: &[u8]) -> &[u8] {
    let width = bytes[1..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    &bytes[1 + width..]
}

fn wire_header(length: usize) -> Vec<u8> {
    let mut out = vec![0x30];
    let mut rest = length;
    while rest > 0x7F {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}
