//! What functions get. Members come in the original's order, and what the original leaves out is
//! left out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::facts::{Facts, Moment};
use crate::headers::{self, Headers};
use crate::stamp::LogTime;

/// The route of upgrades.
pub const CONNECT: &str = "$connect";
/// The route of ends.
pub const DISCONNECT: &str = "$disconnect";
/// The route of messages that no other route takes.
pub const DEFAULT: &str = "$default";

/// Bytes that an event takes beside what is as long as clients like.
const EVENT_BYTES: usize = 1_024;

/// An upgrade as it came.
#[derive(Clone, Copy, Debug)]
pub struct UpgradeView<'a> {
    /// All headers in their order, names as they were written.
    pub headers: &'a [(String, String)],
    /// The query as it came, without `?`.
    pub query: &'a str,
    /// It came over TLS.
    pub is_secure: bool,
    /// The port it came to.
    pub port: u16,
    /// Value of `X-Amzn-Trace-Id`, such as `Root=1-67ab0001-0123456789abcdef01234567`.
    pub trace_id: &'a str,
}

/// What an authorizer gets. `method_arn` is the ARN of the route `$connect`.
#[must_use]
pub fn authorizer_event(facts: &Facts, upgrade: &UpgradeView<'_>, moment: &Moment, method_arn: &str) -> Vec<u8> {
    let own = vec![("Connection", "upgrade".into()), ("content-length", "0".into())];
    let headers = upgrade.headers(facts, &[], own);
    let query = headers::query(upgrade.query);
    json(
        EVENT_BYTES * 4,
        &AuthorizerEvent {
            kind: "REQUEST",
            method_arn,
            headers: headers.single(),
            multi_value_headers: headers.multi(),
            query_string_parameters: headers::last_values(&query),
            multi_value_query_string_parameters: &query,
            stage_variables: &facts.stage_variables,
            request_context: RequestContext::new(facts, moment, CONNECT, "CONNECT"),
        },
    )
}

/// What the route `$connect` gets.
#[must_use]
pub fn connect_event(facts: &Facts, upgrade: &UpgradeView<'_>, moment: &Moment) -> Vec<u8> {
    let headers = upgrade.headers(facts, &["connection", "upgrade", "content-length"], Vec::new());
    let query = headers::query(upgrade.query);
    let has_query = !query.is_empty();
    json(
        EVENT_BYTES * 4,
        &ConnectEvent {
            headers: headers.single(),
            multi_value_headers: headers.multi(),
            query_string_parameters: has_query.then(|| headers::last_values(&query)),
            multi_value_query_string_parameters: has_query.then_some(&query),
            stage_variables: &facts.stage_variables,
            request_context: RequestContext::new(facts, moment, CONNECT, "CONNECT"),
            is_base64_encoded: false,
        },
    )
}

/// What the route of a message gets.
#[must_use]
pub fn message_event(
    facts: &Facts,
    moment: &Moment,
    route_key: &str,
    message_id: &str,
    body: &str,
    is_base64: bool,
) -> Vec<u8> {
    let context = RequestContext::new(facts, moment, route_key, "MESSAGE");
    // Text that is JSON grows by a backslash before each quote.
    json(
        EVENT_BYTES + body.len() + body.len() / 4,
        &MessageEvent {
            stage_variables: &facts.stage_variables,
            request_context: RequestContext { message_id: Some(message_id), ..context },
            body,
            is_base64_encoded: is_base64,
        },
    )
}

/// What the route `$disconnect` gets. Code and reason come from [`crate::frame::disconnect_of`].
#[must_use]
pub fn disconnect_event(facts: &Facts, moment: &Moment, code: u16, reason: &str) -> Vec<u8> {
    let host = facts.domain_name.as_str();
    let context = RequestContext::new(facts, moment, DISCONNECT, "DISCONNECT");
    json(
        EVENT_BYTES,
        &DisconnectEvent {
            headers: DisconnectHeaders { host, api_key: "", forwarded_for: "", rest_api: "" },
            multi_value_headers: DisconnectHeaders { host: [host], api_key: [""], forwarded_for: [""], rest_api: [""] },
            stage_variables: &facts.stage_variables,
            request_context: RequestContext {
                disconnect_status_code: Some(code),
                disconnect_reason: Some(reason),
                ..context
            },
            is_base64_encoded: false,
        },
    )
}

impl UpgradeView<'_> {
    /// The client's headers, and what a gateway adds to them.
    fn headers<'a>(&'a self, facts: &'a Facts, without: &[&str], mut own: Vec<(&'a str, Cow<'a, str>)>) -> Headers<'a> {
        let forwarded_for = match headers::header(self.headers, "x-forwarded-for") {
            Some(before) if !before.is_empty() => Cow::Owned(format!("{before}, {}", facts.source_ip)),
            _ => Cow::Borrowed(facts.source_ip.as_str()),
        };
        // Handlers take one for the other.
        if !facts.domain_name.is_empty() {
            own.push(("Host", Cow::Borrowed(facts.domain_name.as_str())));
        }
        own.push(("X-Amzn-Trace-Id", Cow::Borrowed(self.trace_id)));
        own.push(("X-Forwarded-For", forwarded_for));
        own.push(("X-Forwarded-Port", self.port.to_string().into()));
        own.push(("X-Forwarded-Proto", if self.is_secure { "https" } else { "http" }.into()));
        Headers::new(self.headers, without, own)
    }
}

fn json(bytes: usize, event: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut text, event).expect("events have text for keys, and memory takes all bytes");
    text
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerEvent<'a, H, M> {
    #[serde(rename = "type")]
    kind: &'a str,
    method_arn: &'a str,
    headers: H,
    multi_value_headers: M,
    query_string_parameters: BTreeMap<&'a str, &'a str>,
    multi_value_query_string_parameters: &'a BTreeMap<String, Vec<String>>,
    stage_variables: &'a BTreeMap<String, String>,
    request_context: RequestContext<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectEvent<'a, H, M> {
    headers: H,
    multi_value_headers: M,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_string_parameters: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_query_string_parameters: Option<&'a BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stage_variables: &'a BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(rename = "isBase64Encoded")]
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageEvent<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stage_variables: &'a BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    body: &'a str,
    #[serde(rename = "isBase64Encoded")]
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DisconnectEvent<'a> {
    headers: DisconnectHeaders<&'a str>,
    multi_value_headers: DisconnectHeaders<[&'a str; 1]>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stage_variables: &'a BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(rename = "isBase64Encoded")]
    is_base64_encoded: bool,
}

/// The four that the original sends, three of them always empty.
#[derive(Serialize)]
struct DisconnectHeaders<V> {
    #[serde(rename = "Host")]
    host: V,
    #[serde(rename = "x-api-key")]
    api_key: V,
    #[serde(rename = "X-Forwarded-For")]
    forwarded_for: V,
    #[serde(rename = "x-restapi")]
    rest_api: V,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    route_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_status_code: Option<u16>,
    event_type: &'a str,
    extended_request_id: &'a str,
    request_time: LogTime,
    message_direction: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'a str>,
    stage: &'a str,
    connected_at: u64,
    request_time_epoch: u64,
    identity: Identity<'a>,
    request_id: &'a str,
    domain_name: &'a str,
    connection_id: &'a str,
    api_id: &'a str,
}

impl<'a> RequestContext<'a> {
    fn new(facts: &'a Facts, moment: &'a Moment, route_key: &'a str, event_type: &'a str) -> Self {
        Self {
            route_key,
            authorizer: facts.authorizer.as_ref(),
            message_id: None,
            disconnect_status_code: None,
            event_type,
            extended_request_id: &moment.request_id,
            request_time: LogTime(moment.at_ms),
            message_direction: "IN",
            disconnect_reason: None,
            stage: &facts.stage,
            connected_at: facts.connected_at,
            request_time_epoch: moment.at_ms,
            identity: Identity(facts),
            request_id: &moment.request_id,
            domain_name: &facts.domain_name,
            connection_id: &facts.connection_id,
            api_id: &facts.api_id,
        }
    }
}

/// Address and agent, then what else is known of who connects.
struct Identity<'a>(&'a Facts);

impl Serialize for Identity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(agent) = &self.0.user_agent {
            map.serialize_entry("userAgent", agent)?;
        }
        map.serialize_entry("sourceIp", &self.0.source_ip)?;
        for (name, value) in &self.0.identity {
            if !matches!(name.as_str(), "userAgent" | "sourceIp") {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
