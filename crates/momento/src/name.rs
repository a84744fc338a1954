//! Names in requests: checked here, so that all calls say the same.
//!
//! A **cache is a space** of the core and has its name; a **topic is a topic**. The original does not
//! say which names it takes. Here a cache is what the core takes, which is less than any text: no `/`,
//! white space or control character. A topic is any text; what means something to the core, `+`, `#`,
//! NUL and a `$` in front, is written there as `%2B`, `%23`, `%00` and `%24`, and a `%` that would look
//! like one of these as `%25`. Every other topic has the same name everywhere.

use std::borrow::Cow;

use fanfare_core::{Core, TopicName};

use crate::error::Problem;
use crate::limits::{CACHE_BYTES_MAX, TOKEN_ID_CHARS_MAX, WEBHOOK_NAME_CHARS_MAX, WEBHOOK_URL_BYTES_MAX};

/// Checks the name of a cache.
///
/// # Errors
/// [`Problem::InvalidArgument`] names the rule that it breaks.
pub fn cache(name: &str) -> Result<&str, Problem> {
    if name.trim().is_empty() {
        return Err(invalid("the cache name is blank"));
    }
    if name.len() > CACHE_BYTES_MAX {
        return Err(invalid(format!("the cache name has {} bytes, {CACHE_BYTES_MAX} are allowed", name.len())));
    }
    Core::check_space(name)
        .map_err(|_| invalid("the cache name has a '/', white space or a control character; choose another"))?;
    Ok(name)
}

/// Checks the name of a topic.
///
/// # Errors
/// [`Problem::InvalidArgument`] names the rule that it breaks.
pub fn topic(name: &str) -> Result<TopicName, Problem> {
    if name.trim().is_empty() {
        return Err(invalid("the topic name is blank"));
    }
    TopicName::new(&in_core(name)).map_err(|refusal| Problem::from(&refusal))
}

/// What stands behind a `%` that is not itself.
const CODES: [&str; 5] = ["2B", "23", "00", "24", "25"];

fn is_code(rest: &str) -> bool {
    CODES.iter().any(|code| rest.starts_with(code))
}

/// A topic, or how topics begin, as the core has it.
#[must_use]
pub fn in_core(name: &str) -> Cow<'_, str> {
    if !name.contains(['+', '#', '\0', '%']) && !name.starts_with('$') {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for (at, char) in name.char_indices() {
        match char {
            '+' => out.push_str("%2B"),
            '#' => out.push_str("%23"),
            '\0' => out.push_str("%00"),
            '$' if at == 0 => out.push_str("%24"),
            '%' if is_code(&name[at + 1..]) => out.push_str("%25"),
            char => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// A topic of the core as clients wrote it: the inverse of [`in_core`].
#[must_use]
pub fn written(topic: &str) -> Cow<'_, str> {
    if !topic.contains('%') {
        return Cow::Borrowed(topic);
    }
    let (mut out, mut rest) = (String::with_capacity(topic.len()), topic);
    while let Some(at) = rest.find('%') {
        let (before, code) = rest.split_at(at);
        out.push_str(before);
        let is_first = out.is_empty();
        let char = match code.get(1..3) {
            Some("2B") => '+',
            Some("23") => '#',
            Some("00") => '\0',
            Some("24") if is_first => '$',
            Some("25") if is_code(&code[3..]) => '%',
            _ => {
                out.push('%');
                rest = &code[1..];
                continue;
            }
        };
        out.push(char);
        rest = &code[3..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Checks a token id, which may be empty.
///
/// # Errors
/// [`Problem::InvalidArgument`] names the rule that it breaks.
pub fn token_id(id: &str) -> Result<&str, Problem> {
    if id.chars().count() > TOKEN_ID_CHARS_MAX {
        return Err(invalid(format!("the token id has more than {TOKEN_ID_CHARS_MAX} characters")));
    }
    if id.chars().any(char::is_control) {
        return Err(invalid("the token id has a control character"));
    }
    Ok(id)
}

/// Checks the name of a webhook.
///
/// # Errors
/// [`Problem::InvalidArgument`] names the rule that it breaks.
pub fn webhook(name: &str) -> Result<&str, Problem> {
    if name.trim().is_empty() {
        return Err(invalid("the webhook name is blank"));
    }
    if name.chars().count() > WEBHOOK_NAME_CHARS_MAX {
        return Err(invalid(format!("the webhook name has more than {WEBHOOK_NAME_CHARS_MAX} characters")));
    }
    Ok(name)
}

/// Checks where a webhook delivers to, as far as its text goes: whether this server may go there is
/// for others to say.
///
/// # Errors
/// [`Problem::InvalidArgument`] names the rule that it breaks.
pub fn webhook_url(url: &str) -> Result<&str, Problem> {
    if url.len() > WEBHOOK_URL_BYTES_MAX {
        return Err(invalid(format!("the webhook's address has more than {WEBHOOK_URL_BYTES_MAX} bytes")));
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']));
    if !has_host || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(invalid("the webhook's address is none: expected such as https://example.org/hook"));
    }
    Ok(url)
}

fn invalid(text: impl Into<String>) -> Problem {
    Problem::InvalidArgument(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_caches_and_topics() {
        assert_eq!(cache("web*socket"), Ok("web*socket"));
        for bad in ["", "  ", "a b", "a\u{a0}b", "a/b", "a\nb", &"x".repeat(129)] {
            assert!(matches!(cache(bad), Err(Problem::InvalidArgument(_))), "{bad}");
        }
        assert_eq!(&*topic("my channel/\u{1f600}").unwrap(), "my channel/\u{1f600}");
        for bad in ["", "  ", &"x".repeat(1_025), &"+".repeat(342)] {
            assert!(matches!(topic(bad), Err(Problem::InvalidArgument(_))), "{bad}");
        }
    }

    #[test]
    fn what_means_something_to_the_core_is_written_otherwise() {
        for (name, core) in [
            ("a/b c%", "a/b c%"),
            ("+41#\0", "%2B41%23%00"),
            ("$sys$", "%24sys$"),
            ("%23", "%2523"),
            ("%25%2F", "%2525%2F"),
            ("%%2B", "%%252B"),
        ] {
            assert_eq!((in_core(name).as_ref(), written(core).as_ref()), (core, name));
        }
    }

    proptest::proptest! {
        #[test]
        fn topics_come_back(name in "[%0245B+#$a\0]{0,12}|\\PC{0,12}") {
            let core = in_core(&name).into_owned();
            proptest::prop_assert!(!core.contains(['+', '#', '\0']) && !core.starts_with('$'));
            proptest::prop_assert_eq!(written(&core), name);
        }
    }

    #[test]
    fn token_ids_are_counted_in_characters() {
        assert!(token_id("").is_ok() && token_id(&"\u{e9}".repeat(64)).is_ok());
        assert!(token_id(&"e".repeat(65)).is_err() && token_id("a\nb").is_err());
    }

    #[test]
    fn webhooks() {
        assert!(webhook(&"w".repeat(128)).is_ok());
        assert!(webhook(&"w".repeat(129)).is_err() && webhook(" ").is_err());
        assert!(webhook_url("http://127.0.0.1:9999/x").is_ok());
        for bad in ["", "ftp://x", "https://", "https:///x", "http://:80", "https://a b", "//x"] {
            assert!(webhook_url(bad).is_err(), "{bad}");
        }
    }
}
