//! Whatever is sent, however it is fragmented and cut.

use fanfare_websocket::{CloseCode, Decoder, Limits, MessageKind, Opcode, Role, encode_close, encode_close_masked};
use proptest::prelude::*;

use crate::deflate::{Peer, agreement};
use crate::wire::{Event, MASK, ROOMY, feed, outcome, put_frame};

/// Failures print their seed; none is written to a file.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A message and how to send it.
#[derive(Clone, Debug)]
struct Sending {
    event: Event,
    compressed: bool,
    /// Lengths of the fragments before the last.
    fragments: Vec<usize>,
    /// Control frames before each fragment.
    controls: Vec<Event>,
}

fn message() -> impl Strategy<Value = Event> {
    let text = prop_oneof!["\\PC{0,40}", ("[ab]{0,3}", 0_usize..300).prop_map(|(word, times)| word.repeat(times)),];
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), prop_oneof![Just(65_535), Just(65_536), 0_usize..70_000])
            .prop_map(|(byte, times)| vec![byte; times]),
    ];
    prop_oneof![
        4 => text.prop_map(|text| Event::Message(MessageKind::Text, text.into_bytes())),
        1 => bytes.prop_map(|bytes| Event::Message(MessageKind::Binary, bytes)),
    ]
}

fn control() -> impl Strategy<Value = Event> {
    let payload = prop::collection::vec(any::<u8>(), 0..=125);
    (any::<bool>(), payload).prop_map(|(ping, payload)| match ping {
        true => Event::Ping(payload),
        false => Event::Pong(payload),
    })
}

fn sending() -> impl Strategy<Value = Sending> {
    (
        message(),
        any::<bool>(),
        prop::collection::vec(prop_oneof![0_usize..5, 0_usize..300], 0..5),
        prop::collection::vec(control(), 0..4),
    )
        .prop_map(|(event, compressed, fragments, controls)| Sending { event, compressed, fragments, controls })
}

fn read_sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![1_usize..4, 1_usize..200, Just(100_000)];
    prop::collection::vec(size, 1..8)
}

fn put_control(out: &mut Vec<u8>, role: Role, event: &Event) {
    match event {
        Event::Ping(payload) => put_frame(out, role, Opcode::Ping, true, false, payload),
        Event::Pong(payload) => put_frame(out, role, Opcode::Pong, true, false, payload),
        other => unreachable!("not a control frame: {other:?}"),
    }
}

/// The bytes of one sending, and its events in order of their arrival.
fn put_sending(out: &mut Vec<u8>, role: Role, peer: Option<&mut Peer>, sending: &Sending) -> Vec<Event> {
    let Event::Message(kind, payload) = &sending.event else {
        unreachable!("not a message");
    };
    let compressed = match peer {
        Some(peer) if sending.compressed => Some(peer.compress(payload)),
        _ => None,
    };
    let mut rest = compressed.as_deref().unwrap_or(payload);
    let mut controls = sending.controls.iter();
    let mut opcode = Opcode::from(*kind);
    for length in &sending.fragments {
        if let Some(control) = controls.next() {
            put_control(out, role, control);
        }
        let (fragment, after) = rest.split_at(rest.len().min(*length));
        let rsv1 = compressed.is_some() && opcode != Opcode::Continuation;
        put_frame(out, role, opcode, false, rsv1, fragment);
        (opcode, rest) = (Opcode::Continuation, after);
    }
    for control in controls {
        put_control(out, role, control);
    }
    let rsv1 = compressed.is_some() && opcode != Opcode::Continuation;
    put_frame(out, role, opcode, true, rsv1, rest);
    let mut events = sending.controls.clone();
    events.push(sending.event.clone());
    events
}

fn role(server: bool) -> Role {
    if server { Role::Server } else { Role::Client }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn what_is_sent_arrives(
        server in any::<bool>(),
        sendings in prop::collection::vec(sending(), 0..6),
        sizes in read_sizes(),
        deflate in prop::option::of(any::<bool>()),
        close in prop::option::of((3000_u16..5000, "\\PC{0,20}")),
    ) {
        let role = role(server);
        let mut peer = deflate.map(Peer::new);
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for sending in &sendings {
            expected.extend(put_sending(&mut wire, role, peer.as_mut(), sending));
        }
        if let Some((code, reason)) = close {
            match role {
                Role::Client => encode_close(&mut wire, CloseCode(code), &reason),
                Role::Server => encode_close_masked(&mut wire, CloseCode(code), &reason, MASK),
            }
            expected.push(Event::Close(Some(code), reason));
        }
        let mut decoder = match deflate {
            Some(takeover) => Decoder::with_deflate(role, &agreement(takeover)),
            None => Decoder::new(role),
        };
        let (events, error) = outcome(&mut decoder, &wire, &sizes, &ROOMY);
        prop_assert_eq!(error, None);
        prop_assert_eq!(events, expected);
        prop_assert!(decoder.is_idle());
        prop_assert_eq!(decoder.buffered_bytes(), 0);
    }

    #[test]
    fn truncated_messages_are_neither_events_nor_errors(
        server in any::<bool>(),
        message in sending(),
        deflate in prop::option::of(any::<bool>()),
        size in 1_usize..50,
        cut in any::<prop::sample::Index>(),
    ) {
        let role = role(server);
        let sending = Sending { controls: Vec::new(), ..message };
        let mut peer = deflate.map(Peer::new);
        let mut wire = Vec::new();
        put_sending(&mut wire, role, peer.as_mut(), &sending);
        let new = || match deflate {
            Some(takeover) => Decoder::with_deflate(role, &agreement(takeover)),
            None => Decoder::new(role),
        };
        // Every truncation of what is short, one of what is long.
        let cuts = match wire.len() {
            0..400 => 0..wire.len(),
            length => { let cut = cut.index(length); cut..cut + 1 }
        };
        for cut in cuts {
            for size in [size, usize::MAX] {
                let mut decoder = new();
                let result = outcome(&mut decoder, &wire[..cut], &[size], &ROOMY);
                prop_assert_eq!(&result, &(Vec::new(), None));
                // and the rest makes it whole
                let mut events = Vec::new();
                prop_assert_eq!(feed(&mut decoder, &wire[cut..], &ROOMY, &mut events), Ok(()));
                prop_assert_eq!(&events, &vec![sending.event.clone()]);
            }
        }
    }
}

/// Bytes that begin like frames, so that more than headers is reached.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece =
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            (any::<u8>(), 0_u8..=127, prop::collection::vec(any::<u8>(), 0..40)).prop_map(
                |(first, length, payload)| [&[first & 0xcf, 0x80 | length, 1, 2, 3, 4], &payload[..]].concat()
            ),
            sending().prop_map(|sending| {
                let mut out = Vec::new();
                put_sending(&mut out, Role::Server, Some(&mut Peer::new(false)), &sending);
                out.truncate(2_000);
                out
            }),
        ];
    let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::collection::vec(piece, 0..6), flips).prop_map(|(pieces, flips)| {
        let mut bytes = pieces.concat();
        for (at, value) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn garbage_is_survived_within_the_limits(
        server in any::<bool>(),
        bytes in garbage(),
        sizes in read_sizes(),
        deflate in prop::option::of(any::<bool>()),
        frame_bytes_max in 0_usize..1_500,
        message_bytes_max in 0_usize..1_500,
    ) {
        let limits = Limits { frame_bytes_max, message_bytes_max };
        let role = role(server);
        let new = || match deflate {
            Some(takeover) => Decoder::with_deflate(role, &agreement(takeover)),
            None => Decoder::new(role),
        };
        // The fixed part, the limit and what compression may add to it.
        let most = 400 + message_bytes_max + message_bytes_max / 8 + 64;
        let mut decoder = new();
        let mut input = bytes.clone();
        let mut rest = &mut input[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let size = (*size).min(rest.len());
            let result = decoder.decode(&mut rest[..size], &limits);
            let Ok((consumed, incoming)) = result else {
                break;
            };
            if let Some(Event::Message(_, payload)) = incoming.map(Event::from) {
                prop_assert!(payload.len() <= message_bytes_max);
            }
            prop_assert!(decoder.buffered_bytes() <= most, "{}", decoder.buffered_bytes());
            rest = &mut rest[consumed..];
        }
        // However it is cut, it means the same.
        let at_once = outcome(&mut new(), &bytes, &[usize::MAX], &limits);
        let in_pieces = outcome(&mut new(), &bytes, &sizes, &limits);
        prop_assert_eq!(at_once, in_pieces);
    }
}
