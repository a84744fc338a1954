//! Topics of the core: what results subscribe connections to, and what is published.

use std::sync::Arc;

use fanfare_apigateway::mapping::TopicRequest;
use fanfare_core::{Filter, Kind, Publication, Published, Refusal, Since, TopicName};
use fanfare_door::{SubscribeRequest, Subscribed, Turn};

use crate::NAME;
use crate::apis::Shared;
use crate::session::ApiSession;

impl Shared {
    /// What a topic integration publishes.
    ///
    /// # Errors
    /// The topic is none.
    pub(crate) fn publication(&self, topic: &TopicRequest) -> Result<Publication, Refusal> {
        let name = TopicName::new(&topic.topic)?;
        let kind = if topic.is_json { Kind::Json } else { Kind::Text };
        Ok(Publication::new(self.gateway().default_space().clone(), name, kind, topic.payload.clone()))
    }

    /// Publishes for the application, and waits for the commit where the space is durable.
    ///
    /// # Errors
    /// The core refuses it.
    pub(crate) async fn publish(&self, topic: &TopicRequest) -> Result<Published, Refusal> {
        self.gateway().publish(&self.application, self.publication(topic)?, NAME).await
    }
}

impl ApiSession {
    /// Subscribes to what a result names. What cannot be is left out, with a line in the log.
    pub(crate) fn subscribe(&mut self, topics: &[String], turn: &mut Turn<'_>) {
        for topic in topics {
            if let Some(subscribed) = self.join(topic, Since::Now, turn) {
                turn.begin(subscribed.replay.without_retained());
            }
        }
    }

    /// Subscribes to one topic or pattern.
    pub(crate) fn join(&mut self, topic: &str, since: Since, turn: &mut Turn<'_>) -> Option<Subscribed> {
        let joined = self.try_join(topic, since, turn);
        if let Err(refusal) = &joined {
            let (api, connection) = (&self.served().api().id, &self.id);
            tracing::warn!(%api, %connection, topic, %refusal, "a result asked for a topic that cannot be subscribed to");
            turn.count_refusal(refusal.code());
        }
        joined.ok()
    }

    fn try_join(&mut self, topic: &str, since: Since, turn: &mut Turn<'_>) -> Result<Subscribed, Refusal> {
        let limit = self.served().options().topics_per_connection;
        let space: Arc<str> = turn.gateway().default_space().clone();
        let filter = Filter::new(topic)?;
        let is_known = self.topics.contains(&filter);
        if !is_known && self.topics.len() >= limit {
            return Err(Refusal::TooManySubscriptions { limit });
        }
        let request =
            SubscribeRequest { space, filter: filter.clone(), since, wants_presence: false, is_tracked: false };
        let subscribed = turn.subscribe(request)?;
        if !is_known {
            self.topics.push(filter);
        }
        Ok(subscribed)
    }

    /// Ends subscriptions that a result names.
    pub(crate) fn unsubscribe(&mut self, topics: &[String], turn: &mut Turn<'_>) {
        let space = turn.gateway().default_space().clone();
        for filter in topics.iter().filter_map(|topic| Filter::new(topic).ok()) {
            turn.unsubscribe(&space, &filter);
            self.topics.retain(|known| *known != filter);
        }
    }
}
