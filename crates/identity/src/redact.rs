//! Keeping credentials out of logs.

/// Names whose value is a credential. A longer name that ends in one of them, such as
/// `access_token`, is found as well.
const NAMES: [&str; 9] =
    ["token", "ticket", "secret", "password", "api_key", "apikey", "access_key", "x-admin-key", "authorization"];

const MASK: &str = "[redacted]";

/// A text for logs, with what looks like a credential masked: values of `token=`, `ticket=` and
/// the like in URLs, forms and JSON, `Authorization` headers, `Bearer` values and anything that has
/// the form of a JSON Web Token. Rather masks too much than too little.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let (shown, hidden) = credential(rest, before).unwrap_or((first.len_utf8(), 0));
        let (head, tail) = rest.split_at(shown);
        out.push_str(head);
        if hidden > 0 {
            out.push_str(MASK);
        }
        before = rest[..shown + hidden].chars().next_back();
        rest = &tail[hidden..];
    }
    out
}

/// How many bytes at the beginning of `text` are to be shown and how many after them hidden, when
/// a credential begins here.
fn credential(text: &str, before: Option<char>) -> Option<(usize, usize)> {
    named(text).or_else(|| bearer(text, before)).or_else(|| {
        let is_start = !before.is_some_and(is_token_char);
        is_start.then(|| web_token(text)).flatten().map(|n| (0, n))
    })
}

fn named(text: &str) -> Option<(usize, usize)> {
    let name = NAMES.iter().find(|name| starts_with(text, name))?;
    let mut at = name.len();
    let is_quoted = skip(text, &mut at, &["\\\"", "\"", "'"]);
    skip_spaces(text, &mut at);
    let is_header = *name == "authorization" || *name == "x-admin-key";
    let is_assigned = skip(text, &mut at, &["=", "%3d"]) || ((is_quoted || is_header) && skip(text, &mut at, &[":"]));
    if !is_assigned {
        return None;
    }
    skip_spaces(text, &mut at);
    skip(text, &mut at, &["\\\"", "\"", "'"]);
    if is_header {
        return Some((at, header_value(&text[at..])));
    }
    Some((at, value_len(&text[at..]))).filter(|(_, hidden)| *hidden > 0)
}

/// The whole value: a scheme we do not know may be followed by several parts.
fn header_value(text: &str) -> usize {
    text.find(['\r', '\n', '"', '\'', '}']).unwrap_or(text.len())
}

fn bearer(text: &str, before: Option<char>) -> Option<(usize, usize)> {
    if before.is_some_and(char::is_alphanumeric) || !starts_with(text, "bearer") {
        return None;
    }
    let mut at = "bearer".len();
    if !skip(text, &mut at, &[" ", "%20", "+"]) {
        return None;
    }
    skip_spaces(text, &mut at);
    let hidden = value_len(&text[at..]);
    // "bearer of bad news" is no credential.
    (hidden >= 8).then_some((at, hidden))
}

/// `{"` is `eyJ` in Base64, so every header begins with it. Two parts are enough: a token that was
/// cut off still says who it was for.
fn web_token(text: &str) -> Option<usize> {
    if !text.starts_with("eyJ") {
        return None;
    }
    let end = text.find(|c: char| !is_token_char(c) && !matches!(c, '.' | '=')).unwrap_or(text.len());
    let (header, _) = text[..end].split_once('.')?;
    (header.len() >= 8).then_some(end)
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

fn value_len(text: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'' | ',' | ';' | '#' | '\\' | '<' | '>' | '}'))
        .unwrap_or(text.len())
}

fn starts_with(text: &str, prefix: &str) -> bool {
    let start = text.as_bytes().get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

fn skip(text: &str, at: &mut usize, options: &[&str]) -> bool {
    let found = options.iter().find(|o| starts_with(&text[*at..], o));
    *at += found.map_or(0, |o| o.len());
    found.is_some()
}

fn skip_spaces(text: &str, at: &mut usize) {
    while skip(text, at, &[" "]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_masked_and_the_rest_is_kept() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl";
        for (text, expected) in [
            ("/v1/sse?token=abc&x=1", "/v1/sse?token=[redacted]&x=1"),
            ("?ticket=abc#top", "?ticket=[redacted]#top"),
            ("?Access_Token=abc", "?Access_Token=[redacted]"),
            ("next=%2F%3Ftoken%3Dabc&x=1", "next=%2F%3Ftoken%3D[redacted]&x=1"),
            (r#"{"token":"abc","n":1}"#, r#"{"token":"[redacted]","n":1}"#),
            (r#"{\"password\": \"abc\"}"#, r#"{\"password\": \"[redacted]\"}"#),
            ("Authorization: Bearer abc\r\nHost: x", "Authorization: [redacted]\r\nHost: x"),
            ("authorization: Basic YTpi", "authorization: [redacted]"),
            (r#""authorization": "Bearer abc", "#, r#""authorization": "[redacted]", "#),
            ("sent bearer abcdefgh.", "sent bearer [redacted]"),
            ("bearer of news", "bearer of news"),
            ("token expired", "token expired"),
            ("token: expired", "token: expired"),
            ("token=", "token="),
            ("größe=1 token=ä€&b", "größe=1 token=[redacted]&b"),
            ("eyJ is no token", "eyJ is no token"),
            ("", ""),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
        for text in [jwt.to_owned(), format!("got <{jwt}>"), jwt[..40].to_owned()] {
            let masked = redact(&text);
            assert!(masked.contains(MASK) && !masked.contains("eyJ"), "{masked}");
        }
    }

    #[test]
    fn no_text_makes_it_stumble_or_shows_a_value() {
        let pieces =
            ["token", "=", "\"", ":", " ", "é", "日本", "eyJ", ".", "Bearer ", "%3D", "Authorization", "&", "\\"];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    let text = format!("{a}{b}{c}ticket=hidden{c}{b}{a}");
                    let masked = redact(&text);
                    assert!(!masked.contains("hidden"), "{text} -> {masked}");
                }
            }
        }
    }
}
