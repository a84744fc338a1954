//! Which rules a message came through, hidden where subscribers do not look: in its origin.
//!
//! Origins of clients are their ids, which hold no zero byte; those of rules begin with one.

use std::sync::Arc;

use fanfare_core::Message;
use fanfare_iot::rules::{Trail, TrailError};

const MARK: char = '\0';

/// The client that published a message; `None` for rules and other doors.
pub(super) fn client_id(message: &Message) -> Option<&str> {
    message.origin.as_deref().filter(|origin| !origin.starts_with(MARK))
}

/// The origin of what `rule` makes of `message`.
///
/// # Errors
/// [`TrailError`] if the rule must not run on it.
pub(super) fn through(message: &Message, rule: &str) -> Result<Arc<str>, TrailError> {
    let behind = message.origin.as_deref().filter(|origin| origin.starts_with(MARK)).unwrap_or_default();
    let mut trail = Trail::default();
    for name in behind.split(MARK).filter(|name| !name.is_empty()) {
        trail = trail.through(name)?;
    }
    trail.through(rule)?;
    Ok(format!("{behind}{MARK}{rule}").into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanfare_core::{Kind, Publication, TopicName};
    use fanfare_iot::rules::HOPS_MAX;

    use super::*;

    fn message(origin: Option<Arc<str>>) -> Message {
        let topic = TopicName::new("t").unwrap();
        let publication = Publication::new("default".into(), topic, Kind::Text, Bytes::new());
        super::super::unlogged(Publication { origin, ..publication }, None, 0)
    }

    #[test]
    fn a_rule_does_not_meet_itself() {
        let first = message(Some("client".into()));
        assert_eq!(client_id(&first), Some("client"));
        let second = message(Some(through(&first, "a").unwrap()));
        assert_eq!(client_id(&second), None);
        assert_eq!(through(&second, "a"), Err(TrailError::Circle("a".to_owned())));
        assert_eq!(&*through(&second, "b").unwrap(), "\0a\0b");
    }

    #[test]
    fn trails_end() {
        let mut last = message(None);
        for hop in 0..HOPS_MAX {
            last = message(Some(through(&last, &format!("r{hop}")).unwrap()));
        }
        assert_eq!(through(&last, "more"), Err(TrailError::TooLong("more".to_owned())));
    }
}
