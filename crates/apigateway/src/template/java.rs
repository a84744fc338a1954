//! How Java writes, escapes and encodes, since templates were written for it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regex::{Captures, Regex};

/// A number with a point, such as `1.5`, `100.0` or `1.0E21`.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, _)) if digits.contains('.') => text,
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => text,
    }
}

/// Text for a place between quotes of JavaScript: quotes, slashes and backslashes get a backslash,
/// everything outside of printable ASCII becomes `\u....`.
pub(super) fn escape_javascript(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' | '/' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out
}

/// What a form leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'*').remove(b'_').remove(b' ');

/// Text for a form: a blank is `+`.
pub(super) fn url_encode(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string().replace(' ', "+")
}

/// Text out of a form. What is not UTF-8 is replaced.
pub(super) fn url_decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// What a match becomes: `$1` is a group, a backslash takes the meaning from what follows.
pub(super) fn replacement(captures: &Captures<'_>, with: &str) -> String {
    let mut out = String::new();
    let mut chars = with.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '$' => match chars.peek().and_then(|digit| digit.to_digit(10)) {
                Some(group) => {
                    chars.next();
                    let text = captures.get(group as usize).map_or("", |found| found.as_str());
                    out.push_str(text);
                }
                None => out.push('$'),
            },
            other => out.push(other),
        }
    }
    out
}

/// Parts between matches, without empty ones at the end.
pub(super) fn split<'s>(text: &'s str, pattern: &Regex) -> Vec<&'s str> {
    let mut parts: Vec<&str> = pattern.split(text).collect();
    // A match of nothing at the very begin makes no part.
    if parts.first() == Some(&"") && pattern.find(text).is_some_and(|found| found.is_empty()) {
        parts.remove(0);
    }
    while parts.len() > 1 && parts.last() == Some(&"") {
        parts.pop();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let table = [(1.0, "1.0"), (1.5, "1.5"), (-0.25, "-0.25"), (1e7, "1.0E7"), (1.25e-5, "1.25E-5"), (0.0, "0.0")];
        for (value, text) in table {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(escape_javascript("it's \"é\"\n\\/😀"), r#"it\'s \"\u00E9\"\n\\\/\uD83D\uDE00"#);
        assert_eq!(url_encode("a b+c&é*-._~"), "a+b%2Bc%26%C3%A9*-._%7E");
        assert_eq!(url_decode("a+b%2Bc%26%C3%A9%zz"), "a b+c&é%zz");
    }
}
