//! The figures of a run: their names in JSON, and the lines for people.

use std::fmt;

use serde::Serialize;

pub use crate::process::{CpuClock, Memory};

/// What a case found.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "case", rename_all = "lowercase")]
pub enum Report {
    /// One publisher, many subscribers.
    Fanout(FanoutReport),
    /// Many topics of two.
    Pairs(PairsReport),
    /// Connections that only wait.
    Idle(IdleReport),
    /// Everybody leaves and comes back.
    Storm(StormReport),
    /// Everybody comes back for what was published meanwhile.
    Offline(OfflineReport),
}

/// Time and CPU of a measured interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Its length.
    pub seconds: f64,
    /// Messages that arrived, each subscriber counting.
    pub deliveries: u64,
    /// Deliveries by wall time.
    pub deliveries_per_second: f64,
    /// The server's part, when its process id was given.
    pub server: Option<ServerCost>,
    /// The generator's CPU time for one delivery.
    pub generator_us_per_delivery: f64,
    /// How busy the generator was, 1 being one core.
    pub generator_share: f64,
}

/// What the server spent in an interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerCost {
    /// CPU time for one delivery.
    pub cpu_us_per_delivery: f64,
    /// How busy it was, 1 being one core.
    pub cpu_share: f64,
    /// How long it was ready to run while others had its core: the noise of the machine.
    pub wait_share: f64,
    /// CPU time in all.
    pub cpu_seconds: f64,
    /// Which clock measured it.
    pub clock: CpuClock,
    /// Memory at the end.
    pub memory: Memory,
}

/// From the publisher's write to the subscriber's read.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half were faster.
    pub p50_us: f64,
    /// One of ten was slower.
    pub p90_us: f64,
    /// One of a hundred was slower.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
}

/// Figures of `fanout`.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutReport {
    /// Connections that subscribed.
    pub subscribers: u32,
    /// Payload bytes.
    pub size: u32,
    /// Messages written at once.
    pub burst: u32,
    /// Messages published in the interval.
    pub messages: u64,
    /// Time and CPU.
    pub cost: Cost,
    /// Latency of deliveries.
    pub latency: Latency,
}

/// Figures of `pairs`.
#[derive(Clone, Debug, Serialize)]
pub struct PairsReport {
    /// Topics, each with a publisher and a subscriber.
    pub pairs: u32,
    /// Payload bytes.
    pub size: u32,
    /// Time and CPU.
    pub cost: Cost,
    /// Latency of deliveries.
    pub latency: Latency,
}

/// Figures of `idle`.
#[derive(Clone, Debug, Serialize)]
pub struct IdleReport {
    /// Connections held.
    pub connections: u32,
    /// Topics they spread over.
    pub topics: u32,
    /// Seconds it took to open all of them.
    pub opening_seconds: f64,
    /// The server's memory for one connection, when its process id was given.
    pub server: Option<IdleMemory>,
    /// The kernel's slab memory for one connection, both ends of it where both are on this machine.
    pub slab_bytes_per_connection: Option<f64>,
    /// Seconds of silence over which the next figure was taken.
    pub hold_seconds: f64,
    /// The server's CPU time, in microseconds per second and connection.
    pub cpu_us_per_second: Option<f64>,
    /// Deliveries to the silent connections that were checked at the end.
    pub checked_deliveries: u64,
}

/// A server's memory around the opening of idle connections.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IdleMemory {
    /// Anonymous memory (heap, stacks) for one connection.
    pub anonymous_bytes_per_connection: f64,
    /// Private memory for one connection.
    pub private_bytes_per_connection: f64,
    /// Resident memory for one connection.
    pub resident_bytes_per_connection: f64,
    /// Before.
    pub before: Memory,
    /// With all connections open.
    pub open: Memory,
    /// Two seconds after the last one was closed.
    pub closed: Memory,
}

/// Figures of `storm`.
#[derive(Clone, Debug, Serialize)]
pub struct StormReport {
    /// Connections that left and came back.
    pub clients: u32,
    /// Milliseconds over which first attempts were spread.
    pub spread_ms: u64,
    /// Milliseconds until half of them were back.
    pub half_back_ms: u64,
    /// Milliseconds until 99 of 100 were back.
    pub most_back_ms: u64,
    /// Milliseconds until the last one was back.
    pub all_back_ms: u64,
    /// Attempts of all clients.
    pub attempts: u64,
    /// The most attempts that one client needed.
    pub attempts_of_one_max: u32,
    /// The most attempts within one second.
    pub attempts_per_second_max: u64,
    /// Attempts that the server refused (503, `overloaded`, `shutting_down`).
    pub refusals: u64,
    /// Attempts that failed otherwise: connection refused, reset, no answer in time.
    pub failures: u64,
    /// The server's CPU time over the storm, when its process id was given and it stayed up.
    pub server_cpu_seconds: Option<f64>,
    /// Deliveries to everybody that were checked at the end.
    pub checked_deliveries: u64,
}

/// Figures of `offline`; a part that was not run has none.
#[derive(Clone, Debug, Serialize)]
pub struct OfflineReport {
    /// Durable sessions.
    pub sessions: u32,
    /// Messages published while they were away.
    pub messages: u64,
    /// Payload bytes.
    pub size: u32,
    /// Seconds in which all of them connected, subscribed and left.
    pub leaving_seconds: Option<f64>,
    /// Time and CPU of publishing; a delivery is a message that the server took over.
    pub publishing: Option<Cost>,
    /// Time and CPU of coming back. Without the server's part if it was killed.
    pub draining: Option<Cost>,
    /// Messages that came again, marked as such, after the server was killed.
    pub duplicates: u64,
    /// Messages that came again then without the mark, which is a fault of the server.
    pub unmarked_duplicates: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fanout(report) => {
                writeln!(
                    out,
                    "fan-out     {} subscribers, {} bytes, bursts of {}, {} messages",
                    report.subscribers, report.size, report.burst, report.messages
                )?;
                write!(out, "{}{}", report.cost, report.latency)
            }
            Self::Pairs(report) => {
                writeln!(out, "pairs       {} of {} bytes", report.pairs, report.size)?;
                write!(out, "{}{}", report.cost, report.latency)
            }
            Self::Idle(report) => report.fmt(out),
            Self::Storm(report) => report.fmt(out),
            Self::Offline(report) => report.fmt(out),
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "deliveries  {} in {:.2} s, {:.0} per second, each one checked",
            self.deliveries, self.seconds, self.deliveries_per_second
        )?;
        if let Some(server) = &self.server {
            writeln!(
                out,
                "server      {:.3} µs CPU per delivery, {:.0} % of a core (and {:.0} % waiting for it; clock: {:?}), {:.1} MiB resident",
                server.cpu_us_per_delivery,
                server.cpu_share * 100.0,
                server.wait_share * 100.0,
                server.clock,
                mebibytes(server.memory.resident)
            )?;
        }
        writeln!(
            out,
            "generator   {:.3} µs CPU per delivery, {:.0} % of a core",
            self.generator_us_per_delivery,
            self.generator_share * 100.0
        )
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "latency     p50 {:.0} µs, p90 {:.0} µs, p99 {:.0} µs, max {:.0} µs",
            self.p50_us, self.p90_us, self.p99_us, self.max_us
        )
    }
}

impl fmt::Display for IdleReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "idle        {} connections over {} topics, opened in {:.1} s, {} deliveries checked",
            self.connections, self.topics, self.opening_seconds, self.checked_deliveries
        )?;
        if let Some(server) = &self.server {
            writeln!(
                out,
                "memory      {:.0} bytes anonymous per connection ({:.0} private, {:.0} resident)",
                server.anonymous_bytes_per_connection,
                server.private_bytes_per_connection,
                server.resident_bytes_per_connection
            )?;
            writeln!(
                out,
                "resident    {:.1} MiB before, {:.1} MiB open, {:.1} MiB closed again",
                mebibytes(server.before.resident),
                mebibytes(server.open.resident),
                mebibytes(server.closed.resident)
            )?;
        }
        if let Some(slab) = self.slab_bytes_per_connection {
            writeln!(out, "kernel      {slab:.0} bytes of slab per connection on this machine")?;
        }
        if let Some(cpu) = self.cpu_us_per_second {
            writeln!(out, "server      {cpu:.3} µs CPU per second and connection, over {:.0} s", self.hold_seconds)?;
        }
        Ok(())
    }
}

impl fmt::Display for StormReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "storm       {} clients, first attempts spread over {} ms, {} deliveries checked",
            self.clients, self.spread_ms, self.checked_deliveries
        )?;
        writeln!(
            out,
            "back        half after {} ms, 99 % after {} ms, all after {} ms",
            self.half_back_ms, self.most_back_ms, self.all_back_ms
        )?;
        writeln!(
            out,
            "attempts    {} ({:.2} per client, at most {}), peak {} per second, {} refused, {} failed",
            self.attempts,
            self.attempts as f64 / f64::from(self.clients.max(1)),
            self.attempts_of_one_max,
            self.attempts_per_second_max,
            self.refusals,
            self.failures
        )?;
        if let Some(cpu) = self.server_cpu_seconds {
            writeln!(out, "server      {cpu:.2} s CPU")?;
        }
        Ok(())
    }
}

impl fmt::Display for OfflineReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "offline     {} sessions, {} messages of {} bytes, {} repeated, {} more without the mark",
            self.sessions, self.messages, self.size, self.duplicates, self.unmarked_duplicates
        )?;
        if let Some(seconds) = self.leaving_seconds {
            writeln!(out, "left        all after {seconds:.1} s")?;
        }
        for (title, cost) in [("published", &self.publishing), ("came back", &self.draining)] {
            if let Some(cost) = cost {
                write!(out, "{title}\n{cost}")?;
            }
        }
        Ok(())
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_its_case() {
        let cost = Cost {
            seconds: 2.0,
            deliveries: 4,
            deliveries_per_second: 2.0,
            server: None,
            generator_us_per_delivery: 0.5,
            generator_share: 0.1,
        };
        let latency = Latency { p50_us: 1.0, p90_us: 2.0, p99_us: 3.0, max_us: 4.0 };
        let report = Report::Pairs(PairsReport { pairs: 2, size: 100, cost, latency });
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["case"], "pairs");
        assert_eq!(json["cost"]["deliveries"], 4);
        let text = report.to_string();
        assert!(text.contains("4 in 2.00 s") && text.contains("p99 3 µs"), "{text}");
    }
}
