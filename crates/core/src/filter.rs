//! Topic names, and patterns over them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::HashSet;

use crate::refusal::Refusal;
use crate::trie::Trie;

/// Longest topic or filter, in bytes. Doors may allow less.
pub const TOPIC_BYTES_MAX: usize = 1_024;

/// Most levels of a topic or filter. Bounds the depth of matching.
pub const TOPIC_LEVELS_MAX: usize = 128;

/// A valid topic name: 1 to 1,024 bytes of UTF-8 without NUL, `+` or `#`, at most 128 levels.
///
/// `/` separates levels. Cloning is a reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks the rules.
    ///
    /// # Errors
    /// [`Refusal::InvalidTopic`] names the rule that `name` breaks.
    pub fn new(name: &str) -> Result<Self, Refusal> {
        Self::check(name)?;
        Ok(Self(name.into()))
    }

    fn check(name: &str) -> Result<(), Refusal> {
        let refuse = |reason| Err(Refusal::InvalidTopic { reason });
        if name.is_empty() {
            return refuse("it is empty");
        }
        if name.len() > TOPIC_BYTES_MAX {
            return refuse("it is longer than 1,024 bytes");
        }
        if name.bytes().any(|b| matches!(b, 0 | b'+' | b'#')) {
            return refuse("'+', '#' and NUL are not allowed in a topic");
        }
        if levels(name) > TOPIC_LEVELS_MAX {
            return refuse("it has more than 128 levels");
        }
        Ok(())
    }
}

impl Deref for TopicName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A subscription's pattern: an exact topic, or one with wildcards.
///
/// `+` stands for exactly one level, `#` as the last level for the level before it and everything
/// below. A filter that begins with a wildcard does not match topics that
/// begin with `$`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter {
    text: Arc<str>,
    is_exact: bool,
}

impl Filter {
    /// Checks the rules and notes whether there are wildcards.
    ///
    /// # Errors
    /// [`Refusal::InvalidFilter`] names the rule that `text` breaks.
    pub fn new(text: &str) -> Result<Self, Refusal> {
        let refuse = |reason| Err(Refusal::InvalidFilter { reason });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > TOPIC_BYTES_MAX {
            return refuse("it is longer than 1,024 bytes");
        }
        if text.bytes().any(|b| b == 0) {
            return refuse("NUL is not allowed");
        }
        if levels(text) > TOPIC_LEVELS_MAX {
            return refuse("it has more than 128 levels");
        }
        let mut parts = text.split('/').peekable();
        let mut is_exact = true;
        while let Some(level) = parts.next() {
            if level == "#" && parts.peek().is_some() {
                return refuse("'#' must be the last level");
            }
            if level == "+" || level == "#" {
                is_exact = false;
            } else if level.contains(['+', '#']) {
                return refuse("'+' and '#' must stand alone in their level");
            }
        }
        Ok(Self { text: text.into(), is_exact })
    }

    /// A filter that matches one topic.
    pub fn exact(topic: &TopicName) -> Self {
        Self { text: topic.0.clone(), is_exact: true }
    }

    /// The topic, if the filter has no wildcards.
    pub fn as_topic(&self) -> Option<TopicName> {
        self.is_exact.then(|| TopicName(self.text.clone()))
    }

    /// No wildcards.
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// The text it was made from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `topic` matches, level by level. For one filter against one topic; many filters
    /// stand in a [`crate::Trie`].
    pub fn matches(&self, topic: &str) -> bool {
        if self.is_exact {
            return *self.text == *topic;
        }
        if topic.starts_with('$') && self.text.starts_with(['+', '#']) {
            return false;
        }
        let mut topic_levels = topic.split('/');
        for level in self.text.split('/') {
            if level == "#" {
                return true;
            }
            match topic_levels.next() {
                Some(found) if level == "+" || level == found => {}
                _ => return false,
            }
        }
        topic_levels.next().is_none()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Several filters that are asked together: does any of them match?
#[derive(Debug, Default)]
pub struct FilterSet {
    topics: HashSet<TopicName, foldhash::fast::RandomState>,
    patterns: Trie<()>,
}

impl FilterSet {
    /// Whether any of its filters matches.
    pub fn matches(&self, topic: &str) -> bool {
        if self.topics.contains(topic) {
            return true;
        }
        let mut is_found = false;
        self.patterns.for_each_match(topic, &mut |()| is_found = true);
        is_found
    }

    /// Its topics, when no pattern is among its filters.
    pub(crate) fn only_topics(&self) -> Option<impl Iterator<Item = &TopicName>> {
        self.patterns.is_empty().then(|| self.topics.iter())
    }

    /// It holds no filter.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.patterns.is_empty()
    }
}

impl<'a> FromIterator<&'a Filter> for FilterSet {
    fn from_iter<I: IntoIterator<Item = &'a Filter>>(filters: I) -> Self {
        let mut set = Self::default();
        for filter in filters {
            match filter.as_topic() {
                Some(topic) => drop(set.topics.insert(topic)),
                None => *set.patterns.entry(filter) = (),
            }
        }
        set
    }
}

fn levels(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'/').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &str, topic: &str) -> bool {
        Filter::new(filter).unwrap().matches(topic)
    }

    #[test]
    fn wildcards_match_by_level() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/bc", false),
            ("a/+", "a/b", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+/b", "/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("+", "a", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn malformed_filters_are_refused() {
        for text in ["", "a/#/b", "a#", "+a", "a/b+", "a\0"] {
            assert!(Filter::new(text).is_err(), "{text:?}");
        }
        assert!(Filter::new(&"/".repeat(127)).is_ok());
        assert!(Filter::new(&"/".repeat(128)).is_err());
        assert!(Filter::new(&"a".repeat(1_024)).is_ok());
        assert!(Filter::new(&"a".repeat(1_025)).is_err());
    }

    #[test]
    fn topics_hold_no_wildcards() {
        for text in ["", "a/+", "#", "a\0"] {
            assert!(TopicName::new(text).is_err(), "{text:?}");
        }
        assert!(TopicName::new("räume/1 ").is_ok());
    }
}
