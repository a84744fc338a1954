//! Exact bytes of what is sent, and what does not fit.

use std::num::{NonZeroU16, NonZeroU32};

use fanfare_mqtt_codec::{
    Ack, AckKind, Auth, Connack, ConnackProperties, Connect, Diagnostics, Disconnect, EncodeError, Level, Packet,
    Publish, Qos, ReasonCode, ReasonCodes, ServerPacket, Suback, SubscriptionIds, Unsuback, UserProperties,
    decode_from_server, encode_ping_request, encode_ping_response, frame,
};

use crate::{V3, client, id, server};

type Encoded = Result<Vec<u8>, EncodeError>;

/// What was appended, or that nothing was.
fn encoded(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Encoded {
    let mut out = b"before".to_vec();
    let result = encode(&mut out);
    let appended = out.split_off(b"before".len());
    assert!(out == b"before" && (result.is_ok() || appended.is_empty()));
    result.map(|()| appended)
}

#[test]
fn acknowledgements_take_the_shortest_form() {
    let bytes = |level, reason| encoded(|out| Ack::new(AckKind::Pubrel, id(7), reason).encode(level, u32::MAX, out));
    assert_eq!(bytes(Level::V5, ReasonCode::Success), Ok(b"\x62\x02\0\x07".to_vec()));
    assert_eq!(bytes(Level::V5, ReasonCode::PacketIdentifierNotFound), Ok(b"\x62\x03\0\x07\x92".to_vec()));
    for level in V3 {
        assert_eq!(bytes(level, ReasonCode::PacketIdentifierNotFound), Ok(b"\x62\x02\0\x07".to_vec()));
    }
    let bytes = |reason| encoded(|out| Disconnect::new(reason).encode(Level::V5, u32::MAX, out));
    assert_eq!(bytes(ReasonCode::Success), Ok(b"\xe0\0".to_vec()));
    assert_eq!(bytes(ReasonCode::PacketTooLarge), Ok(b"\xe0\x01\x95".to_vec()));
    let (reason, diagnostics) = (ReasonCode::Success, Diagnostics::default());
    let auth = Auth { reason, method: None, data: None, diagnostics };
    assert_eq!(encoded(|out| auth.encode(Level::V5, u32::MAX, out)), Ok(b"\xf0\0".to_vec()));
}

#[test]
fn pings_are_two_bytes() {
    let mut out = Vec::new();
    encode_ping_request(&mut out);
    encode_ping_response(&mut out);
    assert_eq!(out, b"\xc0\0\xd0\0");
}

// proves: v5 MQTT-3.2.2-6, v311 MQTT-3.2.2-4
#[test]
fn a_failure_has_no_session() {
    let connack = Connack::new(true, ReasonCode::NotAuthorized);
    assert_eq!(encoded(|out| connack.encode(Level::V5, u32::MAX, out)), Ok(b"\x20\x03\0\x87\0".to_vec()));
    assert_eq!(encoded(|out| connack.encode(Level::V4, u32::MAX, out)), Ok(b"\x20\x02\0\x05".to_vec()));
    let connack = Connack::new(true, ReasonCode::Success);
    assert_eq!(encoded(|out| connack.encode(Level::V4, u32::MAX, out)), Ok(b"\x20\x02\x01\0".to_vec()));
    assert_eq!(encoded(|out| connack.encode(Level::V3, u32::MAX, out)), Ok(b"\x20\x02\0\0".to_vec()));
    assert!(server(Level::V5, b"\x20\x03\x01\x87\0").is_err());
}

#[test]
fn maximum_quality_2_is_never_sent() {
    let mut connack = Connack::new(false, ReasonCode::Success);
    connack.properties = ConnackProperties {
        maximum_qos: Some(Qos::ExactlyOnce),
        receive_maximum: NonZeroU16::new(10),
        maximum_packet_size: NonZeroU32::new(0x1_0000),
        topic_alias_maximum: Some(8),
        ..ConnackProperties::default()
    };
    let expected = b"\x20\x0e\0\0\x0b\x21\0\x0a\x27\0\x01\0\0\x22\0\x08".to_vec();
    assert_eq!(encoded(|out| connack.encode(Level::V5, u32::MAX, out)), Ok(expected));
}

#[test]
fn what_v3_cannot_say_is_an_error() {
    for level in V3 {
        let connack = Connack::new(false, ReasonCode::PacketTooLarge);
        assert_eq!(encoded(|out| connack.encode(level, u32::MAX, out)), Err(EncodeError::OnlyInV5));
        let disconnect = Disconnect::new(ReasonCode::SessionTakenOver);
        assert_eq!(encoded(|out| disconnect.encode(level, u32::MAX, out)), Err(EncodeError::OnlyInV5));
        let disconnect = Disconnect::new(ReasonCode::Success);
        assert_eq!(encoded(|out| disconnect.encode(level, u32::MAX, out)), Ok(b"\xe0\0".to_vec()));
    }
}

// proves: v311 MQTT-3.9.3-2
#[test]
fn every_failure_of_a_filter_is_0x80_in_v3() {
    let codes = [ReasonCode::GrantedQos2, ReasonCode::NotAuthorized, ReasonCode::TopicFilterInvalid];
    let (codes, diagnostics) = (ReasonCodes::new(&codes), Diagnostics::default());
    let suback = Suback { packet_id: id(7), codes, diagnostics };
    assert_eq!(encoded(|out| suback.encode(Level::V4, u32::MAX, out)), Ok(b"\x90\x05\0\x07\x02\x80\x80".to_vec()));
    assert_eq!(encoded(|out| suback.encode(Level::V5, u32::MAX, out)), Ok(b"\x90\x06\0\x07\0\x02\x87\x8f".to_vec()));
    let unsuback = Unsuback { packet_id: id(7), codes, diagnostics };
    assert_eq!(encoded(|out| unsuback.encode(Level::V4, u32::MAX, out)), Ok(b"\xb0\x02\0\x07".to_vec()));
}

const PAIRS: [(&str, &str); 1] = [("name", "value")];

/// For each limit: whether the packet still has a reason string, and user properties; `None` if it
/// cannot be sent.
fn trimmed(level_5: impl Fn(u32, &mut Vec<u8>) -> Result<(), EncodeError>, max: u32) -> Option<(bool, bool)> {
    let bytes = encoded(|out| level_5(max, out)).ok()?;
    assert!(bytes.len() <= max as usize);
    let found = frame(&bytes, usize::MAX).expect("a good header").expect("a whole packet");
    let diagnostics = match decode_from_server(Level::V5, &found).expect("a good packet") {
        ServerPacket::Connack(packet) => packet.diagnostics,
        ServerPacket::Ack(packet) => packet.diagnostics,
        ServerPacket::Suback(packet) => packet.diagnostics,
        ServerPacket::Unsuback(packet) => packet.diagnostics,
        ServerPacket::Disconnect(packet) => packet.diagnostics,
        ServerPacket::Auth(packet) => packet.diagnostics,
        ServerPacket::Publish(_) | ServerPacket::PingResponse => return None,
    };
    Some((diagnostics.reason_string.is_some(), !diagnostics.user.is_empty()))
}

// proves: v5 MQTT-3.2.2-19, v5 MQTT-3.2.2-20, v5 MQTT-3.4.2-2, v5 MQTT-3.4.2-3, v5 MQTT-3.5.2-2, v5 MQTT-3.5.2-3
// proves: v5 MQTT-3.6.2-2, v5 MQTT-3.6.2-3, v5 MQTT-3.7.2-2, v5 MQTT-3.7.2-3, v5 MQTT-3.9.2-1, v5 MQTT-3.9.2-2
// proves: v5 MQTT-3.11.2-1, v5 MQTT-3.11.2-2, v5 MQTT-3.14.2-3, v5 MQTT-3.14.2-4, v5 MQTT-3.15.2-2, v5 MQTT-3.15.2-3
#[test]
fn words_are_left_out_where_they_do_not_fit() {
    let diagnostics = Diagnostics { reason_string: Some("because"), user: UserProperties::new(&PAIRS) };
    let (packet_id, codes) = (id(7), [ReasonCode::NotAuthorized]);
    let codes = ReasonCodes::new(&codes);
    let ack = |kind| Ack { kind, packet_id, reason: ReasonCode::Success, diagnostics };
    let connack = Connack { diagnostics, ..Connack::new(false, ReasonCode::NotAuthorized) };
    let suback = Suback { packet_id, codes, diagnostics };
    let unsuback = Unsuback { packet_id, codes, diagnostics };
    let disconnect = Disconnect { diagnostics, ..Disconnect::new(ReasonCode::ServerBusy) };
    let auth = Auth { reason: ReasonCode::ContinueAuthentication, method: Some("m"), data: None, diagnostics };
    type Encode<'a> = Box<dyn Fn(u32, &mut Vec<u8>) -> Result<(), EncodeError> + 'a>;
    let mut all: Vec<Encode<'_>> = vec![
        Box::new(|max, out| connack.encode(Level::V5, max, out)),
        Box::new(|max, out| suback.encode(Level::V5, max, out)),
        Box::new(|max, out| unsuback.encode(Level::V5, max, out)),
        Box::new(|max, out| disconnect.encode(Level::V5, max, out)),
        Box::new(|max, out| auth.encode(Level::V5, max, out)),
    ];
    for kind in [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp] {
        all.push(Box::new(move |max, out| ack(kind).encode(Level::V5, max, out)));
    }
    for encode in &all {
        let full = encoded(|out| encode(u32::MAX, out)).expect("no limit").len() as u32;
        assert_eq!(trimmed(encode, full), Some((true, true)));
        assert_eq!(trimmed(encode, full - 1), Some((false, true)), "the reason string goes first");
        assert_eq!(trimmed(encode, full - 10), Some((false, true)));
        assert_eq!(trimmed(encode, full - 11), Some((false, false)), "then the user properties");
        assert_eq!(trimmed(encode, 1), None, "then there is nothing left to leave out");
    }
}

// proves: v5 MQTT-3.1.2-24
#[test]
fn a_publish_that_is_too_large_is_not_sent() {
    let publish = Publish {
        topic: "a/b",
        payload: &[7; 300],
        qos: Qos::AtLeastOnce,
        packet_id: Some(id(1)),
        ..Publish::default()
    };
    for (level, length) in [(Level::V4, 310), (Level::V5, 311)] {
        assert_eq!(publish.encoded_len(level), length);
        let limit = length as u32;
        assert_eq!(encoded(|out| publish.encode(level, limit, out)).map(|bytes| bytes.len()), Ok(length));
        let error = Err(EncodeError::TooLarge { limit: limit - 1 });
        assert_eq!(encoded(|out| publish.encode(level, limit - 1, out)), error);
    }
}

// proves: v5 MQTT-4.7.3-3, v311 MQTT-4.7.3-3
#[test]
fn a_text_that_is_too_long_is_not_sent() {
    let text = "t".repeat(65_536);
    let too_large = Err(EncodeError::TooLarge { limit: u32::MAX });
    for level in crate::ALL {
        let publish = Publish { topic: &text, ..Publish::default() };
        assert_eq!(encoded(|out| publish.encode(level, u32::MAX, out)), too_large);
        assert_eq!(encoded(|out| Connect::new(level, &text).encode(out)), too_large);
        let publish = Publish { topic: &text[1..], ..Publish::default() };
        assert!(encoded(|out| publish.encode(level, u32::MAX, out)).is_ok());
    }
    let diagnostics = Diagnostics { reason_string: Some(&text), user: UserProperties::NONE };
    let ack = Ack { diagnostics, ..Ack::new(AckKind::Puback, id(7), ReasonCode::Success) };
    assert_eq!(encoded(|out| ack.encode(Level::V5, u32::MAX, out)), Ok(b"\x40\x02\0\x07".to_vec()));
}

// proves: v5 MQTT-2.2.1-2, v5 MQTT-3.3.1-2, v311 MQTT-2.3.1-5, v311 MQTT-3.3.1-2
#[test]
fn quality_0_has_neither_id_nor_dup() {
    let publish = Publish { topic: "a", packet_id: Some(id(7)), dup: true, ..Publish::default() };
    assert_eq!(encoded(|out| publish.encode(Level::V4, u32::MAX, out)), Ok(b"\x30\x03\0\x01a".to_vec()));
}

#[test]
fn a_publish_needs_a_topic_and_an_id() {
    let publish = Publish { topic: "a", qos: Qos::ExactlyOnce, ..Publish::default() };
    assert_eq!(encoded(|out| publish.encode(Level::V5, u32::MAX, out)), Err(EncodeError::NoPacketId));
    let publish = Publish { topic_alias: NonZeroU16::new(1), ..Publish::default() };
    assert_eq!(encoded(|out| publish.encode(Level::V4, u32::MAX, out)), Err(EncodeError::NoTopic));
    assert_eq!(encoded(|out| publish.encode(Level::V5, u32::MAX, out)), Ok(b"\x30\x06\0\0\x03\x23\0\x01".to_vec()));
    let publish = Publish::default();
    assert_eq!(encoded(|out| publish.encode(Level::V5, u32::MAX, out)), Err(EncodeError::NoTopic));
}

#[test]
fn subscription_ids_out_of_range_are_left_out() {
    let ids = [0, 1, 268_435_455, 268_435_456];
    let publish = Publish { topic: "a", subscription_ids: SubscriptionIds::new(&ids), ..Publish::default() };
    let bytes = encoded(|out| publish.encode(Level::V5, u32::MAX, out)).expect("it fits");
    let Ok(ServerPacket::Publish(read)) = server(Level::V5, &bytes) else { panic!("not a PUBLISH") };
    assert_eq!(read.subscription_ids.iter().collect::<Vec<_>>(), [1, 268_435_455]);
}

#[test]
fn a_publish_reads_back_at_every_width_of_length() {
    for size in [0, 124, 125, 16_380, 16_381, 70_000, 1 << 20, 2_097_149] {
        let payload = vec![7; size];
        let publish = Publish { topic: "t", payload: &payload, ..Publish::default() };
        let bytes = encoded(|out| publish.encode(Level::V4, u32::MAX, out)).expect("it fits");
        let found = frame(&bytes, bytes.len()).expect("a good header").expect("a whole packet");
        assert_eq!(fanfare_mqtt_codec::decode(Level::V4, &found), Ok(Packet::Publish(publish)));
    }
    let payload = vec![0; 268_435_455];
    let publish = Publish { topic: "t", payload: &payload, ..Publish::default() };
    assert!(encoded(|out| publish.encode(Level::V4, u32::MAX, out)).is_err());
}

#[test]
fn a_message_crosses_from_v5_to_v3_without_its_properties() {
    let bytes = crate::publish_v5(b"\x03\0\x01c\x26\0\x01n\0\x01v");
    let Ok(Packet::Publish(publish)) = client(Level::V5, &bytes) else { panic!("not a PUBLISH") };
    let bytes = encoded(|out| publish.encode(Level::V4, u32::MAX, out)).expect("it fits");
    assert_eq!(bytes, b"\x32\x07\0\x01a\0\x01hi");
}
