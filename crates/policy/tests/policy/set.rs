//! Shorthands for policies.

use std::sync::Arc;

use fanfare_policy::{Context, Decision, Document, Operation, PolicySet, Scope};

pub(crate) const SCOPE: Scope<'static> = Scope { region: "eu-west-1", account: "000000000000", space: "default" };

/// A set of one policy, `p`, with these statements.
pub(crate) fn policies(statements: &str) -> PolicySet {
    let mut set = PolicySet::new();
    set.attach("p", Arc::new(document(statements))).expect("the first policy");
    set
}

pub(crate) fn document(statements: &str) -> Document {
    Document::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)).expect("a valid policy")
}

/// A statement about a resource of ours, such as `topic/a`, or `*`.
pub(crate) fn statement(effect: &str, action: &str, resource: &str) -> String {
    let resource = if resource == "*" { "*".to_owned() } else { format!("arn:aws:iot:eu-west-1:*:{resource}") };
    format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}"#)
}

pub(crate) fn allow(action: &str, resource: &str) -> String {
    statement("Allow", action, resource)
}

pub(crate) fn deny(action: &str, resource: &str) -> String {
    statement("Deny", action, resource)
}

/// An Allow of everything under a condition.
pub(crate) fn allow_if(condition: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#)
}

pub(crate) fn decide(statements: &str, operation: Operation<'_>) -> Decision {
    policies(statements).decide_operation(operation, &SCOPE, &Context::new())
}

/// Allowed or denied by the statement at this position, or neither.
pub(crate) fn outcome(decision: &Decision) -> (char, usize) {
    match decision {
        Decision::Allowed { statement } => ('a', statement.index),
        Decision::DeniedExplicitly { statement } => ('d', statement.index),
        Decision::NotAllowed => ('n', 0),
        Decision::WildcardClientId { statement } => ('w', statement.index),
    }
}
