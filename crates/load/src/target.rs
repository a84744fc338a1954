//! The server under load: its address and what every connection says first.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};
use fanfare_mqtt_codec::{Level, Qos};
use fanfare_websocket::handshake;

use crate::args::{Common, DialectName};
use crate::momento;

/// Source addresses to spread over, so that the ports of one do not run out.
const LOOPBACK_SOURCES: u32 = 64;

/// How long a durable session lasts without a connection, in seconds.
pub(crate) const SESSION_SECONDS: u32 = 24 * 60 * 60;

/// What becomes of the sessions of subscribers (MQTT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Session {
    /// They end with the connection.
    Transient,
    /// They begin with this connection and outlive it.
    Begin,
    /// They must be there, with their subscription.
    Resume,
}

/// Where to connect and as whom.
pub(crate) struct Target {
    pub(crate) dialect: DialectName,
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
    pub(crate) space: String,
    /// Subscriptions on each connection that subscribes.
    pub(crate) streams: usize,
    pub(crate) qos: Qos,
    pub(crate) level: Level,
    pub(crate) session: Session,
    /// The start of all client ids, so that two generators have different ones.
    pub(crate) clients: String,
    /// One key serves all handshakes: nothing between here and the server caches them.
    pub(crate) key: String,
    pub(crate) host: String,
    base: String,
}

impl Target {
    pub(crate) fn new(common: &Common) -> anyhow::Result<Self> {
        if common.streams > 1 && common.dialect != DialectName::Momento {
            bail!("--streams: only a connection of --dialect momento has more than one subscription");
        }
        let place = Place::parse(&common.url)?;
        let address = (place.host.as_str(), place.port)
            .to_socket_addrs()
            .with_context(|| format!("--url: {} has no address", place.host))?
            .next()
            .with_context(|| format!("--url: {} has no address", place.host))?;
        Ok(Self {
            dialect: common.dialect,
            address,
            token: common.token.as_ref().map(|token| token.0.clone()),
            space: common.space.clone(),
            streams: usize::from(common.streams),
            qos: if common.qos == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce },
            level: if common.level == 4 { Level::V4 } else { Level::V5 },
            session: Session::Transient,
            clients: format!("{:08x}", fastrand::u32(..)),
            key: handshake::make_key(fastrand::u128(..).to_ne_bytes()),
            host: place.authority,
            base: place.path,
        })
    }

    /// The opening handshake of a connection for `topic`.
    pub(crate) fn request(&self, topic: &str, is_subscriber: bool) -> anyhow::Result<Vec<u8>> {
        let base = &self.base;
        let path = match (self.dialect, is_subscriber) {
            (DialectName::Bun, true) => format!("{base}/{topic}"),
            (DialectName::Bun, false) => format!("{base}/{topic}?publisher"),
            _ => format!("{base}/v1/connect"),
        };
        handshake::client_request(&self.host, &path, &self.key, &[], None, &[])
            .context("the handshake cannot be written")
    }

    /// Whether the server acknowledges what is published.
    pub(crate) fn is_acknowledged(&self) -> bool {
        match self.dialect {
            DialectName::Momento => true,
            DialectName::Mqtt => self.qos > Qos::AtMostOnce,
            DialectName::Native | DialectName::Bun => false,
        }
    }

    /// Whether messages that are published at once keep their order. Calls of gRPC are independent of each other.
    pub(crate) fn is_ordered(&self) -> bool {
        self.dialect != DialectName::Momento
    }

    /// Whether a burst may be under way without an answer.
    pub(crate) fn check_burst(&self, burst: u32, size: u32) -> anyhow::Result<()> {
        let bytes = u64::from(burst) * (u64::from(size) + momento::PUBLISH_BYTES);
        if self.dialect == DialectName::Momento && bytes > momento::UNANSWERED_BYTES_MAX {
            bail!("--burst: {bytes} bytes at once, more than {} are not sent here", momento::UNANSWERED_BYTES_MAX);
        }
        Ok(())
    }

    /// The connections that so many subscriptions take.
    pub(crate) fn links(&self, subscriptions: usize) -> anyhow::Result<usize> {
        if !subscriptions.is_multiple_of(self.streams) {
            bail!("--streams: {subscriptions} subscriptions do not fill connections of {}", self.streams);
        }
        Ok(subscriptions / self.streams)
    }

    /// The source address of connection `index`, where that is ours to choose.
    pub(crate) fn source(&self, index: usize) -> Option<SocketAddr> {
        let is_loopback = self.address.is_ipv4() && self.address.ip().is_loopback();
        is_loopback.then(|| {
            let step = u32::try_from(index).unwrap_or(0) % LOOPBACK_SOURCES;
            let ip = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1 + step);
            SocketAddr::from((ip, 0))
        })
    }
}

/// The parts of `--url`.
#[derive(PartialEq, Eq, Debug)]
struct Place {
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Place {
    fn parse(url: &str) -> anyhow::Result<Self> {
        let Some((scheme, rest)) = url.split_once("://") else {
            bail!("--url: {url} has no scheme, expected http://, ws:// or mqtt://");
        };
        let default_port = match scheme {
            "http" | "ws" => 80,
            "mqtt" => 1883,
            "https" | "wss" | "mqtts" => bail!("--url: TLS is not spoken here, use the server's plain port"),
            _ => bail!("--url: unknown scheme {scheme}, expected http, ws or mqtt"),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse();
                (host, port.with_context(|| format!("--url: bad port in {authority}"))?)
            }
            _ => (authority, default_port),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            bail!("--url: {url} names no host");
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, port: u16, authority: &str, path: &str) -> Place {
        let (host, authority, path) = (host.into(), authority.into(), path.into());
        Place { host, port, authority, path }
    }

    #[test]
    fn urls_are_read() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", place("127.0.0.1", 8080, "127.0.0.1:8080", "")),
            ("ws://localhost/", place("localhost", 80, "localhost", "")),
            ("mqtt://h", place("h", 1883, "h", "")),
            ("ws://h:1/a/b/", place("h", 1, "h:1", "/a/b")),
            ("http://[::1]:9", place("::1", 9, "[::1]:9", "")),
            ("http://[::1]", place("::1", 80, "[::1]", "")),
        ] {
            assert_eq!(Place::parse(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused_with_the_reason() {
        for (url, reason) in [
            ("127.0.0.1:8080", "no scheme"),
            ("https://h", "TLS"),
            ("mqtts://h", "TLS"),
            ("ftp://h", "unknown scheme"),
            ("http://h:x", "bad port"),
            ("http://:1", "no host"),
        ] {
            let error = Place::parse(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }
}
