//! Who is on a topic.

use std::sync::Arc;

use bytes::Bytes;

use crate::filter::TopicName;
use crate::message::Millis;

/// Somebody who is on a topic, however many connections they use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The subject, or for anonymous connections the connection's id.
    pub id: Arc<str>,
    /// What the member says of itself: one JSON value, empty when nothing.
    pub data: Bytes,
    /// When it came.
    pub since: Millis,
}

/// What happened to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceChange {
    /// It came.
    Join,
    /// It says something else of itself.
    Update,
    /// It left and its lease ran out.
    Leave,
}

/// A change on a topic, for the subscriptions that asked for presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceEvent {
    /// The space of the topic.
    pub space: Arc<str>,
    /// The topic.
    pub topic: TopicName,
    /// What happened.
    pub change: PresenceChange,
    /// To whom.
    pub member: Member,
    /// When.
    pub time: Millis,
}
