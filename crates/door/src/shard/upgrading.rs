//! Upgrades to WebSocket: which door, by which rules, and what it decides.

use std::borrow::Cow;
use std::sync::Arc;

use fanfare_websocket::{Decoder, MessageKind, Role, handshake};

use super::{Decision, DueWhat, Shard};
use crate::connection::{Codec, Phase};
use crate::contract::{Opening, Shape, UpgradeRules};
use crate::fanout::{Framing, ShapeKey};
use crate::gateway::Gateway;
use crate::greeting::{self, Upgrade, refusal};
use crate::head::Head;
use crate::limits::Policy;

/// Where an upgrade goes, and by which rules.
struct UpgradePlace {
    door: u8,
    subprotocols: &'static [&'static str],
    sends: MessageKind,
    is_tunnel: bool,
    /// Absent where it is served as all are.
    rules: Option<Arc<UpgradeRules>>,
}

impl UpgradePlace {
    fn find(gateway: &Gateway, head: &Head) -> Option<Self> {
        if let Some((door, mount, is_tunnel)) = gateway.routes.websocket(&head.path) {
            let (subprotocols, sends) = (mount.subprotocols, mount.sends);
            return Some(Self { door, subprotocols, sends, is_tunnel, rules: None });
        }
        let mut doors = gateway.doors.iter().enumerate();
        let (door, rules) = doors.find_map(|(number, door)| Some((number as u8, door.claims_upgrade(head)?)))?;
        Some(Self { door, subprotocols: &[], sends: rules.sends, is_tunnel: false, rules: Some(rules) })
    }

    fn allows_page(&self, policy: &Policy, head: &Head) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.any_origin) || policy.allows_page(head)
    }

    fn framing(&self, is_deflated: bool) -> Framing {
        match self.rules.as_ref().and_then(|rules| rules.fragment_bytes) {
            _ if is_deflated => Framing::Deflated(self.sends),
            Some(bytes) => Framing::Fragmented(self.sends, bytes),
            None => Framing::WebSocket(self.sends),
        }
    }
}

impl Shard {
    pub(super) fn open_websocket(&mut self, slot: u32, head: &Head, early: &[u8]) {
        let gateway = self.gateway.clone();
        let Some(place) = UpgradePlace::find(&gateway, head) else {
            let message = format!("there is no WebSocket at {}", head.path);
            return self.refuse(slot, refusal(404, "not_found", &message, None));
        };
        if !place.allows_page(&gateway.policy(), head) {
            gateway.metrics.limit("origin");
            return self.refuse(
                slot,
                refusal(403, "origin", "pages from this origin are not let in; see auth.allowed_origins", None),
            );
        }
        let lists = |name: &str| head.header_list(name);
        let known: Vec<_> =
            ["upgrade", "connection", "sec-websocket-version", "sec-websocket-key"].map(|n| (n, lists(n))).into();
        let lookup = |name: &str| known.iter().find(|(n, _)| *n == name).and_then(|(_, v)| v.as_deref());
        let accept = match handshake::check_request(lookup) {
            Ok(accept) => accept,
            Err(error) => {
                let upgrade = [("Sec-WebSocket-Version", handshake::VERSION.to_owned())];
                return self.refuse(slot, greeting::response(400, &upgrade, error.to_string().as_bytes()));
            }
        };
        if gateway.is_draining() {
            return self.refuse(slot, refusal(503, "shutting_down", "the server is shutting down", Some(2_000)));
        }
        if let Err(retry_ms) = gateway.admit(self.now) {
            gateway.metrics.limit("handshakes_per_second");
            let retry_ms = retry_ms + fastrand::u64(0..=self.limits.reconnect_spread_ms);
            return self.refuse(slot, refusal(503, "overloaded", "too many connections at once", Some(retry_ms)));
        }
        let offered = head.header_list("sec-websocket-protocol").unwrap_or_default();
        let subprotocol = place.subprotocols.iter().copied().find(|p| offered.split(',').any(|o| o.trim() == *p));
        let wants_deflate = place.rules.as_ref().map_or(gateway.policy().deflate, |rules| rules.deflate);
        let deflate = wants_deflate.then(|| head.header_list("sec-websocket-extensions")).flatten();
        let deflate = deflate.and_then(|offer| handshake::negotiate_deflate(&offer, &Default::default()));
        let decoder = match &deflate {
            Some(agreed) => Decoder::with_deflate(Role::Server, agreed),
            None => Decoder::new(Role::Server),
        };
        let framing = place.framing(deflate.is_some());
        self.fanout.set_shape(slot, ShapeKey { door: place.door, shape: Shape(0), framing });
        let connection = self.connection_mut(slot);
        connection.door = place.door;
        connection.is_tunnel = place.is_tunnel;
        connection.codec = Codec::WebSocket(decoder);
        connection.rules = place.rules;
        let mut upgrade = Upgrade {
            accept,
            subprotocol: subprotocol.map(Cow::Borrowed),
            extensions: deflate.map(|d| d.response_value()),
            session: None,
            early: early.to_vec(),
        };
        match self.ask_door(slot, Some(head), subprotocol) {
            Opening::Accept(session) => {
                upgrade.session = Some(session);
                self.connection_mut(slot).phase = Phase::Upgrading(Box::new(upgrade));
                self.conclude_upgrade(slot, Decision::Accept(None));
            }
            Opening::Pending(session) => {
                let timeout = self.upgrade_timeout_ms(slot);
                let connection = self.connection_mut(slot);
                connection.session = Some(session);
                connection.phase = Phase::Upgrading(Box::new(upgrade));
                // The deadline of the greeting fires first and sees that the upgrade has its own.
                self.add_due(slot, self.now + timeout, DueWhat::Deadline);
            }
            Opening::Refuse { status, headers, body } => self.refuse(slot, greeting::response(status, &headers, &body)),
        }
    }

    /// How long a door may take to decide about the connection's upgrade.
    pub(super) fn upgrade_timeout_ms(&self, slot: u32) -> u64 {
        let rules = self.connection(slot).rules.as_ref();
        rules.map_or(self.limits.upgrade_timeout_ms, |rules| rules.upgrade_timeout_ms)
    }

    /// The door has decided about an upgrade.
    pub(super) fn conclude_upgrade(&mut self, slot: u32, decision: Decision) {
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return };
        if !matches!(connection.phase, Phase::Upgrading(_)) {
            return;
        }
        let Phase::Upgrading(upgrade) = std::mem::replace(&mut connection.phase, Phase::Closing) else { return };
        let Upgrade { accept, subprotocol, extensions, session, mut early } = *upgrade;
        if session.is_some() {
            connection.session = session;
        }
        let chosen = match decision {
            Decision::Refuse(response) => return self.refuse(slot, response),
            Decision::Accept(chosen) => chosen,
        };
        let subprotocol = chosen.map(Cow::Owned).or(subprotocol);
        match handshake::server_response(&accept, subprotocol.as_deref(), extensions.as_deref(), &[]) {
            Ok(response) => self.fanout.send_bytes(slot, &response),
            Err(error) => return self.refuse(slot, greeting::response(500, &[], error.to_string().as_bytes())),
        }
        self.up(slot);
        if self.is_alive(slot) && !early.is_empty() {
            self.feed(slot, &mut early);
        }
    }
}
