//! How serious a line is, as far as it says so: JSON with a level, or the prefixes of Lambda's runtime clients.

use serde_json::Value;
use tracing::Level;

/// Passes a line on to the server's log under the target `fanfare::function`.
pub(crate) fn emit(function: &str, request: Option<&str>, stream: &'static str, line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    // The clients write several lines as one, with these instead of its ends.
    let text = text.replace('\r', "\n");
    let json = json(&text);
    let level = json.as_ref().map_or_else(|| of_text(&text), of_json);
    let message = json.as_ref().and_then(message_of).unwrap_or(&text);
    let fields = json.as_ref().map(|_| &*text);
    macro_rules! event {
        ($level:expr) => {
            tracing::event!(target: "fanfare::function", $level, function, request, stream, fields, "{message}")
        };
    }
    match level {
        Level::ERROR => event!(Level::ERROR),
        Level::WARN => event!(Level::WARN),
        Level::INFO => event!(Level::INFO),
        Level::DEBUG => event!(Level::DEBUG),
        _ => event!(Level::TRACE),
    }
}

fn json(text: &str) -> Option<Value> {
    let text = text.trim();
    let is_object = text.starts_with('{') && text.ends_with('}');
    is_object.then(|| serde_json::from_str(text).ok()).flatten()
}

fn of_json(line: &Value) -> Level {
    let named = ["level", "severity", "log_level"].iter().find_map(|name| line.get(name)?.as_str());
    named.and_then(of_name).unwrap_or(Level::INFO)
}

fn message_of(line: &Value) -> Option<&str> {
    ["message", "msg", "errorMessage"].iter().find_map(|name| line.get(name)?.as_str())
}

/// `[ERROR] ...` as the Python client writes, or `TIME\tID\tERROR\t...` as that of Node does.
fn of_text(line: &str) -> Level {
    let in_brackets = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name);
    in_brackets.or_else(|| line.split('\t').nth(2)).and_then(of_name).unwrap_or(Level::INFO)
}

fn of_name(name: &str) -> Option<Level> {
    let is = |names: &[&str]| names.iter().any(|candidate| name.eq_ignore_ascii_case(candidate));
    if is(&["error", "critical", "fatal", "alert", "emergency"]) {
        Some(Level::ERROR)
    } else if is(&["warn", "warning"]) {
        Some(Level::WARN)
    } else if is(&["info", "notice", "default"]) {
        Some(Level::INFO)
    } else if is(&["debug"]) {
        Some(Level::DEBUG)
    } else if is(&["trace"]) {
        Some(Level::TRACE)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_from_what_clients_write() {
        let level = |line: &str| json(line).map_or_else(|| of_text(line), |json| of_json(&json));
        assert_eq!(level("[ERROR]\t2026-01-01T00:00:00.000Z\tid\ttext"), Level::ERROR);
        assert_eq!(level("[WARNING] text"), Level::WARN);
        assert_eq!(level("2026-01-01T00:00:00.000Z\tid\tDEBUG\ttext"), Level::DEBUG);
        assert_eq!(level(r#"{"severity":"CRITICAL","message":"text"}"#), Level::ERROR);
        assert_eq!(level(r#"{"level":"warn"}"#), Level::WARN);
        assert_eq!(level(r#"{"level":3}"#), Level::INFO);
        assert_eq!(level("{not json}"), Level::INFO);
        assert_eq!(level("plain text"), Level::INFO);
    }
}
