//! `AWS::ApiGatewayV2::Integration` and its responses.

use fanfare_apigateway::model::{ContentHandling, Integration, IntegrationKind, IntegrationResponse, Passthrough};

use crate::apis::{self as shared, TIMEOUT_MS};
use crate::fields::Fields;
use crate::functions;
use crate::nearest::hint;
use crate::scope::Scope;
use crate::template::Resource;

use super::Parts;

const CONTENT_HANDLING: [(&str, ContentHandling); 2] =
    [("CONVERT_TO_BINARY", ContentHandling::ConvertToBinary), ("CONVERT_TO_TEXT", ContentHandling::ConvertToText)];

const KINDS: [(&str, IntegrationKind); 5] = [
    ("AWS_PROXY", IntegrationKind::AwsProxy),
    ("AWS", IntegrationKind::Aws),
    ("HTTP_PROXY", IntegrationKind::HttpProxy),
    ("HTTP", IntegrationKind::Http),
    ("MOCK", IntegrationKind::Mock),
];

const PASSTHROUGH: [(&str, Passthrough); 3] = [
    ("WHEN_NO_MATCH", Passthrough::WhenNoMatch),
    ("WHEN_NO_TEMPLATES", Passthrough::WhenNoTemplates),
    ("NEVER", Passthrough::Never),
];

/// Reads an integration; routes name it later.
pub(crate) fn integration(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the integration {}", resource.id), &resource.properties);
    if parts.api_of(scope, &mut fields).is_none() {
        return;
    }
    fields.required("IntegrationType");
    let kind = fields.choice("IntegrationType", &KINDS).unwrap_or(IntegrationKind::Mock);
    let mut made = shared::integration(kind, &resource.place);
    address(scope, &mut fields, parts, &mut made);
    made.method = fields.text("IntegrationMethod");
    made.request_parameters = fields.texts("RequestParameters");
    made.request_templates = fields.texts("RequestTemplates");
    made.template_selection_expression = fields.text("TemplateSelectionExpression");
    made.passthrough = fields.choice("PassthroughBehavior", &PASSTHROUGH).unwrap_or_default();
    made.content_handling = fields.choice("ContentHandlingStrategy", &CONTENT_HANDLING);
    if let Some(milliseconds) = fields.number("TimeoutInMillis", TIMEOUT_MS) {
        made.timeout_ms = milliseconds;
    }
    if fields.text("ConnectionType").is_some_and(|kind| kind != "INTERNET") {
        scope.mistake(
            &fields.place_of("ConnectionType"),
            "only INTERNET is possible; the server reaches what it reaches",
        );
    }
    fields.refused(&["ConnectionId"], "there are no VPC links; give the address itself");
    fields.noted(&["CredentialsArn"], "this server calls with keys of its own");
    fields.noted(&["Description"], "it is for people");
    let of_http = ["PayloadFormatVersion", "IntegrationSubtype", "TlsConfig", "ResponseParameters"];
    fields.noted(&of_http, "only HTTP APIs have it");
    fields.finish();
    parts.integrations.insert(resource.id.to_string(), made);
}

/// `IntegrationUri`: a function, or an address.
fn address(scope: &Scope<'_>, fields: &mut Fields<'_>, parts: &Parts, made: &mut Integration) {
    if made.kind == IntegrationKind::Mock {
        fields.get("IntegrationUri");
        return;
    }
    let Some(node) = fields.required("IntegrationUri") else { return };
    let Some(uri) = scope.text(&node) else { return };
    let is_function = uri.contains(":lambda:");
    match made.kind {
        IntegrationKind::AwsProxy if !is_function => {
            scope.mistake(&node.place, "`IntegrationUri` must name a function: `...:lambda:path/.../invocations`");
        }
        IntegrationKind::AwsProxy | IntegrationKind::Aws if is_function => {
            made.function = functions::of_address(scope, &parts.functions, &node);
        }
        IntegrationKind::HttpProxy | IntegrationKind::Http if !uri.contains("://") && !uri.starts_with("${") => {
            scope
                .mistake(&node.place, format!("`IntegrationUri` is {uri:?}; it must be an address such as https://.."));
        }
        _ => made.uri = Some(uri),
    }
}

/// Reads `AWS::ApiGatewayV2::IntegrationResponse`.
pub(crate) fn response(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the response {}", resource.id), &resource.properties);
    if parts.api_of(scope, &mut fields).is_none() {
        return;
    }
    let id = fields.required_text("IntegrationId");
    let response = IntegrationResponse {
        key: fields.required_text("IntegrationResponseKey").unwrap_or_default(),
        templates: fields.texts("ResponseTemplates"),
        template_selection_expression: fields.text("TemplateSelectionExpression"),
        content_handling: fields.choice("ContentHandlingStrategy", &CONTENT_HANDLING),
    };
    fields.noted(&["ResponseParameters"], "a message has no headers");
    let place = fields.place_of("IntegrationId");
    fields.finish();
    let Some(id) = id else { return };
    match parts.integrations.get_mut(&id) {
        Some(integration) => integration.responses.push(response),
        None => {
            let near = hint(&id, parts.integrations.keys().map(String::as_str));
            scope.mistake(&place, format!("there is no integration {id:?}{near}; use `!Ref` of one"));
        }
    }
}
