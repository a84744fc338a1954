//! Bounds of the driver, each with its default.

use crate::head::Head;

/// What connections may do and take. Replaceable while the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverLimits {
    /// Connections from one address; 0 is without a limit.
    pub connections_per_address: u32,
    /// Connections in all; set from the limit of open files.
    pub connections: u32,
    /// Completed WebSocket handshakes and stream openings per second; 0 is without a limit.
    pub handshakes_per_second: u32,
    /// From accept to the end of the request head, and to the protocol's first packet.
    pub handshake_timeout_ms: u64,
    /// An upgrade that a door decides later must be decided within this.
    pub upgrade_timeout_ms: u64,
    /// Request line and headers, in bytes.
    pub head_bytes: usize,
    /// One WebSocket frame, in bytes.
    pub frame_bytes: usize,
    /// One WebSocket message, or packet of a stream, in bytes.
    pub message_bytes: usize,
    /// Longest topic, in bytes; at most the core's own 1,024.
    pub topic_bytes: usize,
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Publishes per second of one connection; 0 is without a limit.
    pub publish_per_second: u32,
    /// Publishes at once before the rate counts.
    pub publish_burst: u32,
    /// Bytes that may wait towards one connection.
    pub outbox_bytes: usize,
    /// How long the oldest of them may wait.
    pub outbox_age_ms: u64,
    /// How often a silent link is pinged.
    pub ping_interval_ms: u64,
    /// Within which clients spread a reconnect.
    pub reconnect_spread_ms: u64,
    /// Futures that one connection may have under way.
    pub errands: usize,
    /// Body of a plain HTTP request, in bytes.
    pub body_bytes: usize,
    /// Streams and polls served by tasks, in all.
    pub streams: usize,
}

impl Default for DriverLimits {
    fn default() -> Self {
        Self {
            connections_per_address: 10_000,
            connections: 1_000_000,
            handshakes_per_second: 5_000,
            handshake_timeout_ms: 10_000,
            upgrade_timeout_ms: 40_000,
            head_bytes: 16 << 10,
            frame_bytes: 2 << 20,
            message_bytes: 2 << 20,
            topic_bytes: 1_024,
            subscriptions: 1_000,
            publish_per_second: 100_000,
            publish_burst: 100_000,
            outbox_bytes: 1 << 20,
            outbox_age_ms: 10_000,
            ping_interval_ms: 25_000,
            reconnect_spread_ms: 5_000,
            errands: 256,
            body_bytes: 4 << 20,
            streams: 100_000,
        }
    }
}

/// Rules that are not numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// No keys are configured: whoever reaches the loopback may do everything.
    pub is_development: bool,
    /// Origins that browsers may come from; empty allows any. In development mode only pages from
    /// this machine are let in, because anything else would be a stranger's page in the
    /// developer's browser.
    pub allowed_origins: Vec<String>,
    /// permessage-deflate is agreed to when a client offers it.
    pub deflate: bool,
}

impl Policy {
    /// Whether a request from this page is let in: one of the server's own, which the request's
    /// `Host` tells, or one that is configured. Requests without an `Origin` do not come from a page.
    pub fn allows_origin(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let is_own = || {
            let page = origin.split_once("://").map(|(_, host)| host);
            page.zip(host).is_some_and(|(page, host)| page.eq_ignore_ascii_case(host)) && self.allows_host(host)
        };
        let is_allowed = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(origin);
        self.allowed_origins.iter().any(is_allowed)
            || (self.allowed_origins.is_empty() && self.is_development && is_local(origin))
            || is_own()
    }

    /// Whether a request for this `Host` is answered. In development mode only names of this machine
    /// are, or a stranger's page could reach the server under a name of its own (DNS rebinding):
    /// browsers send no `Origin` with a page's requests to what they take for its own host.
    pub fn allows_host(&self, host: Option<&str>) -> bool {
        !self.is_development || host.is_none_or(is_local_host)
    }

    pub(crate) fn allows_page(&self, head: &Head) -> bool {
        {
            let host = head.header("host");
            self.allows_origin(head.header("origin"), host) && self.allows_host(host)
        }
    }
}

fn is_local(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, host)| is_local_host(host))
}

/// A host, with or without a port, that can only be this machine.
fn is_local_host(host: &str) -> bool {
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    host == "localhost" || host.ends_with(".localhost") || host == "[::1]" || {
        host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn development_mode_lets_in_only_pages_of_this_machine() {
        let policy = Policy { is_development: true, ..Policy::default() };
        for (origin, expected) in [
            ("http://localhost:3000", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:8080", true),
            ("http://app.localhost", true),
            ("https://evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://localhost.evil.example:80", false),
            ("null", false),
        ] {
            assert_eq!(policy.allows_origin(Some(origin), None), expected, "{origin}");
        }
        assert!(policy.allows_origin(None, None));
    }

    #[test]
    fn configured_origins_are_the_only_ones() {
        let policy = Policy { allowed_origins: vec!["https://app.example".into()], ..Policy::default() };
        assert!(policy.allows_origin(Some("https://APP.example"), None));
        assert!(!policy.allows_origin(Some("http://localhost"), None));
    }

    #[test]
    fn the_own_origin_is_always_one_and_others_are_not_by_default() {
        let app = Policy { allowed_origins: vec!["https://app.example".into()], ..Policy::default() };
        for policy in [Policy::default(), app] {
            let allows = |origin, host| policy.allows_origin(Some(origin), Some(host));
            assert!(allows("https://fan.example", "fan.example") && allows("http://Fan.example:80", "fan.example:80"));
            assert!(!allows("https://evil.example", "fan.example") && !allows("null", "null"));
        }
        let development = Policy { is_development: true, ..Policy::default() };
        assert!(!development.allows_origin(Some("http://evil.example"), Some("evil.example")), "DNS rebinding");
    }
}
