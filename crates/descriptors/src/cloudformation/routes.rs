//! `AWS::ApiGatewayV2::Route` and its response.

use std::collections::BTreeMap;

use fanfare_apigateway::model::{Authorization, Route};

use crate::apis as shared;
use crate::fields::Fields;
use crate::nearest::hint;
use crate::node::{Node, Value};
use crate::scope::Scope;
use crate::template::Resource;

use super::Parts;

/// The one value of these expressions.
const DEFAULT: [(&str, ()); 1] = [("$default", ())];

/// Reads a route.
pub(crate) fn route(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the route {}", resource.id), &resource.properties);
    let Some(at) = parts.api_of(scope, &mut fields) else { return };
    let key = fields.required_text("RouteKey");
    let place = fields.place_of("RouteKey");
    let mut made = Route { origin: resource.place.origin(), ..Route::default() };
    own(scope, &mut fields, &mut made);
    authorization(scope, &mut fields, parts, key.as_deref(), &mut made);
    if let Some(target) = fields.text("Target") {
        let id = target.strip_prefix("integrations/").unwrap_or(&target);
        made.integration = parts.integrations.get(id).cloned();
        if made.integration.is_none() {
            let near = hint(id, parts.integrations.keys().map(String::as_str));
            let text = format!("there is no integration {id:?}{near}; write `!Sub integrations/${{INTEGRATION}}`");
            scope.mistake(&fields.place_of("Target"), text);
        }
    }
    fields.noted(&["AuthorizationScopes"], "only HTTP APIs have it");
    fields.finish();
    if let Some(key) = key {
        shared::add_route(scope, &mut parts.apis[at], &key, made, &place);
        parts.routes.insert(resource.id.to_string(), (at, key));
    }
}

/// What routes of SAM's own resource have, too.
pub(crate) fn own(scope: &Scope<'_>, fields: &mut Fields<'_>, route: &mut Route) {
    route.api_key_required = fields.flag("ApiKeyRequired").unwrap_or(false);
    route.model_selection_expression = fields.text("ModelSelectionExpression");
    route.request_models = models(scope, fields.texts("RequestModels"));
    route.request_parameters = fields.get("RequestParameters").map(|node| parameters(scope, &node)).unwrap_or_default();
    route.two_way = fields.choice("RouteResponseSelectionExpression", &DEFAULT).is_some();
    fields.noted(&["OperationName"], "it is for people");
}

/// Models are meant by name; some mean the resource.
fn models(scope: &Scope<'_>, written: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let named = |name: String| {
        let resource = scope.template.resources.get(name.as_str());
        let resource = resource.filter(|resource| resource.kind == "AWS::ApiGatewayV2::Model");
        resource.and_then(|resource| scope.text(&resource.property(scope, "Name")?)).unwrap_or(name)
    };
    written.into_iter().map(|(key, name)| (key, named(name))).collect()
}

/// `{NAME: {Required: true}}`, or `{NAME: true}`.
fn parameters(scope: &Scope<'_>, node: &Node) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    for entry in node.entries() {
        let value = scope.resolve(&entry.value);
        let value = value.get("Required").map(|inner| scope.resolve(inner)).unwrap_or(value);
        let truth = match &value.value {
            Value::Text(scalar) => scalar.truth(),
            _ => None,
        };
        match truth {
            Some(is_required) => {
                found.insert(entry.key.to_string(), is_required);
            }
            None => scope.mistake(&entry.place, format!("`{}` must be `{{Required: true}}` or false", entry.key)),
        }
    }
    found
}

fn authorization(scope: &Scope<'_>, fields: &mut Fields<'_>, parts: &Parts, key: Option<&str>, route: &mut Route) {
    let kinds = [("NONE", Authorization::None), ("AWS_IAM", Authorization::AwsIam), ("CUSTOM", Authorization::Custom)];
    route.authorization = fields.choice("AuthorizationType", &kinds).unwrap_or_default();
    let id = fields.text("AuthorizerId");
    if route.authorization == Authorization::Custom {
        let name = id.as_ref().and_then(|id| parts.authorizers.get(id));
        route.authorizer = name.cloned();
        if name.is_none() {
            let near = hint(id.as_deref().unwrap_or_default(), parts.authorizers.keys().map(String::as_str));
            let text = format!("`AuthorizerId` names no authorizer{near}; use `!Ref` of one");
            scope.mistake(&fields.place_of("AuthorizerId"), text);
        }
    }
    if route.authorization != Authorization::None && key.is_some_and(|key| key != "$connect") {
        scope.mistake(&fields.place_of("AuthorizationType"), "only `$connect` can have it; move it there");
    }
}

/// Reads `AWS::ApiGatewayV2::RouteResponse`: answers go to the client.
pub(crate) fn response(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the route response {}", resource.id), &resource.properties);
    if parts.api_of(scope, &mut fields).is_none() {
        return;
    }
    fields.choice("RouteResponseKey", &DEFAULT);
    let id = fields.required_text("RouteId");
    fields.noted(&["ModelSelectionExpression", "ResponseModels", "ResponseParameters"], "answers are sent as they are");
    let place = fields.place_of("RouteId");
    fields.finish();
    let Some(id) = id else { return };
    let route = parts.routes.get(&id).and_then(|(at, key)| parts.apis.get_mut(*at)?.routes.get_mut(key));
    match route {
        Some(route) => route.two_way = true,
        None => {
            let near = hint(&id, parts.routes.keys().map(String::as_str));
            scope.mistake(&place, format!("there is no route {id:?}{near}; use `!Ref` of one"));
        }
    }
}
