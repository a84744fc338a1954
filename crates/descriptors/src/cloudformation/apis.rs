//! `AWS::ApiGatewayV2::Api`, its authorizers and models.

use fanfare_apigateway::model::Authorizer;

use crate::apis as shared;
use crate::extensions;
use crate::fields::Fields;
use crate::functions;
use crate::node::{Node, Value};
use crate::physical;
use crate::scope::Scope;
use crate::template::Resource;

use super::Parts;

/// Reads an API. One that is not for WebSocket is not served.
pub(crate) fn api(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the API {}", resource.id), &resource.properties);
    let id = physical::reference(scope, resource);
    let protocol = fields.text("ProtocolType");
    if protocol.as_deref() != Some("WEBSOCKET") {
        let text = format!("{} is no API with `ProtocolType: WEBSOCKET`, and is not served here", resource.id);
        scope.note(&resource.place, text);
        parts.foreign.insert(id);
        return;
    }
    let mut api = shared::api(id, fields.required_text("Name").unwrap_or_default(), &resource.place);
    if let Some(expression) = fields.required_text("RouteSelectionExpression") {
        api.route_selection_expression = expression;
    }
    settings(&mut fields, &mut api);
    fields.noted(&["Description", "Tags", "Version", "IpAddressType"], "it is for people, or about AWS's network");
    let of_http = [
        "Body",
        "BodyS3Location",
        "BasePath",
        "FailOnWarnings",
        "CorsConfiguration",
        "CredentialsArn",
        "RouteKey",
        "Target",
    ];
    fields.refused(&of_http, "only HTTP APIs have it; remove it");
    fields.finish();
    parts.apis.push(api);
}

/// What SAM's own resource has, too.
pub(crate) fn settings(fields: &mut Fields<'_>, api: &mut fanfare_apigateway::Api) {
    if let Some(expression) = fields.text("ApiKeySelectionExpression") {
        api.api_key_selection_expression = expression;
    }
    api.disable_schema_validation = fields.flag("DisableSchemaValidation").unwrap_or(false);
    api.disable_execute_api_endpoint = fields.flag("DisableExecuteApiEndpoint").unwrap_or(false);
}

/// Adds what only this server knows, and checks the whole. After everything else, so that routes are complete.
pub(crate) fn finish(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    if !matches!(resource.kind.as_str(), "AWS::ApiGatewayV2::Api" | "AWS::Serverless::WebSocketApi") {
        return;
    }
    let id = physical::reference(scope, resource);
    let Some(api) = parts.apis.iter_mut().find(|api| api.id == id) else { return };
    if let Some(own) = resource.metadata.as_ref().and_then(|metadata| scope.resolve(metadata).get("Fanfare").cloned()) {
        let mut fields = Fields::new(scope, "Metadata.Fanfare", &own);
        extensions::api(scope, &mut fields, api);
        fields.finish();
    }
    if api.stages.is_empty() {
        let stage = scope.options.stage.clone().unwrap_or_else(|| "dev".to_owned());
        scope.note(&resource.place, format!("{} has no stage; it is reached under {stage:?}", resource.id));
        api.stages.insert(stage, Default::default());
    }
    shared::check(scope, api, &resource.place);
}

/// Reads `AWS::ApiGatewayV2::Authorizer`.
pub(crate) fn authorizer(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the authorizer {}", resource.id), &resource.properties);
    let Some(at) = parts.api_of(scope, &mut fields) else { return };
    let name = fields.required_text("Name").unwrap_or_default();
    if fields.required_text("AuthorizerType").is_some_and(|kind| kind != "REQUEST") {
        scope.mistake(&fields.place_of("AuthorizerType"), "authorizers of WebSocket APIs are of type REQUEST");
    }
    let function = fields.required("AuthorizerUri");
    let function = function.and_then(|node| functions::of_address(scope, &parts.functions, &node)).unwrap_or_default();
    let sources = fields.list("IdentitySource");
    let identity_sources = identity_sources(scope, &sources);
    fields.noted(&["AuthorizerCredentialsArn"], "functions need no permission here");
    let of_http = [
        "AuthorizerResultTtlInSeconds",
        "AuthorizerPayloadFormatVersion",
        "EnableSimpleResponses",
        "IdentityValidationExpression",
        "JwtConfiguration",
    ];
    fields.refused(&of_http, "only HTTP APIs have it; remove it");
    fields.finish();
    let origin = resource.place.origin();
    let authorizer = Authorizer { function, identity_sources, timeout_ms: None, origin };
    if let Some(other) = parts.apis[at].authorizers.insert(name.clone(), authorizer) {
        let text = format!("an authorizer {name:?} stands at {} too; name one of them otherwise", other.origin);
        scope.mistake(&resource.place, text);
    }
    parts.authorizers.insert(resource.id.to_string(), name);
}

/// A list; older templates put them into one text, with commas.
pub(crate) fn identity_sources(scope: &Scope<'_>, nodes: &[Node]) -> Vec<String> {
    let texts = nodes.iter().filter_map(|node| scope.text(node));
    let mut sources = Vec::new();
    for text in texts {
        sources.extend(text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()));
    }
    sources
}

/// Reads `AWS::ApiGatewayV2::Model`.
pub(crate) fn model(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the model {}", resource.id), &resource.properties);
    let Some(at) = parts.api_of(scope, &mut fields) else { return };
    let name = fields.required_text("Name").unwrap_or_default();
    let schema = fields.required("Schema").and_then(|node| schema(scope, &node));
    fields.noted(&["ContentType", "Description"], "models are JSON Schemas");
    fields.finish();
    if let Some(schema) = schema {
        parts.apis[at].models.insert(name, schema);
    }
}

/// A map, or its JSON as a text.
fn schema(scope: &Scope<'_>, node: &Node) -> Option<serde_json::Value> {
    if !matches!(node.value, Value::Text(_)) {
        return scope.json(node, str::to_owned);
    }
    match serde_json::from_str(&scope.text(node)?) {
        Ok(schema) => Some(schema),
        Err(error) => {
            scope.mistake(&node.place, format!("`Schema` is no JSON: {error}"));
            None
        }
    }
}
