//! Rules in the JSON of AWS's `CreateTopicRule` and `ReplaceTopicRule`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::action::{Action, Header, Headers, Qos};
use super::error::RuleError;
use super::rule::{Rule, Written};
use crate::sql::Template;

/// The body of `POST /rules/{name}`. Fields that we do not know are left alone, as AWS adds some now and then.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    sql: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    actions: Vec<Map<String, Json>>,
    #[serde(default)]
    rule_disabled: bool,
    aws_iot_sql_version: Option<String>,
    error_action: Option<Map<String, Json>>,
}

#[derive(Deserialize)]
struct Republish {
    topic: Template,
    #[serde(default)]
    qos: Qos,
    #[serde(default)]
    headers: Box<Headers>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lambda {
    function_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    url: Template,
    confirmation_url: Option<Template>,
    #[serde(default)]
    headers: Vec<Header>,
    auth: Option<Json>,
    #[serde(default)]
    enable_batching: bool,
}

impl Rule {
    /// Reads a rule named `name` from the body of a request. The roles of its actions are not used.
    ///
    /// # Errors
    /// [`RuleError`]; a kind of action that is not offered is [`RuleError::UnsupportedAction`].
    pub fn from_aws(name: &str, body: &[u8]) -> Result<Self, RuleError> {
        let body: Body = serde_json::from_slice(body).map_err(|error| shape("the rule", &error))?;
        let actions = (1..).zip(&body.actions).map(|(number, object)| action(&format!("action {number}"), object));
        Written {
            name: name.to_owned(),
            description: body.description,
            sql: body.sql,
            sql_version: body.aws_iot_sql_version,
            actions: actions.collect::<Result<_, _>>()?,
            error_action: body.error_action.map(|object| action("the error action", &object)).transpose()?,
            enabled: !body.rule_disabled,
        }
        .try_into()
    }
}

fn shape(place: &str, error: &serde_json::Error) -> RuleError {
    RuleError::Shape { place: place.to_owned(), reason: error.to_string() }
}

fn read<T: DeserializeOwned>(place: &str, json: &Json) -> Result<T, RuleError> {
    T::deserialize(json).map_err(|error| shape(place, &error))
}

/// `{"kind": {..}}` with exactly one kind.
fn action(place: &str, object: &Map<String, Json>) -> Result<Action, RuleError> {
    let mut kinds = object.iter().filter(|(_, json)| !json.is_null());
    let (Some((kind, json)), None) = (kinds.next(), kinds.next()) else {
        let reason = format!("it needs exactly one kind, and has {}", object.len());
        return Err(RuleError::Shape { place: place.to_owned(), reason });
    };
    match kind.as_str() {
        "republish" => {
            let Republish { topic, qos, headers } = read(place, json)?;
            Ok(Action::Republish { topic, qos, headers })
        }
        "lambda" => Ok(Action::Function { name: read::<Lambda>(place, json)?.function_arn }),
        "http" => {
            let Http { url, confirmation_url, headers, auth, enable_batching } = read(place, json)?;
            if auth.is_some() {
                return Err(RuleError::UnsupportedOption("http.auth"));
            }
            if enable_batching {
                return Err(RuleError::UnsupportedOption("http.enableBatching"));
            }
            Ok(Action::Http { url, confirmation_url, headers })
        }
        _ => Err(RuleError::UnsupportedAction { kind: kind.clone() }),
    }
}
