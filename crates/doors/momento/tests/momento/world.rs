//! A server with the door, and its keys.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use fanfare_core::Log;
use fanfare_functions::Reach;
use fanfare_identity::GateConfig;
use fanfare_momento::credential::{Authority, Endpoint, Form, Order};
use fanfare_momento::permission::Permissions;
use fanfare_momento_door::{MomentoDoor, MomentoOptions};
use fanfare_testkit::{TestServer, TestServerOptions};

pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) authority: Arc<ArcSwap<Authority>>,
}

pub(crate) fn authority() -> Arc<ArcSwap<Authority>> {
    Arc::new(ArcSwap::from_pointee(Authority::new([&[7; 32][..]]).unwrap()))
}

/// Options with the cache `websocket`, and webhooks on this machine.
pub(crate) fn options(authority: &Arc<ArcSwap<Authority>>) -> MomentoOptions {
    MomentoOptions {
        caches: vec!["websocket".to_owned()],
        webhook_reach: Reach::Anywhere,
        ..MomentoOptions::new(authority.clone(), Endpoint::new("gw.example.com").unwrap())
    }
}

impl World {
    /// In development mode.
    pub(crate) fn open() -> Self {
        Self::with(|_| {}, |_| {})
    }

    /// With other options of the door and the server.
    pub(crate) fn with(
        change: impl FnOnce(&mut MomentoOptions),
        change_server: impl FnOnce(&mut TestServerOptions),
    ) -> Self {
        let authority = authority();
        let mut door = options(&authority);
        change(&mut door);
        let mut server = TestServerOptions::default();
        change_server(&mut server);
        server.doors = vec![Arc::new(MomentoDoor::new(door).unwrap())];
        Self { server: TestServer::start(server).unwrap(), authority }
    }

    /// Where nobody gets in without a key.
    pub(crate) fn closed() -> Self {
        Self::with(
            |_| {},
            |server| {
                server.policy.is_development = false;
                server.gate = Some(GateConfig::default());
            },
        )
    }

    pub(crate) fn on_log(log: Arc<dyn Log>) -> Self {
        Self::with(|_| {}, |server| server.log = Some(log))
    }

    pub(crate) fn run<T>(&self, test: impl Future<Output = T>) -> T {
        self.server.gateway.tasks.block_on(test)
    }

    /// A key with these permissions in JSON, and this id.
    pub(crate) fn key(&self, permissions: &str, id: &str, lifetime_s: Option<u32>) -> String {
        let order = Order {
            form: Form::V1,
            permissions: Permissions::from_json(permissions).unwrap(),
            token_id: format!("user of {id}"),
            lifetime_s,
            id: id.to_owned(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.authority.load().mint(&order, now).unwrap().api_key
    }

    /// One that allows one thing on one topic of `websocket`.
    pub(crate) fn scoped(&self, role: &str, topic: &str, id: &str) -> String {
        let statement = format!(r#"{{"permissions":[{{"role":"{role}","cache":"websocket","topic":"{topic}"}}]}}"#);
        self.key(&statement, id, None)
    }
}
