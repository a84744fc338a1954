//! The server's counters, as topics below `$SYS/broker`.
//!
//! They are handed to whoever subscribes and stay in memory as retained messages: no log knows
//! them, and `#` does not match them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfare_core::{Guarantee, Kind, Publication, TopicName};

use crate::NAME;
use crate::hub::Hub;

/// Over which times rates are averaged, in minutes.
const LOAD_MINUTES: [u32; 3] = [1, 5, 15];

/// One that is counted for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Begins to publish, if that is wanted.
pub(crate) fn start(hub: &Arc<Hub>) {
    let seconds = hub.options.sys_interval_s;
    if seconds > 0 {
        hub.gateway().tasks.spawn(publish_always(hub.clone(), seconds));
    }
}

/// What only grows.
#[derive(Clone, Copy, Default)]
struct Totals {
    received: u64,
    sent: u64,
    connections: u64,
}

/// Averages of what only grows, per minute.
#[derive(Default)]
struct Load {
    before: Option<Totals>,
    /// For each of [`LOAD_MINUTES`]: received, sent, connections.
    averages: [[f64; 3]; 3],
}

impl Load {
    /// Takes in what happened in the last `seconds`.
    fn advance(&mut self, now: Totals, seconds: f64) {
        let Some(before) = self.before.replace(now) else { return };
        let grown = [now.received - before.received, now.sent - before.sent, now.connections - before.connections];
        for (averages, minutes) in self.averages.iter_mut().zip(LOAD_MINUTES) {
            let weight = 1.0 - (-seconds / (60.0 * f64::from(minutes))).exp();
            for (average, grown) in averages.iter_mut().zip(grown) {
                let per_minute = grown as f64 * 60.0 / seconds;
                *average += (per_minute - *average) * weight;
            }
        }
    }
}

async fn publish_always(hub: Arc<Hub>, seconds: u32) {
    let began = std::time::Instant::now();
    let (mut load, mut most) = (Load::default(), 0);
    let mut ticks = tokio::time::interval(Duration::from_secs(seconds.into()));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (name, value) in figures(&hub, began.elapsed().as_secs(), &mut load, &mut most, seconds) {
            say(&hub, &name, value);
        }
    }
}

fn figures(hub: &Hub, uptime_s: u64, load: &mut Load, most: &mut usize, seconds: u32) -> Vec<(String, String)> {
    let (connected, away) = hub.registry.counts();
    *most = connected.max(*most);
    let gateway = hub.gateway();
    let mut tally = fanfare_telemetry::Tally::default();
    for ((_, door), row) in gateway.book.totals() {
        if door == NAME {
            tally.add(&row);
        }
    }
    let totals =
        Totals { received: tally.messages_in, sent: tally.messages_out, connections: tally.connections_opened };
    load.advance(totals, f64::from(seconds));
    let numbers = [
        ("clients/connected", connected as u64),
        ("clients/disconnected", away as u64),
        ("clients/total", (connected + away) as u64),
        ("clients/maximum", *most as u64),
        ("messages/received", tally.messages_in),
        ("messages/sent", tally.messages_out),
        ("publish/messages/received", tally.messages_in),
        ("publish/messages/sent", tally.messages_out),
        ("publish/messages/dropped", tally.dropped),
        ("publish/bytes/received", tally.bytes_in),
        ("publish/bytes/sent", tally.bytes_out),
        ("subscriptions/count", hub.subscriptions.load(Ordering::Relaxed) as u64),
        ("retained messages/count", gateway.core.retained_count(hub.space()) as u64),
    ];
    let mut figures: Vec<_> = numbers.into_iter().map(|(name, n)| (name.to_owned(), n.to_string())).collect();
    figures.push(("version".to_owned(), concat!("fanfare version ", env!("CARGO_PKG_VERSION")).to_owned()));
    figures.push(("uptime".to_owned(), format!("{uptime_s} seconds")));
    for (averages, minutes) in load.averages.iter().zip(LOAD_MINUTES) {
        let names = ["load/publish/received", "load/publish/sent", "load/connections"];
        let named = names.into_iter().zip(averages);
        figures.extend(named.map(|(name, average)| (format!("{name}/{minutes}min"), format!("{average:.2}"))));
    }
    figures
}

fn say(hub: &Hub, name: &str, value: String) {
    let Ok(topic) = TopicName::new(&format!("$SYS/broker/{name}")) else { return };
    let mut publication = Publication::new(hub.space().clone(), topic, Kind::Text, value.into());
    (publication.guarantee, publication.retain) = (Guarantee::AtMostOnce, true);
    if let Err(refusal) = hub.gateway().core.pass(publication, hub.now()) {
        tracing::debug!(%refusal, "a counter was not published");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_near_to_what_happens() {
        let (mut load, mut totals) = (Load::default(), Totals::default());
        for _ in 0..=60 {
            load.advance(totals, 10.0);
            totals.received += 20;
        }
        let [one, five, fifteen] = load.averages.map(|averages| averages[0]);
        assert!((one - 120.0).abs() < 1.0, "{one}");
        assert!(fifteen < five && five < one && fifteen > 40.0, "{five} {fifteen}");
        assert_eq!(load.averages[0][1], 0.0);
    }

    #[test]
    fn what_is_counted_is_counted_while_it_lives() {
        let count = Arc::default();
        let one = Counted::new(&count);
        let two = one.clone();
        assert_eq!(count.load(Ordering::Relaxed), 2);
        drop((one, two));
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
