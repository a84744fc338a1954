//! Messages, sessions and groups for unit tests.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Filter, Grant, Guarantee, Kind, Message, Offset, Principal, TopicName};
use fanfare_mqtt_codec::{PacketId, Qos};

use crate::groups::{Group, Share};
use crate::outbound::{Outgoing, Source};
use crate::translate;
use crate::will::Will;

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// A message of 4 bytes.
pub(crate) fn message(name: &str, offset: Offset, qos: Qos) -> Arc<Message> {
    Arc::new(Message {
        space: "default".into(),
        topic: topic(name),
        payload: Bytes::from_static(b"text"),
        kind: Kind::Text,
        publisher: None,
        origin: None,
        properties: Vec::new(),
        headers: None,
        guarantee: translate::guarantee(qos),
        expires_at: None,
        idempotency_key: None,
        time: 0,
        epoch: 1,
        offset,
        previous: 0,
        is_retained: false,
    })
}

pub(crate) fn outgoing(offset: Offset, qos: Qos, source: Source) -> Outgoing {
    let ids = Box::default();
    Outgoing { message: message("t", offset, qos), qos, retain: false, ids, source }
}

pub(crate) fn share(name: &str) -> Share {
    Arc::new(Group::new(name, Filter::new("t").unwrap()))
}

pub(crate) fn will(delay_s: u32) -> Box<Will> {
    Box::new(Will {
        topic: topic("will"),
        payload: Bytes::from_static(b"gone"),
        kind: Kind::Text,
        guarantee: Guarantee::AtLeastOnce,
        retain: false,
        delay_s,
        expiry_s: None,
        headers: None,
        properties: Vec::new(),
        principal: Arc::new(Principal::anonymous(Grant::everything())),
    })
}
