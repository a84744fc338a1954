//! What the function of a custom authorizer answers.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::Value;

/// The longest answer that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The most policy documents of one answer.
pub const POLICY_DOCUMENTS_MAX: usize = 10;

/// The longest policy document, in characters of its JSON without spaces between its elements.
pub const POLICY_CHARS_MAX: usize = 2048;

/// The longest principal, in characters.
pub const PRINCIPAL_CHARS_MAX: usize = 128;

/// What both timers may say, in seconds.
pub const TIMER_SECONDS: RangeInclusive<u32> = 300..=86_400;

/// What the function decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The caller is not who it says.
    Refused,
    /// The caller may connect.
    Granted(Grant),
}

/// What a caller may do and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whom the caller speaks for: one to 128 letters and digits.
    pub principal_id: String,
    /// Each one JSON object, without spaces between its elements. Whether they are policies is for
    /// the policy engine to say.
    pub policy_documents: Vec<String>,
    /// The connection ends after so many seconds.
    pub disconnect_after_s: u32,
    /// The function is asked again after so many seconds.
    pub refresh_after_s: u32,
}

/// Why an answer is not accepted. The caller is refused then; the message is for the function's author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// More than [`ANSWER_BYTES_MAX`].
    #[error("the authorizer's answer has {0} bytes; {ANSWER_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Not JSON, or a field of the wrong kind.
    #[error("the authorizer's answer cannot be read: {0}")]
    Json(String),
    /// A field that a grant needs is absent.
    #[error("the authorizer's answer lacks `{0}`")]
    FieldMissing(&'static str),
    /// A principal of other characters, or too long, or empty.
    #[error("`principalId` in the authorizer's answer must be 1 to {PRINCIPAL_CHARS_MAX} letters and digits")]
    Principal,
    /// More than [`POLICY_DOCUMENTS_MAX`].
    #[error("`policyDocuments` in the authorizer's answer holds {0} documents; {POLICY_DOCUMENTS_MAX} are allowed")]
    PolicyCount(usize),
    /// A document that is neither an object nor a string that holds one.
    #[error("policy document {0} in the authorizer's answer is neither a JSON object nor a string that holds one")]
    PolicyForm(usize),
    /// A document over its limit.
    #[error("policy document {at} in the authorizer's answer has {chars} characters; {POLICY_CHARS_MAX} are allowed")]
    PolicyTooLong {
        /// Its place, from 0.
        at: usize,
        /// Its length in characters.
        chars: usize,
    },
    /// A timer that is no whole number of [`TIMER_SECONDS`].
    #[error(
        "`{name}` in the authorizer's answer is {value}; {} to {} seconds are allowed",
        TIMER_SECONDS.start(),
        TIMER_SECONDS.end()
    )]
    Timer {
        /// The field.
        name: &'static str,
        /// What it says.
        value: i64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    is_authenticated: Option<bool>,
    principal_id: Option<String>,
    policy_documents: Option<Vec<Value>>,
    disconnect_after_in_seconds: Option<i64>,
    refresh_after_in_seconds: Option<i64>,
}

impl Decision {
    /// Reads an answer. When `isAuthenticated` is false nothing else is looked at.
    ///
    /// # Errors
    ///
    /// See [`AnswerError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AnswerError> {
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(AnswerError::TooLong(bytes.len()));
        }
        let answer: Answer = serde_json::from_slice(bytes).map_err(|error| AnswerError::Json(error.to_string()))?;
        if !present(answer.is_authenticated, "isAuthenticated")? {
            return Ok(Self::Refused);
        }
        let principal_id = present(answer.principal_id, "principalId")?;
        let is_plain = principal_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !(is_plain && (1..=PRINCIPAL_CHARS_MAX).contains(&principal_id.len())) {
            return Err(AnswerError::Principal);
        }
        let documents = present(answer.policy_documents, "policyDocuments")?;
        if documents.len() > POLICY_DOCUMENTS_MAX {
            return Err(AnswerError::PolicyCount(documents.len()));
        }
        let policy_documents = documents.into_iter().enumerate().map(|(at, value)| document(at, value));
        Ok(Self::Granted(Grant {
            principal_id,
            policy_documents: policy_documents.collect::<Result<_, _>>()?,
            disconnect_after_s: timer(answer.disconnect_after_in_seconds, "disconnectAfterInSeconds")?,
            refresh_after_s: timer(answer.refresh_after_in_seconds, "refreshAfterInSeconds")?,
        }))
    }
}

fn present<T>(field: Option<T>, name: &'static str) -> Result<T, AnswerError> {
    field.ok_or(AnswerError::FieldMissing(name))
}

fn document(at: usize, value: Value) -> Result<String, AnswerError> {
    let object = match value {
        Value::Object(object) => object,
        Value::String(text) => serde_json::from_str(&text).map_err(|_| AnswerError::PolicyForm(at))?,
        _ => return Err(AnswerError::PolicyForm(at)),
    };
    let text = Value::Object(object).to_string();
    match text.chars().count() {
        chars if chars > POLICY_CHARS_MAX => Err(AnswerError::PolicyTooLong { at, chars }),
        _ => Ok(text),
    }
}

fn timer(field: Option<i64>, name: &'static str) -> Result<u32, AnswerError> {
    let value = present(field, name)?;
    let seconds = u32::try_from(value).ok().filter(|seconds| TIMER_SECONDS.contains(seconds));
    seconds.ok_or(AnswerError::Timer { name, value })
}
