//! One delivery: tries, pauses, and the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfare_momento::webhook::{SIGNATURE_HEADER, signature};
use fanfare_queue::{Bounds, Item};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request};
use serde::{Deserialize, Serialize};

use crate::shared::Shared;
use crate::webhooks::Hook;

/// Deliveries that wait or are under way at once; webhooks read no further when there are as many.
pub const DELIVERIES_WAITING_MAX: usize = 10_000;
/// Bytes of what they deliver, together.
pub const DELIVERY_BYTES_MAX: usize = 64 << 20;

/// The pause before the second try; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A webhook whose rate is spent looks again after so long.
const RATE_PAUSE: Duration = Duration::from_millis(50);
/// What of an answer is read, in bytes; nobody looks at it.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How much may wait.
pub(crate) const BOUNDS: Bounds = Bounds { items: DELIVERIES_WAITING_MAX, bytes: DELIVERY_BYTES_MAX };

/// What is kept of a delivery beside its body. Address and secret are those of the webhook when it is
/// sent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub(crate) cache: String,
    pub(crate) name: String,
}

/// Delivers, as often as is allowed. A webhook that is gone gets nothing any more.
pub(crate) async fn deliver(shared: Arc<Shared>, mut item: Item<Parcel>) {
    loop {
        item.due(PAUSE_MAX).await;
        let Some(hook) = shared.webhooks.get(&item.head.cache, &item.head.name) else { break };
        let Err(reason) = try_once(&shared, &hook, &item).await else {
            shared.webhooks.delivered.fetch_add(1, Ordering::Relaxed);
            break;
        };
        let Parcel { cache, name } = &item.head;
        let tries = item.progress().tries;
        if tries + 1 >= shared.options.limits.webhook_attempts {
            tracing::warn!(cache, name, reason, "a webhook's delivery is given up");
            shared.webhooks.given_up.fetch_add(1, Ordering::Relaxed);
            break;
        }
        tracing::debug!(cache, name, reason, "a webhook's delivery waits");
        item.put_off(true, pause(tries).mul_f64(0.5 + fastrand::f64() / 2.0));
    }
    item.finish();
}

/// The longest pause after so many tries before the last one.
fn pause(tries: u32) -> Duration {
    PAUSE.saturating_mul(1 << tries.min(16)).min(PAUSE_MAX)
}

async fn try_once(shared: &Shared, hook: &Hook, item: &Item<Parcel>) -> Result<(), String> {
    let limits = &shared.options.limits;
    let _turn = hook.under_way.acquire().await.map_err(|_| "the webhook is gone".to_owned())?;
    while !hook.rate.take(1, limits.webhook_rate.into(), shared.gateway().clock.now()) {
        tokio::time::sleep(RATE_PAUSE).await;
    }
    let mut request = Request::new(item.body.clone());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = hook.url().parse().map_err(|_| "its address is none".to_owned())?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let agent = HeaderValue::from_str(&shared.options.webhook_user_agent);
    headers.extend(agent.ok().map(|agent| (USER_AGENT, agent)));
    let signed = HeaderValue::from_str(&signature(hook.secret(), &item.body));
    headers.insert(SIGNATURE_HEADER, signed.map_err(|_| "it cannot be signed".to_owned())?);
    match shared.http.send(request, limits.webhook_timeout, ANSWER_BYTES_MAX).await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("the answer was HTTP status {}", answer.status().as_u16())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let pauses: Vec<_> = [0, 1, 2, 6, 7, 40].into_iter().map(|tries| pause(tries).as_millis()).collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 32_000, 60_000, 60_000]);
    }
}
