//! Whether a policy document lets somebody do something: documents that authorizers answer with,
//! and documents of those who sign their requests.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::glob;

mod condition;

/// Characters of one pattern in `Resource` or `NotResource` at most.
pub const RESOURCE_CHARS_MAX: usize = 512;

/// The action of upgrades and messages.
pub const INVOKE: &str = "execute-api:Invoke";

/// The action of the `@connections` plane.
pub const MANAGE_CONNECTIONS: &str = "execute-api:ManageConnections";

/// What a document says of an action on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It allows it.
    Allowed,
    /// It denies it, whatever else it allows.
    Denied,
    /// It says nothing of it, which is a refusal too.
    NotMatched,
    /// It is no policy document. The text says what is wrong with it.
    Malformed(String),
}

/// What `document` says of `action` on `resource`, an ARN, for a client at `source_ip`.
///
/// Actions are compared without regard to case, resources with it. `*` is any run of characters,
/// also across `/` and `:`; `?` is any one. What cannot be decided (a condition that is not known
/// here, a variable) lets an `Allow` fail and a `Deny` hold.
#[must_use]
pub fn evaluate(document: &Value, action: &str, resource: &str, source_ip: IpAddr) -> Decision {
    let request = Request { action: &action.to_ascii_lowercase(), resource, source_ip: source_ip.to_canonical() };
    match decide(document, &request) {
        Ok(decision) => decision,
        Err(reason) => Decision::Malformed(reason),
    }
}

struct Request<'a> {
    /// In lower case.
    action: &'a str,
    resource: &'a str,
    source_ip: IpAddr,
}

/// All statements are read before one of them counts, so that a mistake does not wait for its day.
fn decide(document: &Value, request: &Request<'_>) -> Result<Decision, String> {
    let document = document.as_object().ok_or("the policy document is not an object")?;
    let statements = list(document.get("Statement").ok_or("the policy document has no `Statement`")?);
    if statements.is_empty() {
        return Err("the policy document's `Statement` is empty".to_owned());
    }
    let mut decision = Decision::NotMatched;
    for (index, statement) in statements.iter().enumerate() {
        let said = read(statement, request).map_err(|reason| format!("statement {}: {reason}", index + 1))?;
        match said {
            Some(Effect::Deny) => decision = Decision::Denied,
            Some(Effect::Allow) if decision == Decision::NotMatched => decision = Decision::Allowed,
            Some(Effect::Allow) | None => {}
        }
    }
    Ok(decision)
}

enum Effect {
    Allow,
    Deny,
}

/// Its effect, if it means this request.
fn read(statement: &Value, request: &Request<'_>) -> Result<Option<Effect>, String> {
    let statement = statement.as_object().ok_or("it is not an object")?;
    let effect = match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err("`Effect` must be \"Allow\" or \"Deny\"".to_owned()),
    };
    let is_action = |pattern: &str| Ok(Truth::of(glob::matches(&pattern.to_ascii_lowercase(), request.action)));
    let is_resource = |pattern: &str| {
        if pattern.chars().count() > RESOURCE_CHARS_MAX {
            return Err(format!("a resource has more than {RESOURCE_CHARS_MAX} characters"));
        }
        // Variables are not known here.
        if pattern.contains("${") {
            return Ok(Truth::Unknown);
        }
        Ok(Truth::of(glob::matches(pattern, request.resource)))
    };
    let means_it = side(statement, "Action", "NotAction", is_action)?
        .and(side(statement, "Resource", "NotResource", is_resource)?)
        .and(condition::holds(statement.get("Condition"), request.source_ip)?);
    Ok(match (means_it, effect) {
        (Truth::Yes, effect) | (Truth::Unknown, effect @ Effect::Deny) => Some(effect),
        (Truth::Unknown, Effect::Allow) | (Truth::No, _) => None,
    })
}

/// One side of a statement: patterns under one name, or under its negation.
fn side(
    statement: &Map<String, Value>,
    name: &str,
    negation: &str,
    test: impl Fn(&str) -> Result<Truth, String>,
) -> Result<Truth, String> {
    let (patterns, name, is_negated) = match (statement.get(name), statement.get(negation)) {
        (Some(patterns), None) => (patterns, name, false),
        (None, Some(patterns)) => (patterns, negation, true),
        (Some(_), Some(_)) => return Err(format!("`{name}` and `{negation}` cannot stand together")),
        (None, None) => return Err(format!("`{name}` is missing")),
    };
    let mut found = Truth::No;
    for pattern in list(patterns) {
        let pattern = pattern.as_str().ok_or_else(|| format!("`{name}` must be text or a list of texts"))?;
        found = found.or(test(pattern)?);
    }
    Ok(if is_negated { found.not() } else { found })
}

/// One value, or the values of a list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// Whether something is so, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    fn of(is: bool) -> Self {
        if is { Self::Yes } else { Self::No }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
