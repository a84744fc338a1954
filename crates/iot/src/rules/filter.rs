//! MQTT topic filters, as `FROM` gives them.

/// Longest filter or topic, in bytes (MQTT 5, section 1.5.4).
const FILTER_BYTES_MAX: usize = 65_535;

/// Whether `filter` is a topic filter.
///
/// # Errors
/// The rule that it breaks, in words.
pub(crate) fn check(filter: &str) -> Result<(), &'static str> {
    if filter.is_empty() {
        return Err("it is empty");
    }
    if filter.len() > FILTER_BYTES_MAX || filter.contains('\0') {
        return Err("it has a NUL, or more than 65,535 bytes");
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level == "#" && levels.peek().is_some() {
            return Err("'#' must be the last level");
        }
        if level.len() > 1 && level.contains(['+', '#']) {
            return Err("'+' and '#' must stand alone in their level");
        }
    }
    Ok(())
}

/// Whether `topic` may be published to: no wildcards, not empty.
pub(crate) fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= FILTER_BYTES_MAX && !topic.contains(['+', '#', '\0'])
}

/// Whether `filter` takes in `topic` (MQTT 5, section 4.7): `#` also matches its
/// parent, and a wildcard in front never matches a topic that begins with `$`.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match topic.next() {
            Some(found) if level == "+" || level == found => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_mqtt_says() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a", true),
            ("#", "$aws/x", false),
            ("+/x", "$aws/x", false),
            ("$aws/#", "$aws/x", true),
            ("+/+", "/a", true),
            ("a/b/#", "a", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn filters_are_checked() {
        for filter in ["a", "+", "#", "a/+/b", "a/#", "/", "$aws/#"] {
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
        for filter in ["", "a/#/b", "a+", "a/b#", "a\0"] {
            assert!(check(filter).is_err(), "{filter:?}");
        }
    }
}
