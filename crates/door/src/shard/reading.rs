//! What sockets bring, from bytes to sessions.

use std::io;

use fanfare_websocket::{Decoder, Incoming, Limits, MessageKind, Role};

use mio::event::Event;

use super::{READ_BYTES, Shard};
use crate::connection::{Codec, Phase};
use crate::contract::{Goodbye, Happening};
use crate::link::Link;

impl Shard {
    pub(super) fn on_event(&mut self, slot: u32, event: &Event) {
        if event.is_writable() && self.exists(slot) {
            self.on_writable(slot);
        }
        if event.is_readable() || event.is_read_closed() {
            self.on_readable(slot, event.is_read_closed());
        }
    }

    fn exists(&self, slot: u32) -> bool {
        self.slots.get(slot as usize).is_some_and(|slot| slot.connection.is_some())
    }

    /// Reads once. A full buffer means that there is more, which waits for the next turn so that
    /// one busy connection does not hold up the others.
    pub(super) fn on_readable(&mut self, slot: u32, is_ending: bool) {
        if !self.exists(slot) {
            return;
        }
        if self.connection(slot).is_held {
            // Whoever lets go of it has the socket read again, so that this edge is not lost.
            self.connection_mut(slot).is_read_closed |= is_ending;
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let now = self.now;
        let connection = self.connection_mut(slot);
        connection.is_read_closed |= is_ending;
        match connection.link.read(&mut buffer) {
            Ok(0) => {
                connection.is_read_closed = true;
                self.buffer = buffer;
                self.on_end_of_stream(slot);
                return;
            }
            Ok(count) => {
                connection.heard_at = now;
                connection.is_pinged = false;
                // Edge-triggered: there is more behind a full buffer, behind what TLS has decrypted,
                // and when the peer has ended.
                if connection.is_read_closed || count == buffer.len() || matches!(connection.link, Link::Tls(_)) {
                    self.ready.push(slot);
                }
                self.feed(slot, &mut buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::debug!(connection = ?self.id_of(slot), %error, "reading failed");
                self.destroy(slot);
            }
        }
        debug_assert_eq!(buffer.len(), READ_BYTES);
        self.buffer = buffer;
    }

    /// The peer has sent its last byte. Nobody here speaks half a conversation.
    fn on_end_of_stream(&mut self, slot: u32) {
        self.destroy(slot);
    }

    /// Takes bytes of a connection, wherever it stands in its life.
    pub(super) fn feed(&mut self, slot: u32, bytes: &mut [u8]) {
        let head_bytes = self.limits.head_bytes;
        let connection = self.connection_mut(slot);
        match (&mut connection.phase, &mut connection.codec) {
            (Phase::Greeting(greeting), _) => {
                greeting.bytes.extend_from_slice(bytes);
                self.greet(slot);
            }
            (Phase::Upgrading(upgrade), _) => {
                upgrade.early.extend_from_slice(bytes);
                if upgrade.early.len() > head_bytes {
                    self.destroy(slot);
                }
            }
            (_, Codec::WebSocket(decoder)) => {
                let decoder = std::mem::replace(decoder, Decoder::new(Role::Server));
                self.feed_websocket(slot, decoder, bytes);
            }
            (Phase::Open, Codec::Stream) => self.feed_stream(slot, bytes),
            (Phase::Closing, Codec::Stream) => {}
        }
    }

    /// The decoder is the connection's own, lent for as long as the session may look at payloads
    /// that stand in it.
    fn feed_websocket(&mut self, slot: u32, mut decoder: Decoder, mut bytes: &mut [u8]) {
        let limits = match &self.connection(slot).rules {
            Some(rules) => Limits { frame_bytes_max: rules.frame_bytes, message_bytes_max: rules.message_bytes },
            None => Limits { frame_bytes_max: self.limits.frame_bytes, message_bytes_max: self.limits.message_bytes },
        };
        let generation = self.generation_of(slot);
        while !bytes.is_empty() {
            let (consumed, incoming) = match decoder.decode(bytes, &limits) {
                Ok(step) => step,
                Err(error) => {
                    let goodbye = Goodbye::ProtocolError { code: error.close_code().get(), reason: error.to_string() };
                    self.endings.push((slot, generation, goodbye));
                    break;
                }
            };
            let Some(incoming) = incoming else { break };
            self.on_incoming(slot, incoming);
            if self.generation_of(slot) != generation || !self.exists(slot) {
                return;
            }
            bytes = &mut bytes[consumed..];
        }
        decoder.release();
        self.connection_mut(slot).codec = Codec::WebSocket(decoder);
    }

    fn on_incoming(&mut self, slot: u32, incoming: Incoming<'_>) {
        let generation = self.generation_of(slot);
        match incoming {
            Incoming::Message { kind, payload } if self.connection(slot).is_tunnel => {
                self.on_tunnelled(slot, kind, payload)
            }
            Incoming::Message { kind: MessageKind::Text, payload } => match std::str::from_utf8(payload) {
                Ok(text) => self.tell_open(slot, Happening::Text(text)),
                Err(_) => tracing::error!("the codec let invalid UTF-8 through; the message is dropped"),
            },
            Incoming::Message { kind: MessageKind::Binary, payload } => {
                self.tell_open(slot, Happening::Binary(payload))
            }
            Incoming::Ping(payload) => {
                if self.connection(slot).is_open() {
                    let stream = crate::fanout::Framing::Stream;
                    self.fanout.send(slot, stream, 0, |out| {
                        fanfare_websocket::encode_pong(out, payload);
                        None
                    });
                }
            }
            Incoming::Pong(_) => {}
            Incoming::Close { code, reason } => {
                if self.connection(slot).is_closing() {
                    // Ours came first and this answers it.
                    self.destroy(slot);
                } else {
                    let code = code.map(fanfare_websocket::CloseCode::get);
                    let reason = reason.to_owned();
                    self.endings.push((slot, generation, Goodbye::PeerClosed { code, reason }));
                }
            }
        }
    }

    fn on_tunnelled(&mut self, slot: u32, kind: MessageKind, payload: &[u8]) {
        if !self.connection(slot).is_open() {
            return;
        }
        if kind == MessageKind::Binary {
            return self.feed_stream(slot, payload);
        }
        let reason = "this protocol is carried by binary messages only".to_owned();
        self.endings.push((slot, self.generation_of(slot), Goodbye::ProtocolError { code: 1003, reason }));
    }

    /// What the session leaves is kept. A tail that only grows is not copied again with every read,
    /// or a peer that sends a large packet byte by byte would have us move it as often.
    fn feed_stream(&mut self, slot: u32, bytes: &[u8]) {
        let generation = self.generation_of(slot);
        let mut tail = std::mem::take(&mut self.connection_mut(slot).tail);
        if !tail.is_empty() {
            tail.extend_from_slice(bytes);
        }
        let all = if tail.is_empty() { bytes } else { &tail };
        self.consumed = 0;
        self.tell_open(slot, Happening::Bytes(all));
        let used = self.consumed.min(all.len());
        let left = all.len() - used;
        if self.generation_of(slot) != generation || !self.exists(slot) {
            return;
        }
        if left > self.limits.message_bytes {
            let goodbye =
                Goodbye::ProtocolError { code: 1009, reason: "the packet is larger than limits.message_bytes".into() };
            self.endings.push((slot, generation, goodbye));
            return;
        }
        if left == 0 {
            return;
        }
        if tail.is_empty() {
            tail.extend_from_slice(&bytes[used..]);
        } else {
            tail.drain(..used);
        }
        self.connection_mut(slot).tail = tail;
    }

    /// The session is told again of the bytes that it has left, if there are any.
    pub(super) fn read_again(&mut self, slot: u32) {
        let connection = self.slots[slot as usize].connection.as_deref();
        if connection.is_some_and(|c| c.is_open() && !c.tail.is_empty()) {
            self.feed_stream(slot, &[]);
        }
    }
}
