//! Where this server is reached: by clients, and by functions that call back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use fanfare_apigateway::Api;

use crate::config::Config;

/// The port that nobody has to write behind `https://`.
const HTTPS_PORT: u16 = 443;
/// Where a server that listens nowhere would be.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Gives the first address of `listen` a port if it is to be chosen, because functions are told of it before the
/// server listens.
///
/// # Errors
/// The system has no free port.
pub(crate) fn choose_port(config: &mut Config) -> io::Result<()> {
    if let Some(address) = config.listen.first_mut().filter(|address| address.port() == 0) {
        address.set_port(TcpListener::bind(*address)?.local_addr()?.port());
    }
    Ok(())
}

/// Where this server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    /// Host and port for everybody: `domainName` in events, behind which handlers put `https://`. The port is left
    /// out where it is 443.
    pub(crate) host: String,
    /// For functions on this machine, in plain text: `http://127.0.0.1:8080`.
    pub(crate) inside: String,
    /// Whether clients may use TLS.
    has_tls: bool,
}

impl Endpoints {
    pub(crate) fn of(config: &Config) -> Self {
        let first = config.listen.first().copied().unwrap_or(NOWHERE);
        let ip = match first.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let inside = format!("http://{}", SocketAddr::new(ip, first.port()));
        let name = match ip {
            ip if ip.is_loopback() => "localhost".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        let own = match first.port() {
            HTTPS_PORT => name,
            port => format!("{name}:{port}"),
        };
        let has_tls = config.tls.cert.is_some() || config.tls.local_ca != Some(false);
        Self { host: config.apigateway.host.clone().unwrap_or(own), inside, has_tls }
    }

    /// Schemes and host of everything that clients use: plain text first, where the host has a port that speaks it.
    fn bases(&self, plain: &str, tls: &str) -> Vec<String> {
        let is_plain = self.host.contains(':');
        let schemes = [(is_plain || !self.has_tls, plain), (self.has_tls, tls)];
        schemes
            .into_iter()
            .filter(|(is_there, _)| *is_there)
            .map(|(_, scheme)| format!("{scheme}://{}", self.host))
            .collect()
    }
}

/// A stage, and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// `API/STAGE`.
    pub(crate) name: String,
    /// For clients.
    pub(crate) sockets: Vec<String>,
    /// Before `/@connections`, for senders.
    pub(crate) callbacks: String,
}

/// Every stage of every API.
pub(crate) fn places(apis: &[Api], endpoints: &Endpoints) -> Vec<Place> {
    let is_only = apis.len() == 1;
    let mut places = Vec::new();
    for (api, stage) in apis.iter().flat_map(|api| api.stages.keys().map(move |stage| (api, stage))) {
        let path = path(api, stage, is_only);
        let (mut sockets, mut senders) = (Vec::new(), Vec::new());
        if !api.disable_execute_api_endpoint {
            sockets.extend(endpoints.bases("ws", "wss").iter().map(|base| format!("{base}{path}")));
            senders.extend(endpoints.bases("http", "https").iter().map(|base| format!("{base}{path}")));
        }
        for domain in api.domains.iter().filter(|domain| domain.stage == *stage) {
            let slash = if domain.mapping_key.is_empty() { "" } else { "/" };
            let rest = format!("{}{slash}{}", domain.name, domain.mapping_key);
            sockets.push(format!("wss://{rest}"));
            senders.push(format!("https://{rest}"));
        }
        let callbacks = senders.into_iter().next().unwrap_or_default();
        let called = if api.name.is_empty() { &api.id } else { &api.name };
        places.push(Place { name: format!("{called}/{stage}"), sockets, callbacks });
    }
    places
}

/// Where a function sends to clients without having been told: there is but one stage.
pub(crate) fn only_callback(apis: &[Api], endpoints: &Endpoints) -> Option<String> {
    let [api] = apis else { return None };
    let mut stages = api.stages.keys();
    let stage = stages.next().filter(|_| stages.len() == 0 && !api.disable_execute_api_endpoint)?;
    Some(format!("{}{}", endpoints.inside, path(api, stage, true)))
}

fn path(api: &Api, stage: &str, is_only: bool) -> String {
    if is_only { format!("/{stage}") } else { format!("/{}/{stage}", api.id) }
}

#[cfg(test)]
mod tests {
    use fanfare_apigateway::model::Domain;

    use super::*;

    fn config(listen: &str) -> Config {
        Config { listen: vec![listen.parse().unwrap()], ..Config::default() }
    }

    fn api(id: &str, stages: &[&str]) -> Api {
        let stages: toml::Table = stages.iter().map(|&name| (name.to_owned(), toml::Table::new().into())).collect();
        let table = [("id".to_owned(), id.into()), ("stages".to_owned(), stages.into())];
        serde::Deserialize::deserialize(toml::Table::from_iter(table)).unwrap()
    }

    #[test]
    fn the_host_is_one_that_a_certificate_can_stand_for() {
        for (listen, host, inside) in [
            ("127.0.0.1:8080", "localhost:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:443", "localhost", "http://127.0.0.1:443"),
            ("[::]:90", "localhost:90", "http://[::1]:90"),
            ("10.1.2.3:90", "10.1.2.3:90", "http://10.1.2.3:90"),
        ] {
            let endpoints = Endpoints::of(&config(listen));
            assert_eq!((endpoints.host.as_str(), endpoints.inside.as_str()), (host, inside));
        }
        let mut config = config("0.0.0.0:8080");
        config.apigateway.host = Some("ws.example.com".to_owned());
        assert_eq!(Endpoints::of(&config).bases("ws", "wss"), ["wss://ws.example.com"]);
    }

    #[test]
    fn a_port_is_chosen_once() {
        let mut config = config("127.0.0.1:0");
        choose_port(&mut config).unwrap();
        let chosen = config.listen[0];
        assert_ne!(chosen.port(), 0);
        choose_port(&mut config).unwrap();
        assert_eq!(config.listen[0], chosen);
    }

    #[test]
    fn every_stage_has_its_addresses() {
        let endpoints = Endpoints::of(&config("127.0.0.1:8080"));
        let one = places(&[api("abc", &["dev"])], &endpoints);
        assert_eq!(one[0].name, "abc/dev");
        assert_eq!(one[0].sockets, ["ws://localhost:8080/dev", "wss://localhost:8080/dev"]);
        assert_eq!(one[0].callbacks, "http://localhost:8080/dev");

        let mut other = api("xyz", &["live"]);
        let domain = |mapping_key: &str| Domain {
            name: "ws.example".to_owned(),
            mapping_key: mapping_key.to_owned(),
            stage: "live".to_owned(),
        };
        other.domains = vec![domain(""), domain("v1")];
        other.disable_execute_api_endpoint = true;
        let apis = [api("abc", &["dev", "live"]), other];
        let two = places(&apis, &endpoints);
        assert_eq!(two[1].sockets, ["ws://localhost:8080/abc/live", "wss://localhost:8080/abc/live"]);
        assert_eq!(two[2].sockets, ["wss://ws.example", "wss://ws.example/v1"]);
        assert_eq!(two[2].callbacks, "https://ws.example");
    }

    #[test]
    fn functions_are_told_of_the_only_stage() {
        let endpoints = Endpoints::of(&config("0.0.0.0:8080"));
        let only = |apis: &[Api]| only_callback(apis, &endpoints);
        assert_eq!(only(&[api("abc", &["dev"])]).as_deref(), Some("http://127.0.0.1:8080/dev"));
        assert_eq!(only(&[api("abc", &["dev", "live"])]), None);
        assert_eq!(only(&[api("abc", &["dev"]), api("xyz", &["dev"])]), None);
    }
}
