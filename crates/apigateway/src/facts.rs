//! What is known of a connection, and the `$context` that templates and logs see.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::stamp::LogTime;

/// What stays the same as long as a connection lives. It is written down so that `$disconnect` can
/// be told after a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The connection's id.
    pub connection_id: String,
    /// When it began, in milliseconds since 1970.
    pub connected_at: u64,
    /// The client's address, without a port.
    pub source_ip: String,
    /// The client's `User-Agent`, if it sent one.
    pub user_agent: Option<String>,
    /// The host that the client asked for, with a port that is not the usual one.
    pub domain_name: String,
    /// The stage.
    pub stage: String,
    /// The API's id.
    pub api_id: String,
    /// What an authorizer said, as functions see it.
    pub authorizer: Option<Map<String, Value>>,
    /// Further members of `identity`: `apiKey`, `apiKeyId`, `accessKey`, `accountId`, `caller`,
    /// `user`, `userArn`.
    pub identity: Map<String, Value>,
    /// The stage's variables.
    pub stage_variables: BTreeMap<String, String>,
}

/// One request on a connection: the upgrade, a message, or the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its id, in the form of a connection's.
    pub request_id: String,
    /// When it came, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Facts {
    /// The object `$context` of templates, expressions and access logs. What an authorizer said is
    /// text in it, whatever it was. Who knows more, such as `status` or `error.message`, adds it.
    #[must_use]
    pub fn context(
        &self,
        moment: &Moment,
        route_key: &str,
        event_type: &str,
        message_id: Option<&str>,
    ) -> Map<String, Value> {
        let texts = [
            ("apiId", self.api_id.as_str()),
            ("connectionId", &self.connection_id),
            ("domainName", &self.domain_name),
            ("eventType", event_type),
            ("extendedRequestId", &moment.request_id),
            ("messageDirection", "IN"),
            ("requestId", &moment.request_id),
            ("routeKey", route_key),
            ("stage", &self.stage),
        ];
        let mut context: Map<String, Value> =
            texts.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
        context.insert("connectedAt".to_owned(), self.connected_at.into());
        context.insert("requestTime".to_owned(), LogTime(moment.at_ms).to_string().into());
        context.insert("requestTimeEpoch".to_owned(), moment.at_ms.into());
        if let Some(id) = message_id {
            context.insert("messageId".to_owned(), id.into());
        }
        context.insert("identity".to_owned(), self.identity_object().into());
        if let Some(authorizer) = &self.authorizer {
            let texts: Map<_, _> =
                authorizer.iter().map(|(name, value)| (name.clone(), text_of(value).into())).collect();
            context.insert("authorizer".to_owned(), texts.into());
        }
        context
    }

    fn identity_object(&self) -> Map<String, Value> {
        let mut identity = self.identity.clone();
        identity.insert("sourceIp".to_owned(), self.source_ip.as_str().into());
        if let Some(agent) = &self.user_agent {
            identity.insert("userAgent".to_owned(), agent.as_str().into());
        }
        identity
    }
}

/// A value as text: strings as they are, everything else as JSON.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn facts() -> Facts {
        Facts {
            connection_id: "Qx1aadEfGhIcJkL=".to_owned(),
            connected_at: 1_738_919_103_001,
            source_ip: "203.0.113.9".to_owned(),
            user_agent: Some("demo/1".to_owned()),
            domain_name: "ws.example.test".to_owned(),
            stage: "dev".to_owned(),
            api_id: "wsapi12345".to_owned(),
            authorizer: None,
            identity: Map::new(),
            stage_variables: BTreeMap::new(),
        }
    }

    pub(crate) fn moment() -> Moment {
        Moment { request_id: "Qx1aaBcDeFgHiJk=".to_owned(), at_ms: 1_738_919_103_002 }
    }

    pub(crate) fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn a_context_has_all_its_names() {
        let facts = Facts {
            authorizer: Some(object(json!({"principalId": "user-17", "level": 3, "integrationLatency": 12}))),
            identity: object(json!({"apiKeyId": "k1", "sourceIp": "forged"})),
            ..facts()
        };
        let expected = json!({
            "apiId": "wsapi12345", "authorizer": {"integrationLatency": "12", "level": "3", "principalId": "user-17"},
            "connectedAt": 1_738_919_103_001_u64, "connectionId": "Qx1aadEfGhIcJkL=", "domainName": "ws.example.test",
            "eventType": "MESSAGE", "extendedRequestId": "Qx1aaBcDeFgHiJk=",
            "identity": {"apiKeyId": "k1", "sourceIp": "203.0.113.9", "userAgent": "demo/1"},
            "messageDirection": "IN", "messageId": "m=", "requestId": "Qx1aaBcDeFgHiJk=",
            "requestTime": "07/Feb/2025:09:05:03 +0000", "requestTimeEpoch": 1_738_919_103_002_u64,
            "routeKey": "send", "stage": "dev"
        });
        assert_eq!(Value::from(facts.context(&moment(), "send", "MESSAGE", Some("m="))), expected);
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let facts = Facts { user_agent: None, ..facts() };
        let context = facts.context(&moment(), "$connect", "CONNECT", None);
        assert!(!context.contains_key("authorizer") && !context.contains_key("messageId"));
        assert_eq!(context["identity"], json!({"sourceIp": "203.0.113.9"}));
    }

    #[test]
    fn facts_come_back_from_where_they_were_written() {
        let facts = Facts { authorizer: Some(object(json!({"principalId": "u"}))), ..facts() };
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
    }
}
