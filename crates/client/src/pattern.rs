//! Which topics a pattern means.

/// Whether `pattern` (`+` one level, a last `#` this level and everything below) means `topic`.
pub(crate) fn matches(pattern: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    let mut parts = pattern.split('/').peekable();
    while let Some(part) = parts.next() {
        if part == "#" && parts.peek().is_none() {
            return true;
        }
        match levels.next() {
            Some(level) if part == "+" || part == level => {}
            // "a/#" means "a" as well.
            None if part == "#" => return true,
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether `text` is a pattern and not a plain topic.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.split('/').any(|level| level == "+" || level == "#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_topics() {
        for (pattern, topic, expected) in [
            ("#", "a", true),
            ("#", "a/b/c", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+/b", "a/b", true),
            ("+/#", "a", true),
            ("a/b", "a/b", true),
            ("a/b", "a", false),
        ] {
            assert_eq!(matches(pattern, topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn wildcards_are_whole_levels() {
        assert!(is_pattern("a/+/b") && is_pattern("#") && is_pattern("a/#"));
        assert!(!is_pattern("c++") && !is_pattern("a#b") && !is_pattern("a/b"));
    }
}
