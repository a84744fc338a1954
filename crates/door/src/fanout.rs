//! Frames of one turn, and which connection gets which of them.
//!
//! Every shape has an arena into which this turn's frames are encoded one behind the other, once
//! each. A connection that gets frames notes a range of its shape's arena; consecutive frames
//! extend the range. So a burst to a thousand subscribers of one topic is a thousand ranges and at
//! the end of the turn a thousand writes straight from the arena, and nothing is copied per
//! subscriber. What only one connection gets (replies, replays) stands in arena 0.

use fanfare_websocket::{
    Deflater, MessageKind, Opcode, encode_compressed_message, encode_header, encode_message, encode_with,
};

use crate::contract::Shape;

/// How frames of a shape are put on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Framing {
    /// As the door encodes them.
    Stream,
    /// Each as one WebSocket message.
    WebSocket(MessageKind),
    /// The same, in frames of at most so many bytes.
    Fragmented(MessageKind, u32),
    /// The same in one frame, compressed once for all (RFC 7692 without context takeover).
    Deflated(MessageKind),
}

/// Everything that decides how a message looks to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ShapeKey {
    pub(crate) door: u8,
    pub(crate) shape: Shape,
    pub(crate) framing: Framing,
}

/// Shortest payload that is worth compressing, in bytes.
const DEFLATE_FROM: usize = 256;

/// A part of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    arena: u32,
    start: u32,
    end: u32,
}

struct Arena {
    key: ShapeKey,
    bytes: Vec<u8>,
    /// End of each frame, and the hash of its topic (0 when it must not be dropped).
    marks: Vec<(u32, u64)>,
    /// The delivery whose frame stands last.
    encoded_for: u32,
    frame: Range,
    copies: u64,
}

/// What a connection gets in this turn. Dense and small: fan-out touches one of these per
/// subscriber and nothing else of a connection.
#[derive(Clone, Copy)]
struct Outlet {
    arena: u32,
    last_delivery: u32,
    range: Range,
    /// 0 when the turn has nothing for the connection; 1 when `range` is all; otherwise earlier
    /// ranges are in `spills[spill - 2]`.
    spill: u32,
}

/// Appends what a shape is sent, and says its kind where it is not the usual one.
type Encode<'a> = dyn FnMut(ShapeKey, &mut Vec<u8>) -> Option<MessageKind> + 'a;

const NOTHING: Range = Range { arena: 0, start: 0, end: 0 };
const CLEAN: u32 = 0;
const ONE_RANGE: u32 = 1;

pub(crate) struct Fanout {
    arenas: Vec<Arena>,
    outlets: Vec<Outlet>,
    spills: Vec<Vec<Range>>,
    spills_used: usize,
    dirty: Vec<u32>,
    delivery: u32,
    bytes: usize,
    deflater: Deflater,
    plain: Vec<u8>,
}

impl Fanout {
    pub(crate) fn new() -> Self {
        let private = ShapeKey { door: u8::MAX, shape: Shape(0), framing: Framing::Stream };
        Self {
            arenas: vec![Arena::new(private)],
            outlets: Vec::new(),
            spills: Vec::new(),
            spills_used: 0,
            dirty: Vec::new(),
            delivery: 0,
            bytes: 0,
            deflater: Deflater::new(6, 15),
            plain: Vec::new(),
        }
    }

    /// Makes room for a connection in this slot, whose messages look like `key`.
    pub(crate) fn set_shape(&mut self, slot: u32, key: ShapeKey) {
        let arena = match self.arenas.iter().position(|arena| arena.key == key) {
            Some(arena) => arena,
            None => {
                self.arenas.push(Arena::new(key));
                self.arenas.len() - 1
            }
        };
        self.outlet(slot).arena = arena as u32;
    }

    /// Forgets what the slot's connection was to get.
    pub(crate) fn clear_slot(&mut self, slot: u32) {
        let delivery = self.delivery;
        let outlet = self.outlet(slot);
        let is_listed = outlet.spill != CLEAN;
        *outlet = Outlet { arena: 0, last_delivery: delivery, range: NOTHING, spill: CLEAN };
        if is_listed {
            self.dirty.retain(|dirty| *dirty != slot);
        }
    }

    fn outlet(&mut self, slot: u32) -> &mut Outlet {
        let index = slot as usize;
        if index >= self.outlets.len() {
            let empty = Outlet { arena: 0, last_delivery: 0, range: NOTHING, spill: CLEAN };
            self.outlets.resize(index + 1, empty);
        }
        &mut self.outlets[index]
    }

    /// A new message is about to be delivered; every connection gets it once.
    pub(crate) fn begin_delivery(&mut self) {
        self.delivery = self.delivery.wrapping_add(1);
        if self.delivery == 0 {
            // 4 billion deliveries later the numbers start anew, and no old one may match.
            self.outlets.iter_mut().for_each(|outlet| outlet.last_delivery = 0);
            self.arenas.iter_mut().for_each(|arena| arena.encoded_for = 0);
            self.delivery = 1;
        }
    }

    /// Whether the connection does not have the current delivery yet; it counts as having it from now on.
    #[inline]
    pub(crate) fn is_first_copy(&mut self, slot: u32) -> bool {
        let outlet = &mut self.outlets[slot as usize];
        let is_first = outlet.last_delivery != self.delivery;
        outlet.last_delivery = self.delivery;
        is_first
    }

    /// Gives the current delivery to a connection. `encode` is called once per shape.
    #[inline]
    pub(crate) fn deliver(&mut self, slot: u32, topic: u64, encode: &mut Encode<'_>) {
        let index = self.outlets[slot as usize].arena;
        let arena = &mut self.arenas[index as usize];
        if arena.encoded_for != self.delivery {
            arena.encoded_for = self.delivery;
            arena.copies = 0;
            let start = arena.bytes.len();
            let key = arena.key;
            frame(key.framing, &mut arena.bytes, &mut self.deflater, &mut self.plain, |out| encode(key, out));
            arena.frame = Range { arena: index, start: start as u32, end: arena.bytes.len() as u32 };
            if arena.frame.start != arena.frame.end {
                arena.marks.push((arena.frame.end, topic.max(1)));
            }
            self.bytes += arena.bytes.len() - start;
        }
        arena.copies += 1;
        let range = arena.frame;
        self.push(slot, range);
    }

    /// Door, copies and bytes of a frame for each shape that got the current delivery.
    pub(crate) fn delivered(&self) -> impl Iterator<Item = (u8, u64, usize)> {
        let current = self.arenas.iter().filter(|arena| arena.encoded_for == self.delivery && arena.copies > 0);
        current.map(|arena| (arena.key.door, arena.copies, (arena.frame.end - arena.frame.start) as usize))
    }

    /// A frame for one connection, written as `framing` says.
    pub(crate) fn send(
        &mut self,
        slot: u32,
        framing: Framing,
        topic: u64,
        write: impl FnOnce(&mut Vec<u8>) -> Option<MessageKind>,
    ) {
        let arena = &mut self.arenas[0];
        let start = arena.bytes.len();
        frame(framing, &mut arena.bytes, &mut self.deflater, &mut self.plain, write);
        self.sent(slot, start, topic);
    }

    /// Bytes for one connection, as they are.
    pub(crate) fn send_bytes(&mut self, slot: u32, bytes: &[u8]) {
        self.send(slot, Framing::Stream, 0, |out| {
            out.extend_from_slice(bytes);
            None
        });
    }

    /// Sends one WebSocket message even when `write` appends nothing: then an empty one.
    pub(crate) fn send_message(&mut self, slot: u32, framing: Framing, write: impl FnOnce(&mut Vec<u8>)) {
        let arena = &mut self.arenas[0];
        let start = arena.bytes.len();
        frame(framing, &mut arena.bytes, &mut self.deflater, &mut self.plain, |out| {
            write(out);
            None
        });
        if let Framing::WebSocket(kind) | Framing::Deflated(kind) | Framing::Fragmented(kind, _) = framing
            && arena.bytes.len() == start
        {
            encode_message(&mut arena.bytes, kind, b"");
        }
        self.sent(slot, start, 0);
    }

    /// Queues what the first arena holds from `start` on.
    fn sent(&mut self, slot: u32, start: usize, topic: u64) {
        let arena = &mut self.arenas[0];
        let range = Range { arena: 0, start: start as u32, end: arena.bytes.len() as u32 };
        if range.start == range.end {
            return;
        }
        arena.marks.push((range.end, topic));
        self.bytes += arena.bytes.len() - start;
        self.push(slot, range);
    }

    /// How the connection's own messages are framed and shaped.
    pub(crate) fn key_of(&self, slot: u32) -> ShapeKey {
        self.arenas[self.outlets[slot as usize].arena as usize].key
    }

    #[inline]
    fn push(&mut self, slot: u32, range: Range) {
        let outlet = &mut self.outlets[slot as usize];
        if range.start == range.end {
            return;
        }
        if outlet.spill == CLEAN {
            outlet.spill = ONE_RANGE;
            outlet.range = range;
            self.dirty.push(slot);
        } else if outlet.range.end == range.start && outlet.range.arena == range.arena {
            outlet.range.end = range.end;
        } else {
            self.spill(slot, range);
        }
    }

    #[cold]
    fn spill(&mut self, slot: u32, range: Range) {
        let outlet = &mut self.outlets[slot as usize];
        if outlet.spill == ONE_RANGE {
            if self.spills_used == self.spills.len() {
                self.spills.push(Vec::new());
            }
            self.spills_used += 1;
            outlet.spill = self.spills_used as u32 + 1;
        }
        self.spills[outlet.spill as usize - 2].push(outlet.range);
        outlet.range = range;
    }

    /// Bytes encoded in this turn.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Bytes that this turn has for the connection.
    pub(crate) fn bytes_for(&self, slot: u32) -> usize {
        self.ranges(slot).map(|range| (range.end - range.start) as usize).sum()
    }

    /// Whether this turn has something for the connection.
    pub(crate) fn has_output_for(&self, slot: u32) -> bool {
        self.outlets[slot as usize].spill != CLEAN
    }

    /// The connections that get something, for the end of the turn.
    pub(crate) fn take_dirty(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.dirty)
    }

    /// What a connection gets, as one slice: of the arena where it is one range, gathered in
    /// `scratch` otherwise.
    pub(crate) fn output<'a>(&'a self, slot: u32, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let outlet = &self.outlets[slot as usize];
        if outlet.spill <= ONE_RANGE {
            return self.slice(outlet.range);
        }
        scratch.clear();
        for range in self.ranges(slot) {
            scratch.extend_from_slice(self.slice(range));
        }
        scratch
    }

    fn slice(&self, range: Range) -> &[u8] {
        &self.arenas[range.arena as usize].bytes[range.start as usize..range.end as usize]
    }

    fn ranges(&self, slot: u32) -> impl Iterator<Item = Range> {
        let outlet = &self.outlets[slot as usize];
        let spilled = if outlet.spill > ONE_RANGE { &self.spills[outlet.spill as usize - 2][..] } else { &[] };
        spilled.iter().copied().chain((outlet.spill != CLEAN).then_some(outlet.range))
    }

    /// The same, frame by frame, each with its topic's hash.
    pub(crate) fn for_each_frame(&self, slot: u32, visit: &mut dyn FnMut(&[u8], u64)) {
        for range in self.ranges(slot) {
            let arena = &self.arenas[range.arena as usize];
            let first = arena.marks.partition_point(|(end, _)| *end <= range.start);
            let mut start = range.start;
            for (end, topic) in arena.marks[first..].iter().take_while(|(end, _)| *end <= range.end) {
                visit(&arena.bytes[start as usize..*end as usize], *topic);
                start = *end;
            }
        }
    }

    /// The slot's output was taken.
    pub(crate) fn mark_clean(&mut self, slot: u32) {
        self.outlets[slot as usize].spill = CLEAN;
    }

    /// The turn is over: every output was taken. Gives `dirty` back for the next.
    pub(crate) fn end_turn(&mut self, mut dirty: Vec<u32>) {
        dirty.clear();
        if self.dirty.is_empty() && dirty.capacity() <= KEEP_DIRTY {
            self.dirty = dirty;
        }
        for arena in &mut self.arenas {
            arena.encoded_for = self.delivery.wrapping_sub(1);
            arena.bytes.clear();
            arena.marks.clear();
            if arena.bytes.capacity() > KEEP_BYTES {
                arena.bytes = Vec::new();
                arena.marks = Vec::new();
            }
        }
        self.spills[..self.spills_used].iter_mut().for_each(Vec::clear);
        if self.spills.len() > KEEP_SPILLS {
            self.spills.truncate(KEEP_SPILLS);
        }
        self.spills_used = 0;
        self.bytes = 0;
    }
}

/// Buffers that grew beyond these in one turn are given back at its end.
const KEEP_BYTES: usize = 1 << 20;
const KEEP_DIRTY: usize = 1 << 16;
const KEEP_SPILLS: usize = 1 << 12;

impl Arena {
    fn new(key: ShapeKey) -> Self {
        Self { key, bytes: Vec::new(), marks: Vec::new(), encoded_for: 0, frame: NOTHING, copies: 0 }
    }
}

fn frame(
    framing: Framing,
    out: &mut Vec<u8>,
    deflater: &mut Deflater,
    plain: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Option<MessageKind>,
) {
    match framing {
        Framing::Stream => drop(write(out)),
        Framing::WebSocket(kind) => encode_as(out, kind, write),
        Framing::Fragmented(kind, bytes_max) => {
            let start = out.len();
            encode_as(out, kind, write);
            // The common case is over here: one frame, written in place.
            if out.len() - start > bytes_max as usize {
                fragment(out, start, bytes_max as usize, plain);
            }
        }
        Framing::Deflated(kind) => {
            plain.clear();
            let kind = write(plain).unwrap_or(kind);
            if plain.len() >= DEFLATE_FROM {
                encode_compressed_message(out, kind, plain, deflater);
            } else if !plain.is_empty() {
                encode_with(out, kind, |out| out.extend_from_slice(plain));
            }
        }
    }
}

/// Appends what `write` appends as one frame, whose kind `write` may choose; nothing where it
/// appends nothing.
#[inline]
fn encode_as(out: &mut Vec<u8>, kind: MessageKind, write: impl FnOnce(&mut Vec<u8>) -> Option<MessageKind>) {
    let start = out.len();
    let (is_empty, chosen) = encode_with(out, kind, |out| {
        let before = out.len();
        let chosen = write(out);
        (out.len() == before, chosen)
    });
    if is_empty {
        out.truncate(start);
    } else if let Some(chosen) = chosen {
        out[start] = out[start] & !OPCODE_BITS | Opcode::from(chosen) as u8;
    }
}

/// Splits the frame that begins at `start` into several whose payloads have at most `bytes_max`.
fn fragment(out: &mut Vec<u8>, start: usize, bytes_max: usize, plain: &mut Vec<u8>) {
    let header = match out[start + 1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    if out.len() - start - header <= bytes_max {
        return;
    }
    let kind = if out[start] & OPCODE_BITS == Opcode::Binary as u8 { Opcode::Binary } else { Opcode::Text };
    plain.clear();
    plain.extend_from_slice(&out[start + header..]);
    out.truncate(start);
    let mut pieces = plain.chunks(bytes_max.max(1)).peekable();
    let mut opcode = kind;
    while let Some(piece) = pieces.next() {
        encode_header(out, opcode, pieces.peek().is_none(), false, piece.len());
        out.extend_from_slice(piece);
        opcode = Opcode::Continuation;
    }
}

/// The bits of a frame's first byte that say what it is (RFC 6455, 5.2).
const OPCODE_BITS: u8 = 0x0F;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(shape: u8) -> ShapeKey {
        ShapeKey { door: 0, shape: Shape(shape), framing: Framing::Stream }
    }

    fn fanout(shapes: &[u8]) -> Fanout {
        let mut fanout = Fanout::new();
        for (slot, shape) in shapes.iter().enumerate() {
            fanout.set_shape(slot as u32, key(*shape));
        }
        fanout
    }

    fn deliver(fanout: &mut Fanout, slots: &[u32], text: &str, encoded: &mut usize) {
        fanout.begin_delivery();
        for slot in slots {
            if fanout.is_first_copy(*slot) {
                fanout.deliver(*slot, 7, &mut |key, out| {
                    *encoded += 1;
                    out.extend_from_slice(format!("{text}{} ", key.shape.0).as_bytes());
                    None
                });
            }
        }
    }

    fn output(fanout: &Fanout, slot: u32) -> String {
        let mut scratch = Vec::new();
        String::from_utf8(fanout.output(slot, &mut scratch).to_vec()).unwrap()
    }

    #[test]
    fn a_message_is_encoded_once_per_shape_and_delivered_once_per_connection() {
        let mut fanout = fanout(&[1, 1, 2]);
        let mut encoded = 0;
        deliver(&mut fanout, &[0, 1, 2, 0], "a", &mut encoded);
        deliver(&mut fanout, &[0, 2], "b", &mut encoded);
        assert_eq!(encoded, 4);
        assert_eq!([output(&fanout, 0), output(&fanout, 1), output(&fanout, 2)], ["a1 b1 ", "a1 ", "a2 b2 "]);
        assert_eq!(fanout.outlets[0].spill, ONE_RANGE, "consecutive frames are one range");
    }

    #[test]
    fn replies_and_messages_keep_their_order() {
        let mut fanout = fanout(&[1, 1]);
        let mut encoded = 0;
        deliver(&mut fanout, &[0, 1], "a", &mut encoded);
        fanout.send_bytes(0, b"reply ");
        deliver(&mut fanout, &[0, 1], "b", &mut encoded);
        assert_eq!(output(&fanout, 0), "a1 reply b1 ");
        assert_eq!(output(&fanout, 1), "a1 b1 ");
        let mut frames = Vec::new();
        fanout.for_each_frame(0, &mut |bytes, topic| frames.push((String::from_utf8(bytes.to_vec()).unwrap(), topic)));
        assert_eq!(frames, [("a1 ".into(), 7), ("reply ".into(), 0), ("b1 ".into(), 7)]);
    }

    #[test]
    fn a_turn_leaves_nothing_behind() {
        let mut fanout = fanout(&[1]);
        let mut encoded = 0;
        deliver(&mut fanout, &[0], "a", &mut encoded);
        let dirty = fanout.take_dirty();
        assert_eq!(dirty, [0]);
        fanout.mark_clean(0);
        fanout.end_turn(dirty);
        deliver(&mut fanout, &[0], "b", &mut encoded);
        assert_eq!(output(&fanout, 0), "b1 ");
        fanout.clear_slot(0);
        assert!(!fanout.has_output());
    }

    #[test]
    fn frames_without_content_are_not_sent() {
        let mut fanout = fanout(&[1]);
        fanout.send(0, Framing::WebSocket(MessageKind::Text), 0, |_| None);
        assert!(!fanout.has_output());
    }

    #[test]
    fn a_door_may_choose_the_kind_of_a_message() {
        let mut fanout = fanout(&[1]);
        fanout.send(0, Framing::WebSocket(MessageKind::Text), 0, |out| {
            out.push(b'a');
            Some(MessageKind::Binary)
        });
        assert_eq!(fanout.output(0, &mut Vec::new()), [0x82, 1, b'a']);
    }

    #[test]
    fn long_messages_leave_in_pieces() {
        let mut fanout = fanout(&[1]);
        let framing = Framing::Fragmented(MessageKind::Text, 2);
        for text in ["ab", "abc", "abcde"] {
            fanout.send(0, framing, 0, |out| {
                out.extend_from_slice(text.as_bytes());
                None
            });
        }
        let expected: &[u8] = &[0x81, 2, b'a', b'b', 1, 2, b'a', b'b', 0x80, 1, b'c'];
        let output = fanout.output(0, &mut Vec::new()).to_vec();
        assert_eq!(&output[..expected.len()], expected);
        assert_eq!(output[expected.len()..], [1, 2, b'a', b'b', 0, 2, b'c', b'd', 0x80, 1, b'e']);
    }

    #[test]
    fn a_message_of_a_session_may_be_empty() {
        let mut fanout = fanout(&[1]);
        fanout.send_message(0, Framing::WebSocket(MessageKind::Text), |_| {});
        fanout.send_message(0, Framing::Deflated(MessageKind::Binary), |_| {});
        fanout.send_message(0, Framing::WebSocket(MessageKind::Binary), |out| out.push(b'a'));
        assert_eq!(fanout.output(0, &mut Vec::new()), [0x81, 0, 0x82, 0, 0x82, 1, b'a']);
    }
}
