//! Messages of the core in MQTT's words, and the other way round.

use bytes::Bytes;
use fanfare_core::{Guarantee, Headers, Kind, Message, Millis, Properties};
use fanfare_mqtt_codec::{PublishProperties, Qos, UserProperties};

/// What a publisher's quality promises.
pub(crate) fn guarantee(qos: Qos) -> Guarantee {
    match qos {
        Qos::AtMostOnce => Guarantee::AtMostOnce,
        Qos::AtLeastOnce => Guarantee::AtLeastOnce,
        Qos::ExactlyOnce => Guarantee::ExactlyOnce,
    }
}

/// The quality at which a message was published; those of other doors count as quality 1.
pub(crate) fn quality(message: &Message) -> Qos {
    match message.guarantee {
        Guarantee::AtMostOnce => Qos::AtMostOnce,
        Guarantee::AtLeastOnce => Qos::AtLeastOnce,
        Guarantee::ExactlyOnce => Qos::ExactlyOnce,
    }
}

/// What a payload is, for subscribers of other doors.
pub(crate) fn kind(payload: &[u8], properties: &PublishProperties<'_>) -> Kind {
    if simdutf8::basic::from_utf8(payload).is_err() {
        return Kind::Binary;
    }
    let says_json = properties.content_type.is_some_and(is_json);
    if says_json && serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok() { Kind::Json } else { Kind::Text }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

/// What a packet's properties say of the message beside user properties.
pub(crate) fn headers(properties: &PublishProperties<'_>) -> Option<Box<Headers>> {
    let headers = Headers {
        content_type: properties.content_type.map(Box::from),
        response_topic: properties.response_topic.map(Box::from),
        correlation: properties.correlation_data.map(Bytes::copy_from_slice),
        is_utf8: properties.payload_is_text,
    };
    (!headers.is_empty()).then(|| Box::new(headers))
}

pub(crate) fn user_properties(properties: &PublishProperties<'_>) -> Properties {
    properties.user.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// When a message published now expires. An interval of 0 seconds lasts for those who are there.
pub(crate) fn expires_at(properties: &PublishProperties<'_>, now: Millis) -> Option<Millis> {
    properties.expiry_seconds.map(|seconds| now + (u64::from(seconds) * 1_000).max(1))
}

/// Hands a message's properties to `use_them`, with what is left of its time.
pub(crate) fn with_properties<T>(
    message: &Message,
    now: Millis,
    use_them: impl FnOnce(PublishProperties<'_>) -> T,
) -> T {
    let mut properties = PublishProperties::default();
    if let Some(at) = message.expires_at {
        // Clocks of shards run behind a little: what is left is never more than there was.
        let seconds = at.saturating_sub(now.max(message.time)).div_ceil(1_000);
        properties.expiry_seconds = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
    }
    if let Some(headers) = &message.headers {
        properties.content_type = headers.content_type.as_deref();
        properties.response_topic = headers.response_topic.as_deref();
        properties.correlation_data = headers.correlation.as_deref();
        properties.payload_is_text = headers.is_utf8;
    }
    // JSON of this door always names its type: this one is of another.
    if message.kind == Kind::Json && properties.content_type.is_none() {
        properties.content_type = Some("application/json");
        properties.payload_is_text = Some(true);
    }
    if message.properties.is_empty() {
        return use_them(properties);
    }
    let pairs: Vec<(&str, &str)> = message.properties.iter().map(|(name, value)| (&**name, &**value)).collect();
    properties.user = UserProperties::new(&pairs);
    use_them(properties)
}

#[cfg(test)]
mod tests;
