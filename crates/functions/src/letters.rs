//! Dead letters: what is told of a call that was given up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::Millis;
use fanfare_queue::Item;
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::function::FunctionError;

/// Takes dead letters. The binary hands it in.
pub trait DeadLetters: Send + Sync + 'static {
    /// The ARN of a function, for the letter.
    fn function_arn(&self, function: &str) -> String;

    /// Publishes a letter, which is a JSON object, to a topic of the default space. It is over when
    /// the letter is on disk, as far as the topic keeps anything.
    fn publish(&self, topic: Arc<str>, letter: Bytes) -> Publishing;
}

/// A letter on its way.
pub type Publishing = Pin<Box<dyn Future<Output = Result<(), LetterError>> + Send>>;

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// It may be taken later.
    #[error("not now: {0}")]
    Later(String),
    /// It never will be, such as one that is too large.
    #[error("{0}")]
    Never(String),
}

/// Why a call was given up, in Lambda's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Condition {
    RetriesExhausted,
    EventAgeExceeded,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How a call ended.
pub(crate) struct Ending<'a> {
    pub(crate) condition: Condition,
    /// Why the last try failed, where that is known.
    pub(crate) error: Option<&'a FunctionError>,
}

/// The record that Lambda sends to a destination on failure.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Letter<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext<'a>,
    request_payload: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: Condition,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext {
    status_code: u16,
    executed_version: &'static str,
    function_error: &'static str,
}

/// The letter of a call that was given up. What is no JSON stands in it as text.
pub(crate) fn letter<H>(
    item: &Item<H>,
    ending: &Ending<'_>,
    request_id: &str,
    function_arn: &str,
    now: Millis,
) -> Bytes {
    let answered = ending.error.and_then(answer);
    let (status_code, response_payload) = answered.unzip();
    let letter = Letter {
        version: "1.0",
        timestamp: timestamp(now),
        request_context: RequestContext {
            request_id,
            function_arn,
            condition: ending.condition,
            approximate_invoke_count: item.progress().failures,
        },
        request_payload: as_json(&item.body),
        response_context: status_code.map(|status_code| ResponseContext {
            status_code,
            executed_version: "$LATEST",
            function_error: "Unhandled",
        }),
        response_payload,
    };
    serde_json::to_vec(&letter).unwrap_or_default().into()
}

/// Status and payload of what a function answered, where it was reached.
fn answer(error: &FunctionError) -> Option<(u16, Box<RawValue>)> {
    let described = || as_json(serde_json::json!({ "errorMessage": error.to_string() }).to_string().as_bytes());
    match error {
        FunctionError::Handler(payload) => Some((200, as_json(payload))),
        FunctionError::Timeout(_) | FunctionError::TooLarge(_) => Some((200, described())),
        FunctionError::Status(status) => Some((*status, described())),
        _ => None,
    }
}

fn as_json(bytes: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(bytes);
    let raw = RawValue::from_string(text.clone().into_owned());
    raw.or_else(|_| serde_json::value::to_raw_value(&*text)).expect("every text has a JSON form")
}

/// ISO time in UTC to the millisecond.
fn timestamp(now: Millis) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now) * 1_000_000);
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH).format(format).unwrap_or_default()
}
