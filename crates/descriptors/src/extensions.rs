//! What only this server knows: `custom.fanfare` in a serverless.yml, `Metadata.Fanfare` of a resource.

use std::time::Duration;

use fanfare_apigateway::Api;
use fanfare_apigateway::model::{ApiKey, Domain, IntegrationKind, Options, Route};
use fanfare_runtime::HandlerConfig;
use serde::de::DeserializeOwned;

use crate::apis;
use crate::fields::Fields;
use crate::functions::{CONCURRENCY, small};
use crate::nearest::hint;
use crate::node::{Entry, Node};
use crate::scope::Scope;

/// A day, for times that are not bounded otherwise.
const DAY_S: u64 = 86_400;

/// Reads what concerns an API: `options`, `routes`, `domains`, `api_keys`.
pub(crate) fn api(scope: &Scope<'_>, fields: &mut Fields<'_>, api: &mut Api) {
    if let Some(options) = fields.get("options").and_then(|node| options(scope, &node)) {
        api.options = options;
    }
    if let Some(node) = fields.get("routes") {
        for entry in node.entries() {
            topic_route(scope, entry, api);
        }
    }
    if let Some(node) = fields.get("domains") {
        api.domains.extend(scope.items(&node, false).iter().filter_map(|item| typed::<Domain>(scope, item)));
    }
    if let Some(node) = fields.get("api_keys") {
        api.api_keys.extend(scope.items(&node, false).iter().filter_map(|item| typed::<ApiKey>(scope, item)));
    }
}

/// A route whose messages are published: `{topic, payload}`.
fn topic_route(scope: &Scope<'_>, entry: &Entry, api: &mut Api) {
    let mut fields = Fields::new(scope, format!("the route {:?}", entry.key), &entry.value);
    let mut integration = apis::integration(IntegrationKind::Topic, &entry.place);
    integration.topic = fields.required_text("topic");
    integration.payload = fields.text("payload");
    fields.finish();
    if let Some(other) = api.routes.get(&*entry.key) {
        let text = format!("the route {:?} stands at {} too; keep one of them", entry.key, other.origin);
        scope.mistake(&entry.place, text);
        return;
    }
    if matches!(&*entry.key, "$connect" | "$disconnect") {
        scope
            .mistake(&entry.place, format!("{} has no message that could be published; name another route", entry.key));
        return;
    }
    let route = Route { integration: Some(integration), origin: entry.place.origin(), ..Route::default() };
    apis::add_route(scope, api, &entry.key, route, &entry.place);
}

/// Each option is read alone, so that a mistake has its line.
fn options(scope: &Scope<'_>, node: &Node) -> Option<Options> {
    let mut is_good = true;
    for entry in node.entries() {
        let one = Node::map(vec![entry.clone()], &entry.place);
        is_good &= typed::<Options>(scope, &one).is_some();
    }
    if is_good { typed(scope, node) } else { None }
}

/// Reads a node as `fanfare.toml` would be read.
fn typed<T: DeserializeOwned>(scope: &Scope<'_>, node: &Node) -> Option<T> {
    let json = scope.json(node, str::to_owned)?;
    match serde_json::from_value(json) {
        Ok(value) => Some(value),
        Err(error) => {
            scope.mistake(&node.place, format!("{error}; correct it"));
            None
        }
    }
}

/// Reads `functions` of `custom.fanfare`, by the names that the descriptor calls them.
pub(crate) fn functions(scope: &Scope<'_>, fields: &mut Fields<'_>, functions: &mut [HandlerConfig]) {
    let Some(node) = fields.get("functions") else { return };
    for entry in node.entries() {
        let is_it = |one: &HandlerConfig| one.name == *entry.key || one.alias.as_deref() == Some(&*entry.key);
        if let Some(at) = functions.iter().position(is_it) {
            function(scope, &entry.value, &mut functions[at]);
        } else {
            let near = hint(&entry.key, functions.iter().filter_map(|one| one.alias.as_deref()));
            scope.mistake(&entry.place, format!("there is no function {:?}{near}", entry.key));
        }
    }
}

/// What a function's process does without work, and where calls go that were given up.
pub(crate) fn function(scope: &Scope<'_>, node: &Node, function: &mut HandlerConfig) {
    let mut fields = Fields::new(scope, format!("the extension of function {:?}", function.name), node);
    if let Some(seconds) = fields.number("idle_timeout_s", 1..=DAY_S) {
        function.idle_timeout = Duration::from_secs(seconds);
    }
    if let Some(seconds) = fields.number("freeze_after_s", 0..=DAY_S) {
        function.freeze_after = Some(Duration::from_secs(seconds));
    }
    if let Some(count) = fields.number("provisioned_concurrency", CONCURRENCY) {
        function.provisioned_concurrency = small(count);
    }
    if let Some(topic) = fields.text("dead_letter_topic") {
        function.dead_letter_topic = Some(topic);
    }
    fields.finish();
}
