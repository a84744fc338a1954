//! Topic names and topic filters.

/// Why nothing can be published under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// No character.
    #[error("a topic name needs at least one character")]
    Empty,
    /// A wildcard.
    #[error("a topic name has no wildcards, + and # belong to filters")]
    Wildcard,
}

/// Checks the name of a topic. That it is a text without U+0000 and of at most 65,535 bytes is the
/// caller's to know; names from a packet are.
///
/// # Errors
/// [`TopicError`].
#[inline]
pub fn check_topic(topic: &str) -> Result<(), TopicError> {
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    if has_wildcard(topic) { Err(TopicError::Wildcard) } else { Ok(()) }
}

#[inline]
pub(crate) fn has_wildcard(text: &str) -> bool {
    // No early end, so that many bytes are compared at once.
    text.bytes().fold(false, |found, byte| found | (byte == b'+') | (byte == b'#'))
}

/// Why a filter matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No character.
    #[error("a topic filter needs at least one character")]
    Empty,
    /// `#` somewhere else than alone in the last level.
    #[error("# must be alone in the last level of a topic filter")]
    MultiLevelWildcard,
    /// `+` together with something else in its level.
    #[error("+ must be alone in its level of a topic filter")]
    SingleLevelWildcard,
    /// A shared subscription without a name, or with a wildcard in it.
    #[error("a shared subscription is $share/name/filter, with a name without + and #")]
    ShareName,
    /// A shared subscription without a filter.
    #[error("a shared subscription is $share/name/filter, with a filter of at least one character")]
    ShareFilter,
}

/// A filter that is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterParts<'a> {
    /// The name of the group whose members share the messages.
    pub group: Option<&'a str>,
    /// What topics are compared with.
    pub filter: &'a str,
}

/// The beginning of every shared subscription.
pub(crate) const SHARE_PREFIX: &str = "$share/";

/// Checks a filter and takes `$share/name/` off. A bad filter does not end the connection of MQTT
/// 5: it gets [`TopicFilterInvalid`](crate::ReasonCode::TopicFilterInvalid) in the SUBACK.
///
/// # Errors
/// [`FilterError`].
pub fn check_filter(text: &str) -> Result<FilterParts<'_>, FilterError> {
    let Some(shared) = text.strip_prefix(SHARE_PREFIX) else {
        check_levels(text)?;
        return Ok(FilterParts { group: None, filter: text });
    };
    let (group, filter) = shared.split_once('/').ok_or(FilterError::ShareFilter)?;
    if group.is_empty() || has_wildcard(group) {
        return Err(FilterError::ShareName);
    }
    if filter.is_empty() {
        return Err(FilterError::ShareFilter);
    }
    check_levels(filter)?;
    Ok(FilterParts { group: Some(group), filter })
}

fn check_levels(filter: &str) -> Result<(), FilterError> {
    if filter.is_empty() {
        return Err(FilterError::Empty);
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(FilterError::MultiLevelWildcard);
        }
        if level.contains('+') && level != "+" {
            return Err(FilterError::SingleLevelWildcard);
        }
    }
    Ok(())
}
