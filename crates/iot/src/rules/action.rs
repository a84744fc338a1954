//! What a rule can ask to be done.

use serde::Deserialize;

use super::error::RuleError;
use crate::sql::Template;

/// One action of a rule, with its templates.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// Publishes to another MQTT topic. `$$aws/..` stands for `$aws/..`.
    Republish {
        /// The topic.
        topic: Template,
        /// Quality of service; 0 if left out.
        #[serde(default)]
        qos: Qos,
        /// MQTT 5 properties of the new message.
        #[serde(default)]
        headers: Box<Headers>,
    },
    /// Calls a configured function with the output as JSON; does not wait for the answer.
    Function {
        /// Its name, or the ARN of a Lambda function that configuration maps to one.
        name: String,
    },
    /// Posts to a web server.
    Http {
        /// The address. Its host is fixed, its path may have templates.
        url: Template,
        /// Where the destination confirms that it wants these requests.
        confirmation_url: Option<Template>,
        /// Headers of the request.
        #[serde(default)]
        headers: Vec<Header>,
    },
    /// Publishes into the gateway, for the subscribers of all doors.
    Channel {
        /// The space; the one of the message if left out.
        space: Option<String>,
        /// The topic.
        topic: Template,
    },
    /// Puts an event on a bus, with the output as its detail.
    EventBridge {
        /// The bus; `default` if left out.
        #[serde(default = "default_bus")]
        bus: String,
        /// The event's source.
        source: Template,
        /// The event's detail type.
        detail_type: Template,
        /// The event's resources.
        #[serde(default)]
        resources: Vec<Template>,
    },
    /// Writes the output to the server's log.
    Log {},
}

fn default_bus() -> String {
    "default".to_owned()
}

impl Action {
    /// Refuses what can be seen to be wrong before any message comes.
    pub(super) fn check(&self) -> Result<(), RuleError> {
        let Self::Http { url, confirmation_url, .. } = self else { return Ok(()) };
        check_address(url)?;
        confirmation_url.as_ref().map_or(Ok(()), check_address)
    }
}

/// Scheme and host must stand before the first template.
fn check_address(url: &Template) -> Result<(), RuleError> {
    let start = url.fixed_start();
    let rest = start.strip_prefix("https://").or_else(|| start.strip_prefix("http://")).unwrap_or_default();
    let (host, has_path) = rest.split_once('/').map_or((rest, false), |(host, _)| (host, true));
    let is_good = !host.is_empty() && !host.contains(['@', '\\', '?', '#', ' ']) && (has_path || url.is_fixed());
    if is_good { Ok(()) } else { Err(RuleError::Address(url.text().to_owned())) }
}

/// Quality of service of a republished message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(try_from = "u8")]
pub enum Qos {
    /// 0
    #[default]
    AtMostOnce,
    /// 1
    AtLeastOnce,
}

impl TryFrom<u8> for Qos {
    type Error = String;

    fn try_from(qos: u8) -> Result<Self, String> {
        match qos {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            _ => Err(format!("a rule republishes with QoS 0 or 1, not {qos}")),
        }
    }
}

/// MQTT 5 properties of a republished message. Names may also be written as AWS does.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headers {
    /// `UTF8_DATA` or `UNSPECIFIED_BYTES`.
    #[serde(alias = "payloadFormatIndicator")]
    pub payload_format_indicator: Option<Template>,
    /// Content type.
    #[serde(alias = "contentType")]
    pub content_type: Option<Template>,
    /// Response topic.
    #[serde(alias = "responseTopic")]
    pub response_topic: Option<Template>,
    /// Correlation data in base64.
    #[serde(alias = "correlationData")]
    pub correlation_data: Option<Template>,
    /// Message expiry in seconds, as digits.
    #[serde(alias = "messageExpiry")]
    pub message_expiry: Option<Template>,
    /// User properties, in order.
    #[serde(default, alias = "userProperties")]
    pub user_properties: Vec<Header>,
}

/// A name and a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The name.
    pub key: String,
    /// The value.
    pub value: Template,
}
