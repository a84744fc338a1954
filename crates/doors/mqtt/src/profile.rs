//! Where AWS IoT Core departs from the standard, for servers that shall behave like it.

use fanfare_mqtt_codec::{Qos, ReasonCode, Subscription};

/// Longest topic or filter, in bytes.
const TOPIC_BYTES: usize = 256;
/// Most slashes in a topic or filter.
const SLASHES: usize = 7;
/// Most filters in one SUBSCRIBE.
pub(crate) const FILTERS_PER_PACKET: usize = 8;
/// Most subscriptions of one connection.
pub(crate) const SUBSCRIPTIONS: usize = 50;
/// Shortest keep alive, in seconds.
pub(crate) const KEEP_ALIVE_MIN_S: u16 = 30;

/// Whether AWS takes this topic; the slashes of `$aws/rules/NAME/` do not count.
pub(crate) fn takes_topic(topic: &str) -> bool {
    let counted =
        topic.strip_prefix("$aws/rules/").and_then(|rest| rest.split_once('/')).map_or(topic, |(_, rest)| rest);
    counted.len() <= TOPIC_BYTES && slashes(counted) <= SLASHES
}

/// Why AWS does not take a subscription.
pub(crate) fn refuses(wish: &Subscription<'_>) -> Option<ReasonCode> {
    let shared = wish.filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    let filter = shared.map_or(wish.filter, |(_, filter)| filter);
    (filter.len() > TOPIC_BYTES || slashes(filter) > SLASHES).then_some(ReasonCode::TopicFilterInvalid)
}

/// The best quality there is.
pub(crate) const MAXIMUM_QOS: Qos = Qos::AtLeastOnce;

fn slashes(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'/').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_counted_where_aws_counts_them() {
        assert!(takes_topic("1/2/3/4/5/6/7/8"));
        assert!(!takes_topic("1/2/3/4/5/6/7/8/9"));
        assert!(takes_topic("$aws/rules/r/1/2/3/4/5/6/7/8"));
        assert!(!takes_topic(&"x".repeat(257)));
        let wish =
            |filter| Subscription { filter, options: fanfare_mqtt_codec::SubscriptionOptions::new(Qos::AtMostOnce) };
        assert_eq!(refuses(&wish("$share/g/1/2/3/4/5/6/7/#")), None);
        assert_eq!(refuses(&wish("1/2/3/4/5/6/7/8/#")), Some(ReasonCode::TopicFilterInvalid));
    }
}
