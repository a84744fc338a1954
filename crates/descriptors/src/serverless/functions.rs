//! `functions`: what is hosted.

use std::time::Duration;

use crate::cloudformation::Parts;
use crate::fields::Fields;
use crate::functions::{self as shared, CONCURRENCY, FUNCTIONS_MAX, MEMORY_MB, OF_SERVERLESS, TIMEOUT_S, small};
use crate::node::{Entry, Node};
use crate::scope::Scope;

use super::events;
use super::provider::Provider;

/// The name that Lambda knows a function by.
pub(crate) fn name(scope: &Scope<'_>, entry: &Entry, service: &str, stage: &str) -> String {
    let body = scope.resolve(&entry.value);
    let own = body.get("name").map(|name| scope.resolve(name)).filter(|name| !name.is_void());
    own.and_then(|name| scope.text(&name)).unwrap_or_else(|| format!("{service}-{stage}-{}", entry.key))
}

/// The key as it stands in logical names: `ws-connect` is `WsDashconnect`.
pub(crate) fn normal(key: &str) -> String {
    let mut letters = key.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let key: String = first.into_iter().chain(letters).collect();
    key.replace('-', "Dash").replace('_', "Underscore")
}

/// Reads all functions, and then their events, which may name any of them.
pub(crate) fn read(scope: &Scope<'_>, file: &mut Fields<'_>, provider: &Provider, parts: &mut Parts) {
    let Some(node) = file.get("functions") else { return };
    let node = super::maps(scope, &node);
    if node.entries().len() > FUNCTIONS_MAX {
        return scope.mistake(&node.place, format!("more than {FUNCTIONS_MAX} functions; split the service"));
    }
    let mut waiting = Vec::new();
    for entry in node.entries() {
        let events = function(scope, entry, provider, parts);
        waiting.extend(events.into_iter().map(|event| (entry.key.to_string(), event)));
    }
    for (function, event) in waiting {
        events::read(scope, &function, &event, parts);
    }
}

/// Reads one function and answers with its events.
fn function(scope: &Scope<'_>, entry: &Entry, provider: &Provider, parts: &mut Parts) -> Vec<Node> {
    let mut fields = Fields::new(scope, format!("functions.{}", entry.key), &entry.value);
    fields.get("name");
    let logical = format!("{}LambdaFunction", normal(&entry.key));
    let name = scope.template.known.get(&logical).cloned().unwrap_or_default();
    shared::check_name(scope, &name, &fields.place_of("name"));
    let mut config = shared::config(name, &entry.key, scope.files.folder.clone(), &OF_SERVERLESS, &entry.place);
    fields.refused(&["image"], "functions run from folders, not from images");
    config.handler = fields.required_text("handler").unwrap_or_default();
    match fields.get("runtime").or_else(|| provider.runtime.clone()) {
        Some(node) => {
            let name = scope.text(&node);
            if let Some(kind) = name.and_then(|name| shared::runtime(scope, &name, &node.place)) {
                config.runtime = kind;
            }
        }
        None => {
            let text = format!("neither functions.{} nor the provider has a `runtime`; add it", entry.key);
            scope.mistake(&entry.place, text);
        }
    }
    config.environment.clone_from(&provider.environment);
    config.environment.extend(fields.texts("environment"));
    limits(&mut fields, provider, &mut config);
    // A key of serverless-python-requirements: the folder that is packed alone.
    if let Some(module) = fields.text("module") {
        config.root.push(&module);
        shared::check_folder(scope, &config.root, &module, &fields.place_of("module"));
    }
    if let Some(node) = fields.get("package") {
        package(scope, &node);
    }
    let events = fields.get("events").map(|node| scope.items(&node, false)).unwrap_or_default();
    without_effect(&mut fields);
    fields.finish();
    parts.functions.push(config);
    events
}

fn limits(fields: &mut Fields<'_>, provider: &Provider, config: &mut fanfare_runtime::HandlerConfig) {
    if let Some(seconds) = fields.number("timeout", TIMEOUT_S).or(provider.timeout_s) {
        config.timeout = Duration::from_secs(seconds);
    }
    if let Some(size) = fields.number("memorySize", MEMORY_MB).or(provider.memory_mb) {
        config.memory_mb = small(size);
    }
    config.reserved_concurrency = fields.number("reservedConcurrency", CONCURRENCY).map(small);
    config.provisioned_concurrency = fields.number("provisionedConcurrency", CONCURRENCY).map_or(0, small);
    if let Some(retries) = fields.number("maximumRetryAttempts", 0..=2) {
        config.retries = small(retries);
    }
    if let Some(age) = fields.number("maximumEventAge", 60..=21_600) {
        config.event_age_max = Duration::from_secs(age);
    }
}

fn without_effect(fields: &mut Fields<'_>) {
    fields.noted(&["description", "tags"], "it is for people");
    fields.noted(&["layers"], "put what a layer holds beside the function's code");
    let later = "name a topic in `custom.fanfare.functions.NAME.dead_letter_topic`";
    fields.noted(&["destinations", "onError"], later);
    fields.noted(&["url", "httpApi"], "functions are called by WebSocket APIs and by Lambda's API");
    let access = [
        "role",
        "iamRoleStatements",
        "iamRoleStatementsName",
        "iamRoleStatementsInherit",
        "iamPermissionsBoundary",
        "iamManagedPolicies",
    ];
    fields.noted(&access, "functions may do here what their keys may do");
    let place = [
        "architecture",
        "vpc",
        "tracing",
        "kmsKeyArn",
        "awsKmsKeyArn",
        "snapStart",
        "runtimeManagement",
        "ephemeralStorageSize",
        "fileSystemConfig",
        "logRetentionInDays",
        "logDataProtectionPolicy",
        "disableLogs",
        "logs",
        "logging",
        "tenancy",
        "durableConfig",
        "capacityProvider",
    ];
    fields.noted(&place, "it is about where Lambda runs functions");
    let deployment = ["versionFunction", "condition", "dependsOn", "build", "warmup", "deploymentSettings", "alarms"];
    fields.noted(&deployment, "it is about deploying");
}

/// `package`: functions run from where they are, so there is nothing to pack.
pub(crate) fn package(scope: &Scope<'_>, node: &Node) {
    let mut fields = Fields::new(scope, "package", node);
    let text = "functions run from the descriptor's folder, with everything that is in it";
    fields.noted(&["patterns", "include", "exclude", "individually", "excludeDevDependencies", "path"], text);
    fields.noted(&["artifact"], "the code in the descriptor's folder runs, not the archive; unpack it there");
    fields.finish();
}
