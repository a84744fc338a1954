//! The message of a request: body, and the properties of MQTT 5 in parameters and headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use fanfare_core::{Guarantee, Publication, TopicName};
use fanfare_mqtt_codec::{PublishProperties, UserProperties};
use serde_json::{Map, Value as Json};

use super::Problem;
use super::call::Call;
use crate::translate;

/// Most user properties of one message.
const USER_PROPERTIES_MAX: usize = 128;
/// Longest text of a property, as MQTT counts.
const TEXT_BYTES_MAX: usize = 65_535;

/// What a request publishes to a topic.
pub(super) fn publication(call: &Call, topic: TopicName, guarantee: Guarantee) -> Result<Publication, Problem> {
    let user = match call.header("x-amz-mqtt5-user-properties") {
        Some(text) => user_properties(text)?,
        None => Vec::new(),
    };
    let pairs: Vec<(&str, &str)> = user.iter().map(|(name, value)| (&**name, &**value)).collect();
    let correlation = call.header("x-amz-mqtt5-correlation-data").map(|text| BASE64.decode(text)).transpose();
    let correlation = correlation.map_err(|_| Problem::invalid("correlationData is not base64"))?;
    let properties = PublishProperties {
        payload_is_text: match call.header("x-amz-mqtt5-payload-format-indicator") {
            None => None,
            Some("UNSPECIFIED_BYTES") => Some(false),
            Some("UTF8_DATA") => Some(true),
            Some(_) => return Err(Problem::invalid("payloadFormatIndicator must be UNSPECIFIED_BYTES or UTF8_DATA")),
        },
        expiry_seconds: call.number("messageExpiry", 0..=u32::MAX)?,
        content_type: short(call, "contentType")?,
        response_topic: response_topic(call)?,
        correlation_data: correlation.as_deref().filter(|data| data.len() <= TEXT_BYTES_MAX),
        user: UserProperties::new(&pairs),
    };
    if properties.payload_is_text == Some(true) && std::str::from_utf8(&call.body).is_err() {
        return Err(Problem::invalid("The payload is not UTF-8, which its format indicator says"));
    }
    let kind = translate::kind(&call.body, &properties);
    let publication = Publication::new(call.hub.space().clone(), topic, kind, call.body.clone());
    Ok(Publication {
        properties: translate::user_properties(&properties),
        headers: translate::headers(&properties),
        expires_at: translate::expires_at(&properties, call.hub.now()),
        guarantee,
        ..publication
    })
}

fn short<'c>(call: &'c Call, name: &str) -> Result<Option<&'c str>, Problem> {
    match call.parameter(name) {
        Some(text) if text.len() > TEXT_BYTES_MAX => Err(Problem::invalid(format!("{name} is too long"))),
        text => Ok(text),
    }
}

fn response_topic(call: &Call) -> Result<Option<&str>, Problem> {
    let topic = short(call, "responseTopic")?;
    if topic.is_some_and(|topic| TopicName::new(topic).is_err()) {
        return Err(Problem::invalid("responseTopic is not a topic"));
    }
    Ok(topic)
}

/// Base64 of `[{"name": "value"}, ..]`, or of that as a JSON text, as boto3 sends what it is given
/// as text.
fn user_properties(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let invalid = || Problem::invalid("userProperties must be base64 of a JSON array of objects with one text each");
    let bytes = BASE64.decode(text).map_err(|_| invalid())?;
    let text: Option<String> = serde_json::from_slice(&bytes).ok();
    let json = text.as_ref().map_or(&bytes[..], |text| text.as_bytes());
    let objects: Vec<Map<String, Json>> = serde_json::from_slice(json).map_err(|_| invalid())?;
    let mut pairs = Vec::new();
    for (name, value) in objects.into_iter().flatten() {
        let Json::String(value) = value else { return Err(invalid()) };
        if pairs.len() >= USER_PROPERTIES_MAX || name.len() > TEXT_BYTES_MAX || value.len() > TEXT_BYTES_MAX {
            return Err(Problem::invalid(format!("At most {USER_PROPERTIES_MAX} user properties are taken")));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// The inverse of [`user_properties`].
pub(super) fn user_properties_text(properties: &[(Box<str>, Box<str>)]) -> String {
    let objects = properties.iter().map(|(name, value)| {
        let pair = (name.to_string(), Json::from(&**value));
        Json::Object(Map::from_iter([pair]))
    });
    BASE64.encode(objects.collect::<Json>().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_properties_keep_their_order_and_repetitions() {
        let given: Vec<(Box<str>, Box<str>)> =
            vec![("b".into(), "1".into()), ("a".into(), "2".into()), ("b".into(), "3".into())];
        let text = user_properties_text(&given);
        assert_eq!(BASE64.decode(&text).unwrap(), br#"[{"b":"1"},{"a":"2"},{"b":"3"}]"#);
        let read = user_properties(&text).unwrap();
        assert!(read.iter().map(|(n, v)| (&**n, &**v)).eq(given.iter().map(|(n, v)| (&**n, &**v))));
        let quoted = BASE64.encode(serde_json::to_string(r#"[{"a":"2"}]"#).unwrap());
        assert_eq!(user_properties(&quoted).unwrap(), [("a".to_owned(), "2".to_owned())]);
        for wrong in ["%", "e30=", "W3siYSI6MX1d"] {
            assert!(user_properties(wrong).is_err(), "{wrong}");
        }
    }
}
