//! What the function of a custom authorizer is told.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

/// Everything known of a caller who wants to connect. Parts that are `None` are left out.
#[derive(Clone, Copy, Serialize)]
pub struct Event<'a> {
    /// The token, if the authorizer has a name for it and the caller sent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'a str>,
    /// The token's signature was checked and is right.
    #[serde(rename = "signatureVerified")]
    pub signature_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocols: Option<Protocols>,
    #[serde(rename = "protocolData")]
    data: Data<'a>,
    #[serde(rename = "connectionMetadata")]
    connection: Connection<'a>,
}

/// Tokens and passwords are not for logs.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.connection.id;
        out.debug_struct("Event").field("id", &id).field("signature_verified", &self.signature_verified).finish()
    }
}

impl<'a> Event<'a> {
    /// An event about the connection of that id, which tells nothing else yet.
    #[must_use]
    pub fn new(connection_id: &'a str) -> Self {
        let data = Data { tls: None, http: None, mqtt: None };
        let connection = Connection { id: connection_id };
        Self { token: None, signature_verified: false, protocols: None, data, connection }
    }

    /// Tells about TLS.
    #[must_use]
    pub fn with_tls(mut self, part: TlsPart<'a>) -> Self {
        self.data.tls = Some(part);
        self
    }

    /// Tells about the HTTP request or upgrade.
    #[must_use]
    pub fn with_http(mut self, part: HttpPart<'a>) -> Self {
        self.data.http = Some(part);
        self
    }

    /// Tells about the CONNECT packet.
    #[must_use]
    pub fn with_mqtt(mut self, part: MqttPart<'a>) -> Self {
        self.data.mqtt = Some(part);
        self
    }

    /// The event as JSON.
    #[must_use]
    pub fn to_json(mut self) -> String {
        let Data { tls, http, mqtt } = &self.data;
        self.protocols = Some(Protocols([tls.is_some(), http.is_some(), mqtt.is_some()]));
        serde_json::to_string(&self).expect("texts, booleans and maps with text keys always have a JSON form")
    }
}

/// Of TLS.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TlsPart<'a> {
    /// The name that the caller asked for.
    #[serde(rename = "serverName", skip_serializing_if = "Option::is_none")]
    pub server_name: Option<&'a str>,
}

/// Of HTTP.
#[derive(Clone, Copy, Serialize)]
pub struct HttpPart<'a> {
    /// As sent; of a name that comes twice the function sees the values joined by `,`.
    #[serde(serialize_with = "header_map")]
    pub headers: &'a [(&'a str, &'a str)],
    /// The query with its `?`, or nothing.
    #[serde(rename = "queryString", skip_serializing_if = "str::is_empty")]
    pub query_string: &'a str,
}

/// Of MQTT.
#[derive(Clone, Copy, Serialize)]
pub struct MqttPart<'a> {
    /// Whole, with its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<&'a str>,
    /// The function sees base64.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "base64_text")]
    pub password: Option<&'a [u8]>,
    /// The client id.
    #[serde(rename = "clientId")]
    pub client_id: &'a str,
}

#[derive(Clone, Copy, Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mqtt: Option<MqttPart<'a>>,
}

#[derive(Clone, Copy, Serialize)]
struct Connection<'a> {
    id: &'a str,
}

/// Which of TLS, HTTP and MQTT the event tells about.
#[derive(Clone, Copy)]
struct Protocols([bool; 3]);

impl Serialize for Protocols {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let known = ["tls", "http", "mqtt"].into_iter().zip(self.0);
        out.collect_seq(known.filter(|(_, is_known)| *is_known).map(|(name, _)| name))
    }
}

/// A JSON object cannot say a name twice, so values of one name are joined.
fn header_map<S: Serializer>(headers: &&[(&str, &str)], out: S) -> Result<S::Ok, S::Error> {
    let mut joined = std::collections::BTreeMap::<String, String>::new();
    for (name, value) in *headers {
        let all = joined.entry(name.to_ascii_lowercase()).or_default();
        if !all.is_empty() {
            all.push(',');
        }
        all.push_str(value);
    }
    let mut map = out.serialize_map(Some(joined.len()))?;
    for (name, value) in &joined {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

fn base64_text<S: Serializer>(bytes: &Option<&[u8]>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&STANDARD.encode(bytes.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_told_everything_that_is_known() {
        let mut event = Event::new("5b1f0c1e")
            .with_tls(TlsPart { server_name: Some("gw.example") })
            .with_http(HttpPart { headers: &[("X-K", "v"), ("x-k", "w")], query_string: "?a=b" })
            .with_mqtt(MqttPart { username: Some("dev1?x=1"), password: Some(b"pass"), client_id: "dev1" });
        event.token = Some("t-1");
        event.signature_verified = true;
        let expected = concat!(
            r#"{"token":"t-1","signatureVerified":true,"protocols":["tls","http","mqtt"],"#,
            r#""protocolData":{"tls":{"serverName":"gw.example"},"#,
            r#""http":{"headers":{"x-k":"v,w"},"queryString":"?a=b"},"#,
            r#""mqtt":{"username":"dev1?x=1","password":"cGFzcw==","clientId":"dev1"}},"#,
            r#""connectionMetadata":{"id":"5b1f0c1e"}}"#
        );
        assert_eq!(event.to_json(), expected);
        assert!(!format!("{event:?}").contains("t-1"));
    }

    #[test]
    fn absent_parts_are_left_out() {
        let event = Event::new("1").with_mqtt(MqttPart { username: None, password: None, client_id: "c" });
        let expected = r#"{"signatureVerified":false,"protocols":["mqtt"],"protocolData":{"mqtt":{"clientId":"c"}},"connectionMetadata":{"id":"1"}}"#;
        assert_eq!(event.to_json(), expected);
    }
}
