//! What is told of functions.

use fanfare_functions::Functions;
use fanfare_iam::Access;
use serde_json::{Value, json};

use crate::callers::arn;
use crate::problem::{Kind, Problem};
use crate::target::Target;

/// The answer of ListFunctions: all of them at once.
pub(crate) fn list(functions: &Functions, access: &Access) -> Value {
    let names = functions.names();
    let told: Vec<_> = names.iter().filter_map(|name| configuration(functions, access, name)).collect();
    json!({ "Functions": told })
}

/// The answer of GetFunctionConfiguration.
///
/// # Errors
/// There is no such function.
pub(crate) fn configuration_of(functions: &Functions, access: &Access, target: &Target) -> Result<Value, Problem> {
    configuration(functions, access, &target.name).ok_or_else(|| not_found(access, target))
}

/// What a request hears that names no function of ours.
pub(crate) fn not_found(access: &Access, target: &Target) -> Problem {
    Problem::new(Kind::NotFound, format!("Function not found: {}", arn(access, &target.qualified())))
}

fn configuration(functions: &Functions, access: &Access, name: &str) -> Option<Value> {
    let timeout = functions.get(name)?.timeout();
    Some(json!({
        "FunctionName": name,
        "FunctionArn": arn(access, name),
        "Version": "$LATEST",
        // In whole seconds, and never none.
        "Timeout": timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0),
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }))
}
