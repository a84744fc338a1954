//! What a reader of JSON lets pass and a policy must not.

use std::collections::HashSet;

/// The first key that occurs twice in one object of `text`, which must be valid JSON. A reader
/// keeps only the last of the two, so a condition or a deny could vanish unseen.
pub(crate) fn duplicate_key(text: &str) -> Option<String> {
    let mut open: Vec<HashSet<String>> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}', '[', ']', '"']) {
        let (head, tail) = rest.split_at(at);
        debug_assert!(!head.contains('"'), "strings are skipped whole");
        rest = &tail[1..];
        match tail.as_bytes()[0] {
            b'{' | b'[' => open.push(HashSet::new()),
            b'}' | b']' => drop(open.pop()),
            _ => {
                let (string, behind) = tail.split_at(string_length(tail));
                rest = behind;
                if behind.trim_start().starts_with(':') {
                    let key: String = serde_json::from_str(string).ok()?;
                    if !open.last_mut()?.insert(key.clone()) {
                        return Some(key);
                    }
                }
            }
        }
    }
    None
}

/// Bytes of the string literal at the head of `text`, both quotes included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|b| {
        let is_end = b == b'"' && !is_escaped;
        is_escaped = b == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_object_differ() {
        for (text, expected) in [
            (r#"{"a":1,"b":{"a":[{"a":1},{"a":2}]}}"#, None),
            (r#"{"a":"a","b":"a"}"#, None),
            (r#"{"a":"\"a\":","b":"{\\"}"#, None),
            (r#"{"a":1,"b":2,"a" :3}"#, Some("a")),
            (r#"[{"b":{},"\u0062":3}]"#, Some("b")),
        ] {
            assert_eq!(duplicate_key(text).as_deref(), expected, "{text}");
        }
    }
}
