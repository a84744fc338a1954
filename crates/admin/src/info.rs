//! What the server is.

use fanfare_door::DriverLimits;
use serde_json::{Value, json};

use crate::request::{Answer, Call, answer};

/// `GET info`
pub(crate) fn info(call: &Call) -> Answer {
    call.caller.require_server()?;
    let gateway = &call.gateway;
    let operations = &call.service.operations;
    let doors: Vec<_> = gateway.doors.iter().map(|door| door.name()).collect();
    answer(&json!({
        "version": operations.version,
        "node": &*gateway.node,
        "time": gateway.clock.now(),
        "uptime_ms": call.service.started.elapsed().as_millis() as u64,
        "development": operations.is_development,
        "draining": gateway.is_draining(),
        "doors": doors,
        "connections_open": gateway.connection_count(),
        "limits": limits(&gateway.limits(), gateway.core.limits().spaces_max),
    }))
}

fn limits(limits: &DriverLimits, spaces: usize) -> Value {
    json!({
        "spaces": spaces,
        "connections": limits.connections,
        "connections_per_address": limits.connections_per_address,
        "handshakes_per_second": limits.handshakes_per_second,
        "handshake_timeout_ms": limits.handshake_timeout_ms,
        "upgrade_timeout_ms": limits.upgrade_timeout_ms,
        "head_bytes": limits.head_bytes,
        "body_bytes": limits.body_bytes,
        "frame_bytes": limits.frame_bytes,
        "message_bytes": limits.message_bytes,
        "topic_bytes": limits.topic_bytes,
        "subscriptions": limits.subscriptions,
        "publish_per_second": limits.publish_per_second,
        "outbox_bytes": limits.outbox_bytes,
        "outbox_age_ms": limits.outbox_age_ms,
        "ping_interval_ms": limits.ping_interval_ms,
        "reconnect_spread_ms": limits.reconnect_spread_ms,
        "errands": limits.errands,
        "streams": limits.streams,
    })
}
