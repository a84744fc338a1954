//! The PutEvents request and its answer, entry by entry.

use serde_json::{Map, Value, json};

use crate::error::{ApiError, ErrorKind};
use crate::event::{EventParts, parse_time};
use crate::limits::{ENTRIES_BYTES_MAX, ENTRIES_MAX, ENTRY_TIME_BYTES};

/// A PutEvents request whose bad entries are known by name.
#[derive(Clone, Debug, PartialEq)]
pub struct PutEvents {
    /// In the order of the request.
    pub entries: Vec<Result<Entry, EntryFailure>>,
}

/// A good entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name of the event bus, even if the entry gave its ARN.
    pub bus: String,
    /// What becomes the event.
    pub parts: EventParts,
}

/// Why one entry fails, while the others go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct EntryFailure {
    /// `ErrorCode` of the answer.
    pub code: &'static str,
    /// `ErrorMessage` of the answer.
    pub message: String,
}

impl PutEvents {
    /// Reads a request body.
    ///
    /// # Errors
    /// The whole request fails if it is not JSON, has no entry, more than
    /// [`ENTRIES_MAX`], or more than [`ENTRIES_BYTES_MAX`] bytes in them.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let request: Value = serde_json::from_slice(body)
            .map_err(|error| ApiError::new(ErrorKind::Serialization, format!("The body is not JSON: {error}")))?;
        let entries = match request.get("Entries") {
            Some(Value::Array(entries)) => entries,
            Some(_) => return Err(ApiError::new(ErrorKind::Serialization, "Entries is not an array")),
            None => return Err(ApiError::invalid("Entries is missing; send 1 to 10 of them")),
        };
        if entries.is_empty() || entries.len() > ENTRIES_MAX {
            return Err(ApiError::invalid(format!("Entries has {} members; send 1 to {ENTRIES_MAX}", entries.len())));
        }
        let bytes: usize = entries.iter().map(entry_bytes).sum();
        if bytes > ENTRIES_BYTES_MAX {
            return Err(ApiError::invalid(format!(
                "The entries have {bytes} bytes together; the limit is {ENTRIES_BYTES_MAX}: send fewer at a time"
            )));
        }
        Ok(Self { entries: entries.iter().map(entry).collect() })
    }

    /// The answer to a request: an event's id or a failure for each entry.
    #[must_use]
    pub fn answer(outcomes: &[Result<String, EntryFailure>]) -> Value {
        let entries: Vec<Value> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Ok(id) => json!({"EventId": id}),
                Err(failure) => json!({"ErrorCode": failure.code, "ErrorMessage": failure.message}),
            })
            .collect();
        json!({"FailedEntryCount": outcomes.iter().filter(|outcome| outcome.is_err()).count(), "Entries": entries})
    }
}

/// What an entry counts towards the limit, in bytes.
fn entry_bytes(entry: &Value) -> usize {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map_or(0, str::len);
    let resources = entry.get("Resources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let time = entry.get("Time").map_or(0, |_| ENTRY_TIME_BYTES);
    let resources: usize = resources.iter().filter_map(Value::as_str).map(str::len).sum();
    time + text("Source") + text("DetailType") + text("Detail") + resources
}

fn entry(entry: &Value) -> Result<Entry, EntryFailure> {
    let Value::Object(entry) = entry else {
        return Err(invalid("Entry", "An entry is an object."));
    };
    let source = required(entry, "Source")?;
    if source.starts_with("aws.") {
        let message = "Not authorized for the source.".to_owned();
        return Err(EntryFailure { code: "NotAuthorizedForSourceException", message });
    }
    let detail_type = required(entry, "DetailType")?;
    let detail = serde_json::from_str(required(entry, "Detail")?)
        .map_err(|_| EntryFailure { code: "MalformedDetail", message: "Detail is malformed.".to_owned() })?;
    let time_s = match given(entry, "Time") {
        None => None,
        Some(time) => {
            Some(parse_time(time).ok_or_else(|| invalid("Time", "Give seconds since 1970 or ISO 8601 text."))?)
        }
    };
    let bus = match given(entry, "EventBusName") {
        None => "default",
        Some(Value::String(name)) => bus_name(name),
        Some(_) => return Err(invalid("EventBusName", "It is a name or an ARN.")),
    };
    let parts = EventParts {
        source: source.to_owned(),
        detail_type: detail_type.to_owned(),
        detail,
        resources: resources(entry)?,
        time_s,
    };
    Ok(Entry { bus: bus.to_owned(), parts })
}

fn resources(entry: &Map<String, Value>) -> Result<Vec<String>, EntryFailure> {
    let wrong = || invalid("Resources", "It is an array of strings.");
    match given(entry, "Resources") {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

/// A member that is there and not null.
fn given<'a>(entry: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    entry.get(name).filter(|value| !value.is_null())
}

fn required<'a>(entry: &'a Map<String, Value>, name: &str) -> Result<&'a str, EntryFailure> {
    match given(entry, name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(Value::String(_)) | None => Err(invalid(name, &format!("{name} is a required argument."))),
        Some(_) => Err(invalid(name, "It is a string.")),
    }
}

fn invalid(name: &str, reason: &str) -> EntryFailure {
    EntryFailure { code: "InvalidArgument", message: format!("Parameter {name} is not valid. Reason: {reason}") }
}

/// The name in an event bus's name or ARN.
pub(crate) fn bus_name(name_or_arn: &str) -> &str {
    if !name_or_arn.starts_with("arn:") {
        return name_or_arn;
    }
    name_or_arn.split_once(":event-bus/").map_or(name_or_arn, |(_, name)| name)
}
