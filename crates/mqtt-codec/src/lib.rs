//! MQTT 3.1, 3.1.1 and 5.0 as a pure codec: bytes in, packets out.
//!
//! No socket, no clock, no state. A packet borrows from the bytes it was read from, and reading
//! allocates nothing; encoders append to a `Vec<u8>`, so many packets share one write buffer. The
//! same types are read and written, in both directions, so that a server, its tests and its load
//! tools speak through one codec. Everything behind the codec can think in MQTT 5: for MQTT 3 the
//! properties are absent when read and left out when written.
//!
//! # Reading
//!
//! ```
//! use fanfare_mqtt_codec::{Level, Packet, decode, decode_connect, frame};
//!
//! let bytes = b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02id\x30\x07\0\x03a/bhi";
//! let first = frame(bytes, 1024)?.expect("the bytes hold a whole packet");
//! let connect = decode_connect(&first)?;
//! assert_eq!((connect.level, connect.client_id), (Level::V4, "id"));
//!
//! let next = frame(&bytes[first.length..], 1024)?.expect("and another one");
//! let Packet::Publish(publish) = decode(connect.level, &next)? else { unreachable!("0x30 is a PUBLISH") };
//! assert_eq!((publish.topic, publish.payload), ("a/b", b"hi".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Writing
//!
//! ```
//! use fanfare_mqtt_codec::{Connack, Disconnect, Level, ReasonCode};
//!
//! let mut out = Vec::new();
//! Connack::new(false, ReasonCode::Success).encode(Level::V5, u32::MAX, &mut out)?;
//! Disconnect::new(ReasonCode::SessionTakenOver).encode(Level::V5, u32::MAX, &mut out)?;
//! assert_eq!(out, b"\x20\x03\0\0\0\xE0\x01\x8E");
//! # Ok::<(), fanfare_mqtt_codec::EncodeError>(())
//! ```
//!
//! # What is refused, and what is not
//!
//! Whatever the bytes of one packet prove wrong is refused, with the reason code that MQTT 5 has
//! for it. Left to the session: what depends on earlier packets (aliases, ids in use, quotas), what
//! is answered per filter ([`check_filter`]), and what the server's own limits are about.
//!
//! # What is where
//!
//! | module        | story                                                  |
//! |---------------|--------------------------------------------------------|
//! | `frame`       | where packets begin and end, levels, qualities, types  |
//! | `packet`      | which packet a frame is                                |
//! | `connect`     | CONNECT and its will                                   |
//! | `connack`     | CONNACK                                                |
//! | `publish`     | PUBLISH, and what travels with a message               |
//! | `ack`         | PUBACK, PUBREC, PUBREL, PUBCOMP                        |
//! | `subscribe`   | SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK               |
//! | `close`       | DISCONNECT, AUTH                                       |
//! | `list`        | the lists inside packets, lazily read                  |
//! | `user`        | the properties that may repeat, lazily read            |
//! | `property`    | properties on the wire                                 |
//! | `diagnostics` | reasons in words, left out where they do not fit       |
//! | `filter`      | topic names, filters, shared subscriptions             |
//! | `reason`      | reason codes and what MQTT 3 makes of them             |
//! | `wire`        | integers, texts, lengths                               |

mod ack;
mod close;
mod connack;
mod connect;
mod diagnostics;
mod error;
mod filter;
mod frame;
mod list;
mod packet;
mod property;
mod publish;
mod reason;
mod subscribe;
mod user;
mod wire;

pub use ack::{Ack, AckKind};
pub use close::{Auth, Disconnect};
pub use connack::{Connack, ConnackProperties};
pub use connect::{Connect, ConnectProperties, Will, decode_connect};
pub use diagnostics::Diagnostics;
pub use error::{ConnectError, DecodeError, EncodeError};
pub use filter::{FilterError, FilterParts, TopicError, check_filter, check_topic};
pub use frame::{Frame, Level, PacketType, Qos, frame};
pub use list::{Filters, ReasonCodes, Subscriptions};
pub use packet::{Packet, ServerPacket, decode, decode_from_server, encode_ping_request, encode_ping_response};
pub use publish::{Publish, PublishProperties};
pub use reason::ReasonCode;
pub use subscribe::{RetainHandling, Suback, Subscribe, Subscription, SubscriptionOptions, Unsuback, Unsubscribe};
pub use user::{SubscriptionIds, UserProperties};

/// The id of a packet, never 0. Clients and servers count independently.
pub type PacketId = std::num::NonZeroU16;
