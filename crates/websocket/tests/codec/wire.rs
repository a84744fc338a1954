//! Peers of the decoder: frames in any shape, and events that outlive the
//! bytes they came from.

use fanfare_websocket::{
    Decoder, Incoming, Limits, MessageKind, Opcode, ProtocolError, Role, apply_mask, encode_header,
    encode_header_masked,
};

/// An [`Incoming`] that owns its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl From<Incoming<'_>> for Event {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Message { kind, payload } => Self::Message(kind, payload.to_vec()),
            Incoming::Ping(payload) => Self::Ping(payload.to_vec()),
            Incoming::Pong(payload) => Self::Pong(payload.to_vec()),
            Incoming::Close { code, reason } => Self::Close(code.map(|code| code.get()), reason.to_owned()),
        }
    }
}

pub(crate) const ROOMY: Limits = Limits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20 };

/// The masking key of all masked frames here.
pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Appends a frame as the peer of `role` sends it.
pub(crate) fn put_frame(out: &mut Vec<u8>, role: Role, opcode: Opcode, fin: bool, rsv1: bool, payload: &[u8]) {
    match role {
        Role::Client => encode_header(out, opcode, fin, rsv1, payload.len()),
        Role::Server => encode_header_masked(out, opcode, fin, rsv1, payload.len(), MASK),
    }
    let body = out.len();
    out.extend_from_slice(payload);
    if role == Role::Server {
        apply_mask(&mut out[body..], MASK, 0);
    }
}

/// A final uncompressed frame from a client.
pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, Role::Server, opcode, true, false, payload);
    out
}

/// A fragment from a client that is not the last.
pub(crate) fn fragment(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, Role::Server, opcode, false, false, payload);
    out
}

/// Feeds `bytes` in one read; appends the events to `events`.
pub(crate) fn feed(
    decoder: &mut Decoder,
    bytes: &[u8],
    limits: &Limits,
    events: &mut Vec<Event>,
) -> Result<(), ProtocolError> {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    while !input.is_empty() {
        let available = input.len();
        let (consumed, incoming) = decoder.decode(input, limits)?;
        match incoming {
            Some(incoming) => events.push(incoming.into()),
            None => assert_eq!(consumed, available, "no event, yet input is left over"),
        }
        assert!(consumed > 0);
        input = &mut input[consumed..];
    }
    decoder.release();
    Ok(())
}

/// What a decoder makes of `bytes`: events, then perhaps an error.
pub(crate) type Outcome = (Vec<Event>, Option<ProtocolError>);

/// Feeds `bytes` in reads of the given sizes, over and over.
pub(crate) fn outcome(decoder: &mut Decoder, bytes: &[u8], sizes: &[usize], limits: &Limits) -> Outcome {
    let mut events = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        let (chunk, after) = rest.split_at((*size).clamp(1, rest.len().max(1)).min(rest.len()));
        if let Err(error) = feed(decoder, chunk, limits, &mut events) {
            return (events, Some(error));
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    (events, None)
}

/// What a server without extensions makes of `bytes` in one read.
pub(crate) fn server_outcome(bytes: &[u8]) -> Outcome {
    outcome(&mut Decoder::new(Role::Server), bytes, &[usize::MAX], &ROOMY)
}

/// The error that a server without extensions ends with, whether `bytes` come
/// at once or one by one.
pub(crate) fn server_error(bytes: &[u8]) -> Option<ProtocolError> {
    let (_, at_once) = server_outcome(bytes);
    let (_, one_by_one) = outcome(&mut Decoder::new(Role::Server), bytes, &[1], &ROOMY);
    assert_eq!(at_once, one_by_one);
    at_once
}
