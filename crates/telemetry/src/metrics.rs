//! What `/metrics` shows, in the OpenMetrics text format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::functions::{self, CallTimes, FunctionFigures};
use crate::histogram::Durations;
use crate::meter::{MeterBook, OTHER_SPACE};
use crate::tally::Tally;

/// Most spaces that metrics show by name. The first ones to be seen stay; all others are summed
/// under [`OTHER_SPACE`], so that a scrape has a bound and no counter ever falls.
pub const SPACES_SHOWN_MAX: usize = 1_000;

type Labels<'a> = &'a [(&'static str, &'a str)];
type Observer = Box<dyn Fn(&mut Gauges) + Send + Sync>;

/// All metrics of a process. Every method may be called from any thread at any time.
pub struct Metrics {
    registry: Registry,
    figures: Arc<Figures>,
}

/// What is read when somebody scrapes, filled in by the callbacks of [`Metrics::observe`].
#[derive(Debug, Default)]
pub struct Gauges {
    /// Connections that are up, through all doors.
    pub connections_open: u64,
    /// Bytes that the log takes on disk.
    pub log_disk_bytes: u64,
    /// Functions that run as processes of the server, each once.
    pub functions: Vec<FunctionFigures>,
    /// Counters that only one door has.
    pub door_counters: Vec<DoorCounter>,
    history: BTreeMap<Arc<str>, (u64, u64)>,
}

/// A counter of one door's own.
#[derive(Clone, Debug)]
pub struct DoorCounter {
    /// Its name, without what stands before all names and behind those of counters.
    pub name: &'static str,
    /// What is counted.
    pub help: &'static str,
    /// What it belongs to: name and value of a label.
    pub label: (&'static str, Arc<str>),
    /// How many.
    pub value: u64,
}

impl Gauges {
    /// Messages that a space keeps, and their bytes.
    pub fn history(&mut self, space: &Arc<str>, messages: u64, bytes: u64) {
        let kept = self.history.entry(Arc::clone(space)).or_default();
        kept.0 += messages;
        kept.1 += bytes;
    }
}

impl Metrics {
    /// Shows what `book` holds, and what will be observed.
    pub fn new(book: MeterBook) -> Arc<Self> {
        let figures = Arc::new(Figures { book, ..Figures::default() });
        let mut registry = Registry::with_prefix("fanfare");
        registry.register_collector(Box::new(Arc::clone(&figures)));
        Arc::new(Self { registry, figures })
    }

    /// The exposition: `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    pub fn render(&self) -> String {
        let mut exposition = String::new();
        // Writing to a string cannot fail; what stands in it until then is shown if it does.
        let _ = text::encode(&mut exposition, &self.registry);
        exposition
    }

    /// Calls `observer` at every scrape; it sets or adds to the gauges. It must not block for long.
    pub fn observe(&self, observer: Observer) {
        self.figures.observers.write().push(observer);
    }

    /// From a publish to its commit on disk.
    pub fn observe_commit(&self, space: &Arc<str>, door: &'static str, seconds: f64) {
        self.figures.observe(&self.figures.commits, space, door, seconds);
    }

    /// One turn of a shard's event loop.
    pub fn observe_turn(&self, seconds: f64) {
        self.figures.turns.observe(seconds);
    }

    /// From the accepted socket to a session that is up.
    pub fn observe_handshake(&self, door: &'static str, seconds: f64) {
        self.figures.handshakes.with([door], |handshakes| handshakes.observe(seconds));
    }

    /// From a publish to the write towards a receiver. Shards feed samples, not every delivery.
    pub fn observe_delivery(&self, space: &Arc<str>, door: &'static str, seconds: f64) {
        self.figures.observe(&self.figures.deliveries, space, door, seconds);
    }

    /// From a call of a function that runs here to its answer.
    pub fn observe_call(&self, function: &Arc<str>, seconds: f64) {
        self.figures.calls.observe(function, seconds);
    }

    /// A limit was reached, by its name in the configuration.
    pub fn limit(&self, name: &'static str) {
        self.figures.limits.with([name], |count| count.fetch_add(1, Relaxed));
    }

    /// A door refused something with the stable code of the refusal.
    pub fn refusal(&self, door: &'static str, code: &'static str) {
        self.figures.refusals.with([door, code], |count| count.fetch_add(1, Relaxed));
    }
}

impl Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("figures", &self.figures).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Figures {
    book: MeterBook,
    shown: Mutex<BTreeSet<Arc<str>>>,
    observers: RwLock<Vec<Observer>>,
    commits: BySpace,
    turns: Durations,
    handshakes: Labelled<1, Durations>,
    deliveries: BySpace,
    calls: CallTimes,
    limits: Labelled<1, AtomicU64>,
    refusals: Labelled<2, AtomicU64>,
}

impl Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").field("book", &self.book).finish_non_exhaustive()
    }
}

/// Durations by space, as it is shown, and door.
type BySpace = RwLock<BTreeMap<(Arc<str>, &'static str), Durations>>;

/// One value per set of label values. These are names in our own code, so there is a bound.
struct Labelled<const N: usize, T>(RwLock<BTreeMap<[&'static str; N], T>>);

impl<const N: usize, T> Default for Labelled<N, T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<const N: usize, T: Default> Labelled<N, T> {
    fn with<R>(&self, labels: [&'static str; N], touch: impl Fn(&T) -> R) {
        if let Some(value) = self.0.read().get(&labels) {
            touch(value);
            return;
        }
        touch(self.0.write().entry(labels).or_default());
    }
}

/// A counter of the book: its name, its help and where it stands in a tally.
type BookCounter = (&'static str, &'static str, fn(&Tally) -> u64);

const BOOK_COUNTERS: [BookCounter; 8] = [
    ("messages_in", "Messages published, by space and door", |t| t.messages_in),
    ("messages_out", "Messages delivered, one per receiver", |t| t.messages_out),
    ("bytes_in", "Payload bytes published", |t| t.bytes_in),
    ("bytes_out", "Payload bytes delivered", |t| t.bytes_out),
    ("dropped", "Messages that a slow receiver did not get", |t| t.dropped),
    ("refused", "Operations that were refused", |t| t.refused),
    ("connections_opened", "Connections that came up", |t| t.connections_opened),
    ("operations", "Control operations", |t| t.operations),
];

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_book(&mut encoder)?;
        self.encode_gauges(&mut encoder)?;
        encode_durations_by_space(
            &mut encoder,
            "commit_seconds",
            "From a publish to its commit on disk",
            &self.commits,
        )?;
        encode_durations(&mut encoder, "turn_seconds", "One turn of a shard's event loop", &self.turns)?;
        let help = "From the accepted socket to a session that is up";
        encode_durations_by_door(&mut encoder, "handshake_seconds", help, &self.handshakes)?;
        let help = "From a publish to the write towards a receiver, sampled";
        encode_durations_by_space(&mut encoder, "delivery_seconds", help, &self.deliveries)?;
        self.calls.encode(&mut encoder)?;
        encode_counters(&mut encoder, "limit_reached", "Limits that were reached", ["limit"], &self.limits)?;
        encode_counters(&mut encoder, "refusals", "Refusals by code", ["door", "code"], &self.refusals)
    }
}

impl Figures {
    fn encode_book(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut rows: BTreeMap<(Arc<str>, &'static str), Tally> = BTreeMap::new();
        for ((space, door), tally) in self.book.totals() {
            rows.entry((self.shown(&space), door)).or_default().add(&tally);
        }
        for (name, help, count) in BOOK_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for ((space, door), tally) in &rows {
                encode_counter(&mut family, &[("space", space), ("door", door)], count(tally))?;
            }
        }
        let help = "Connections that are up, by space and door";
        let mut family = encoder.encode_descriptor("connections", help, None, MetricType::Gauge)?;
        for ((space, door), tally) in &rows {
            let labels: Labels<'_> = &[("door", door), ("space", space)];
            family.encode_family(&labels)?.encode_gauge(&gauge(tally.connections()))?;
        }
        Ok(())
    }

    fn encode_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauges = Gauges::default();
        self.observers.read().iter().for_each(|observer| observer(&mut gauges));
        encode_gauge(encoder, "connections_open", "Connections that are up", gauges.connections_open)?;
        encode_gauge(encoder, "log_disk_bytes", "Bytes that the log takes on disk", gauges.log_disk_bytes)?;
        functions::encode(encoder, &gauges.functions)?;
        encode_door_counters(encoder, gauges.door_counters)?;
        let mut kept: BTreeMap<Arc<str>, (u64, u64)> = BTreeMap::new();
        for (space, (messages, bytes)) in gauges.history {
            let sum = kept.entry(self.shown(&space)).or_default();
            *sum = (sum.0 + messages, sum.1 + bytes);
        }
        let mut family =
            encoder.encode_descriptor("history_messages", "Messages kept in history", None, MetricType::Gauge)?;
        for (space, (messages, _)) in &kept {
            let labels: Labels<'_> = &[("space", space)];
            family.encode_family(&labels)?.encode_gauge(&gauge(*messages))?;
        }
        let mut family =
            encoder.encode_descriptor("history_bytes", "Bytes kept in history", None, MetricType::Gauge)?;
        for (space, (_, bytes)) in &kept {
            let labels: Labels<'_> = &[("space", space)];
            family.encode_family(&labels)?.encode_gauge(&gauge(*bytes))?;
        }
        Ok(())
    }

    fn observe(&self, durations: &BySpace, space: &Arc<str>, door: &'static str, seconds: f64) {
        let key = (self.shown(space), door);
        if let Some(durations) = durations.read().get(&key) {
            return durations.observe(seconds);
        }
        durations.write().entry(key).or_default().observe(seconds);
    }

    /// The name a space is shown under.
    fn shown(&self, space: &Arc<str>) -> Arc<str> {
        let mut shown = self.shown.lock();
        if shown.contains(space) {
            return Arc::clone(space);
        }
        if shown.len() >= SPACES_SHOWN_MAX || &**space == OTHER_SPACE {
            return OTHER_SPACE.into();
        }
        shown.insert(Arc::clone(space));
        Arc::clone(space)
    }
}

pub(crate) fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn encode_gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&gauge(value))
}

pub(crate) fn encode_counter(family: &mut MetricEncoder<'_>, labels: Labels<'_>, value: u64) -> fmt::Result {
    family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

/// Counters of one name are one family, whatever the order in which doors tell them.
fn encode_door_counters(encoder: &mut DescriptorEncoder<'_>, mut counters: Vec<DoorCounter>) -> fmt::Result {
    counters.sort_by(|a, b| a.name.cmp(b.name));
    for family in counters.chunk_by(|a, b| a.name == b.name) {
        let mut encoder = encoder.encode_descriptor(family[0].name, family[0].help, None, MetricType::Counter)?;
        for DoorCounter { label: (name, value), value: count, .. } in family {
            encode_counter(&mut encoder, &[(*name, value)], *count)?;
        }
    }
    Ok(())
}

fn encode_counters<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    keys: [&'static str; N],
    counters: &Labelled<N, AtomicU64>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (values, count) in counters.0.read().iter() {
        let labels: Vec<_> = keys.into_iter().zip(values.iter().copied()).collect();
        encode_counter(&mut family, &labels, count.load(Relaxed))?;
    }
    Ok(())
}

fn encode_durations(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, durations: &Durations) -> fmt::Result {
    write_durations(&mut encoder.encode_descriptor(name, help, None, MetricType::Histogram)?, durations)
}

fn encode_durations_by_door(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    durations: &Labelled<1, Durations>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for ([door], durations) in durations.0.read().iter() {
        let labels: Labels<'_> = &[("door", door)];
        write_durations(&mut family.encode_family(&labels)?, durations)?;
    }
    Ok(())
}

fn encode_durations_by_space(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    durations: &BySpace,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for ((space, door), durations) in durations.read().iter() {
        let labels: Labels<'_> = &[("space", space), ("door", door)];
        write_durations(&mut family.encode_family(&labels)?, durations)?;
    }
    Ok(())
}

pub(crate) fn write_durations(encoder: &mut MetricEncoder<'_>, durations: &Durations) -> fmt::Result {
    let read = durations.read();
    encoder.encode_histogram::<NoLabelSet>(read.sum, read.count, &read.buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Meter, SharedMeter};

    #[track_caller]
    fn assert_shows(exposition: &str, lines: &[&str]) {
        for line in lines {
            assert!(exposition.lines().any(|shown| shown == *line), "{line} is not in\n{exposition}");
        }
    }

    #[test]
    fn a_scrape_shows_what_threads_have_posted() {
        let book = MeterBook::new();
        let metrics = Metrics::new(book.clone());
        let (desk, mut meter) = (book.desk(), Meter::new());
        let row = meter.row(&"chat".into(), "native");
        row.published(100);
        row.delivered(100, 3);
        row.opened();
        row.opened();
        row.closed(5);
        row.operations += 1;
        row.dropped += 2;
        row.refused += 4;
        desk.post(&meter);
        assert_shows(
            &metrics.render(),
            &[
                r#"fanfare_messages_in_total{space="chat",door="native"} 1"#,
                r#"fanfare_messages_out_total{space="chat",door="native"} 3"#,
                r#"fanfare_bytes_in_total{space="chat",door="native"} 100"#,
                r#"fanfare_bytes_out_total{space="chat",door="native"} 300"#,
                r#"fanfare_dropped_total{space="chat",door="native"} 2"#,
                r#"fanfare_refused_total{space="chat",door="native"} 4"#,
                r#"fanfare_connections_opened_total{space="chat",door="native"} 2"#,
                r#"fanfare_connections{door="native",space="chat"} 1"#,
                r#"fanfare_operations_total{space="chat",door="native"} 1"#,
                "# EOF",
            ],
        );
    }

    #[test]
    fn durations_limits_and_refusals_are_shown_by_their_labels() {
        let metrics = Metrics::new(MeterBook::new());
        metrics.observe_commit(&"chat".into(), "native", 0.003);
        metrics.observe_turn(0.000_03);
        metrics.observe_handshake("mqtt", 0.2);
        metrics.observe_delivery(&"chat".into(), "native", 0.000_15);
        metrics.limit("connections");
        metrics.limit("connections");
        metrics.refusal("mqtt", "denied");
        assert_shows(
            &metrics.render(),
            &[
                r#"fanfare_commit_seconds_bucket{le="0.002",space="chat",door="native"} 0"#,
                r#"fanfare_commit_seconds_bucket{le="0.005",space="chat",door="native"} 1"#,
                r#"fanfare_commit_seconds_bucket{le="+Inf",space="chat",door="native"} 1"#,
                r#"fanfare_commit_seconds_sum{space="chat",door="native"} 0.003"#,
                r#"fanfare_turn_seconds_bucket{le="0.00005"} 1"#,
                r#"fanfare_handshake_seconds_count{door="mqtt"} 1"#,
                r#"fanfare_delivery_seconds_bucket{le="0.0002",space="chat",door="native"} 1"#,
                r#"fanfare_limit_reached_total{limit="connections"} 2"#,
                r#"fanfare_refusals_total{door="mqtt",code="denied"} 1"#,
            ],
        );
    }

    #[test]
    fn gauges_are_asked_for_at_every_scrape() {
        let metrics = Metrics::new(MeterBook::new());
        let calls = AtomicU64::new(0);
        metrics.observe(Box::new(move |gauges| {
            gauges.connections_open = 40 + calls.fetch_add(1, Relaxed);
            gauges.history(&"chat".into(), 7, 900);
        }));
        metrics.observe(Box::new(|gauges| gauges.log_disk_bytes = 5));
        metrics.render();
        assert_shows(
            &metrics.render(),
            &[
                "fanfare_connections_open 41",
                "fanfare_log_disk_bytes 5",
                r#"fanfare_history_messages{space="chat"} 7"#,
                r#"fanfare_history_bytes{space="chat"} 900"#,
            ],
        );
    }

    #[test]
    fn spaces_beyond_the_bound_are_summed_and_no_counter_falls() {
        let book = MeterBook::new();
        let metrics = Metrics::new(book.clone());
        let meter = SharedMeter::new(&book);
        let count = |name: String| meter.row(&name.into(), "native", |tally| tally.operations += 1);
        (0..SPACES_SHOWN_MAX + 50).for_each(|n| count(format!("m{n:04}")));
        meter.post();
        assert_shows(&metrics.render(), &[r#"fanfare_operations_total{space="other",door="native"} 50"#]);
        // These sort first, and still do not push out the ones that are shown already.
        (0..50).for_each(|n| count(format!("a{n:04}")));
        meter.post();
        let exposition = metrics.render();
        assert_shows(
            &exposition,
            &[
                r#"fanfare_operations_total{space="other",door="native"} 100"#,
                r#"fanfare_operations_total{space="m0999",door="native"} 1"#,
            ],
        );
        let rows = exposition.lines().filter(|line| line.starts_with("fanfare_operations_total{"));
        assert_eq!(rows.count(), SPACES_SHOWN_MAX + 1);
    }

    #[test]
    fn a_name_from_outside_cannot_break_the_exposition() {
        let book = MeterBook::new();
        let metrics = Metrics::new(book.clone());
        let meter = SharedMeter::new(&book);
        meter.row(&"a\"} 1\nfake 2 \\".into(), "native", |tally| tally.refused += 1);
        meter.post();
        let exposition = metrics.render();
        assert!(!exposition.lines().any(|line| line.starts_with("fake")), "{exposition}");
        assert_shows(&exposition, &[r#"fanfare_refused_total{space="a\"} 1\nfake 2 \\",door="native"} 1"#]);
    }
}
