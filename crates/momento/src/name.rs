//! Names in requests: checked here, so that all calls say the same.
//!
//! A **cache is a space** of the core and has its name; a **topic is a topic**. The original does not
//! say which names it takes. Here they are what the core takes, which is less than any text: no `+`
//! or `#` in a topic, no `/`, white space or control character in a cache.

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
    TopicName::new(name).map_err(|refusal| Problem::from(&refusal))
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
        for bad in ["", "  ", "a+b", "a#", "a\0", &"x".repeat(1_025)] {
            assert!(matches!(topic(bad), Err(Problem::InvalidArgument(_))), "{bad}");
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
