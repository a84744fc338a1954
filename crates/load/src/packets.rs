//! Reading a PUBLISH of a server, in place.
//!
//! The codec does all of MQTT; what a benchmark receives by the million (the topic it asked for, no
//! properties) is compared and cut at a few nanoseconds a packet, and all else is left to the codec.

use fanfare_mqtt_codec::{Frame, Level, PacketId, Qos, ServerPacket, decode_from_server};

/// The flag of a packet that was sent before.
const DUP: u8 = 0b1000;

/// A message as it was delivered.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) payload: &'a [u8],
    /// What to acknowledge, above quality 0.
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) is_repeated: bool,
}

/// The message in a PUBLISH, if it is one of `topic`, of quality `qos` and not a retained one.
#[inline]
pub(crate) fn delivery<'a>(level: Level, qos: Qos, topic: &str, frame: &Frame<'a>) -> Result<Delivery<'a>, String> {
    if let Some(delivery) = plain(level, qos, topic, frame) {
        return Ok(delivery);
    }
    match decode_from_server(level, frame) {
        Ok(ServerPacket::Publish(publish)) if publish.topic != topic => {
            Err(format!("a message of {}, subscribed is {topic}", publish.topic))
        }
        Ok(ServerPacket::Publish(publish)) if publish.qos != qos || publish.retain => Err(format!(
            "a message of quality {} where {} was asked for, or a retained one",
            publish.qos.as_u8(),
            qos.as_u8()
        )),
        Ok(ServerPacket::Publish(publish)) => {
            Ok(Delivery { payload: publish.payload, packet_id: publish.packet_id, is_repeated: publish.dup })
        }
        Ok(other) => Err(format!("no message but {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// A PUBLISH without properties; `None` for all that needs a closer look.
#[inline]
fn plain<'a>(level: Level, qos: Qos, topic: &str, frame: &Frame<'a>) -> Option<Delivery<'a>> {
    let (length, rest) = frame.body.split_first_chunk::<2>()?;
    if usize::from(u16::from_be_bytes(*length)) != topic.len() || frame.first & !DUP != 0x30 | qos.as_u8() << 1 {
        return None;
    }
    let mut rest = rest.strip_prefix(topic.as_bytes())?;
    let mut packet_id = None;
    if qos > Qos::AtMostOnce {
        let (id, after) = rest.split_first_chunk::<2>()?;
        packet_id = Some(PacketId::new(u16::from_be_bytes(*id))?);
        rest = after;
    }
    let payload = if level.is_v5() { rest.strip_prefix(&[0])? } else { rest };
    Some(Delivery { payload, packet_id, is_repeated: frame.first & DUP != 0 })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use fanfare_mqtt_codec::{Publish, PublishProperties, encode_ping_response, frame};

    use super::*;

    fn packet(level: Level, publish: &Publish<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        publish.encode(level, u32::MAX, &mut bytes).unwrap();
        bytes
    }

    fn message(qos: Qos) -> Publish<'static> {
        let packet_id = (qos > Qos::AtMostOnce).then_some(NonZeroU16::MAX);
        Publish { topic: "a/b", payload: b"~hello", packet_id, qos, ..Publish::default() }
    }

    #[test]
    fn short_cut_and_codec_agree() {
        for level in [Level::V4, Level::V5] {
            for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
                for dup in [false, qos > Qos::AtMostOnce] {
                    let publish = Publish { dup, ..message(qos) };
                    let bytes = packet(level, &publish);
                    let frame = frame(&bytes, 1 << 20).unwrap().unwrap();
                    let expected = Delivery { payload: b"~hello", packet_id: publish.packet_id, is_repeated: dup };
                    assert_eq!(plain(level, qos, "a/b", &frame).as_ref(), Some(&expected));
                    assert_eq!(delivery(level, qos, "a/b", &frame), Ok(expected));
                }
            }
        }
    }

    #[test]
    fn properties_take_the_long_way() {
        let properties = PublishProperties { expiry_seconds: Some(9), ..PublishProperties::default() };
        let bytes = packet(Level::V5, &Publish { properties, ..message(Qos::AtMostOnce) });
        let frame = frame(&bytes, 1 << 20).unwrap().unwrap();
        assert_eq!(plain(Level::V5, Qos::AtMostOnce, "a/b", &frame), None);
        assert_eq!(delivery(Level::V5, Qos::AtMostOnce, "a/b", &frame).unwrap().payload, b"~hello");
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let asked = |bytes: &[u8]| {
            let frame = frame(bytes, 1 << 20).unwrap().unwrap();
            delivery(Level::V5, Qos::AtLeastOnce, "a/b", &frame).unwrap_err()
        };
        let message = message(Qos::AtLeastOnce);
        assert!(asked(&packet(Level::V5, &Publish { topic: "a/c", ..message })).contains("a/c"));
        assert!(asked(&packet(Level::V5, &Publish { qos: Qos::AtMostOnce, ..message })).contains("quality 0"));
        assert!(asked(&packet(Level::V5, &Publish { retain: true, ..message })).contains("retained"));
        let mut bytes = Vec::new();
        encode_ping_response(&mut bytes);
        assert!(asked(&bytes).contains("no message"));
    }
}
