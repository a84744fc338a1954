//! RFC 6455 and RFC 7692 as a pure codec: bytes in, messages out.
//!
//! The crate owns no socket, no clock, no task and no source of randomness. A
//! driver reads bytes, hands them to a [`Decoder`] and writes the bytes that
//! the `encode_*` functions appended to its buffer; masking keys and handshake
//! nonces are arguments.
//!
//! # Reading
//!
//! ```
//! use fanfare_websocket::{Decoder, Incoming, Limits, MessageKind, Role};
//!
//! let limits = Limits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20 };
//! let mut decoder = Decoder::new(Role::Server);
//! // "Hello", masked, from RFC 6455 section 5.7
//! let mut bytes = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let mut input = &mut bytes[..];
//! while !input.is_empty() {
//!     let (consumed, incoming) = decoder.decode(input, &limits)?;
//!     if let Some(Incoming::Message { kind, payload }) = incoming {
//!         assert_eq!((kind, payload), (MessageKind::Text, &b"Hello"[..]));
//!     }
//!     input = &mut input[consumed..];
//! }
//! decoder.release(); // an idle connection owns no buffer
//! # Ok::<(), fanfare_websocket::ProtocolError>(())
//! ```
//!
//! # Writing
//!
//! Every encoder appends to a `Vec<u8>`, so many frames share one write
//! buffer, and none allocates when that buffer has room. [`encode_with`] lets
//! a serializer write the payload in place.
//!
//! # What is where
//!
//! | module        | story                                              | RFC            |
//! |---------------|----------------------------------------------------|----------------|
//! | `frame`       | opcodes and the frame header, read and written     | 6455, 5.2      |
//! | `mask`        | XOR with the masking key                           | 6455, 5.3      |
//! | `encode`      | whole frames                                       | 6455, 5.4, 5.5 |
//! | `decoder`     | frames to events, with as little state as possible | 6455, 5 and 8  |
//! | `assembly`    | the boxed state of an incomplete frame or message  | 6455, 5.4      |
//! | `deflate`     | compressing and inflating message payloads         | 7692, 7.2      |
//! | `extension`   | agreeing on permessage-deflate                     | 7692, 7.1      |
//! | [`handshake`] | the opening handshake, both sides                  | 6455, 4        |
//! | `close`       | close codes and the body of close frames           | 6455, 7.4      |

mod assembly;
mod close;
mod decoder;
mod deflate;
mod encode;
mod error;
mod extension;
mod frame;
pub mod handshake;
mod mask;

pub use close::CloseCode;
pub use decoder::{Decoder, Incoming, Limits};
pub use deflate::Deflater;
pub use encode::{
    encode_close, encode_close_masked, encode_compressed_message, encode_compressed_message_masked, encode_message,
    encode_message_masked, encode_ping, encode_ping_masked, encode_pong, encode_pong_masked, encode_with,
    try_encode_with,
};
pub use error::ProtocolError;
pub use extension::{DeflateAgreement, DeflateSettings};
pub use frame::{
    CONTROL_PAYLOAD_BYTES_MAX, HEADER_BYTES_MAX, MessageKind, Opcode, Role, encode_header, encode_header_masked,
};
pub use mask::apply_mask;
