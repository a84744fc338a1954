//! What goes out comes back, and no bytes do harm.

use fanfare_mqtt_codec::{
    Connect, Level, Packet, PublishProperties, ServerPacket, check_filter, decode, decode_connect, decode_from_server,
    frame,
};
use proptest::{collection::vec, prelude::*};

use crate::{
    ALL, LIMIT,
    generate::{Any, seed},
    whole,
};

fn connects<'a>(bytes: &'a [u8], expected: &Connect<'a>) -> bool {
    crate::connect(bytes).as_ref() == Ok(expected)
}

/// Whether bytes of one side are read as this packet.
fn reads_as(level: Level, bytes: &[u8], by_server: bool, expected: &Any<'_>) -> bool {
    let frame = whole(bytes).expect("a good header");
    if by_server {
        let Ok(packet) = decode_from_server(level, &frame) else { return false };
        return match (packet, expected) {
            (ServerPacket::Connack(read), Any::Connack(written)) => read == *written,
            (ServerPacket::Publish(read), Any::Publish(written)) => read == *written,
            (ServerPacket::Ack(read), Any::Ack(written)) => read == *written,
            (ServerPacket::Suback(read), Any::Suback(written)) => read == *written,
            (ServerPacket::Unsuback(read), Any::Unsuback(written)) => read == *written,
            (ServerPacket::Disconnect(read), Any::Disconnect(written)) => read == *written,
            (ServerPacket::Auth(read), Any::Auth(written)) => read == *written,
            _ => false,
        };
    }
    if let Any::Connect(written) = expected {
        return connects(bytes, written);
    }
    let Ok(packet) = decode(level, &frame) else { return false };
    match (packet, expected) {
        (Packet::Publish(read), Any::Publish(written)) => read == *written,
        (Packet::Ack(read), Any::Ack(written)) => read == *written,
        (Packet::Subscribe(read), Any::Subscribe(written)) => read == *written,
        (Packet::Unsubscribe(read), Any::Unsubscribe(written)) => read == *written,
        (Packet::Disconnect(read), Any::Disconnect(written)) => read == *written,
        (Packet::Auth(read), Any::Auth(written)) => read == *written,
        _ => false,
    }
}

/// Reads bytes in every way there is, and walks through every list. Returns what it saw.
fn read_all(mut bytes: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match frame(bytes, LIMIT) {
            Ok(Some(found)) => {
                seen.push(format!("{:?}", decode_connect(&found)));
                for level in ALL {
                    seen.push(format!("{:?} {:?}", decode(level, &found), decode_from_server(level, &found)));
                }
                bytes = &bytes[found.length..];
            }
            end => {
                seen.push(format!("{end:?}"));
                return seen;
            }
        }
    }
}

/// The packets that arrive when bytes come in pieces, as lengths.
fn lengths(bytes: &[u8], sizes: &[usize]) -> Vec<usize> {
    let (mut buffer, mut rest, mut lengths) = (Vec::new(), bytes, Vec::new());
    for size in sizes.iter().cycle() {
        let (piece, later) = rest.split_at((*size).min(rest.len()));
        buffer.extend_from_slice(piece);
        while let Some(found) = frame(&buffer, LIMIT).expect("good headers") {
            let length = found.length;
            lengths.push(length);
            buffer.drain(..length);
        }
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    assert!(buffer.is_empty());
    lengths
}

proptest! {
    #[test]
    fn what_is_written_is_read(seed in seed()) {
        for level in ALL {
            let lists = seed.lists(level);
            for (by_server, packet) in seed.packets(level, &lists) {
                let bytes = packet.bytes(level);
                prop_assert!(reads_as(level, &bytes, by_server, &packet), "{:?} {:?}", level, bytes);
                if let Any::Publish(publish) = &packet {
                    prop_assert_eq!(publish.encoded_len(level), bytes.len());
                    let mut kept = Vec::new();
                    publish.properties.encode(&mut kept);
                    prop_assert_eq!(kept.len(), publish.properties.encoded_len());
                    prop_assert_eq!(PublishProperties::decode(&kept), Ok(publish.properties));
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_incomplete(seed in seed()) {
        for level in ALL {
            let lists = seed.lists(level);
            for (_, packet) in seed.packets(level, &lists) {
                let bytes = packet.bytes(level);
                for length in 0..bytes.len() {
                    prop_assert_eq!(frame(&bytes[..length], LIMIT), Ok(None));
                }
            }
        }
    }

    /// A header that fits the rest, so that the fields themselves are cut off. Where fields may be
    /// absent the rest is another packet, but never a harm.
    #[test]
    fn a_body_that_is_cut_off_does_no_harm(seed in seed(), cut in 1_usize..300) {
        for level in ALL {
            let lists = seed.lists(level);
            for (by_server, packet) in seed.packets(level, &lists) {
                let bytes = packet.bytes(level);
                let whole = frame(&bytes, LIMIT).expect("a good header").expect("a whole packet");
                let Some(length) = whole.body.len().checked_sub(cut) else { continue };
                let mut short = vec![whole.first];
                for byte in [length & 0x7F | 0x80, length >> 7] {
                    short.push(byte as u8);
                }
                if length < 128 {
                    short.truncate(1);
                    short.push(length as u8);
                }
                short.extend_from_slice(&whole.body[..length]);
                prop_assert!(!reads_as(level, &short, by_server, &packet));
                read_all(&short);
            }
        }
    }

    #[test]
    fn a_flipped_bit_does_no_harm(seed in seed(), flip in any::<prop::sample::Index>()) {
        for level in ALL {
            let lists = seed.lists(level);
            for (_, packet) in seed.packets(level, &lists) {
                let mut bytes = packet.bytes(level);
                let bit = flip.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                read_all(&bytes);
            }
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn random_bodies_do_no_harm(first in any::<u8>(), body in vec(0_u8..0x30, 0..100)) {
        read_all(&crate::packet(first, &body));
    }

    #[test]
    fn pieces_arrive_as_the_whole(seed in seed(), sizes in vec(1_usize..40, 1..8)) {
        for level in ALL {
            let lists = seed.lists(level);
            let packets: Vec<_> = seed.packets(level, &lists).iter().map(|(_, packet)| packet.bytes(level)).collect();
            let expected: Vec<_> = packets.iter().map(Vec::len).collect();
            prop_assert_eq!(lengths(&packets.concat(), &sizes), expected);
        }
    }

    #[test]
    fn any_text_is_a_filter_or_not(text in "[a#+/$share]{0,20}|\\$share/[a#+/]{0,10}|.{0,20}") {
        if let Ok(parts) = check_filter(&text) {
            prop_assert!(!parts.filter.is_empty());
            prop_assert!(text.ends_with(parts.filter));
        }
    }
}

#[test]
fn every_flipped_bit_of_a_packet_with_everything_does_no_harm() {
    let pairs = [("n", "v"), ("n", "w")];
    let user = fanfare_mqtt_codec::UserProperties::new(&pairs);
    let mut connect = Connect { user_name: Some("u"), password: Some(b"p"), ..Connect::new(Level::V5, "id") };
    connect.properties.session_expiry = Some(1);
    connect.properties.user = user;
    let mut publish = fanfare_mqtt_codec::Publish { topic: "a/b", payload: b"hi", ..Default::default() };
    publish.properties =
        PublishProperties { content_type: Some("c"), response_topic: Some("r"), user, ..Default::default() };
    for packet in [Any::Connect(connect), Any::Publish(publish)] {
        let bytes = packet.bytes(Level::V5);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            read_all(&flipped);
        }
    }
}
