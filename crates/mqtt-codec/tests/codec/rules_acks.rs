//! PUBACK and its kin, DISCONNECT, AUTH, and reason codes.

use fanfare_mqtt_codec::{
    Ack, AckKind, Auth, Disconnect, Level, Packet, PacketType, ReasonCode, ServerPacket, UserProperties,
};

use crate::{ALL, MALFORMED, PROTOCOL, V3, client, id, packet, refused, refused_connect, refused_from_server, server};

const ACKS: [(u8, AckKind, ReasonCode); 4] = [
    (0x40, AckKind::Puback, ReasonCode::NoMatchingSubscribers),
    (0x50, AckKind::Pubrec, ReasonCode::QuotaExceeded),
    (0x62, AckKind::Pubrel, ReasonCode::PacketIdentifierNotFound),
    (0x70, AckKind::Pubcomp, ReasonCode::PacketIdentifierNotFound),
];

#[test]
fn acknowledgements_have_a_short_and_a_long_form() {
    for (first, kind, reason) in ACKS {
        let expected = Ack::new(kind, id(7), ReasonCode::Success);
        for level in ALL {
            assert_eq!(client(level, &packet(first, &[0, 7])), Ok(Packet::Ack(expected)));
            assert_eq!(server(level, &packet(first, &[0, 7])), Ok(ServerPacket::Ack(expected)));
        }
        let mut expected = Ack::new(kind, id(7), reason);
        let code = reason.as_u8();
        assert_eq!(client(Level::V5, &packet(first, &[0, 7, code])), Ok(Packet::Ack(expected)));
        assert_eq!(client(Level::V5, &packet(first, &[0, 7, code, 0])), Ok(Packet::Ack(expected)));
        let bytes = [&[0, 7, code, 11], b"\x1f\0\x01r\x26\0\x01n\0\x01v".as_slice()].concat();
        expected.diagnostics.reason_string = Some("r");
        let pairs = [("n", "v")];
        expected.diagnostics.user = UserProperties::new(&pairs);
        assert_eq!(client(Level::V5, &packet(first, &bytes)), Ok(Packet::Ack(expected)));
        assert_eq!(refused(Level::V5, &packet(first, &[0])), MALFORMED);
        assert_eq!(refused(Level::V5, &packet(first, &[0, 7, code, 1])), MALFORMED);
    }
}

/// The codes of each packet, and by whom they may be sent.
fn allowed(packet: PacketType, by_server: bool) -> Vec<u8> {
    match packet {
        PacketType::Connack => {
            [vec![0], (0x80..=0x8A).collect(), vec![0x8C, 0x90, 0x95, 0x97], (0x99..=0x9D).collect(), vec![0x9F]]
                .concat()
        }
        PacketType::Puback | PacketType::Pubrec => vec![0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        PacketType::Pubrel | PacketType::Pubcomp => vec![0, 0x92],
        PacketType::Suback => vec![0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
        PacketType::Unsuback => vec![0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
        PacketType::Auth if by_server => vec![0, 0x18],
        PacketType::Auth => vec![0x18, 0x19],
        PacketType::Disconnect if by_server => {
            [vec![0], (0x80..=0x83).collect(), vec![0x87, 0x89], (0x8B..=0x90).collect(), (0x93..=0xA2).collect()]
                .concat()
        }
        _ => vec![0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
    }
}

// proves: v5 MQTT-3.2.2-8, v5 MQTT-3.4.2-1, v5 MQTT-3.5.2-1, v5 MQTT-3.6.2-1, v5 MQTT-3.7.2-1, v5 MQTT-3.9.3-2
// proves: v5 MQTT-3.11.3-2, v5 MQTT-3.14.2-1, v5 MQTT-3.15.2-1
#[test]
fn each_packet_has_its_own_reason_codes() {
    for code in 0..=0xFF_u8 {
        let check = |kind: PacketType, by_server: bool, result: Option<ReasonCode>| {
            let expected = if allowed(kind, by_server).contains(&code) { None } else { PROTOCOL };
            assert_eq!(result, expected, "{code:#x} in {kind:?}");
        };
        for (first, kind, _) in ACKS {
            check(kind.packet_type(), false, refused(Level::V5, &packet(first, &[0, 7, code])));
            check(kind.packet_type(), true, refused_from_server(Level::V5, &packet(first, &[0, 7, code])));
        }
        check(PacketType::Connack, true, refused_from_server(Level::V5, &packet(0x20, &[0, code, 0])));
        check(PacketType::Suback, true, refused_from_server(Level::V5, &packet(0x90, &[0, 7, 0, code])));
        check(PacketType::Unsuback, true, refused_from_server(Level::V5, &packet(0xB0, &[0, 7, 0, code])));
        check(PacketType::Disconnect, false, refused(Level::V5, &packet(0xE0, &[code])));
        check(PacketType::Disconnect, true, refused_from_server(Level::V5, &packet(0xE0, &[code])));
        let auth = packet(0xF0, &[code, 4, 0x15, 0, 1, b'm']);
        check(PacketType::Auth, false, refused(Level::V5, &auth));
        check(PacketType::Auth, true, refused_from_server(Level::V5, &auth));
    }
}

// proves: v311 MQTT-3.9.3-2
#[test]
fn a_suback_of_v3_has_four_codes() {
    for level in V3 {
        for code in 0..=0xFF_u8 {
            let result = refused_from_server(level, &packet(0x90, &[0, 7, code]));
            assert_eq!(result.is_none(), matches!(code, 0..=2 | 0x80), "{code:#x}");
        }
    }
}

#[test]
fn a_disconnect_may_stop_early() {
    for (bytes, reason) in [
        (b"\xe0\0".as_slice(), ReasonCode::NORMAL_DISCONNECTION),
        (b"\xe0\x01\x04", ReasonCode::DisconnectWithWill),
        (b"\xe0\x02\x04\0", ReasonCode::DisconnectWithWill),
    ] {
        assert_eq!(client(Level::V5, bytes), Ok(Packet::Disconnect(Disconnect::new(reason))));
    }
    let Ok(Packet::Disconnect(disconnect)) = client(Level::V5, b"\xe0\x07\0\x05\x11\0\0\0\x09") else {
        panic!("not a DISCONNECT")
    };
    assert_eq!(disconnect.session_expiry, Some(9));
    for level in V3 {
        let expected = Disconnect::new(ReasonCode::Success);
        assert_eq!(client(level, b"\xe0\0"), Ok(Packet::Disconnect(expected)));
        assert_eq!(refused_from_server(level, b"\xe0\0"), PROTOCOL, "servers just close");
    }
}

// proves: v5 MQTT-3.14.2-2
#[test]
fn a_server_sets_no_session_expiry_when_it_leaves() {
    assert_eq!(refused_from_server(Level::V5, b"\xe0\x07\0\x05\x11\0\0\0\x09"), PROTOCOL);
}

#[test]
fn a_client_refers_to_no_other_server() {
    assert_eq!(refused(Level::V5, b"\xe0\x06\0\x04\x1c\0\x01s"), PROTOCOL);
    let Ok(ServerPacket::Disconnect(disconnect)) = server(Level::V5, b"\xe0\x06\x9d\x04\x1c\0\x01s") else {
        panic!("not a DISCONNECT")
    };
    assert_eq!((disconnect.reason, disconnect.server_reference), (ReasonCode::ServerMoved, Some("s")));
}

#[test]
fn an_auth_has_a_method() {
    let bytes = b"\xf0\x0a\x18\x08\x15\0\x01m\x16\0\x01d";
    let Ok(Packet::Auth(auth)) = client(Level::V5, bytes) else { panic!("not an AUTH") };
    assert_eq!((auth.method, auth.data), (Some("m"), Some(b"d".as_slice())));
    for bytes in [b"\xf0\x01\x18".as_slice(), b"\xf0\x02\x18\0", b"\xf0\x06\x18\x04\x16\0\x01d", b"\xf0\0"] {
        assert_eq!(refused(Level::V5, bytes), PROTOCOL, "{bytes:?}");
    }
    let success = Auth { reason: ReasonCode::Success, method: None, data: None, diagnostics: auth.diagnostics };
    assert_eq!(server(Level::V5, b"\xf0\0"), Ok(ServerPacket::Auth(success)));
}

#[test]
fn auth_belongs_to_v5() {
    for level in V3 {
        assert_eq!(refused(level, b"\xf0\0"), PROTOCOL);
        assert_eq!(refused_from_server(level, b"\xf0\0"), PROTOCOL);
    }
}

#[test]
fn packets_of_the_other_side_have_no_place() {
    for level in ALL {
        for first in [0x20, 0x90, 0xB0, 0xD0] {
            assert_eq!(refused(level, &[first, 0]), PROTOCOL);
        }
        for first in [0x10, 0x82, 0xA2, 0xC0] {
            assert_eq!(refused_from_server(level, &[first, 0]), PROTOCOL);
        }
        assert_eq!(client(level, b"\xc0\0"), Ok(Packet::PingRequest));
        assert_eq!(server(level, b"\xd0\0"), Ok(ServerPacket::PingResponse));
    }
    assert_eq!(refused_connect(b"\x10\0"), MALFORMED);
}

// proves: v311 MQTT-3.2.2-6
#[test]
fn reasons_are_translated_for_v3() {
    let codes = |code: Option<u8>| {
        ReasonCode::ALL
            .iter()
            .filter(|reason| reason.to_v3_connack() == code)
            .map(|reason| reason.as_u8())
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(Some(0)), [0]);
    assert_eq!(codes(Some(1)), [0x84]);
    assert_eq!(codes(Some(2)), [0x85]);
    assert_eq!(codes(Some(3)), [0x88, 0x89, 0x97, 0x9F]);
    assert_eq!(codes(Some(4)), [0x86, 0x8C]);
    assert_eq!(codes(Some(5)), [0x87, 0x8A]);
    assert_eq!(codes(None).len(), ReasonCode::ALL.len() - 11);
    for reason in ReasonCode::ALL {
        assert_eq!(ReasonCode::from_u8(reason.as_u8()), Some(*reason));
        assert_eq!(reason.to_v3_suback(), if reason.is_error() { 0x80 } else { reason.as_u8() });
    }
    assert_eq!(ReasonCode::ALL.len(), 43);
    assert_eq!(ReasonCode::NotAuthorized.to_string(), "Not authorized (0x87)");
}
