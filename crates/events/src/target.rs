//! Targets: whom a rule sends to, and what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{ARN_BYTES_MAX, INPUT_TEXT_MAX, TARGET_ID_MAX};
use crate::path::{EventPath, PathError};
use crate::template::{RenderError, Template, TemplateError};
use crate::transform::{Context, TooLarge, Transformer, TransformerError};

/// One target as PutTargets sends it and ListTargetsByRule returns it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TargetForm {
    /// Unique within the rule.
    pub id: String,
    /// Whom to send to; see [`Destination`].
    pub arn: String,
    /// Kept and returned, not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// JSON text to send instead of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The part of the event to send; `null` is sent if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_path: Option<String>,
    /// How to make what is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_transformer: Option<TransformerForm>,
    /// How long to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// Where an event goes that could not be delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_config: Option<DeadLetterConfig>,
    /// Headers, query and path of an HTTP target, as they were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_parameters: Option<Value>,
    /// Kept and returned for queues, as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqs_parameters: Option<Value>,
}

/// `InputTransformer` of a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TransformerForm {
    /// Variables and their paths into the event.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input_paths_map: BTreeMap<String, String>,
    /// Text with the variables in angle brackets.
    pub input_template: String,
}

/// `RetryPolicy` of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// 0 to 185 further tries after the first.
    pub maximum_retry_attempts: u32,
    /// 60 to 86,400 seconds from the event's arrival to the last try.
    pub maximum_event_age_in_seconds: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { maximum_retry_attempts: 185, maximum_event_age_in_seconds: 86_400 }
    }
}

/// `DeadLetterConfig` of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct DeadLetterConfig {
    /// The queue to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
}

/// A target that is ready to be sent to. Serialises as its [`TargetForm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TargetForm", into = "TargetForm")]
pub struct Target {
    form: TargetForm,
    destination: Destination,
    input: Input,
}

/// What a target's ARN means here.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, perhaps with `:VERSION`.
    Function(String),
    /// `arn:aws:events:REGION:ACCOUNT:event-bus/NAME`.
    EventBus(String),
    /// `arn:aws:events:REGION:ACCOUNT:api-destination/NAME`, perhaps with an id.
    ApiDestination(String),
    /// `arn:gw:channel:::TEMPLATE`: a topic of this gateway.
    Channel(Template),
    /// `arn:gw:users:::TEMPLATE`: all connections of a user.
    Users(Template),
    /// Any other ARN, for hooks that are configured by it.
    Other(String),
}

/// A destination with an event's values in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Address {
    /// The name of a function.
    Function(String),
    /// The name of an event bus.
    EventBus(String),
    /// The name of an API destination.
    ApiDestination(String),
    /// A topic to publish to.
    Topic(String),
    /// A user to send to.
    User(String),
    /// An ARN.
    Other(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Input {
    Whole,
    Constant(String),
    Path(EventPath),
    Transformer(Transformer),
}

/// Why a target is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The id is empty, too long, or has other characters than a rule's name.
    #[error("Id has to have 1 to {TARGET_ID_MAX} of the characters . - _ A-Z a-z 0-9")]
    Id,
    /// The ARN is not one, or too long.
    #[error("Arn has to have the form arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE and at most {ARN_BYTES_MAX} bytes")]
    Arn,
    /// The topic or user in the ARN cannot be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// More than one way to make the input.
    #[error("give at most one of Input, InputPath and InputTransformer")]
    Inputs,
    /// The constant input is not JSON, or too long.
    #[error("Input has to be JSON text of at most {INPUT_TEXT_MAX} bytes; put plain text in quotation marks")]
    Input,
    /// The path cannot be read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The transformer cannot be read.
    #[error(transparent)]
    Transformer(#[from] TransformerError),
    /// The retry policy is out of range.
    #[error("RetryPolicy takes 0 to 185 attempts and an age of 60 to 86400 seconds")]
    Retry,
}

impl Target {
    /// Reads a target.
    ///
    /// # Errors
    /// Names the member that is wrong.
    pub fn new(form: TargetForm) -> Result<Self, TargetError> {
        if !is_name(&form.id, TARGET_ID_MAX) {
            return Err(TargetError::Id);
        }
        let destination = Destination::parse(&form.arn)?;
        let input = Input::of(&form)?;
        let retry = form.retry_policy.unwrap_or_default();
        if retry.maximum_retry_attempts > 185 || !(60..=86_400).contains(&retry.maximum_event_age_in_seconds) {
            return Err(TargetError::Retry);
        }
        Ok(Self { form, destination, input })
    }

    /// The id within its rule.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.form.id
    }

    /// The target as it was given.
    #[must_use]
    pub fn form(&self) -> &TargetForm {
        &self.form
    }

    /// Whom the target means.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// How long to try.
    #[must_use]
    pub fn retry_policy(&self) -> RetryPolicy {
        self.form.retry_policy.unwrap_or_default()
    }

    /// Whom an event goes to.
    ///
    /// # Errors
    /// When a topic or user cannot be made from the event.
    pub fn address(&self, event: &Value) -> Result<Address, RenderError> {
        Ok(match &self.destination {
            Destination::Function(name) => Address::Function(name.clone()),
            Destination::EventBus(name) => Address::EventBus(name.clone()),
            Destination::ApiDestination(name) => Address::ApiDestination(name.clone()),
            Destination::Channel(topic) => Address::Topic(topic.render(event)?),
            Destination::Users(user) => Address::User(user.render(event)?),
            Destination::Other(arn) => Address::Other(arn.clone()),
        })
    }

    /// What the target is sent of an event; `None` means the event as it is.
    ///
    /// # Errors
    /// When a transformer makes too much of it.
    pub fn input(&self, event: &Value, context: &Context<'_>) -> Result<Option<String>, TooLarge> {
        match &self.input {
            Input::Whole => Ok(None),
            Input::Constant(text) => Ok(Some(text.clone())),
            Input::Path(path) => Ok(Some(path.get(event).unwrap_or(&Value::Null).to_string())),
            Input::Transformer(transformer) => transformer.apply(event, context).map(Some),
        }
    }
}

impl TryFrom<TargetForm> for Target {
    type Error = TargetError;

    fn try_from(form: TargetForm) -> Result<Self, TargetError> {
        Self::new(form)
    }
}

impl From<Target> for TargetForm {
    fn from(target: Target) -> Self {
        target.form
    }
}

impl Destination {
    /// What an ARN means here.
    ///
    /// # Errors
    /// When it is no ARN, or a template in it cannot be read.
    pub fn parse(arn: &str) -> Result<Self, TargetError> {
        if arn.len() > ARN_BYTES_MAX {
            return Err(TargetError::Arn);
        }
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let &["arn", partition, service, _, _, resource] = parts.as_slice() else {
            return Err(TargetError::Arn);
        };
        if partition.is_empty() || service.is_empty() {
            return Err(TargetError::Arn);
        }
        match (partition, service) {
            ("gw", "channel") => return Ok(Self::Channel(Template::parse(resource)?)),
            ("gw", "users") => return Ok(Self::Users(Template::parse(resource)?)),
            _ if resource.is_empty() => return Err(TargetError::Arn),
            _ => {}
        }
        let named = |kind: &str, end: char| {
            let name = resource.strip_prefix(kind)?.split(end).next()?;
            (!name.is_empty()).then(|| name.to_owned())
        };
        let known = match service {
            "lambda" => named("function:", ':').map(Self::Function),
            "events" => named("event-bus/", '\0')
                .map(Self::EventBus)
                .or_else(|| named("api-destination/", '/').map(Self::ApiDestination)),
            _ => None,
        };
        Ok(known.unwrap_or_else(|| Self::Other(arn.to_owned())))
    }
}

impl Input {
    fn of(form: &TargetForm) -> Result<Self, TargetError> {
        match (&form.input, &form.input_path, &form.input_transformer) {
            (None, None, None) => Ok(Self::Whole),
            (Some(text), None, None) => {
                let json = text.len() <= INPUT_TEXT_MAX && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
                if json { Ok(Self::Constant(text.clone())) } else { Err(TargetError::Input) }
            }
            (None, Some(path), None) => Ok(Self::Path(EventPath::parse(path)?)),
            (None, None, Some(form)) => {
                Ok(Self::Transformer(Transformer::new(&form.input_paths_map, &form.input_template)?))
            }
            _ => Err(TargetError::Inputs),
        }
    }
}

/// Whether a text has 1 to `longest` of the characters that names may have.
pub(crate) fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_whom_to_send_to() {
        let parse = |arn: &str| Destination::parse(arn).expect("the ARN is well formed");
        let name = || "n".to_owned();
        assert_eq!(parse("arn:aws:lambda:local:000000000000:function:n"), Destination::Function(name()));
        assert_eq!(parse("arn:aws:lambda:local:000000000000:function:n:7"), Destination::Function(name()));
        assert_eq!(parse("arn:aws-cn:events:r:0:event-bus/n"), Destination::EventBus(name()));
        assert_eq!(parse("arn:aws:events:r:0:api-destination/n/1234"), Destination::ApiDestination(name()));
        assert!(matches!(parse("arn:gw:channel:::a/${$.detail.x}:b"), Destination::Channel(_)));
        assert!(matches!(parse("arn:gw:users:::${$.detail['a:b']}"), Destination::Users(_)));
        for other in ["arn:aws:sqs:r:0:queue", "arn:aws:lambda:r:0:layer:n", "arn:aws:events:r:0:event-bus/"] {
            assert_eq!(parse(other), Destination::Other(other.to_owned()));
        }
    }

    #[test]
    fn what_is_no_arn_is_refused() {
        for arn in ["", "queue", "arn:aws:sqs:r:0", "arn:aws:sqs:r:0:", "arn::sqs:r:0:q", "nra:aws:sqs:r:0:q"] {
            assert_eq!(Destination::parse(arn), Err(TargetError::Arn), "{arn}");
        }
        assert_eq!(Destination::parse("arn:gw:channel:::"), Err(TargetError::Template(TemplateError::Empty)));
    }
}
