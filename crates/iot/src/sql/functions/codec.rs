//! Base64 and digests.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest;

use super::{or_undefined, text_of};
use crate::sql::value::Value;

fn is_base64(values: &[Value]) -> bool {
    matches!(values.get(1), Some(Value::Text(scheme)) if scheme == "base64")
}

/// The text of anything in base64. `encode(*, ..)` is answered before, from the payload's bytes.
pub(super) fn encode(values: &[Value]) -> Value {
    let text = text_of(values, 0).filter(|_| is_base64(values));
    or_undefined(text.map(|text| Value::Text(STANDARD.encode(text))))
}

/// What base64 holds: a JSON value if it is one, else a string; Null if it is neither base64 nor text.
pub(super) fn decode(values: &[Value]) -> Value {
    let Some(Value::Text(text)) = values.first().filter(|_| is_base64(values)) else { return Value::Undefined };
    let Ok(bytes) = STANDARD.decode(text) else { return Value::Null };
    match serde_json::from_slice::<serde_json::Value>(&bytes) {
        Ok(json) => Value::from(json),
        Err(_) => String::from_utf8(bytes).map_or(Value::Null, Value::Text),
    }
}

fn hashed(values: &[Value], hash: impl Fn(&[u8]) -> String) -> Value {
    or_undefined(text_of(values, 0).map(|text| Value::Text(hash(text.as_bytes()))))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

pub(super) fn md5(values: &[Value]) -> Value {
    hashed(values, |bytes| hex(&md5::Md5::digest(bytes)))
}

pub(super) fn sha1(values: &[Value]) -> Value {
    hashed(values, |bytes| hex(&sha1::Sha1::digest(bytes)))
}

pub(super) fn sha256(values: &[Value]) -> Value {
    hashed(values, |bytes| hex(digest::digest(&digest::SHA256, bytes).as_ref()))
}

pub(super) fn sha512(values: &[Value]) -> Value {
    hashed(values, |bytes| hex(digest::digest(&digest::SHA512, bytes).as_ref()))
}
