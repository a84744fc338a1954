//! What a decoder owns, and what it refuses to own.

use fanfare_websocket::{
    CloseCode, Decoder, DeflateSettings, Deflater, Limits, MessageKind, Opcode, ProtocolError, Role,
    encode_compressed_message_masked, handshake,
};

use crate::wire::{Event, MASK, ROOMY, feed, fragment, frame, outcome};

const SMALL: Limits = Limits { frame_bytes_max: 100, message_bytes_max: 250 };

fn error(bytes: &[u8]) -> Option<ProtocolError> {
    outcome(&mut Decoder::new(Role::Server), bytes, &[3], &SMALL).1
}

#[test]
fn an_idle_decoder_is_tiny() {
    assert!(size_of::<Decoder>() <= 32, "{}", size_of::<Decoder>());
}

#[test]
fn decoders_and_deflaters_move_between_threads() {
    const fn assert_send<T: Send>() {}
    assert_send::<Decoder>();
    assert_send::<Deflater>();
}

#[test]
fn long_frames_are_refused_with_their_header() {
    let wire = frame(Opcode::Binary, &[0; 101]);
    let too_big = ProtocolError::FrameTooBig { length: 101, max: 100 };
    assert_eq!(error(&wire[..5]), None);
    assert_eq!(error(&wire[..6]), Some(too_big));
    assert_eq!(too_big.close_code(), CloseCode::TOO_BIG);
    assert_eq!(error(&frame(Opcode::Binary, &[0; 100])), None);
    let huge = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0";
    assert!(matches!(error(huge), Some(ProtocolError::FrameTooBig { .. })));
}

#[test]
fn long_messages_are_refused() {
    let fragments = |last: usize| {
        [
            fragment(Opcode::Binary, &[0; 100]),
            fragment(Opcode::Continuation, &[0; 100]),
            frame(Opcode::Continuation, &vec![0; last]),
        ]
        .concat()
    };
    assert_eq!(error(&fragments(50)), None);
    let too_big = ProtocolError::MessageTooBig { max: 250 };
    assert_eq!(error(&fragments(51)), Some(too_big));
    assert_eq!(too_big.close_code(), CloseCode::TOO_BIG);
}

#[test]
fn announced_bytes_are_not_reserved() {
    let mut decoder = Decoder::new(Role::Server);
    let wire = frame(Opcode::Binary, &[0; 1 << 20]);
    let mut events = Vec::new();
    for (upto, most) in [(1, 400), (20, 450), (10_000, 11_000)] {
        let mut decoder = Decoder::new(Role::Server);
        feed(&mut decoder, &wire[..upto], &ROOMY, &mut events).unwrap();
        assert!(decoder.buffered_bytes() <= most, "{}", decoder.buffered_bytes());
    }
    for chunk in wire.chunks(1_000) {
        feed(&mut decoder, chunk, &ROOMY, &mut events).unwrap();
        assert!(decoder.buffered_bytes() <= (1 << 20) + 400);
    }
    assert_eq!(events.len(), 1);
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn buffers_are_freed_by_release_and_by_the_next_call() {
    let wire = frame(Opcode::Binary, &[0; 100_000]);
    for released in [true, false] {
        let mut decoder = Decoder::new(Role::Server);
        let (mut first, mut second) = (wire[..50_000].to_vec(), wire[50_000..].to_vec());
        assert_eq!(decoder.decode(&mut first, &ROOMY), Ok((50_000, None)));
        let (consumed, incoming) = decoder.decode(&mut second, &ROOMY).unwrap();
        assert_eq!((consumed, incoming.is_some()), (second.len(), true));
        assert!(decoder.buffered_bytes() >= 100_000);
        if released {
            decoder.release();
        } else {
            assert_eq!(decoder.decode(&mut [], &ROOMY), Ok((0, None)));
        }
        assert!(decoder.is_idle());
        assert_eq!(decoder.buffered_bytes(), 0);
    }
}

#[test]
fn release_keeps_what_is_incomplete() {
    let wire = [fragment(Opcode::Text, b"ab"), frame(Opcode::Continuation, b"cd")].concat();
    let mut decoder = Decoder::new(Role::Server);
    let mut events = Vec::new();
    for byte in &wire {
        feed(&mut decoder, &[*byte], &ROOMY, &mut events).unwrap();
        decoder.release();
    }
    assert_eq!(events, [Event::Message(MessageKind::Text, b"abcd".to_vec())]);
}

#[test]
fn bombs_stop_at_the_message_limit() {
    let settings = DeflateSettings::default();
    let agreement = handshake::negotiate_deflate("permessage-deflate", &settings).unwrap();
    let mut deflater = Deflater::new(9, 15);
    let mut wire = Vec::new();
    let zeros = vec![b'0'; 10_000_000];
    encode_compressed_message_masked(&mut wire, MessageKind::Text, &zeros, &mut deflater, MASK);
    assert!(wire.len() < 20_000);
    for (message_bytes_max, fits) in [(9_999_999, false), (10_000_000, true), (65_536, false)] {
        let limits = Limits { frame_bytes_max: 65_536, message_bytes_max };
        for size in [1_000, usize::MAX] {
            let mut decoder = Decoder::with_deflate(Role::Server, &agreement);
            let (events, error) = outcome(&mut decoder, &wire, &[size], &limits);
            let too_big = ProtocolError::MessageTooBig { max: message_bytes_max };
            assert_eq!(error, (!fits).then_some(too_big));
            assert_eq!(events.len(), usize::from(fits));
            assert_eq!(decoder.buffered_bytes(), 0);
        }
    }
}
