//! `events` of a function: the routes that call it.

use std::collections::BTreeMap;

use fanfare_apigateway::model::{Authorization, Authorizer, IntegrationKind, Route};

use crate::apis;
use crate::cloudformation::Parts;
use crate::fields::Fields;
use crate::functions as shared;
use crate::nearest::hint;
use crate::node::{Entry, Node, Place, Value};
use crate::scope::Scope;

/// Where a token stands if nothing is said.
const IDENTITY_SOURCE: &str = "route.request.header.Auth";

/// Events that do not happen here.
const OTHERS: [&str; 22] = [
    "http",
    "httpApi",
    "schedule",
    "sqs",
    "sns",
    "s3",
    "stream",
    "kafka",
    "msk",
    "activemq",
    "rabbitmq",
    "iot",
    "iotFleetProvisioning",
    "alb",
    "alexaSkill",
    "alexaSmartHome",
    "cloudFront",
    "cloudwatchEvent",
    "cloudwatchLog",
    "cognitoUserPool",
    "eventBridge",
    "documentDb",
];

/// What `websocket` events come to.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) authorizers: BTreeMap<String, Authorizer>,
    /// In the order of the file: the last one of a key wins.
    pub(crate) routes: Vec<(String, Route, Place)>,
}

/// The logical name of a route, which resources may refer to.
pub(crate) fn logical(key: &str) -> String {
    let key = key.replace('$', "S").replace('/', "Slash").replace('-', "Dash");
    format!("{}WebsocketsRoute", key.replace('_', "Underscore").replace('.', "Period"))
}

/// Route keys of a function's events, as far as they can be found out without a word.
pub(crate) fn keys(scope: &Scope<'_>, function: &Entry) -> impl Iterator<Item = String> {
    let body = scope.resolve(&function.value);
    let events = body.get("events").map(|node| scope.resolve(node));
    let items: Vec<Node> = match events.map(|node| node.value) {
        Some(Value::List(items)) => items.to_vec(),
        _ => Vec::new(),
    };
    let key = |item: Node| {
        let event = item.get("websocket")?;
        Some(event.get("route").unwrap_or(event).as_text()?.to_owned())
    };
    items.into_iter().filter_map(key)
}

/// Reads one item of `events`.
pub(crate) fn read(scope: &Scope<'_>, function: &str, event: &Node, parts: &mut Parts) {
    if event.entries().is_empty() && !event.is_void() {
        let text = "an event must be a map such as `websocket: $connect`";
        scope.mistake(&event.place, text);
    }
    for Entry { key, place, value } in event.entries() {
        if &**key == "websocket" {
            websocket(scope, function, value, place, parts);
        } else if OTHERS.contains(&&**key) {
            let text =
                format!("`{key}` events do not call {function:?} here; call it over Lambda's API, or from a rule");
            scope.note(place, text);
        } else {
            let near = hint(key, OTHERS.into_iter().chain(["websocket"]));
            scope.mistake(place, format!("there are no {key:?} events{near}; correct it or remove it"));
        }
    }
}

fn websocket(scope: &Scope<'_>, function: &str, value: &Node, place: &Place, parts: &mut Parts) {
    let node = scope.resolve(value);
    let mut integration = apis::integration(IntegrationKind::AwsProxy, place);
    let own = parts.functions.iter().find(|one| one.alias.as_deref() == Some(function) || one.name == function);
    integration.function = own.map(|one| one.name.clone());
    let mut route = Route { integration: Some(integration), origin: place.origin(), ..Route::default() };
    if let Value::Text(scalar) = &node.value {
        parts.events.routes.push((scalar.text.to_string(), route, node.place));
        return;
    }
    let mut fields = Fields::new(scope, format!("the websocket event of {function:?}"), &node);
    let key = fields.required_text("route");
    let place = fields.place_of("route");
    route.two_way = fields.choice("routeResponseSelectionExpression", &[("$default", ())]).is_some();
    let authorizer = fields.get("authorizer");
    fields.finish();
    if let (Some(node), Some(key)) = (authorizer, &key) {
        if key == "$connect" {
            if let Some((name, authorizer)) = self::authorizer(scope, &node, parts) {
                route.authorization = Authorization::Custom;
                route.authorizer = Some(name.clone());
                parts.events.authorizers.insert(name, authorizer);
            }
        } else {
            scope.note(&node.place, format!("an authorizer of {key:?} has no effect: only `$connect` can have one"));
        }
    }
    if let Some(key) = key {
        parts.events.routes.push((key, route, place));
    }
}

/// Reads `authorizer`: the name of a function, an ARN, or a map with one of them.
fn authorizer(scope: &Scope<'_>, node: &Node, parts: &Parts) -> Option<(String, Authorizer)> {
    let (target, sources) = if matches!(node.value, Value::Text(_)) {
        (node.clone(), Vec::new())
    } else {
        let mut fields = Fields::new(scope, "the authorizer", node);
        let (name, arn) = (fields.get("name"), fields.get("arn"));
        let sources = fields.list("identitySource");
        fields.noted(
            &["type", "resultTtlInSeconds", "identityValidationExpression"],
            "authorizers of WebSocket APIs have none",
        );
        fields.finish();
        let Some(target) = arn.or(name) else {
            scope.mistake(&node.place, "the authorizer has neither `name` nor `arn`; add the function's name");
            return None;
        };
        (target, sources)
    };
    let function = function(scope, &target, parts)?;
    let mut identity_sources: Vec<String> = sources.iter().filter_map(|source| scope.text(source)).collect();
    if sources.is_empty() {
        identity_sources.push(IDENTITY_SOURCE.to_owned());
    }
    let name = function.rsplit(':').next().unwrap_or_default().to_owned();
    let origin = node.place.origin();
    Some((name, Authorizer { function, identity_sources, timeout_ms: None, origin }))
}

/// The function that decides. A name without colons is one of the descriptor.
fn function(scope: &Scope<'_>, target: &Node, parts: &Parts) -> Option<String> {
    let written = scope.text(target)?;
    if written.contains(':') {
        return shared::of_address(scope, &parts.functions, target);
    }
    let is_it = |one: &&fanfare_runtime::HandlerConfig| one.alias.as_ref() == Some(&written) || one.name == written;
    let found = parts.functions.iter().find(is_it);
    if found.is_none() {
        let near = hint(&written, parts.functions.iter().filter_map(|one| one.alias.as_deref()));
        scope.mistake(
            &target.place,
            format!("there is no function {written:?}{near}; name one of `functions`, or an ARN"),
        );
    }
    found.map(|one| one.name.clone())
}
