//! The words of `fanfare bench`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Puts load on a server and measures what it costs.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// Options of every case.
    #[command(flatten)]
    pub common: Common,
    /// What to measure.
    #[command(subcommand)]
    pub case: Case,
}

/// What to measure.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Case {
    /// One publisher, many subscribers of one topic.
    Fanout(FanoutArgs),
    /// Many topics, each with one publisher and one subscriber.
    Pairs(PairsArgs),
    /// What a connection costs that only waits.
    Idle(IdleArgs),
    /// Everybody leaves at once and comes back.
    Storm(StormArgs),
    /// Durable sessions leave, messages pile up, everybody comes back for them.
    Offline(OfflineArgs),
}

/// Options of every case.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Where the server listens; http, ws and mqtt (with its own default port) mean the same, TLS is
    /// not spoken.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// The token of every connection.
    #[arg(long, global = true, env = "FANFARE_TOKEN", hide_env_values = true)]
    pub token: Option<Token>,
    /// The space of the topics; MQTT has no word for it.
    #[arg(long, global = true, default_value = "default")]
    pub space: String,
    /// The server's process id: its CPU time and memory are read from /proc.
    #[arg(long, global = true)]
    pub pid: Option<u32>,
    /// Prints one JSON object instead of lines for people.
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress bar.
    #[arg(long, global = true)]
    pub quiet: bool,
    /// What the server speaks.
    #[arg(long, global = true, value_enum, default_value_t = DialectName::Native)]
    pub dialect: DialectName,
    /// Quality of service of publishers and subscribers; only MQTT has one.
    #[arg(long, global = true, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub qos: u8,
    /// Protocol level of MQTT: 4 is MQTT 3.1.1.
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u8).range(4..=5))]
    pub level: u8,
    /// Subscriptions on each connection of `fanout` and `idle`; only Momento has more than one.
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub streams: u16,
    /// The longest a measurement may take, in seconds.
    #[arg(long, global = true, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
}

impl Common {
    /// The cap of the measured interval.
    pub(crate) fn cap(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// A credential, which no debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(crate) String);

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(..)")
    }
}

impl FromStr for Token {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// What the server speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum DialectName {
    /// Fanfare's native protocol.
    Native,
    /// The bare protocol of bench/bun-server.js: the path is the topic, a message is its payload.
    Bun,
    /// MQTT over TCP.
    Mqtt,
    /// Momento Topics: gRPC over HTTP/2. `--space` is the cache.
    Momento,
}

/// `fanfare bench fanout`.
#[derive(Clone, Debug, clap::Args)]
pub struct FanoutArgs {
    /// Connections that subscribe to the topic, or subscriptions where a connection has more than one.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub subscribers: u32,
    /// Payload bytes of a message.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(32..=1_000_000))]
    pub size: u32,
    /// Messages written at once; the next burst follows when everybody has this one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub burst: u32,
    /// Messages to publish; the run ends earlier when --seconds are over.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: u64,
    /// Messages per second, whether or not the earlier ones have arrived.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rate: Option<u32>,
    /// Milliseconds of the same load before anything is counted.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub warmup: u64,
}

/// `fanfare bench pairs`.
#[derive(Clone, Debug, clap::Args)]
pub struct PairsArgs {
    /// Publisher and subscriber pairs; each sends its next message when the last one has arrived.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub pairs: u32,
    /// Payload bytes of a message.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(32..=1_000_000))]
    pub size: u32,
    /// Messages to publish in all; the run ends earlier when --seconds are over.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: u64,
    /// Milliseconds of the same load before anything is counted.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub warmup: u64,
}

/// `fanfare bench idle`.
#[derive(Clone, Debug, clap::Args)]
pub struct IdleArgs {
    /// Connections to hold, each with one subscription, or subscriptions where a connection has more than one.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections: u32,
    /// Topics they spread over.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub topics: u32,
    /// Seconds of silence over which the server's CPU time is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub hold: u64,
}

/// `fanfare bench storm`.
#[derive(Clone, Debug, clap::Args)]
pub struct StormArgs {
    /// Connections that leave and come back.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub clients: u32,
    /// Milliseconds over which first attempts spread; the server's own figure when absent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    pub spread: Option<u64>,
    /// Drops nothing: waits for the server to go away and to come back.
    #[arg(long)]
    pub wait_restart: bool,
}

/// `fanfare bench offline`, with `--dialect mqtt --qos 1`.
#[derive(Clone, Debug, clap::Args)]
pub struct OfflineArgs {
    /// Sessions, all subscribed to one topic.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub sessions: u32,
    /// Messages that are published while the sessions are away. 0 with `--phase drain` checks that
    /// nothing is left.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub messages: u64,
    /// Payload bytes of a message.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(32..=1_000_000))]
    pub size: u32,
    /// Sessions that are connected at once.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub at_once: u32,
    /// A part of the run, so that somebody can look at the server between the parts.
    #[arg(long, value_enum, default_value_t = Phase::All)]
    pub phase: Phase,
    /// Names sessions and topic, the same in all parts of a run. Random when absent.
    #[arg(long)]
    pub run: Option<String>,
    /// Kills the server (--pid) when half of the messages have come back, and waits until somebody
    /// has started it again.
    #[arg(long)]
    pub kill: bool,
}

/// Parts of `fanfare bench offline`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Phase {
    /// One after the other.
    All,
    /// Sessions subscribe and leave.
    Leave,
    /// Messages are published.
    Publish,
    /// Sessions come back and get everything.
    Drain,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn parse(line: &str) -> Result<BenchArgs, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.bench)
    }

    #[test]
    fn common_options_come_before_or_after_the_case() {
        for line in
            ["bench --seconds 5 --dialect bun fanout --burst 64", "bench fanout --burst 64 --dialect bun --seconds 5"]
        {
            let args = parse(line).unwrap();
            assert_eq!(args.common.dialect, DialectName::Bun);
            assert_eq!(args.common.cap(), Duration::from_secs(5));
            assert!(matches!(args.case, Case::Fanout(fanout) if fanout.burst == 64));
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let args = parse("bench --token hush fanout").unwrap();
        assert_eq!(args.common.token, Some(Token("hush".to_owned())));
        assert!(!format!("{args:?}").contains("hush"));
    }

    #[test]
    fn what_has_no_bound_is_refused() {
        for line in [
            "bench fanout --size 31",
            "bench fanout --subscribers 0",
            "bench fanout --seconds 0",
            "bench idle --connections 100001",
            "bench pairs --pairs -1",
            "bench pairs --qos 2",
            "bench pairs --level 3",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
