//! What a target is sent: the event, part of it, or something made from it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::event::now_text;
use crate::limits::{INPUT_BYTES_MAX, TEMPLATE_BYTES_MAX, VARIABLES_MAX};
use crate::path::{EventPath, PathError};

/// What a transformer may know besides the event.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The rule that matched.
    pub rule_name: &'a str,
    /// Its ARN.
    pub rule_arn: &'a str,
    /// When the event came in, in milliseconds since 1970.
    pub ingestion_ms: u64,
}

/// A template with variables in angle brackets, filled from an event.
///
/// A variable outside quotation marks becomes JSON: a string with its marks,
/// a number or an object as it is. Inside quotation marks it becomes the text
/// alone: a string as the event has it, escaped where JSON needs that, and
/// anything else as its JSON text, escaped likewise. A path that leads to
/// nothing gives the empty text. The outcome need not be JSON: several quoted
/// lines are a usual template.
///
/// Always known are `<aws.events.rule-arn>`, `<aws.events.rule-name>`,
/// `<aws.events.event.ingestion-time>`, `<aws.events.event>` (the envelope
/// without its detail) and `<aws.events.event.json>` (all of it).
#[derive(Clone, Debug, PartialEq)]
pub struct Transformer {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Variable { source: Source, quoted: bool },
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    Path(EventPath),
    RuleArn,
    RuleName,
    IngestionTime,
    Envelope,
    Event,
}

/// Why a transformer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransformerError {
    /// The template is empty or longer than [`TEMPLATE_BYTES_MAX`].
    #[error("the InputTemplate has to have 1 to {TEMPLATE_BYTES_MAX} bytes")]
    Length,
    /// More than [`VARIABLES_MAX`].
    #[error("the InputPathsMap has more than {VARIABLES_MAX} variables")]
    Variables,
    /// The name of a variable cannot stand in a template, or is reserved.
    #[error("the variable {0:?} has to have letters, digits, - and _ only, and not begin with aws.")]
    Name(String),
    /// A variable's path cannot be read.
    #[error("variable {0:?}: {1}")]
    Path(String, PathError),
    /// The template has a variable that nobody defines.
    #[error("the InputTemplate has the placeholder <{0}>, which is not in the InputPathsMap")]
    Unknown(String),
}

/// The outcome would be larger than [`INPUT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the input would be larger than {INPUT_BYTES_MAX} bytes")]
pub struct TooLarge;

impl Transformer {
    /// Reads a template and the paths of its variables.
    ///
    /// # Errors
    /// Names the variable that is wrong.
    pub fn new(paths: &BTreeMap<String, String>, template: &str) -> Result<Self, TransformerError> {
        if template.is_empty() || template.len() > TEMPLATE_BYTES_MAX {
            return Err(TransformerError::Length);
        }
        if paths.len() > VARIABLES_MAX {
            return Err(TransformerError::Variables);
        }
        let mut variables = BTreeMap::new();
        for (name, path) in paths {
            if !is_name(name) || name.to_ascii_lowercase().starts_with("aws.") {
                return Err(TransformerError::Name(name.clone()));
            }
            let path = EventPath::parse(path).map_err(|error| TransformerError::Path(name.clone(), error))?;
            variables.insert(name.as_str(), path);
        }
        Ok(Self { parts: parts(template, &variables)? })
    }

    /// Fills the template.
    ///
    /// # Errors
    /// When the outcome would be over its limit.
    pub fn apply(&self, event: &Value, context: &Context<'_>) -> Result<String, TooLarge> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable { source, quoted } => {
                    let value = source.value(event, context);
                    out.push_str(&if *quoted { quoted_text(&value) } else { value.to_string() });
                }
            }
            if out.len() > INPUT_BYTES_MAX {
                return Err(TooLarge);
            }
        }
        Ok(out)
    }
}

impl Source {
    fn reserved(name: &str) -> Option<Self> {
        Some(match name {
            "aws.events.rule-arn" => Self::RuleArn,
            "aws.events.rule-name" => Self::RuleName,
            "aws.events.event.ingestion-time" => Self::IngestionTime,
            "aws.events.event" => Self::Envelope,
            "aws.events.event.json" => Self::Event,
            _ => return None,
        })
    }

    fn value(&self, event: &Value, context: &Context<'_>) -> Value {
        match self {
            Self::Path(path) => path.get(event).cloned().unwrap_or_else(|| Value::String(String::new())),
            Self::RuleArn => context.rule_arn.into(),
            Self::RuleName => context.rule_name.into(),
            Self::IngestionTime => now_text(context.ingestion_ms).into(),
            Self::Event => event.clone(),
            Self::Envelope => {
                let mut envelope = event.clone();
                if let Value::Object(members) = &mut envelope {
                    members.remove("detail");
                }
                envelope
            }
        }
    }
}

/// Cuts a template at its variables and notes which stand inside quotes.
fn parts(template: &str, variables: &BTreeMap<&str, EventPath>) -> Result<Vec<Part>, TransformerError> {
    let mut parts = Vec::new();
    let (mut quoted, mut escaped) = (false, false);
    let mut text_from = 0;
    for (at, c) in template.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '<' => {
                let Some(name) = placeholder(&template[at..]) else {
                    continue;
                };
                let source = match variables.get(name) {
                    Some(path) => Source::Path(path.clone()),
                    None => Source::reserved(name).ok_or_else(|| TransformerError::Unknown(name.to_owned()))?,
                };
                if text_from < at {
                    parts.push(Part::Text(template[text_from..at].to_owned()));
                }
                parts.push(Part::Variable { source, quoted });
                text_from = at + name.len() + 2;
            }
            _ => {}
        }
    }
    if text_from < template.len() {
        parts.push(Part::Text(template[text_from..].to_owned()));
    }
    Ok(parts)
}

/// The name in a text that begins with `<name>`; any other `<` is only text.
fn placeholder(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('<')?.split_once('>')?;
    is_name(name).then_some(name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// What stands for a value between quotation marks that are there already.
fn quoted_text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => Value::String(text.clone()),
        other => Value::String(other.to_string()),
    };
    let marked = text.to_string();
    marked[1..marked.len() - 1].to_owned()
}
