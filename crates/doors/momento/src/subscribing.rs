//! How a subscription begins, and how long a refused one waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanfare_core::{Action, Filter, Millis, TopicName};
use fanfare_door::{Body, Gateway, HttpContext, Listening};
use fanfare_momento::Problem;
use fanfare_momento::grpc::web::Dialect;
use fanfare_momento::limits::refusal_delay_ms;
use fanfare_momento::sequence::{Opening, Resume, Sequence, Settings};
use fanfare_momento::wire::{SubscriptionItem, SubscriptionRequest};
use hashbrown::HashMap;
use http::Response;
use http::request::Parts;
use hyper::body::Incoming;
use parking_lot::Mutex;

use crate::NAME;
use crate::caches::{Cache, Place};
use crate::callers::Caller;
use crate::grpc::{self, Failure, parse};
use crate::shared::Shared;
use crate::stream::Stream;

/// Connections of which it is remembered that they were refused.
const REFUSED_MAX: usize = 10_000;
/// A connection that was not refused for so long waits no more.
const REFUSED_MS: Millis = 10_000;

/// Answers a subscription with a stream.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    head: &Parts,
    body: Incoming,
    context: &HttpContext,
    dialect: Dialect,
) -> Result<Response<Body>, Failure> {
    match begin(shared, head, body, dialect).await {
        Ok(stream) => {
            shared.refused.forget(context.peer);
            Ok(grpc::respond(dialect, stream.into_body()))
        }
        Err(failure) => {
            // Some SDKs come back at once and for ever: whoever does waits longer each time.
            let delay_ms = shared.refused.count(context.peer, context.gateway.clock.now());
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            Err(failure)
        }
    }
}

async fn begin(shared: &Arc<Shared>, head: &Parts, body: Incoming, dialect: Dialect) -> Result<Stream, Failure> {
    let message = grpc::read(shared, body, dialect).await?;
    let caller = shared.caller(grpc::key(head).as_deref(), shared.gateway())?;
    let request: SubscriptionRequest = parse(message)?;
    let (cache, topic) = shared.admit(&caller, Action::Subscribe, &request.cache_name, &request.topic).await?;
    tracing::debug!(
        cache = request.cache_name,
        topic = request.topic,
        resume_at = request.resume_at_topic_sequence_number,
        page = request.sequence_page,
        "a subscription begins"
    );
    let begun = shared.listen(&caller, &cache, &topic, Resume::from(&request), shared.settings())?;
    Ok(Stream::new(shared, begun, dialect))
}

/// A subscription that has begun.
pub(crate) struct Begun {
    pub(crate) place: Place,
    pub(crate) listening: Listening,
    pub(crate) sequence: Sequence,
    /// What the client gets at once.
    pub(crate) first: Vec<SubscriptionItem>,
    /// Something is replayed, and its end may have to be told.
    pub(crate) is_replay: bool,
}

impl Shared {
    /// Begins a subscription, of whatever kind, for a caller who was admitted.
    ///
    /// # Errors
    /// There are too many, or the core refuses it.
    pub(crate) fn listen(
        &self,
        caller: &Caller,
        cache: &Arc<Cache>,
        topic: &TopicName,
        resume: Resume,
        settings: Settings,
    ) -> Result<Begun, Problem> {
        let gateway = self.gateway();
        let limit = self.options.limits.subscriptions;
        let Some(place) = cache.enter(limit) else {
            gateway.metrics.limit("momento_subscriptions");
            return Err(Problem::TooManySubscriptions { limit });
        };
        let refused = |refusal| Problem::from(&refusal);
        let filter = Filter::new(topic).map_err(refused)?;
        let head = gateway.core.head(&cache.space).map_err(refused)?;
        let opening = Opening::plan(resume, head);
        let listen = |since| listen(gateway, caller, cache, &filter, since);
        let mut listening = listen(opening.since(head))?;
        let recovered = listening.recovered;
        if let Some(since) = opening.fallback(recovered) {
            listening = listen(since)?;
        }
        gateway.meter.row(&cache.space, NAME, |row| row.operations += 1);
        let (sequence, first) = opening.begin(listening.position, recovered, settings, gateway.clock.now());
        Ok(Begun { place, listening, sequence, first, is_replay: resume.number != 0 })
    }
}

fn listen(
    gateway: &Arc<Gateway>,
    caller: &Caller,
    cache: &Cache,
    filter: &Filter,
    since: fanfare_core::Since,
) -> Result<Listening, Problem> {
    let listening = gateway.listen(&caller.principal, &cache.space, vec![filter.clone()], since);
    listening.map_err(|refusal| Problem::from(&refusal))
}

/// Connections whose subscriptions were refused.
#[derive(Debug, Default)]
pub(crate) struct Refused(Mutex<HashMap<SocketAddr, (u32, Millis), foldhash::fast::RandomState>>);

impl Refused {
    /// One more refusal; says how long its answer waits, in milliseconds.
    fn count(&self, peer: SocketAddr, now: Millis) -> u64 {
        let mut refused = self.0.lock();
        if refused.len() >= REFUSED_MAX {
            refused.retain(|_, (_, at)| now.saturating_sub(*at) < REFUSED_MS);
        }
        if refused.len() >= REFUSED_MAX && !refused.contains_key(&peer) {
            return refusal_delay_ms(u32::MAX);
        }
        let (count, at) = refused.entry(peer).or_insert((0, now));
        if now.saturating_sub(*at) >= REFUSED_MS {
            *count = 0;
        }
        let delay_ms = refusal_delay_ms(*count);
        *count = count.saturating_add(1);
        // Counted from when the answer leaves.
        *at = now + delay_ms;
        delay_ms
    }

    fn forget(&self, peer: SocketAddr) {
        self.0.lock().remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_at_once_waits_longer_and_longer() {
        let (refused, peer) = (Refused::default(), "127.0.0.1:7".parse().unwrap());
        let delays: Vec<_> = (0..6).map(|_| refused.count(peer, 1_000)).collect();
        assert_eq!(delays, [0, 250, 500, 1_000, 2_000, 2_000]);
        assert_eq!(refused.count(peer, 1_000 + 2_000 + REFUSED_MS), 0, "it was quiet for a time");
        refused.forget(peer);
        assert_eq!(refused.count(peer, 1_000), 0);
    }
}
