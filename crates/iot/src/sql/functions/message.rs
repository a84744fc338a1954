//! Functions that read the message and its origin.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::{or_undefined, text_of};
use crate::sql::error::EvalError;
use crate::sql::eval::Run;
use crate::sql::value::{Value, weight};

/// What one look for a shadow counts, in bytes of work.
const LOOKUP_BYTES: usize = 256 * 1024;

type Answer = Result<Value, EvalError>;

/// The topic, or its segment with that number, from 1.
pub(super) fn topic(run: &Run<'_>, values: &[Value]) -> Answer {
    let topic = run.input.plain_topic();
    run.charge(topic.len())?;
    let Some(number) = values.first() else { return Ok(Value::text(topic)) };
    let index =
        number.to_i64().and_then(|number| usize::try_from(number).ok()).and_then(|number| number.checked_sub(1));
    Ok(or_undefined(index.and_then(|index| topic.split('/').nth(index)).map(Value::text)))
}

pub(super) fn clientid(run: &Run<'_>, _: &[Value]) -> Answer {
    Ok(Value::text(run.input.client_id.unwrap_or("n/a")))
}

pub(super) fn timestamp(run: &Run<'_>, _: &[Value]) -> Answer {
    Ok(Value::Int(run.input.timestamp_ms))
}

pub(super) fn traceid(run: &Run<'_>, _: &[Value]) -> Answer {
    let id = run.input.trace_id;
    Ok(if id.is_empty() { Value::Undefined } else { Value::text(id) })
}

pub(super) fn accountid(run: &Run<'_>, _: &[Value]) -> Answer {
    Ok(Value::text(run.input.account_id))
}

pub(super) fn principal(run: &Run<'_>, _: &[Value]) -> Answer {
    Ok(or_undefined(run.input.principal.map(Value::text)))
}

pub(super) fn sql_version(_: &[Value]) -> Value {
    Value::text("2016-03-23")
}

/// A random UUID of version 4. Unique, but not fit to be a secret.
pub(super) fn newuuid(_: &[Value]) -> Value {
    let random = fastrand::u128(..);
    let id = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{id:032x}");
    Value::Text([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// A property by its name, in snake case or in camel case.
pub(super) fn get_mqtt_property(run: &Run<'_>, values: &[Value]) -> Answer {
    let properties = &run.input.properties;
    let Some(Value::Text(name)) = values.first() else { return Ok(Value::Undefined) };
    Ok(or_undefined(match name.as_str() {
        "content_type" | "contentType" => properties.content_type.map(Value::text),
        "response_topic" | "responseTopic" => properties.response_topic.map(Value::text),
        "correlation_data" | "correlationData" => {
            properties.correlation_data.map(|data| Value::Text(STANDARD.encode(data)))
        }
        "format_indicator" | "payload_format_indicator" | "payloadFormatIndicator" => {
            properties.is_utf8.map(|is_utf8| Value::text(if is_utf8 { "UTF8_DATA" } else { "UNSPECIFIED_BYTES" }))
        }
        "message_expiry" | "messageExpiry" => properties.expiry_s.map(|seconds| Value::Int(seconds.into())),
        _ => None,
    }))
}

/// All values of one key as an array, or all properties as objects; Undefined if there are none.
pub(super) fn get_user_properties(run: &Run<'_>, values: &[Value]) -> Answer {
    let all = run.input.user_properties;
    run.charge(all.iter().map(|(key, value)| key.len() + value.len() + 64).sum())?;
    let found: Vec<Json> = match values.first() {
        None => all.iter().map(|(key, value)| json!({ key: value })).collect(),
        Some(Value::Text(name)) => all.iter().filter(|(key, _)| key == name).map(|(_, value)| json!(value)).collect(),
        Some(_) => Vec::new(),
    };
    Ok(if found.is_empty() { Value::Undefined } else { Value::Array(found) })
}

/// `(thing)`, `(thing, shadow)`, and both with the ARN of a role behind, which nobody reads.
pub(super) fn get_thing_shadow(run: &Run<'_>, values: &[Value]) -> Answer {
    let (Some(lookup), Some(thing)) = (run.input.shadow, text_of(values, 0)) else { return Ok(Value::Undefined) };
    let shadow = text_of(values, 1).filter(|name| !name.starts_with("arn:"));
    // A look into the store is dear, and a nested SELECT could ask for every item.
    run.charge(LOOKUP_BYTES)?;
    let Some(document) = lookup(&thing, shadow.as_deref()) else { return Ok(Value::Undefined) };
    run.charge(weight(&document))?;
    Ok(Value::from(document))
}
