//! permessage-deflate inside frames (RFC 7692, sections 6 and 7.2).

use fanfare_websocket::{
    Decoder, DeflateAgreement, DeflateSettings, Deflater, MessageKind, Opcode, ProtocolError, Role,
    encode_compressed_message, encode_compressed_message_masked, encode_message, handshake,
};
use flate2::{Compress, Compression, FlushCompress};

use crate::wire::{Event, MASK, ROOMY, outcome, put_frame};

/// The agreement of a server with a client that offers nothing special.
pub(crate) fn agreement(peer_context_takeover: bool) -> DeflateAgreement {
    let settings = DeflateSettings { peer_context_takeover, ..DeflateSettings::default() };
    let mut agreement =
        handshake::negotiate_deflate("permessage-deflate", &settings).expect("a bare offer is always acceptable");
    // The same for the other role, which our server never agrees to.
    agreement.server_no_context_takeover = agreement.client_no_context_takeover;
    agreement
}

/// A peer that compresses, with reference to earlier messages if it may.
pub(crate) struct Peer {
    stream: Compress,
    takeover: bool,
}

impl Peer {
    pub(crate) fn new(takeover: bool) -> Self {
        Self { stream: Compress::new(Compression::default(), false), takeover }
    }

    pub(crate) fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.stream.reset();
        }
        let mut out = Vec::with_capacity(payload.len() * 2 + 100);
        let flush = FlushCompress::Sync;
        self.stream.compress_vec(payload, &mut out, flush).expect("a stream in use does not fail");
        assert!(out.len() < out.capacity());
        if payload.is_empty() {
            // RFC 7692, section 7.2.3.6; the library may write nothing here.
            return vec![0];
        }
        out.truncate(out.len() - 4);
        out
    }
}

fn text(payload: &str) -> Event {
    Event::Message(MessageKind::Text, payload.as_bytes().to_vec())
}

#[test]
fn examples_of_section_7_2_3() {
    let one_frame = &b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"[..];
    let fragments = &b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00"[..];
    let final_block = &b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"[..];
    for bytes in [one_frame, fragments, final_block] {
        for size in [1, 4, usize::MAX] {
            let mut decoder = Decoder::with_deflate(Role::Client, &agreement(false));
            let result = outcome(&mut decoder, bytes, &[size], &ROOMY);
            assert_eq!(result, (vec![text("Hello")], None));
            assert!(decoder.is_idle());
        }
    }
    // The second message refers to the first.
    let twice = [one_frame, b"\xc1\x05\xf2\x00\x11\x00\x00"].concat();
    let mut decoder = Decoder::with_deflate(Role::Client, &agreement(true));
    let result = outcome(&mut decoder, &twice, &[usize::MAX], &ROOMY);
    assert_eq!(result, (vec![text("Hello"), text("Hello")], None));
    let mut decoder = Decoder::with_deflate(Role::Client, &agreement(false));
    let result = outcome(&mut decoder, &twice, &[usize::MAX], &ROOMY);
    assert_eq!(result, (vec![text("Hello")], Some(ProtocolError::Inflate)));
}

#[test]
fn the_compressed_bit_is_for_first_frames_of_messages() {
    let agreement = agreement(false);
    let error = |frames: &[(Opcode, bool, bool)]| {
        let mut wire = Vec::new();
        for (opcode, fin, rsv1) in frames {
            put_frame(&mut wire, Role::Server, *opcode, *fin, *rsv1, b"");
        }
        let mut decoder = Decoder::with_deflate(Role::Server, &agreement);
        outcome(&mut decoder, &wire, &[usize::MAX], &ROOMY).1
    };
    let reserved = Some(ProtocolError::ReservedBits);
    assert_eq!(error(&[(Opcode::Ping, true, true)]), reserved);
    assert_eq!(error(&[(Opcode::Close, true, true)]), reserved);
    let first = (Opcode::Text, false, true);
    assert_eq!(error(&[first, (Opcode::Continuation, true, true)]), reserved);
    assert_eq!(error(&[first, (Opcode::Continuation, true, false)]), None);
}

#[test]
fn compressed_text_is_checked() {
    let mut peer = Peer::new(false);
    let payload = peer.compress(b"not \xff text");
    for size in [1, usize::MAX] {
        let mut wire = Vec::new();
        put_frame(&mut wire, Role::Server, Opcode::Text, true, true, &payload);
        let mut decoder = Decoder::with_deflate(Role::Server, &agreement(false));
        let (_, error) = outcome(&mut decoder, &wire, &[size], &ROOMY);
        assert_eq!(error, Some(ProtocolError::TextEncoding));
    }
}

#[test]
fn messages_that_do_not_shrink_are_sent_plain() {
    let mut deflater = Deflater::new(6, 15);
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    encode_message(&mut plain, MessageKind::Text, b"abc");
    encode_compressed_message(&mut out, MessageKind::Text, b"abc", &mut deflater);
    assert_eq!(out, plain);
}

#[test]
fn compressed_messages_are_the_same_for_everyone() {
    let payload = br#"{"channel":"prices","data":{"channel":"prices"}}"#.repeat(30);
    let mut deflater = Deflater::new(6, 15);
    let (mut first, mut second, mut masked) = (Vec::new(), Vec::new(), Vec::new());
    encode_compressed_message(&mut first, MessageKind::Text, &payload, &mut deflater);
    encode_compressed_message(&mut second, MessageKind::Text, &payload, &mut deflater);
    encode_compressed_message_masked(&mut masked, MessageKind::Text, &payload, &mut deflater, MASK);
    assert_eq!(first, second);
    assert!(first.len() < payload.len() / 4);
    let event = Event::Message(MessageKind::Text, payload);
    for (role, wire) in [(Role::Client, first), (Role::Server, masked)] {
        let mut decoder = Decoder::with_deflate(role, &agreement(false));
        let result = outcome(&mut decoder, &wire, &[usize::MAX], &ROOMY);
        assert_eq!(result, (vec![event.clone()], None));
    }
}
