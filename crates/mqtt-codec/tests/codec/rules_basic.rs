//! Framing, basic types and properties.

use fanfare_mqtt_codec::{DecodeError, Level, Packet, PacketType, ReasonCode, UserProperties, frame};

use crate::{
    ALL, LIMIT, MALFORMED, PROTOCOL, V3, client, connect, connect_v5, field, id, packet, publish_v5, refused,
    refused_connect, refused_from_server,
};

const PUBLISHES: [u8; 4] = [0x30, 0x31, 0x3B, 0x3D];

// proves: v5 MQTT-2.1.3-1, v5 MQTT-3.6.1-1, v5 MQTT-3.8.1-1, v5 MQTT-3.10.1-1, v5 MQTT-3.14.1-1, v5 MQTT-3.15.1-1
// proves: v311 MQTT-2.2.2-1, v311 MQTT-2.2.2-2, v311 MQTT-3.6.1-1, v311 MQTT-3.8.1-1, v311 MQTT-3.10.1-1, v311 MQTT-3.14.1-1
#[test]
fn reserved_flags_are_refused_with_the_first_byte() {
    for first in 0x10..=0xFF_u8 {
        let kind = first >> 4;
        let wanted = if matches!(kind, 6 | 8 | 10) { 0b0010 } else { 0 };
        let is_good = kind != 3 && first & 0x0F == wanted;
        match frame(&[first], LIMIT) {
            Ok(None) => assert!(is_good || kind == 3, "{first:#x}"),
            error => {
                assert_eq!(error.err().map(DecodeError::reason), MALFORMED, "{first:#x}");
                assert!(!is_good, "{first:#x}");
            }
        }
    }
    assert!(PUBLISHES.iter().all(|first| frame(&[*first], LIMIT) == Ok(None)));
}

#[test]
fn packet_type_0_is_reserved() {
    assert_eq!(frame(&[0], LIMIT).err().map(DecodeError::reason), MALFORMED);
}

// proves: v5 MQTT-3.3.1-4, v311 MQTT-3.3.1-4
#[test]
fn quality_3_is_refused_with_the_first_byte() {
    for first in [0x36, 0x37, 0x3E, 0x3F] {
        assert_eq!(frame(&[first], LIMIT).err().map(DecodeError::reason), MALFORMED);
    }
}

// proves: v5 MQTT-3.3.1-2, v311 MQTT-3.3.1-2
#[test]
fn dup_with_quality_0_is_refused_with_the_first_byte() {
    for first in [0x38, 0x39] {
        assert_eq!(frame(&[first], LIMIT).err().map(DecodeError::reason), MALFORMED);
    }
}

#[test]
fn the_size_is_judged_before_the_body_is_there() {
    let error = DecodeError::TooLarge { bytes: LIMIT + 3, limit: LIMIT };
    assert_eq!(frame(b"\x30\xff\xff\x3f", LIMIT), Err(error));
    assert_eq!(error.reason(), ReasonCode::PacketTooLarge);
    assert_eq!(frame(b"\x30\x02\0", 4), Ok(None));
    assert!(frame(b"\x30\x03", 4).is_err());
}

// proves: v5 MQTT-1.5.5-1
#[test]
fn lengths_have_no_more_bytes_than_they_need() {
    for bytes in [b"\x30\x80\0".as_slice(), b"\x30\x83\0", b"\x30\x80\x80\x80\0"] {
        assert_eq!(frame(bytes, LIMIT).err().map(DecodeError::reason), MALFORMED, "{bytes:?}");
    }
    for properties in [b"\x80\0".as_slice(), b"\x80\x80\x80\0", b"\x85\0\x01\x01"] {
        let body = [b"\0\x01a".as_slice(), properties].concat();
        assert_eq!(refused(Level::V5, &packet(0x30, &body)), MALFORMED, "{properties:?}");
    }
    assert_eq!(refused(Level::V5, b"\x82\x0a\0\x01\x03\x0b\x81\0\0\x01a\0"), MALFORMED, "a subscription identifier");
}

#[test]
fn lengths_have_at_most_four_bytes() {
    assert_eq!(frame(b"\x30\xff\xff\xff", LIMIT), Ok(None));
    assert_eq!(frame(b"\x30\xff\xff\xff\xff", LIMIT).err().map(DecodeError::reason), MALFORMED);
    assert_eq!(frame(b"\x30\xff\xff\xff\x7f", usize::MAX), Ok(None));
    let body = b"\0\x01a\x80\x80\x80\x80\x01".as_slice();
    assert_eq!(refused(Level::V5, &packet(0x30, body)), MALFORMED);
}

/// Bytes that are no text: cut off, over-long, a surrogate, above U+10FFFF.
const NOT_UTF8: [&[u8]; 5] = [b"\xff", b"\xe2\x82", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"];

// proves: v5 MQTT-1.5.4-1, v5 MQTT-1.5.4-2, v5 MQTT-3.1.3-4, v5 MQTT-3.1.3-11, v5 MQTT-3.1.3-12, v5 MQTT-3.3.2-1, v5 MQTT-3.8.3-1, v5 MQTT-3.10.3-1, v5 MQTT-4.7.3-2
// proves: v311 MQTT-1.5.3-1, v311 MQTT-1.5.3-2, v311 MQTT-3.1.3-4, v311 MQTT-3.1.3-10, v311 MQTT-3.1.3-11, v311 MQTT-3.3.2-1, v311 MQTT-3.8.3-1, v311 MQTT-3.10.3-1, v311 MQTT-4.7.3-2
#[test]
fn every_text_is_utf8_without_nul() {
    for bad in NOT_UTF8.into_iter().chain([b"\0".as_slice(), b"a\0b"]) {
        let bad = field(bad);
        for (level, section) in [(Level::V4, b"".as_slice()), (Level::V5, b"\0")] {
            let start = [b"\0\x04MQTT".as_slice(), &[level as u8]].concat();
            let client_id = [start.as_slice(), b"\x02\0\0", section, &bad].concat();
            assert_eq!(refused_connect(&packet(0x10, &client_id)), MALFORMED, "client id");
            let will = [start.as_slice(), b"\x06\0\0", section, b"\0\0", section, &bad, b"\0\0"].concat();
            assert_eq!(refused_connect(&packet(0x10, &will)), MALFORMED, "will topic");
            let user = [start.as_slice(), b"\x82\0\0", section, b"\0\0", &bad].concat();
            assert_eq!(refused_connect(&packet(0x10, &user)), MALFORMED, "user name");
            let publish = [bad.as_slice(), section].concat();
            assert_eq!(refused(level, &packet(0x30, &publish)), MALFORMED, "topic");
            let subscribe = [b"\0\x01".as_slice(), section, &bad, &[0]].concat();
            assert_eq!(refused(level, &packet(0x82, &subscribe)), MALFORMED, "filter");
            let unsubscribe = [b"\0\x01".as_slice(), section, &bad].concat();
            assert_eq!(refused(level, &packet(0xA2, &unsubscribe)), MALFORMED, "filter");
        }
    }
}

// proves: v5 MQTT-1.5.7-1, v5 MQTT-3.3.2-13, v5 MQTT-3.3.2-19
#[test]
fn texts_in_properties_are_utf8_without_nul() {
    for bad in NOT_UTF8.into_iter().chain([b"\0".as_slice()]) {
        let bad = field(bad);
        for properties in [
            [b"\x26", bad.as_slice(), b"\0\x01v"].concat(),
            [b"\x26\0\x01n", bad.as_slice()].concat(),
            [b"\x03", bad.as_slice()].concat(),
            [b"\x08", bad.as_slice()].concat(),
        ] {
            assert_eq!(refused(Level::V5, &publish_v5(&properties)), MALFORMED, "{properties:?}");
        }
        assert_eq!(refused_connect(&connect_v5(&[b"\x15", bad.as_slice()].concat())), MALFORMED);
    }
}

// proves: v5 MQTT-1.5.4-3, v311 MQTT-1.5.3-3
#[test]
fn a_byte_order_mark_is_a_character() {
    let bytes = packet(0x10, b"\0\x04MQTT\x04\x02\0\0\0\x04\xef\xbb\xbfx");
    assert_eq!(connect(&bytes).map(|connect| connect.client_id), Ok("\u{feff}x"));
}

#[test]
fn control_characters_are_texts() {
    for topic in ["\u{1}", "\u{7f}", "\u{9f}", "\u{ffff}"] {
        assert_eq!(refused(Level::V4, &packet(0x30, &field(topic))), None);
    }
}

// proves: v5 MQTT-2.2.1-3, v311 MQTT-2.3.1-1
#[test]
fn packet_id_0_does_not_exist() {
    for level in ALL {
        let section: &[u8] = if level.is_v5() { &[0] } else { &[] };
        let with = |first, start: &[u8], end: &[u8]| packet(first, &[start, b"\0\0", section, end].concat());
        assert_eq!(refused(level, &with(0x32, b"\0\x01a", b"")), MALFORMED);
        assert_eq!(refused(level, &with(0x34, b"\0\x01a", b"")), MALFORMED);
        assert_eq!(refused(level, &with(0x82, b"", b"\0\x01a\0")), MALFORMED);
        assert_eq!(refused(level, &with(0xA2, b"", b"\0\x01a")), MALFORMED);
        for first in [0x40, 0x50, 0x62, 0x70] {
            assert_eq!(refused(level, &packet(first, &[0, 0])), MALFORMED);
        }
        assert_eq!(refused_from_server(level, &with(0x90, b"", b"\0")), MALFORMED);
    }
}

// proves: v5 MQTT-2.2.1-2, v311 MQTT-2.3.1-5
#[test]
fn a_publish_with_quality_0_has_no_id() {
    for level in ALL {
        let section: &[u8] = if level.is_v5() { &[0] } else { &[] };
        let bytes = packet(0x30, &[b"\0\x01a".as_slice(), section, b"\0\x07"].concat());
        let Ok(Packet::Publish(publish)) = client(level, &bytes) else { panic!("not a PUBLISH") };
        assert_eq!((publish.packet_id, publish.payload), (None, b"\0\x07".as_slice()));
    }
}

// proves: v5 MQTT-2.2.2-1
#[test]
fn a_section_of_properties_has_a_length() {
    assert_eq!(refused(Level::V5, &packet(0x30, b"\0\x01a")), MALFORMED);
    assert_eq!(refused(Level::V5, &packet(0x30, b"\0\x01a\0")), None);
    assert_eq!(refused(Level::V5, &packet(0x30, b"\0\x01a\x02\x01")), MALFORMED, "longer than the packet");
    assert_eq!(refused(Level::V5, &packet(0x30, b"\0\x01a\x01\x01\x01")), MALFORMED, "ends within a property");
}

#[test]
fn unknown_properties_are_malformed() {
    for property in (0..=0xFF_u8).filter(|id| !matches!(id, 1..=3 | 8 | 9 | 11 | 0x11..=0x13 | 0x15..=0x1A)) {
        if !matches!(property, 0x1C | 0x1F | 0x21..=0x2A) {
            assert_eq!(refused(Level::V5, &publish_v5(&[property, 0, 0, 0, 0])), MALFORMED, "{property:#x}");
        }
    }
}

/// One valid example of each property.
const EXAMPLES: [&[u8]; 27] = [
    b"\x01\x01",
    b"\x02\0\0\0\x01",
    b"\x03\0\x01c",
    b"\x08\0\x01r",
    b"\x09\0\x01d",
    b"\x0b\x01",
    b"\x11\0\0\0\x01",
    b"\x12\0\x01i",
    b"\x13\0\x01",
    b"\x15\0\x01m",
    b"\x16\0\x01d",
    b"\x17\x01",
    b"\x18\0\0\0\x01",
    b"\x19\x01",
    b"\x1a\0\x01i",
    b"\x1c\0\x01s",
    b"\x1f\0\x01r",
    b"\x21\0\x01",
    b"\x22\0\x01",
    b"\x23\0\x01",
    b"\x24\x01",
    b"\x25\x01",
    b"\x26\0\x01n\0\x01v",
    b"\x27\0\0\0\x01",
    b"\x28\x01",
    b"\x29\x01",
    b"\x2a\x01",
];

/// The first byte of a packet of MQTT 5, its body up to the properties, what follows them, and
/// which properties it may have.
type Place = (u8, &'static [u8], &'static [u8], &'static [u8]);

/// Every packet with properties. The method of an AUTH is what follows here.
const PLACES: [Place; 14] = [
    (0x10, b"\0\x04MQTT\x05\x02\0\0", b"\0\0", &[0x11, 0x15, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27]),
    (0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\0", b"\0\x01w\0\0", &[1, 2, 3, 8, 9, 0x18, 0x26]),
    (0x32, b"\0\x01a\0\x01", b"", &[1, 2, 3, 8, 9, 0x23, 0x26]),
    (0x40, b"\0\x01\0", b"", &[0x1F, 0x26]),
    (0x50, b"\0\x01\0", b"", &[0x1F, 0x26]),
    (0x62, b"\0\x01\0", b"", &[0x1F, 0x26]),
    (0x70, b"\0\x01\0", b"", &[0x1F, 0x26]),
    (0x82, b"\0\x01", b"\0\x01a\0", &[0x0B, 0x26]),
    (0xA2, b"\0\x01", b"\0\x01a", &[0x26]),
    (0xE0, b"\0", b"", &[0x11, 0x1F, 0x26]),
    (0xF0, b"\x18", b"\x15\0\x01m", &[0x16, 0x1F, 0x26]),
    (0x20, b"\0\0", b"", &[]),
    (0x90, b"\0\x01", b"\0", &[0x1F, 0x26]),
    (0xB0, b"\0\x01", b"\0", &[0x1F, 0x26]),
];

const CONNACK: &[u8] =
    &[0x11, 0x12, 0x13, 0x15, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A];

/// How a packet with these properties is refused.
fn with_properties(place: &Place, properties: &[u8]) -> Option<ReasonCode> {
    let (first, start, end, _) = *place;
    // An AUTH has its method behind the property in question.
    let (properties, end) = match first {
        0xF0 => ([properties, end].concat(), b"".as_slice()),
        _ => (properties.to_vec(), end),
    };
    let bytes = packet(first, &[start, &[properties.len() as u8], &properties, end].concat());
    match PacketType::from_first(first) {
        Some(PacketType::Connect) => refused_connect(&bytes),
        Some(PacketType::Connack | PacketType::Suback | PacketType::Unsuback) => refused_from_server(Level::V5, &bytes),
        _ => refused(Level::V5, &bytes),
    }
}

#[test]
fn each_packet_has_its_own_properties() {
    for place in &PLACES {
        let allowed = if place.0 == 0x20 { CONNACK } else { place.3 };
        for example in EXAMPLES {
            let expected = match (place.0, example[0]) {
                (_, property) if allowed.contains(&property) => None,
                // Data without a method, what only servers say, a method twice.
                (0x10, 0x16) if place.2.len() == 2 => PROTOCOL,
                (0x20, 0x16) | (0x32, 0x0B) | (0xE0, 0x1C) | (0xF0, 0x15) => PROTOCOL,
                _ => MALFORMED,
            };
            assert_eq!(with_properties(place, example), expected, "{place:x?} {example:x?}");
        }
    }
}

#[test]
fn a_property_that_is_there_twice_is_a_protocol_error() {
    for place in &PLACES {
        let allowed = if place.0 == 0x20 { CONNACK } else { place.3 };
        for example in EXAMPLES.iter().filter(|example| allowed.contains(&example[0])) {
            let expected = if example[0] == 0x26 { None } else { PROTOCOL };
            assert_eq!(with_properties(place, &[*example, *example].concat()), expected, "{place:x?} {example:x?}");
        }
    }
}

#[test]
fn values_out_of_range_are_protocol_errors() {
    for properties in [b"\x21\0\0".as_slice(), b"\x27\0\0\0\0", b"\x17\x02", b"\x19\x02", b"\x19\xff"] {
        assert_eq!(refused_connect(&connect_v5(properties)), PROTOCOL, "{properties:?}");
    }
    assert_eq!(refused(Level::V5, &publish_v5(b"\x01\x02")), PROTOCOL);
    assert_eq!(refused(Level::V5, b"\x82\x09\0\x01\x02\x0b\0\0\x01a\0"), PROTOCOL, "subscription identifier 0");
    for property in [0x24, 0x25, 0x28, 0x29, 0x2A] {
        assert_eq!(refused_from_server(Level::V5, &packet(0x20, &[0, 0, 2, property, 2])), PROTOCOL, "{property:#x}");
    }
}

#[test]
fn bytes_behind_a_packet_are_malformed() {
    for level in V3 {
        for bytes in [b"\x40\x03\0\x01\0".as_slice(), b"\xc0\x01\0", b"\xe0\x01\0", b"\x62\x03\0\x01\0"] {
            assert_eq!(refused(level, bytes), MALFORMED, "{bytes:?}");
        }
    }
    for bytes in [b"\x40\x05\0\x01\0\0\0".as_slice(), b"\xc0\x01\0", b"\xe0\x03\0\0\0"] {
        assert_eq!(refused(Level::V5, bytes), MALFORMED, "{bytes:?}");
    }
    assert_eq!(refused_connect(&packet(0x10, b"\0\x04MQTT\x04\x02\0\0\0\0!")), MALFORMED);
}

#[test]
fn user_properties_are_read_whatever_stands_between_them() {
    let bytes = publish_v5(b"\x26\0\x01a\0\x011\x01\x01\x26\0\x01a\0\x012\x02\0\0\0\x09");
    let Ok(Packet::Publish(publish)) = client(Level::V5, &bytes) else { panic!("not a PUBLISH") };
    let pairs = [("a", "1"), ("a", "2")];
    assert_eq!(publish.properties.user, UserProperties::new(&pairs));
    assert_eq!(publish.properties.user.bytes(), 14);
    assert_eq!((publish.properties.payload_is_text, publish.properties.expiry_seconds), (Some(true), Some(9)));
    let mut out = Vec::new();
    publish.encode(Level::V5, u32::MAX, &mut out).expect("it fits");
    assert_eq!(client(Level::V5, &out), Ok(Packet::Publish(publish)));
    assert_eq!(publish.packet_id, Some(id(1)));
}
