//! SUBSCRIBE, UNSUBSCRIBE and filters.

use fanfare_mqtt_codec::{
    FilterError, FilterParts, Level, Packet, Qos, ReasonCode, RetainHandling, ServerPacket, Subscription,
    SubscriptionOptions, check_filter,
};

use crate::{ALL, MALFORMED, PROTOCOL, V3, client, field, packet, refused, server};

/// A SUBSCRIBE of a level for one filter.
fn subscribe(level: Level, filter: &str, options: u8) -> Vec<u8> {
    let section: &[u8] = if level.is_v5() { &[0] } else { &[] };
    packet(0x82, &[b"\0\x07".as_slice(), section, &field(filter), &[options]].concat())
}

#[test]
fn filters_are_read_in_order() {
    let Ok(Packet::Subscribe(packet)) = client(Level::V5, b"\x82\x0f\0\x09\x02\x0b\x05\0\x03a/#\x2d\0\x01b\x02") else {
        panic!("not a SUBSCRIBE")
    };
    let options = SubscriptionOptions {
        qos: Qos::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let expected = [
        Subscription { filter: "a/#", options },
        Subscription { filter: "b", options: SubscriptionOptions::new(Qos::ExactlyOnce) },
    ];
    assert_eq!((packet.packet_id.get(), packet.subscription_id, packet.subscriptions.len()), (9, Some(5), 2));
    assert_eq!(packet.subscriptions.iter().collect::<Vec<_>>(), expected);
    let Ok(Packet::Unsubscribe(packet)) = client(Level::V4, b"\xA2\x08\0\x09\0\x01a\0\x01b") else {
        panic!("not an UNSUBSCRIBE")
    };
    assert_eq!((packet.filters.len(), packet.filters.iter().collect::<Vec<_>>()), (2, vec!["a", "b"]));
}

// proves: v5 MQTT-3.8.3-2, v5 MQTT-3.10.3-2, v311 MQTT-3.8.3-3, v311 MQTT-3.10.3-2
#[test]
fn there_is_at_least_one_filter() {
    for level in ALL {
        let section: &[u8] = if level.is_v5() { &[0] } else { &[] };
        for first in [0x82, 0xA2] {
            let bytes = packet(first, &[b"\0\x07", section].concat());
            assert_eq!(refused(level, &bytes), PROTOCOL);
        }
    }
}

// proves: v5 MQTT-3.8.3-5, v311 MQTT-3.8.3-4
#[test]
fn reserved_options_are_malformed() {
    for options in [0x40, 0x80, 0xC0, 0x41] {
        assert_eq!(refused(Level::V5, &subscribe(Level::V5, "a", options)), MALFORMED);
    }
    for level in V3 {
        for options in [0x04, 0x08, 0x10, 0x20, 0x40, 0x80] {
            assert_eq!(refused(level, &subscribe(level, "a", options)), MALFORMED);
        }
    }
}

#[test]
fn quality_3_and_retain_handling_3_are_protocol_errors() {
    for level in ALL {
        assert_eq!(refused(level, &subscribe(level, "a", 0x03)), PROTOCOL);
    }
    assert_eq!(refused(Level::V5, &subscribe(Level::V5, "a", 0x30)), PROTOCOL);
    assert_eq!(refused(Level::V5, &subscribe(Level::V5, "a", 0x2E)), None);
}

// proves: v5 MQTT-3.8.3-4
#[test]
fn a_shared_subscription_is_never_without_local_messages() {
    assert_eq!(refused(Level::V5, &subscribe(Level::V5, "$share/g/a", 0x04)), PROTOCOL);
    assert_eq!(refused(Level::V5, &subscribe(Level::V5, "$share/g/a", 0x08)), None);
    assert_eq!(refused(Level::V5, &subscribe(Level::V5, "$shared/g/a", 0x04)), None);
}

#[test]
fn a_bad_filter_is_no_decode_error() {
    for filter in ["", "a+", "#/a", "$share/g"] {
        assert_eq!(refused(Level::V5, &subscribe(Level::V5, filter, 0)), None, "{filter}");
        assert!(check_filter(filter).is_err(), "{filter}");
    }
}

#[test]
fn a_subscribe_that_ends_early_is_malformed() {
    for bytes in [b"\x82\x05\0\x01\0\x01a".as_slice(), b"\x82\x04\0\x01\0\x05", b"\xA2\x04\0\x01\0\x05", b"\x82\x01\0"]
    {
        assert_eq!(refused(Level::V4, bytes), MALFORMED, "{bytes:?}");
    }
}

// proves: v5 MQTT-4.7.1-1, v5 MQTT-4.7.1-2, v311 MQTT-4.7.1-2, v311 MQTT-4.7.1-3
#[test]
fn wildcards_are_alone_in_their_level() {
    for filter in ["#", "+", "a/#", "+/+", "/+", "+/a/#", "/", "a//b", "$SYS/#", "a/+/", "$share", "$shared/a"] {
        assert_eq!(check_filter(filter), Ok(FilterParts { group: None, filter }), "{filter}");
    }
    for filter in ["a#", "#/a", "a/#/b", "#a", "##", "a/b#", "#/"] {
        assert_eq!(check_filter(filter), Err(FilterError::MultiLevelWildcard), "{filter}");
    }
    for filter in ["a+", "+a", "++", "a/b+/c", "/+b"] {
        assert_eq!(check_filter(filter), Err(FilterError::SingleLevelWildcard), "{filter}");
    }
    assert_eq!(check_filter(""), Err(FilterError::Empty));
}

// proves: v5 MQTT-4.8.2-1, v5 MQTT-4.8.2-2
#[test]
fn a_shared_subscription_has_a_name_and_a_filter() {
    for (text, group, filter) in
        [("$share/g/a", "g", "a"), ("$share/g//a", "g", "/a"), ("$share/g/#", "g", "#"), ("$share/é/+/b", "é", "+/b")]
    {
        assert_eq!(check_filter(text), Ok(FilterParts { group: Some(group), filter }), "{text}");
    }
    for (text, error) in [
        ("$share/", FilterError::ShareFilter),
        ("$share/g", FilterError::ShareFilter),
        ("$share/g/", FilterError::ShareFilter),
        ("$share//a", FilterError::ShareName),
        ("$share/g+/a", FilterError::ShareName),
        ("$share/#/a", FilterError::ShareName),
        ("$share/g/a+", FilterError::SingleLevelWildcard),
        ("$share/g/#/a", FilterError::MultiLevelWildcard),
    ] {
        assert_eq!(check_filter(text), Err(error), "{text}");
    }
}

#[test]
fn answers_have_a_code_per_filter() {
    let Ok(ServerPacket::Suback(suback)) = server(Level::V5, b"\x90\x05\0\x07\0\x01\x8f") else {
        panic!("not a SUBACK")
    };
    let codes = [ReasonCode::GrantedQos1, ReasonCode::TopicFilterInvalid];
    assert_eq!(suback.codes.iter().collect::<Vec<_>>(), codes);
    let Ok(ServerPacket::Unsuback(unsuback)) = server(Level::V4, b"\xb0\x02\0\x07") else { panic!("not an UNSUBACK") };
    assert!(unsuback.codes.is_empty());
    for bytes in [b"\x90\x02\0\x07".as_slice(), b"\xb0\x03\0\x07\0"] {
        assert!(server(Level::V4, bytes).is_err(), "{bytes:?}");
    }
}
