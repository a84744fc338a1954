//! PUBLISH.

use std::num::NonZeroU16;

use fanfare_mqtt_codec::{DecodeError, Level, Packet, Publish, Qos, ReasonCode, ServerPacket, check_topic};

use crate::{ALL, MALFORMED, PROTOCOL, V3, client, field, id, packet, publish_v5, refused, server};

#[test]
fn a_publish_borrows_topic_and_payload() {
    let expected = Publish { topic: "a/b", payload: b"hi", retain: true, ..Publish::default() };
    assert_eq!(client(Level::V4, b"\x31\x07\0\x03a/bhi"), Ok(Packet::Publish(expected)));
    let expected = Publish {
        topic: "a",
        packet_id: Some(id(7)),
        qos: Qos::ExactlyOnce,
        dup: true,
        topic_alias: NonZeroU16::new(3),
        ..Publish::default()
    };
    assert_eq!(client(Level::V5, b"\x3c\x09\0\x01a\0\x07\x03\x23\0\x03"), Ok(Packet::Publish(expected)));
}

// proves: v5 MQTT-3.3.2-2, v311 MQTT-3.3.2-2
#[test]
fn a_topic_name_has_no_wildcard() {
    for level in ALL {
        for topic in ["+", "#", "a/+", "a/#", "a+b"] {
            let section: &[u8] = if level.is_v5() { &[0] } else { &[] };
            let bytes = packet(0x30, &[&field(topic), section].concat());
            assert_eq!(refused(level, &bytes), Some(ReasonCode::TopicNameInvalid), "{topic}");
            assert!(check_topic(topic).is_err());
        }
    }
}

// proves: v5 MQTT-4.7.3-1, v311 MQTT-4.7.3-1
#[test]
fn a_topic_is_empty_only_with_an_alias() {
    assert_eq!(refused(Level::V5, b"\x30\x03\0\0\0"), PROTOCOL);
    for level in V3 {
        assert_eq!(refused(level, b"\x30\x02\0\0"), Some(ReasonCode::TopicNameInvalid));
    }
    let Ok(Packet::Publish(publish)) = client(Level::V5, b"\x30\x06\0\0\x03\x23\0\x01") else {
        panic!("not a PUBLISH")
    };
    assert_eq!((publish.topic, publish.topic_alias), ("", NonZeroU16::new(1)));
    assert!(check_topic("").is_err());
}

// proves: v5 MQTT-3.3.2-8
#[test]
fn topic_alias_0_does_not_exist() {
    assert_eq!(client(Level::V5, &publish_v5(b"\x23\0\0")), Err(DecodeError::TopicAlias));
    assert_eq!(DecodeError::TopicAlias.reason(), ReasonCode::TopicAliasInvalid);
}

// proves: v5 MQTT-3.3.2-14
#[test]
fn a_response_topic_is_a_topic() {
    for topic in ["a/+", "#", ""] {
        assert_eq!(refused(Level::V5, &publish_v5(&[b"\x08", field(topic).as_slice()].concat())), PROTOCOL);
    }
    assert_eq!(refused(Level::V5, &publish_v5(&[b"\x08", field("a/b").as_slice()].concat())), None);
}

// proves: v5 MQTT-3.3.4-6
#[test]
fn a_client_marks_no_publish_with_a_subscription() {
    assert_eq!(refused(Level::V5, &publish_v5(b"\x0b\x01")), PROTOCOL);
}

#[test]
fn a_server_marks_a_publish_with_every_subscription() {
    let bytes = publish_v5(b"\x0b\x01\x01\x01\x0b\x80\x01\x0b\x01");
    let Ok(ServerPacket::Publish(publish)) = server(Level::V5, &bytes) else { panic!("not a PUBLISH") };
    assert_eq!(publish.subscription_ids.iter().collect::<Vec<_>>(), [1, 128, 1]);
}

// proves: v5 MQTT-3.3.2-17, v5 MQTT-3.3.2-18
#[test]
fn user_properties_are_forwarded_in_order() {
    let bytes = publish_v5(b"\x01\x01\x26\0\x01b\0\x012\x26\0\x01a\0\x011\x26\0\x01b\0\x010");
    let Ok(Packet::Publish(received)) = client(Level::V5, &bytes) else { panic!("not a PUBLISH") };
    assert_eq!(received.properties.user.iter().collect::<Vec<_>>(), [("b", "2"), ("a", "1"), ("b", "0")]);
    let mut out = Vec::new();
    received.encode(Level::V5, u32::MAX, &mut out).expect("it fits");
    assert_eq!(out, bytes);
}

#[test]
fn a_publish_that_ends_early_is_malformed() {
    for bytes in [b"\x30\0".as_slice(), b"\x30\x01\0", b"\x30\x03\0\x02a", b"\x32\x04\0\x01a\0"] {
        assert_eq!(refused(Level::V4, bytes), MALFORMED, "{bytes:?}");
    }
}
