//! From a rule and a message to what is to be done.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::action::{Action, Header, Headers, Qos};
use super::filter;
use super::rule::Rule;
use crate::sql::{Input, Output, Template};

/// What a rule asks for one message. Nothing at all if `WHERE` was not true.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Planned {
    /// What is to be done.
    pub actions: Vec<PlannedAction>,
    /// What could not even be planned. Hand these, with the failures of the
    /// actions, to [`plan_error`] once the actions are done.
    pub failures: Vec<Failure>,
}

/// One thing to be done: where to, and with which bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct PlannedAction {
    /// Where to.
    pub target: Target,
    /// The output of the statement, or the error document.
    pub payload: Arc<[u8]>,
    /// Whether the payload is JSON; otherwise it is the publisher's bytes.
    pub is_json: bool,
}

/// An [`Action`] with its templates rendered.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Target {
    /// Publish to this MQTT topic.
    Republish {
        /// A valid topic, may begin with `$aws/`.
        topic: String,
        /// Quality of service.
        qos: Qos,
        /// MQTT 5 properties.
        headers: PlannedHeaders,
    },
    /// Call this function.
    Function {
        /// Name or ARN.
        name: String,
    },
    /// Post to this address.
    Http {
        /// The address.
        url: String,
        /// Where the destination confirms.
        confirmation_url: Option<String>,
        /// Names and values.
        headers: Vec<(String, String)>,
    },
    /// Publish into the gateway.
    Channel {
        /// The space, or the one of the message.
        space: Option<String>,
        /// A valid topic.
        topic: String,
    },
    /// Put an event; the payload is its detail, a JSON object.
    EventBridge {
        /// The bus.
        bus: String,
        /// The source.
        source: String,
        /// The detail type.
        detail_type: String,
        /// The resources.
        resources: Vec<String>,
    },
    /// Write to the log.
    Log,
}

/// MQTT 5 properties of a message to be published.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PlannedHeaders {
    /// Payload format indicator: true for UTF-8.
    pub is_utf8: Option<bool>,
    /// Content type.
    pub content_type: Option<String>,
    /// Response topic.
    pub response_topic: Option<String>,
    /// Correlation data, decoded.
    pub correlation_data: Option<Vec<u8>>,
    /// Message expiry in seconds.
    pub expiry_s: Option<u32>,
    /// User properties, in order.
    pub user_properties: Vec<(String, String)>,
}

/// One thing that went wrong, in the words of the error document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which kind of action, such as `RepublishAction`.
    pub action: &'static str,
    /// What it was about: a topic, an address, a function.
    pub resource: String,
    /// What happened.
    pub message: String,
}

impl Target {
    /// How the error document calls this kind of action.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Republish { .. } => "RepublishAction",
            Self::Function { .. } => "LambdaAction",
            Self::Http { .. } => "HttpAction",
            Self::Channel { .. } => "ChannelAction",
            Self::EventBridge { .. } => "EventBridgeAction",
            Self::Log => "LogAction",
        }
    }

    /// What the error document names as the resource.
    #[must_use]
    pub fn resource(&self) -> &str {
        match self {
            Self::Republish { topic, .. } | Self::Channel { topic, .. } => topic,
            Self::Function { name } => name,
            Self::Http { url, .. } => url,
            Self::EventBridge { bus, .. } => bus,
            Self::Log => "log",
        }
    }
}

impl PlannedAction {
    /// The failure of this action, for [`plan_error`].
    #[must_use]
    pub fn failed(&self, message: impl Into<String>) -> Failure {
        let resource = self.target.resource().to_owned();
        Failure { action: self.target.kind(), resource, message: message.into() }
    }
}

/// Runs the statement of `rule`, whatever its filter, and renders its actions.
/// An action that cannot be rendered fails alone; the others are planned.
#[must_use]
pub fn evaluate(rule: &Rule, input: &Input<'_>) -> Planned {
    let output = match rule.statement.run(input) {
        Ok(Some(output)) => output,
        Ok(None) => return Planned::default(),
        Err(error) => {
            let failure = Failure { action: "SqlStatement", resource: rule.name.clone(), message: error.to_string() };
            return Planned { actions: Vec::new(), failures: vec![failure] };
        }
    };
    let is_json = matches!(output, Output::Json(_));
    let is_object = matches!(output, Output::Json(Json::Object(_)));
    let payload: Arc<[u8]> = output.into_bytes().into();
    let mut planned = Planned::default();
    for action in &rule.actions {
        match takes(action, is_json, is_object).and_then(|()| target(action, input)) {
            Ok(target) => planned.actions.push(PlannedAction { target, payload: payload.clone(), is_json }),
            Err(message) => planned.failures.push(unplanned(action, message)),
        }
    }
    planned
}

/// The one message of `rule` about everything that failed for one input.
/// `None` without failures or without an error action.
///
/// # Errors
/// The failure of the error action itself, if its templates cannot be rendered. Only logs can tell of it.
pub fn plan_error(rule: &Rule, input: &Input<'_>, failures: &[Failure]) -> Result<Option<PlannedAction>, Failure> {
    let Some(action) = rule.error_action.as_ref().filter(|_| !failures.is_empty()) else { return Ok(None) };
    let target = target(action, input).map_err(|message| unplanned(action, message))?;
    let failures: Vec<Json> = failures
        .iter()
        .map(|failure| {
            json!({
                "failedAction": failure.action,
                "failedResource": failure.resource,
                "errorMessage": failure.message,
            })
        })
        .collect();
    let document = json!({
        "ruleName": rule.name,
        "topic": input.topic,
        "cloudwatchTraceId": input.trace_id,
        "clientId": input.client_id.unwrap_or("n/a"),
        "base64OriginalPayload": STANDARD.encode(input.payload()),
        "failures": failures,
    });
    Ok(Some(PlannedAction { target, payload: document.to_string().into_bytes().into(), is_json: true }))
}

/// What an action that could not be planned is called: by its templates as they are written.
fn unplanned(action: &Action, message: String) -> Failure {
    let (action, resource) = match action {
        Action::Republish { topic, .. } => ("RepublishAction", topic.text()),
        Action::Function { name } => ("LambdaAction", name.as_str()),
        Action::Http { url, .. } => ("HttpAction", url.text()),
        Action::Channel { topic, .. } => ("ChannelAction", topic.text()),
        Action::EventBridge { bus, .. } => ("EventBridgeAction", bus.as_str()),
        Action::Log {} => ("LogAction", "log"),
    };
    Failure { action, resource: resource.to_owned(), message }
}

/// Whether `action` can carry such an output.
fn takes(action: &Action, is_json: bool, is_object: bool) -> Result<(), String> {
    match action {
        Action::Function { .. } if !is_json => {
            Err("a function takes JSON; select encode(*, 'base64') for a payload of bytes".to_owned())
        }
        Action::EventBridge { .. } if !is_object => {
            Err("the detail of an event is a JSON object; select fields instead of the bare payload".to_owned())
        }
        _ => Ok(()),
    }
}

fn target(action: &Action, input: &Input<'_>) -> Result<Target, String> {
    Ok(match action {
        Action::Republish { topic, qos, headers } => {
            Target::Republish { topic: mqtt_topic(topic, input)?, qos: *qos, headers: properties(headers, input)? }
        }
        Action::Function { name } => Target::Function { name: name.clone() },
        Action::Http { url, confirmation_url, headers } => Target::Http {
            url: render(url, input)?,
            confirmation_url: optional(confirmation_url.as_ref(), input)?,
            headers: pairs(headers, input)?,
        },
        Action::Channel { space, topic } => Target::Channel { space: space.clone(), topic: mqtt_topic(topic, input)? },
        Action::EventBridge { bus, source, detail_type, resources } => Target::EventBridge {
            bus: bus.clone(),
            source: render(source, input)?,
            detail_type: render(detail_type, input)?,
            resources: resources.iter().map(|resource| render(resource, input)).collect::<Result<_, _>>()?,
        },
        Action::Log {} => Target::Log,
    })
}

fn render(template: &Template, input: &Input<'_>) -> Result<String, String> {
    template.render(input).map_err(|error| error.to_string())
}

fn optional(template: Option<&Template>, input: &Input<'_>) -> Result<Option<String>, String> {
    template.map(|template| render(template, input)).transpose()
}

fn pairs(headers: &[Header], input: &Input<'_>) -> Result<Vec<(String, String)>, String> {
    headers.iter().map(|header| Ok((header.key.clone(), render(&header.value, input)?))).collect()
}

/// A topic without wildcards; `$$` in front is how rules write a reserved topic.
fn mqtt_topic(template: &Template, input: &Input<'_>) -> Result<String, String> {
    let rendered = render(template, input)?;
    let topic = match rendered.strip_prefix("$$") {
        Some(rest) => format!("${rest}"),
        None => rendered,
    };
    if filter::is_topic(&topic) { Ok(topic) } else { Err(format!("{topic:?} is no topic to publish to")) }
}

fn properties(headers: &Headers, input: &Input<'_>) -> Result<PlannedHeaders, String> {
    let is_utf8 = match optional(headers.payload_format_indicator.as_ref(), input)?.as_deref() {
        None => None,
        Some("UTF8_DATA") => Some(true),
        Some("UNSPECIFIED_BYTES") => Some(false),
        Some(other) => return Err(format!("the payload format is UTF8_DATA or UNSPECIFIED_BYTES, not {other:?}")),
    };
    let correlation_data = optional(headers.correlation_data.as_ref(), input)?
        .map(|text| STANDARD.decode(&text).map_err(|_| format!("the correlation data {text:?} is not base64")))
        .transpose()?;
    let expiry_s = optional(headers.message_expiry.as_ref(), input)?
        .map(|text| text.parse().map_err(|_| format!("the message expiry {text:?} is no number of seconds")))
        .transpose()?;
    Ok(PlannedHeaders {
        is_utf8,
        content_type: optional(headers.content_type.as_ref(), input)?,
        response_topic: optional(headers.response_topic.as_ref(), input)?,
        correlation_data,
        expiry_s,
        user_properties: pairs(&headers.user_properties, input)?,
    })
}
