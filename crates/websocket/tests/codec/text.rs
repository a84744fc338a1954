//! Text is UTF-8, across frames and reads, and wrong text is noticed at once
//! (RFC 6455, section 8.1).

use fanfare_websocket::{Decoder, MessageKind, Opcode, ProtocolError, Role};
use proptest::prelude::*;

use crate::wire::{Event, ROOMY, feed, fragment, frame, outcome};

const MIXED: &str = "aé€\u{7ff}\u{800}\u{ffff}𝄞\u{10ffff}z";

#[test]
fn characters_may_be_cut_anywhere() {
    let bytes = MIXED.as_bytes();
    let expected = vec![Event::Message(MessageKind::Text, bytes.to_vec())];
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let wire = [
                fragment(Opcode::Text, &bytes[..first]),
                fragment(Opcode::Continuation, &bytes[first..second]),
                frame(Opcode::Continuation, &bytes[second..]),
            ]
            .concat();
            for size in [1, 7, usize::MAX] {
                let mut decoder = Decoder::new(Role::Server);
                let result = outcome(&mut decoder, &wire, &[size], &ROOMY);
                assert_eq!(result, (expected.clone(), None), "cut at {first}, {second}");
            }
        }
    }
}

#[test]
fn a_message_does_not_end_inside_a_character() {
    let bytes = MIXED.as_bytes();
    for end in 0..=bytes.len() {
        for wire in [
            frame(Opcode::Text, &bytes[..end]),
            [fragment(Opcode::Text, &bytes[..end]), frame(Opcode::Continuation, b"")].concat(),
        ] {
            for size in [1, 5, usize::MAX] {
                let mut decoder = Decoder::new(Role::Server);
                let (events, error) = outcome(&mut decoder, &wire, &[size], &ROOMY);
                if MIXED.is_char_boundary(end) {
                    assert_eq!((events.len(), error), (1, None));
                } else {
                    assert_eq!((events.len(), error), (0, Some(ProtocolError::TextEncoding)));
                }
            }
        }
    }
}

/// The number of bytes after which `bytes` can no longer become UTF-8.
fn hopeless_after(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len()).find(|end| std::str::from_utf8(&bytes[..*end]).is_err_and(|error| error.error_len().is_some()))
}

/// Feeds the start of a longer text one byte at a time, in frames of
/// `frame_len` bytes; gives the number of payload bytes before the error.
fn fails_after(bytes: &[u8], frame_len: usize) -> Option<usize> {
    let mut decoder = Decoder::new(Role::Server);
    let mut events = Vec::new();
    let mut fed = 0;
    for (index, chunk) in bytes.chunks(frame_len).enumerate() {
        let opcode = if index == 0 { Opcode::Text } else { Opcode::Continuation };
        let wire = fragment(opcode, chunk);
        let (header, payload) = wire.split_at(wire.len() - chunk.len());
        assert_eq!(feed(&mut decoder, header, &ROOMY, &mut events), Ok(()));
        for byte in payload {
            fed += 1;
            if let Err(error) = feed(&mut decoder, &[*byte], &ROOMY, &mut events) {
                assert_eq!(error, ProtocolError::TextEncoding);
                return Some(fed);
            }
        }
    }
    assert_eq!(events, []);
    None
}

#[test]
fn wrong_text_is_noticed_with_its_first_wrong_byte() {
    // a surrogate, a character beyond the last, overlong forms, stray bytes
    for wrong in [
        &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"[..],
        b"\xce\xba\xf4\x90\x80\x80edited",
        b"\xc0\xafaa",
        b"\xe0\x80\x80aa",
        b"aaa\x80aa",
        b"aaa\xffaa",
    ] {
        let expected = hopeless_after(wrong);
        assert!(expected.is_some());
        for frame_len in [1, 2, 3, 100] {
            assert_eq!(fails_after(wrong, frame_len), expected);
        }
    }
}

proptest! {
    #![proptest_config(crate::properties::config(512))]

    #[test]
    fn any_bytes_fail_exactly_when_hopeless(
        start in "\\PC{0,20}",
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80_u8..=0xbf], 0..12),
        frame_len in 1_usize..40,
    ) {
        let bytes = [start.as_bytes(), &bytes].concat();
        prop_assert_eq!(fails_after(&bytes, frame_len), hopeless_after(&bytes));
    }
}
