//! How a stream is written: as server-sent events, or as one JSON object per line.

use fanfare_core::{Message, Position};
use serde_json::Value;

use crate::frames;

/// What the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `text/event-stream` (HTML standard, section 9.2).
    Events,
    /// `application/x-ndjson`.
    Lines,
}

impl Format {
    /// Lines for whoever asks for them, events for everybody else.
    pub(super) fn asked(accept: Option<&str>) -> Self {
        let mut types =
            accept.unwrap_or_default().split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
        if types.any(|one| one.eq_ignore_ascii_case("application/x-ndjson")) { Self::Lines } else { Self::Events }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream; charset=utf-8",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// After how many milliseconds an `EventSource` comes back; lines have no such thing.
    pub(super) fn retry(self, out: &mut Vec<u8>, retry_ms: u64) {
        if self == Self::Events {
            out.extend_from_slice(format!("retry: {retry_ms}\n\n").as_bytes());
        }
    }

    /// A message; `cursor` is where a client stands that has it.
    pub(super) fn message(self, out: &mut Vec<u8>, message: &Message, is_retained: bool, cursor: Position) {
        match self {
            Self::Events => {
                out.extend_from_slice(b"id: ");
                frames::position(out, cursor);
                out.extend_from_slice(b"\nevent: message\ndata: ");
                one_line(out, |out| frames::message(out, message, is_retained, false));
                out.extend_from_slice(b"\n\n");
            }
            Self::Lines => {
                one_line(out, |out| frames::message(out, message, is_retained, true));
                out.push(b'\n');
            }
        }
    }

    /// Anything else: `fields` is an object.
    pub(super) fn event(self, out: &mut Vec<u8>, name: &str, cursor: Option<Position>, mut fields: Value) {
        match self {
            Self::Events => {
                if let Some(cursor) = cursor {
                    out.extend_from_slice(format!("id: {cursor}\n").as_bytes());
                }
                out.extend_from_slice(format!("event: {name}\ndata: {fields}\n\n").as_bytes());
            }
            Self::Lines => {
                fields["type"] = name.into();
                out.extend_from_slice(format!("{fields}\n").as_bytes());
            }
        }
    }

    /// A sign of life. With a cursor it moves the client's place: an event without data is not
    /// shown to anybody, but its id counts.
    pub(super) fn heartbeat(self, out: &mut Vec<u8>, cursor: Option<Position>) {
        let text = match (self, cursor) {
            (Self::Events, None) => ": ka\n\n".to_owned(),
            (Self::Events, Some(cursor)) => format!(": ka\nid: {cursor}\n\n"),
            (Self::Lines, None) => "{}\n".to_owned(),
            (Self::Lines, Some(cursor)) => format!("{{\"position\":\"{cursor}\"}}\n"),
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// A payload is JSON as its publisher wrote it, maybe over several lines. Line ends inside strings
/// are escaped, so those that stand here are white space and may become blanks.
fn one_line(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    for byte in out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_for_whoever_asks() {
        assert_eq!(Format::asked(None), Format::Events);
        assert_eq!(Format::asked(Some("text/event-stream")), Format::Events);
        assert_eq!(Format::asked(Some("*/*")), Format::Events);
        assert_eq!(Format::asked(Some("text/html, Application/X-NDJSON;q=0.9")), Format::Lines);
    }

    #[test]
    fn what_is_written_is_one_line() {
        let mut out = b"a\n".to_vec();
        one_line(&mut out, |out| out.extend_from_slice(b"{\r\n \"x\":\n1}"));
        assert_eq!(out, b"a\n{   \"x\": 1}");
    }
}
