//! The APIs that are served, and what all of the door's parts share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use fanfare_apigateway::access_log::AccessLog;
use fanfare_apigateway::address::{Located, is_ours, locate};
use fanfare_apigateway::compiled::Compiled;
use fanfare_apigateway::facts::Moment;
use fanfare_apigateway::id::Id;
use fanfare_apigateway::model::{Api, Options};
use fanfare_core::{Grant, Principal};
use fanfare_door::{Gateway, UpgradeRules};
use fanfare_functions::{Functions, HttpCaller};
use fanfare_iam::Access;
use fanfare_websocket::MessageKind;

use crate::closing::Closings;
use crate::counts::Counts;
use crate::endpoints::Endpoints;
use crate::table::Table;
use crate::throttle::{ApiThrottle, StageThrottle};

/// What the parts of the door share.
pub(crate) struct Shared {
    pub(crate) apis: Vec<ServedApi>,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) functions: Functions,
    pub(crate) access: Arc<ArcSwap<Access>>,
    pub(crate) http: HttpCaller,
    pub(crate) endpoints: Endpoints,
    host: Option<String>,
    pub(crate) table: Table,
    pub(crate) closings: Closings,
    /// Whom results and `@topics` speak for: the application itself.
    pub(crate) application: Arc<Principal>,
    gateway: OnceLock<Arc<Gateway>>,
}

/// One API, ready to be served.
pub(crate) struct ServedApi {
    pub(crate) compiled: Compiled,
    pub(crate) throttle: ApiThrottle,
    pub(crate) rules: Arc<UpgradeRules>,
    pub(crate) counts: Counts,
    stages: BTreeMap<String, ServedStage>,
}

/// One stage of it.
pub(crate) struct ServedStage {
    pub(crate) throttle: StageThrottle,
    /// The group of all its connections.
    pub(crate) group: u16,
    pub(crate) access_log: Option<AccessLog>,
}

/// The parts that the binary hands in.
pub(crate) struct Parts {
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) functions: Functions,
    pub(crate) access: Arc<ArcSwap<Access>>,
    pub(crate) http: HttpCaller,
    pub(crate) endpoints: Endpoints,
    pub(crate) host: Option<String>,
}

impl Shared {
    pub(crate) fn new(apis: Vec<Compiled>, parts: Parts) -> Self {
        let mut groups = 1..;
        let mut serve = |compiled: Compiled| {
            let api = compiled.api();
            let stages = api.stages.iter().map(|(name, stage)| {
                let throttle = StageThrottle::new(stage, 0);
                // Compiling has seen to it that the format can be read.
                let access_log = stage.access_log.as_deref().and_then(|format| AccessLog::parse(format).ok());
                let group = groups.next().unwrap_or(u16::MAX);
                (name.clone(), ServedStage { throttle, group, access_log })
            });
            ServedApi {
                stages: stages.collect(),
                throttle: ApiThrottle::new(&api.options, &api.api_keys, 0),
                rules: Arc::new(rules(&api.options)),
                counts: Counts::default(),
                compiled,
            }
        };
        Self {
            apis: apis.into_iter().map(&mut serve).collect(),
            region: parts.region,
            account: parts.account,
            functions: parts.functions,
            access: parts.access,
            http: parts.http,
            endpoints: parts.endpoints,
            host: parts.host,
            table: Table::default(),
            closings: Closings::default(),
            application: Arc::new(Principal::anonymous(Grant::everything())),
            gateway: OnceLock::new(),
        }
    }

    /// Which API and stage a request means.
    pub(crate) fn locate<'a>(&'a self, host: Option<&str>, path: &'a str) -> Option<Located<'a>> {
        if self.apis.is_empty() {
            return None;
        }
        let apis: Vec<&Api> = self.apis.iter().map(|served| served.compiled.api()).collect();
        locate(&apis, host, path)
    }

    /// `domainName` for a client that has named this host. Handlers send to it what they tell other clients, signed
    /// with their keys, so nobody may put a host of their own there.
    pub(crate) fn domain_name<'a>(&'a self, named: &'a str) -> &'a str {
        let Some(own) = &self.host else { return named };
        let domains = self.apis.iter().flat_map(|api| &api.api().domains).map(|domain| domain.name.as_str());
        if is_ours(named, own, domains) { named } else { own }
    }

    pub(crate) fn set_gateway(&self, gateway: &Arc<Gateway>) {
        let _ = self.gateway.set(gateway.clone());
    }

    /// Everything else of the server; set before the first connection.
    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        self.gateway.get().expect("the door is started before it is asked for anything")
    }

    /// A new request now.
    pub(crate) fn moment(&self) -> Moment {
        Moment { request_id: new_id().to_string(), at_ms: self.gateway().clock.now() }
    }
}

impl ServedApi {
    pub(crate) fn api(&self) -> &Api {
        self.compiled.api()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.compiled.api().options
    }

    pub(crate) fn stage(&self, name: &str) -> Option<&ServedStage> {
        self.stages.get(name)
    }

    /// One more message or management request, by the throttles of API, stage and key.
    pub(crate) fn admits(&self, stage: &str, route: &str, key: Option<usize>, now: u64) -> bool {
        let stage = self.stages.get(stage);
        self.throttle.request(now)
            && stage.is_none_or(|stage| stage.throttle.request(route, now))
            && key.is_none_or(|key| self.throttle.key(key, now))
    }

    /// One more connection of an address.
    pub(crate) fn admits_connection(&self, address: IpAddr, now: u64) -> bool {
        !self.throttle.is_refused_too_often(address, now) && self.throttle.connect(now)
    }
}

/// An id that nobody can guess: those of connections, requests and messages.
pub(crate) fn new_id() -> Id {
    let mut bytes = [0; 11];
    aws_lc_rs::rand::fill(&mut bytes)
        .expect("the generator is seeded once the process has made its first TLS or token key");
    Id::from_bytes(bytes)
}

/// The most that an upgrade may take: an authorizer and `$connect`.
fn upgrade_timeout_ms(options: &Options) -> u64 {
    options.authorizer_timeout_ms + 30_000
}

fn rules(options: &Options) -> UpgradeRules {
    UpgradeRules {
        sends: MessageKind::Text,
        frame_bytes: options.frame_bytes,
        message_bytes: options.message_bytes,
        fragment_bytes: u32::try_from(options.frame_bytes).ok(),
        ping_interval_ms: options.server_ping_s * 1_000,
        deflate: options.permessage_deflate,
        any_origin: true,
        upgrade_timeout_ms: upgrade_timeout_ms(options),
    }
}
