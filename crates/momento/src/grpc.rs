//! gRPC without a transport: messages with their lengths, status codes and trailers, timeouts; and
//! the dialects of browsers in [`web`].

mod frame;
mod status;
mod timeout;
pub mod web;

pub use frame::{Decoder, FrameError, HEADER_BYTES, frame, frame_into};
pub use status::{Code, MESSAGE_BYTES_MAX, Status, decode_message, encode_message};
pub use timeout::parse_timeout;
