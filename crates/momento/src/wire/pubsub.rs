//! `cache_client.pubsub.Pubsub`, and the empty message of `common`.

use bytes::Bytes;
use fanfare_core::{Kind, Message};

/// `common._Empty`, and every other message without fields: the answer to a publish, request and
/// answer of `Ping`, the answers to changes of caches.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Empty {}

/// `_PublishRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PublishRequest {
    /// The cache, which is a space of the core.
    #[prost(string, tag = "1")]
    pub cache_name: String,
    /// The topic in it.
    #[prost(string, tag = "2")]
    pub topic: String,
    /// What is published.
    #[prost(message, optional, tag = "3")]
    pub value: Option<TopicValue>,
}

/// `_SubscriptionRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscriptionRequest {
    /// The cache, which is a space of the core.
    #[prost(string, tag = "1")]
    pub cache_name: String,
    /// The topic in it.
    #[prost(string, tag = "2")]
    pub topic: String,
    /// The number from which on items are wanted, itself included; 0 for the newest.
    #[prost(uint64, tag = "3")]
    pub resume_at_topic_sequence_number: u64,
    /// The page that the number belongs to; 0 when unknown.
    #[prost(uint64, tag = "4")]
    pub sequence_page: u64,
}

/// `_SubscriptionItem`: one message of the stream of a subscription.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscriptionItem {
    /// Which one.
    #[prost(oneof = "subscription_item::Kind", tags = "1, 2, 3")]
    pub kind: Option<subscription_item::Kind>,
}

/// Inside [`SubscriptionItem`].
pub mod subscription_item {
    /// What a stream carries.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// Something that was published.
        #[prost(message, tag = "1")]
        Item(super::TopicItem),
        /// The numbering does not go on where the reader was.
        #[prost(message, tag = "2")]
        Discontinuity(super::Discontinuity),
        /// The stream is alive.
        #[prost(message, tag = "3")]
        Heartbeat(super::Heartbeat),
    }
}

/// `_TopicItem`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TopicItem {
    /// Its number in the page.
    #[prost(uint64, tag = "1")]
    pub topic_sequence_number: u64,
    /// What was published.
    #[prost(message, optional, tag = "2")]
    pub value: Option<TopicValue>,
    /// The token id of the publisher's token, or nothing.
    #[prost(string, tag = "3")]
    pub publisher_id: String,
    /// Which numbering the number belongs to.
    #[prost(uint64, tag = "4")]
    pub sequence_page: u64,
}

/// `_TopicValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TopicValue {
    /// Which kind. Absent when a newer client sends one that this server does not know.
    #[prost(oneof = "topic_value::Kind", tags = "1, 2")]
    pub kind: Option<topic_value::Kind>,
}

/// Inside [`TopicValue`].
pub mod topic_value {
    use bytes::Bytes;

    /// Text or bytes.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Kind {
        /// Text.
        #[prost(string, tag = "1")]
        Text(String),
        /// Bytes.
        #[prost(bytes = "bytes", tag = "2")]
        Binary(Bytes),
    }
}

/// `_Discontinuity`: what lies between the two numbers is not in this stream.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Discontinuity {
    /// The last number that the reader had; 0 when unknown.
    #[prost(uint64, tag = "1")]
    pub last_topic_sequence: u64,
    /// The last number that is spent: what follows is greater. Every SDK takes it as seen.
    #[prost(uint64, tag = "2")]
    pub new_topic_sequence: u64,
    /// The page from here on.
    #[prost(uint64, tag = "3")]
    pub new_sequence_page: u64,
}

/// `_Heartbeat`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Heartbeat {}

impl From<topic_value::Kind> for TopicValue {
    fn from(kind: topic_value::Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl TopicValue {
    /// A value for what the core carries. Text and JSON are text here, which has no third kind.
    /// What says that it is text and is not UTF-8 is handed on as bytes, so that nothing is lost.
    pub fn of(kind: Kind, payload: &Bytes) -> Self {
        let text = match kind {
            Kind::Text | Kind::Json => std::str::from_utf8(payload).ok(),
            Kind::Binary => None,
        };
        match text {
            Some(text) => topic_value::Kind::Text(text.to_owned()).into(),
            None => topic_value::Kind::Binary(payload.clone()).into(),
        }
    }

    /// What the core is to carry; `None` where the value is of no known kind.
    pub fn into_payload(self) -> Option<(Kind, Bytes)> {
        match self.kind? {
            topic_value::Kind::Text(text) => Some((Kind::Text, text.into())),
            topic_value::Kind::Binary(bytes) => Some((Kind::Binary, bytes)),
        }
    }
}

impl TopicItem {
    /// A message of the core as its subscribers get it, all of them the same. Number and page come
    /// from its position, the publisher's id from its subject.
    pub fn of(message: &Message) -> Self {
        Self {
            topic_sequence_number: message.offset,
            value: Some(TopicValue::of(message.kind, &message.payload)),
            publisher_id: message.publisher.as_deref().unwrap_or_default().to_owned(),
            sequence_page: crate::sequence::page_of(message.epoch),
        }
    }
}

impl From<TopicItem> for SubscriptionItem {
    fn from(item: TopicItem) -> Self {
        Self { kind: Some(subscription_item::Kind::Item(item)) }
    }
}

impl From<Discontinuity> for SubscriptionItem {
    fn from(discontinuity: Discontinuity) -> Self {
        Self { kind: Some(subscription_item::Kind::Discontinuity(discontinuity)) }
    }
}

impl From<Heartbeat> for SubscriptionItem {
    fn from(heartbeat: Heartbeat) -> Self {
        Self { kind: Some(subscription_item::Kind::Heartbeat(heartbeat)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_heartbeat_is_two_bytes() {
        assert_eq!(SubscriptionItem::from(Heartbeat {}).encode_to_vec(), [0x1a, 0]);
    }

    #[test]
    fn kinds_are_kept() {
        let text = Bytes::from_static(b"hi");
        assert_eq!(TopicValue::of(Kind::Text, &text).into_payload(), Some((Kind::Text, text.clone())));
        assert_eq!(TopicValue::of(Kind::Json, &text).into_payload(), Some((Kind::Text, text.clone())));
        assert_eq!(TopicValue::of(Kind::Binary, &text).into_payload(), Some((Kind::Binary, text)));
        let no_text = Bytes::from_static(&[1, 2, 250]);
        assert_eq!(TopicValue::of(Kind::Text, &no_text).into_payload(), Some((Kind::Binary, no_text)));
        assert_eq!(TopicValue { kind: None }.into_payload(), None);
    }

    #[test]
    fn an_empty_text_is_a_text() {
        let value = TopicValue::of(Kind::Text, &Bytes::new());
        assert_eq!(value.encode_to_vec(), [0x0a, 0]);
        assert_eq!(TopicValue::decode(&[0x0a, 0][..]), Ok(value));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PublishRequest::decode(&*bytes);
            let _ = SubscriptionRequest::decode(&*bytes);
            let _ = crate::wire::GenerateApiTokenRequest::decode(&*bytes);
            let _ = crate::wire::PutWebhookRequest::decode(&*bytes);
        }

        #[test]
        fn items_come_back(number: u64, page: u64, text in ".*", publisher in ".{0,9}") {
            let item = TopicItem {
                topic_sequence_number: number,
                value: Some(topic_value::Kind::Text(text).into()),
                publisher_id: publisher,
                sequence_page: page,
            };
            let item = SubscriptionItem::from(item);
            prop_assert_eq!(SubscriptionItem::decode(&*item.encode_to_vec()), Ok(item));
        }
    }
}
