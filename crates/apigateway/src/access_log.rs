//! A line for each request, in a format with `$context` variables.

use serde_json::{Map, Value};

use crate::facts::text_of;

/// The format where `access_log = true` and nothing is said: that of the Serverless Framework.
pub const DEFAULT_FORMAT: &str = "$context.identity.sourceIp $context.identity.caller $context.identity.user \
    [$context.requestTime] \"$context.eventType $context.routeKey $context.connectionId\" $context.requestId";

/// Bytes of a format at most.
pub const FORMAT_BYTES_MAX: usize = 3_072;

/// Stands for what is not known.
const NOTHING: &str = "-";

/// A format that is too long.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access log format has {0} bytes; {FORMAT_BYTES_MAX} are allowed; leave some variables out")]
pub struct FormatTooLong(pub usize);

/// A format that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Members to follow from the context on.
    Variable(Box<[String]>),
}

impl AccessLog {
    /// Reads a format: text with `$context.a.b`.
    ///
    /// # Errors
    /// [`FormatTooLong`], beyond [`FORMAT_BYTES_MAX`].
    pub fn parse(format: &str) -> Result<Self, FormatTooLong> {
        if format.len() > FORMAT_BYTES_MAX {
            return Err(FormatTooLong(format.len()));
        }
        let mut parts = Vec::new();
        let mut pieces = format.split("$context.");
        parts.extend(pieces.next().filter(|text| !text.is_empty()).map(|text| Part::Text(text.to_owned())));
        for piece in pieces {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let end = piece.find(|c| !is_of_name(c)).unwrap_or(piece.len());
            // A full stop behind a variable ends the sentence, not the name.
            let name = piece[..end].trim_end_matches(['.', '-']);
            parts.push(Part::Variable(name.split('.').map(str::to_owned).collect()));
            if name.len() < piece.len() {
                parts.push(Part::Text(piece[name.len()..].to_owned()));
            }
        }
        Ok(Self { parts: parts.into() })
    }

    /// The line of one request, without an end of line. What is not known is `-`. Values are
    /// escaped as in JSON strings, so that nobody can forge a line or break one that is JSON.
    #[must_use]
    pub fn line(&self, context: &Map<String, Value>) -> String {
        let mut line = String::with_capacity(256);
        for part in &self.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Variable(path) => match value(context, path) {
                    Some(value) => push_escaped(&mut line, &text_of(value)),
                    None => line.push_str(NOTHING),
                },
            }
        }
        line
    }
}

fn value<'a>(context: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let start = context.get(first)?;
    let value = rest.iter().try_fold(start, |value, name| value.get(name))?;
    (!value.is_null() && *value != "").then_some(value)
}

fn push_escaped(line: &mut String, text: &str) {
    let quoted = Value::from(text).to_string();
    line.push_str(&quoted[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::facts::Facts;
    use crate::facts::tests::{facts, moment, object};

    fn line(format: &str, context: Value) -> String {
        AccessLog::parse(format).unwrap().line(&object(context))
    }

    #[test]
    fn the_usual_format() {
        let facts = Facts { identity: object(json!({"user": "u"})), ..facts() };
        let context = facts.context(&moment(), "send", "MESSAGE", None);
        let expected =
            "203.0.113.9 - u [07/Feb/2025:09:05:03 +0000] \"MESSAGE send Qx1aadEfGhIcJkL=\" Qx1aaBcDeFgHiJk=";
        assert_eq!(AccessLog::parse(DEFAULT_FORMAT).unwrap().line(&context), expected);
    }

    #[test]
    fn variables_and_text() {
        let context = json!({"status": 200, "a": {"b-c": true}, "n": null, "e": "", "list": [1]});
        for (format, expected) in [
            ("", ""),
            ("text", "text"),
            ("$context.status", "200"),
            ("<$context.a.b-c>", "<true>"),
            ("$context.status$context.status", "200200"),
            ("$context.status.", "200."),
            ("$context.status - $context.a.b-c-", "200 - true-"),
            ("$context.status.x $context.nope $context.n $context.e", "- - - -"),
            ("$context.list", "[1]"),
            ("$context. $context $status", "- $context $status"),
            ("é$context.statusé", "é200é"),
        ] {
            assert_eq!(line(format, context.clone()), expected, "{format}");
        }
    }

    #[test]
    fn nobody_forges_a_line() {
        let context = json!({"identity": {"userAgent": "a\"\n\\b"}});
        assert_eq!(line(r#"{"agent":"$context.identity.userAgent"}"#, context), r#"{"agent":"a\"\n\\b"}"#);
    }

    #[test]
    fn formats_are_bounded() {
        assert!(AccessLog::parse(&"a".repeat(FORMAT_BYTES_MAX)).is_ok());
        assert_eq!(AccessLog::parse(&"a".repeat(FORMAT_BYTES_MAX + 1)), Err(FormatTooLong(FORMAT_BYTES_MAX + 1)));
    }

    proptest! {
        #[test]
        fn text_without_variables_stays(format in "[^$]{0,60}") {
            prop_assert_eq!(line(&format, json!({})), format);
        }

        #[test]
        fn a_value_is_always_one_json_string(value in ".{0,40}") {
            prop_assume!(!value.is_empty());
            let text = line("\"$context.v\"", json!({"v": value}));
            prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), value);
        }
    }
}
