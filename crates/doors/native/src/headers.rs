//! What a publisher says of a message beside its payload: read from JSON, and written.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanfare_core::{Headers, Message, Properties};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::errors::Problem;
use crate::frames::string;

/// Most properties of a message.
const PROPERTIES_MAX: usize = 64;

/// `headers` of a publish.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct HeaderFields {
    content_type: Option<Box<str>>,
    response_topic: Option<Box<str>>,
    correlation_data: Option<Box<str>>,
    utf8: Option<bool>,
    #[serde(default)]
    properties: Vec<(Box<str>, Box<str>)>,
}

impl HeaderFields {
    /// The core's headers, and the properties that an object could not hold.
    pub(crate) fn into_headers(self) -> Result<(Option<Box<Headers>>, Properties), Problem> {
        let bytes = self.correlation_data.map(|text| STANDARD.decode(text.as_bytes())).transpose();
        let bytes =
            bytes.map_err(|_| Problem::bad_request("headers.correlation_data: not standard base64 with padding"))?;
        let is_topic = |topic: &str| !topic.is_empty() && !topic.contains(['+', '#', '\0']);
        if self.response_topic.as_deref().is_some_and(|topic| !is_topic(topic)) {
            return Err(Problem::bad_request("headers.response_topic: a topic without wildcards is needed"));
        }
        if self.properties.len() > PROPERTIES_MAX {
            return Err(Problem::bad_request("headers.properties: more than 64"));
        }
        let headers = Headers {
            content_type: self.content_type,
            response_topic: self.response_topic,
            correlation: bytes.map(Into::into),
            is_utf8: self.utf8,
        };
        Ok(((!headers.is_empty()).then(|| Box::new(headers)), self.properties))
    }
}

/// `properties` of a publish, in the order in which they were written.
#[derive(Debug, Default)]
pub(crate) struct PropertyFields(Vec<(Box<str>, serde_json::Value)>);

impl PropertyFields {
    pub(crate) fn into_properties(self) -> Result<Properties, Problem> {
        if self.0.len() > PROPERTIES_MAX {
            return Err(Problem::bad_request("properties: more than 64"));
        }
        let of_one = |(name, value): (Box<str>, serde_json::Value)| match value {
            serde_json::Value::String(value) => Ok((name, value.into())),
            _ => Err(Problem::bad_request(format!("properties.{name}: a string is needed"))),
        };
        self.0.into_iter().map(of_one).collect()
    }
}

impl<'de> Deserialize<'de> for PropertyFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = PropertyFields;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PropertyFields, A::Error> {
                let mut pairs: Vec<(Box<str>, serde_json::Value)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<Box<str>, serde_json::Value>()? {
                    // One more than the limit is enough to be refused; the rest is read past.
                    match pairs.iter().position(|(known, _)| *known == name) {
                        Some(at) => pairs[at].1 = value,
                        None if pairs.len() <= PROPERTIES_MAX => pairs.push((name, value)),
                        None => {}
                    }
                }
                Ok(PropertyFields(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The fields `properties`, `headers` and `expires_at` of a message, each with the comma before it.
pub(crate) fn write(out: &mut Vec<u8>, message: &Message) {
    if !message.properties.is_empty() {
        out.extend_from_slice(b",\"properties\":{");
        let last = |index: usize, name: &str| message.properties[index + 1..].iter().all(|(later, _)| **later != *name);
        let of_object = message.properties.iter().enumerate().filter(|(index, (name, _))| last(*index, name));
        for (index, (_, (name, value))) in of_object.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            string(out, name);
            out.push(b':');
            string(out, value);
        }
        out.push(b'}');
    }
    let repeats = has_repeated(&message.properties);
    if message.headers.is_some() || repeats {
        headers(out, message, repeats);
    }
    if let Some(at) = message.expires_at {
        out.extend_from_slice(b",\"expires_at\":");
        out.extend_from_slice(itoa::Buffer::new().format(at).as_bytes());
    }
}

/// An object has each name once. Few messages have more than a handful.
fn has_repeated(properties: &Properties) -> bool {
    properties.iter().enumerate().any(|(index, (name, _))| properties[..index].iter().any(|(known, _)| known == name))
}

fn headers(out: &mut Vec<u8>, message: &Message, with_properties: bool) {
    let none = Headers::default();
    let headers = message.headers.as_deref().unwrap_or(&none);
    out.extend_from_slice(b",\"headers\":{");
    let start = out.len();
    let field = |out: &mut Vec<u8>, name: &str| {
        if out.len() > start {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
    };
    if let Some(content_type) = &headers.content_type {
        field(out, "content_type");
        string(out, content_type);
    }
    if let Some(topic) = &headers.response_topic {
        field(out, "response_topic");
        string(out, topic);
    }
    if let Some(correlation) = &headers.correlation {
        field(out, "correlation_data");
        string(out, &STANDARD.encode(correlation));
    }
    if let Some(is_utf8) = headers.is_utf8 {
        field(out, "utf8");
        out.extend_from_slice(if is_utf8 { b"true" } else { b"false" });
    }
    if with_properties {
        field(out, "properties");
        for (index, (name, value)) in message.properties.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"[[" } else { b",[" });
            string(out, name);
            out.push(b',');
            string(out, value);
            out.push(b']');
        }
        out.push(b']');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn properties_keep_the_order_in_which_they_were_written() {
        let fields: PropertyFields = serde_json::from_str(r#"{"z":"1","a":"2","m":"3"}"#).unwrap();
        assert_eq!(fields.into_properties().unwrap(), pairs(&[("z", "1"), ("a", "2"), ("m", "3")]));
        let many: String = (0..65).map(|n| format!("\"{n}\":\"\",")).collect();
        let fields: PropertyFields = serde_json::from_str(&format!("{{{}}}", many.trim_end_matches(','))).unwrap();
        assert!(fields.into_properties().is_err());
        let fields: PropertyFields = serde_json::from_str(r#"{"a":1}"#).unwrap();
        assert!(fields.into_properties().unwrap_err().message.contains("properties.a"));
    }

    #[test]
    fn headers_that_make_no_sense_are_named() {
        for (text, word) in [
            (r#"{"correlation_data":"%"}"#, "headers.correlation_data"),
            (r#"{"response_topic":"a/+"}"#, "headers.response_topic"),
            (r#"{"response_topic":""}"#, "headers.response_topic"),
        ] {
            let fields: HeaderFields = serde_json::from_str(text).unwrap();
            let problem = fields.into_headers().unwrap_err();
            assert!(problem.message.starts_with(word), "{text}: {}", problem.message);
        }
        let fields: HeaderFields = serde_json::from_str("{}").unwrap();
        assert_eq!(fields.into_headers().unwrap(), (None, Vec::new()));
    }
}
