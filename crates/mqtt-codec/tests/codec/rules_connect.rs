//! CONNECT and what is answered to a bad one.

use std::num::{NonZeroU16, NonZeroU32};

use fanfare_mqtt_codec::{Connect, ConnectProperties, DecodeError, Level, PublishProperties, Qos, ReasonCode, Will};

use crate::{
    ALL, MALFORMED, PROTOCOL, V3, connect, connect_v5, field, packet, refused, refused_connect, refused_from_server,
};

/// A CONNECT of a level with these flags and the payload behind the client id.
fn with_flags(level: Level, flags: u8, payload: &[u8]) -> Vec<u8> {
    let name = if level == Level::V3 { field("MQIsdp") } else { field("MQTT") };
    let section: &[u8] = if level.is_v5() { &[0] } else { &[] };
    packet(0x10, &[name.as_slice(), &[level as u8, flags, 0, 0], section, b"\0\x01i", payload].concat())
}

/// What a client gets before its connection is closed.
fn answer(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    connect(bytes).expect_err("it should be refused").encode_answer(&mut out);
    out
}

// proves: v5 MQTT-3.1.3-1, v5 MQTT-3.1.2-9, v5 MQTT-3.1.2-17, v5 MQTT-3.1.2-19, v311 MQTT-3.1.3-1, v311 MQTT-3.1.2-9, v311 MQTT-3.1.2-19, v311 MQTT-3.1.2-21
#[test]
fn a_connect_is_read_in_full() {
    let bytes = b"\x10\x2d\0\x04MQTT\x04\xE6\0\x3c\0\x02id\0\x04will\0\x03bye\0\x04user\0\x0ca.long.token";
    let will = Will {
        topic: "will",
        payload: b"bye",
        qos: Qos::AtMostOnce,
        retain: true,
        delay_seconds: None,
        properties: PublishProperties::default(),
    };
    let expected = Connect {
        clean_start: true,
        keep_alive: 60,
        will: Some(will),
        user_name: Some("user"),
        password: Some(b"a.long.token"),
        ..Connect::new(Level::V4, "id")
    };
    assert_eq!(connect(bytes), Ok(expected));
}

#[test]
fn the_properties_of_a_connect_are_read_in_full() {
    let properties = b"\x11\xff\xff\xff\xff\x21\0\x0a\x27\0\0\x10\0\x22\0\x05\x19\x01\x17\0\x15\0\x05SCRAM\x16\0\x01x";
    let bytes = connect_v5(properties);
    let expected = ConnectProperties {
        session_expiry: Some(u32::MAX),
        receive_maximum: NonZeroU16::new(10),
        maximum_packet_size: NonZeroU32::new(4096),
        topic_alias_maximum: Some(5),
        request_response_information: Some(true),
        request_problem_information: Some(false),
        auth_method: Some("SCRAM"),
        auth_data: Some(b"x"),
        ..ConnectProperties::default()
    };
    assert_eq!(connect(&bytes).map(|connect| connect.properties), Ok(expected));
}

// proves: v5 MQTT-3.1.0-1, v311 MQTT-3.1.0-1
#[test]
fn the_first_packet_is_a_connect() {
    let error = connect(b"\xc0\0").expect_err("a PINGREQ is no CONNECT");
    assert_eq!((error.dialect, error.cause.reason()), (None, ReasonCode::ProtocolError));
    assert!(answer(b"\xc0\0").is_empty());
}

// proves: v5 MQTT-3.1.0-2, v311 MQTT-3.1.0-2
#[test]
fn a_second_connect_is_a_protocol_error() {
    for level in ALL {
        assert_eq!(refused(level, &with_flags(level, 2, b"")), PROTOCOL);
    }
}

// proves: v5 MQTT-3.1.2-1, v311 MQTT-3.1.2-1
#[test]
fn an_unknown_protocol_name_gets_no_answer() {
    for name in ["AMQP", "mqtt", "MQTT5", ""] {
        let bytes = packet(0x10, &[&field(name), b"\x04\x02\0\0\0\0".as_slice()].concat());
        let error = connect(&bytes).expect_err("an unknown name");
        assert_eq!((error.dialect, error.cause), (None, DecodeError::ProtocolName), "{name}");
        assert!(answer(&bytes).is_empty());
    }
}

// proves: v5 MQTT-3.1.2-2, v311 MQTT-3.1.2-2
#[test]
fn an_unknown_level_is_answered_in_its_dialect() {
    let v5: &[u8] = b"\x20\x03\0\x84\0";
    let v3: &[u8] = b"\x20\x02\0\x01";
    let cases =
        [("MQTT", 9, v5), ("MQTT", 6, v5), ("MQTT", 3, v3), ("MQTT", 0, v3), ("MQIsdp", 4, v3), ("MQTT", 0x84, v3)];
    for (name, level, expected) in cases {
        let bytes = packet(0x10, &[&field(name), &[level, 2, 0, 0, 0, 0, 0][..]].concat());
        assert_eq!(connect(&bytes).map_err(|error| error.cause), Err(DecodeError::ProtocolLevel { level }));
        assert_eq!(answer(&bytes), expected, "{name} {level}");
    }
}

// proves: v311 MQTT-3.1.4-1, v5 MQTT-3.1.4-1
#[test]
fn a_malformed_connect_is_answered_only_in_v5() {
    assert_eq!(answer(&with_flags(Level::V5, 0x03, b"")), b"\x20\x03\0\x81\0");
    assert_eq!(answer(&connect_v5(b"\x21\0\0")), b"\x20\x03\0\x82\0");
    for level in V3 {
        assert!(answer(&with_flags(level, 0x03, b"")).is_empty());
    }
}

// proves: v5 MQTT-3.1.2-3, v311 MQTT-3.1.2-3
#[test]
fn the_reserved_flag_is_0() {
    for level in ALL {
        assert_eq!(refused_connect(&with_flags(level, 0x02, b"")), None);
        assert_eq!(refused_connect(&with_flags(level, 0x03, b"")), MALFORMED);
    }
}

// proves: v5 MQTT-3.1.2-11, v5 MQTT-3.1.2-13, v311 MQTT-3.1.2-11, v311 MQTT-3.1.2-13, v311 MQTT-3.1.2-15
#[test]
fn without_a_will_its_flags_are_0() {
    for level in ALL {
        for flags in [0x08, 0x10, 0x20, 0x28] {
            assert_eq!(refused_connect(&with_flags(level, flags, b"")), MALFORMED, "{flags:#x}");
        }
    }
}

// proves: v5 MQTT-3.1.2-12, v311 MQTT-3.1.2-14
#[test]
fn a_will_has_quality_0_to_2() {
    for level in ALL {
        let payload: &[u8] = if level.is_v5() { b"\0\0\x01w\0\0" } else { b"\0\x01w\0\0" };
        for (bits, expected) in [(0, None), (1, None), (2, None), (3, MALFORMED)] {
            assert_eq!(refused_connect(&with_flags(level, 0x04 | bits << 3, payload)), expected);
        }
    }
}

// proves: v311 MQTT-3.1.2-22
#[test]
fn a_password_without_a_user_name_belongs_to_v5() {
    for level in V3 {
        assert_eq!(refused_connect(&with_flags(level, 0x40, b"\0\x01p")), MALFORMED);
    }
    let bytes = with_flags(Level::V5, 0x40, b"\0\x01p");
    assert_eq!(connect(&bytes).map(|connect| (connect.user_name, connect.password)), Ok((None, Some(b"p".as_slice()))));
}

// proves: v5 MQTT-3.1.2-16, v5 MQTT-3.1.2-17, v5 MQTT-3.1.2-18, v5 MQTT-3.1.2-19
// proves: v311 MQTT-3.1.2-18, v311 MQTT-3.1.2-19, v311 MQTT-3.1.2-20, v311 MQTT-3.1.2-21
#[test]
fn user_name_and_password_are_there_exactly_if_announced() {
    for level in ALL {
        assert_eq!(refused_connect(&with_flags(level, 0x80, b"\0\x01u")), None);
        assert_eq!(refused_connect(&with_flags(level, 0x80, b"")), MALFORMED);
        assert_eq!(refused_connect(&with_flags(level, 0xC0, b"\0\x01u")), MALFORMED);
        assert_eq!(refused_connect(&with_flags(level, 0x80, b"\0\x01u\0\x01p")), MALFORMED);
        assert_eq!(refused_connect(&with_flags(level, 0x02, b"\0\x01u")), MALFORMED);
    }
}

// proves: v5 MQTT-3.1.3-3, v311 MQTT-3.1.3-3
#[test]
fn a_client_id_is_there_but_may_be_empty() {
    assert_eq!(refused_connect(&packet(0x10, b"\0\x04MQTT\x04\x02\0\0")), MALFORMED);
    assert_eq!(connect(&connect_v5(b"")).map(|connect| connect.client_id), Ok(""));
}

#[test]
fn a_will_goes_to_a_good_topic() {
    for topic in ["", "a/+", "#"] {
        let bytes = with_flags(Level::V5, 0x04, &[b"\0", field(topic).as_slice(), b"\0\0"].concat());
        assert_eq!(refused_connect(&bytes), Some(ReasonCode::TopicNameInvalid), "{topic}");
        assert_eq!(answer(&bytes), b"\x20\x03\0\x90\0");
        let bytes = with_flags(Level::V4, 0x04, &[field(topic).as_slice(), b"\0\0"].concat());
        assert!(answer(&bytes).is_empty());
    }
}

#[test]
fn a_will_has_its_own_properties() {
    let bytes = with_flags(Level::V5, 0x0C, b"\x13\x18\0\0\0\x05\x01\x01\x26\0\x01n\0\x01v\x03\0\x02ct\0\x01w\0\x01p");
    let will = connect(&bytes).map(|connect| connect.will).ok().flatten().expect("a will");
    assert_eq!((will.delay_seconds, will.properties.payload_is_text), (Some(5), Some(true)));
    assert_eq!(will.properties.user.iter().collect::<Vec<_>>(), [("n", "v")]);
    assert_eq!((will.topic, will.payload, will.qos), ("w", b"p".as_slice(), Qos::AtLeastOnce));
    let bytes = with_flags(Level::V5, 0x04, b"\x05\x08\0\x02a+\0\x01w\0\0");
    assert_eq!(refused_connect(&bytes), PROTOCOL, "a response topic with a wildcard");
}

#[test]
fn authentication_data_needs_a_method() {
    assert_eq!(refused_connect(&connect_v5(b"\x16\0\x01d")), PROTOCOL);
    assert_eq!(refused_connect(&connect_v5(b"\x16\0\x01d\x15\0\x01m")), None);
    assert_eq!(refused_from_server(Level::V5, b"\x20\x07\0\0\x04\x16\0\x01d"), PROTOCOL);
}

// proves: v5 MQTT-3.2.2-1
#[test]
fn the_flags_of_a_connack_are_reserved() {
    for level in ALL {
        let section: &[u8] = if level.is_v5() { &[0] } else { &[] };
        let with = |flags| packet(0x20, &[&[flags, 0], section].concat());
        assert_eq!(refused_from_server(level, &with(1)), None);
        assert_eq!(refused_from_server(level, &with(2)), MALFORMED);
    }
}
