//! RFC 6455, rule by rule.

use fanfare_websocket::{CloseCode, Decoder, Incoming, MessageKind, Opcode, ProtocolError, Role, encode_close_masked};

use crate::wire::{Event, ROOMY, feed, fragment, frame, outcome, server_error, server_outcome};

fn text(payload: &str) -> Event {
    Event::Message(MessageKind::Text, payload.as_bytes().to_vec())
}

#[test]
fn examples_of_section_5_7() {
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(server_outcome(masked), (vec![text("Hello")], None));

    let unmasked: &[(&[u8], Event)] = &[
        (b"\x81\x05Hello", text("Hello")),
        (b"\x01\x03Hel\x80\x02lo", text("Hello")),
        (b"\x89\x05Hello", Event::Ping(b"Hello".to_vec())),
    ];
    for (bytes, event) in unmasked {
        let mut decoder = Decoder::new(Role::Client);
        let result = outcome(&mut decoder, bytes, &[usize::MAX], &ROOMY);
        assert_eq!(result, (vec![event.clone()], None));
    }

    for (header, length) in
        [(&b"\x82\x7e\x01\x00"[..], 256), (&b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"[..], 65_536)]
    {
        let bytes = [header, &vec![7; length]].concat();
        let mut decoder = Decoder::new(Role::Client);
        let result = outcome(&mut decoder, &bytes, &[usize::MAX], &ROOMY);
        let event = Event::Message(MessageKind::Binary, vec![7; length]);
        assert_eq!(result, (vec![event], None));
    }
}

#[test]
fn whole_frames_are_slices_of_the_input() {
    let mut bytes = [frame(Opcode::Text, b"one"), frame(Opcode::Binary, b"two")].concat();
    let start = bytes.as_ptr() as usize;
    let mut decoder = Decoder::new(Role::Server);
    let (first, incoming) = decoder.decode(&mut bytes, &ROOMY).unwrap();
    let Some(Incoming::Message { payload, .. }) = incoming else {
        panic!("{incoming:?}");
    };
    assert_eq!((payload, payload.as_ptr() as usize), (&b"one"[..], start + 6));
    let (second, incoming) = decoder.decode(&mut bytes[first..], &ROOMY).unwrap();
    assert!(matches!(incoming, Some(Incoming::Message { payload: b"two", .. })));
    assert_eq!(first + second, bytes.len());
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn masking_depends_on_the_role() {
    assert_eq!(server_error(b"\x81\x01a"), Some(ProtocolError::MaskMissing));
    let masked = frame(Opcode::Text, b"a");
    let (_, error) = outcome(&mut Decoder::new(Role::Client), &masked, &[1], &ROOMY);
    assert_eq!(error, Some(ProtocolError::MaskUnexpected));
}

#[test]
fn reserved_bits_and_opcodes() {
    for bit in [0x40, 0x20, 0x10] {
        for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xa] {
            let bytes = [0x80 | bit | opcode, 0x80, 0, 0, 0, 0];
            assert_eq!(server_error(&bytes), Some(ProtocolError::ReservedBits));
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let error = server_error(&[0x80 | opcode, 0x80, 0, 0, 0, 0]);
        assert_eq!(error, Some(ProtocolError::ReservedOpcode(opcode)));
    }
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
        let error = server_error(&fragment(opcode, b""));
        assert_eq!(error, Some(ProtocolError::FragmentedControl));
        let error = server_error(&frame(opcode, &[0; 126]));
        assert_eq!(error, Some(ProtocolError::ControlTooLong));
    }
    let (events, error) = server_outcome(&frame(Opcode::Ping, &[1; 125]));
    assert_eq!((events, error), (vec![Event::Ping(vec![1; 125])], None));
}

#[test]
fn fragments_follow_each_other() {
    let error = server_error(&frame(Opcode::Continuation, b"a"));
    assert_eq!(error, Some(ProtocolError::UnexpectedContinuation));
    let error = server_error(&fragment(Opcode::Continuation, b"a"));
    assert_eq!(error, Some(ProtocolError::UnexpectedContinuation));
    let twice = [fragment(Opcode::Text, b"a"), frame(Opcode::Text, b"b")].concat();
    assert_eq!(server_error(&twice), Some(ProtocolError::ExpectedContinuation));
    let after =
        [fragment(Opcode::Text, b"a"), frame(Opcode::Continuation, b"b"), frame(Opcode::Continuation, b"c")].concat();
    assert_eq!(server_error(&after), Some(ProtocolError::UnexpectedContinuation));
}

#[test]
fn control_frames_come_between_fragments() {
    let bytes = [
        fragment(Opcode::Text, b""),
        frame(Opcode::Ping, b"1"),
        fragment(Opcode::Continuation, b"he"),
        frame(Opcode::Pong, b"2"),
        frame(Opcode::Continuation, b"llo"),
        frame(Opcode::Text, b""),
    ]
    .concat();
    let expected = vec![Event::Ping(b"1".to_vec()), Event::Pong(b"2".to_vec()), text("hello"), text("")];
    for size in 1..=bytes.len() {
        let result = outcome(&mut Decoder::new(Role::Server), &bytes, &[size], &ROOMY);
        assert_eq!(result, (expected.clone(), None), "reads of {size}");
    }
}

#[test]
fn lengths() {
    let top_bit = b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01\0\0\0\0";
    assert_eq!(server_error(top_bit), Some(ProtocolError::LengthTopBit));
    // Longer than necessary is fine.
    let event = Event::Message(MessageKind::Binary, b"a".to_vec());
    for bytes in [&b"\x82\xfe\x00\x01\0\0\0\0a"[..], &b"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x01\0\0\0\0a"[..]] {
        assert_eq!(server_outcome(bytes), (vec![event.clone()], None));
    }
}

#[test]
fn close_frames() {
    let close = |payload: &[u8]| server_outcome(&frame(Opcode::Close, payload));
    let event = |code, reason: &str| (vec![Event::Close(code, reason.to_owned())], None);
    assert_eq!(close(b""), event(None, ""));
    assert_eq!(close(b"\x03\xe8"), event(Some(1000), ""));
    assert_eq!(close(b"\x0f\xa0bye \xe2\x82\xac"), event(Some(4000), "bye €"));

    let error = |payload: &[u8]| server_error(&frame(Opcode::Close, payload));
    assert_eq!(error(b"\x03"), Some(ProtocolError::CloseLength));
    assert_eq!(error(b"\x03\xe8\xce\xba\xe1"), Some(ProtocolError::CloseReason));
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let payload = u16::to_be_bytes(code);
        assert_eq!(error(&payload), Some(ProtocolError::CloseCode(code)));
    }
}

#[test]
fn nothing_comes_after_close_or_error() {
    let mut decoder = Decoder::new(Role::Server);
    let mut close = Vec::new();
    encode_close_masked(&mut close, CloseCode::GOING_AWAY, "", [1, 2, 3, 4]);
    close.extend_from_slice(b"\xff\xff\xff garbage");
    let mut events = Vec::new();
    assert_eq!(feed(&mut decoder, &close, &ROOMY, &mut events), Ok(()));
    assert_eq!(feed(&mut decoder, b"\xff\xff", &ROOMY, &mut events), Ok(()));
    assert_eq!(events, [Event::Close(Some(1001), String::new())]);
    assert!(decoder.is_ended() && decoder.is_idle());

    for broken in [&b"\xff\xff"[..], &frame(Opcode::Close, b"\x03")] {
        let mut decoder = Decoder::new(Role::Server);
        let mut events = Vec::new();
        assert!(feed(&mut decoder, broken, &ROOMY, &mut events).is_err());
        let more = frame(Opcode::Text, b"more");
        assert_eq!(feed(&mut decoder, &more, &ROOMY, &mut events), Ok(()));
        assert_eq!(events, []);
    }
}

#[test]
fn errors_name_their_section_and_close_code() {
    let cases = [
        (ProtocolError::ReservedBits, 1002, "5.2"),
        (ProtocolError::MaskMissing, 1002, "5.1"),
        (ProtocolError::FragmentedControl, 1002, "5.5"),
        (ProtocolError::UnexpectedContinuation, 1002, "5.4"),
        (ProtocolError::CloseCode(1), 1002, "7.4"),
        (ProtocolError::CloseReason, 1007, "5.5.1"),
        (ProtocolError::TextEncoding, 1007, "8.1"),
        (ProtocolError::Inflate, 1007, "7.2.2"),
        (ProtocolError::FrameTooBig { length: 2, max: 1 }, 1009, "10.4"),
        (ProtocolError::MessageTooBig { max: 1 }, 1009, "10.4"),
    ];
    for (error, code, section) in cases {
        assert_eq!(error.close_code(), CloseCode(code));
        assert!(error.to_string().contains(section), "{error}");
    }
}
