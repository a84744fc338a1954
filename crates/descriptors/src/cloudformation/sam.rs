//! `AWS::Serverless::WebSocketApi`: an API with its routes and its stage in one resource.

use fanfare_apigateway::Api;
use fanfare_apigateway::model::{Authorization, Authorizer, Domain, IntegrationKind, Route};

use crate::apis::{self as shared, TIMEOUT_MS};
use crate::fields::Fields;
use crate::functions;
use crate::node::{Entry, Node};
use crate::physical;
use crate::scope::Scope;
use crate::template::Resource;

use super::{Parts, apis, routes, stages};

/// The stage where nothing is said.
const STAGE: &str = "default";

/// Reads the API.
pub(crate) fn api(scope: &Scope<'_>, resource: &Resource, globals: Option<&Node>, parts: &mut Parts) {
    let properties = super::functions::properties(scope, resource, globals);
    let mut fields = Fields::new(scope, format!("the API {}", resource.id), &properties);
    let id = physical::reference(scope, resource);
    let name = fields.text("Name").unwrap_or_else(|| resource.id.to_string());
    let mut made = shared::api(id, name, &resource.place);
    if let Some(expression) = fields.required_text("RouteSelectionExpression") {
        made.route_selection_expression = expression;
    }
    apis::settings(&mut fields, &mut made);
    if let Some(node) = fields.required("Routes") {
        for entry in node.entries() {
            route(scope, entry, parts, &mut made);
        }
    }
    if let Some(node) = fields.get("Auth") {
        auth(scope, &node, parts, &mut made);
    }
    let stage = fields.text("StageName").unwrap_or_else(|| STAGE.to_owned());
    shared::check_stage(scope, &stage, &fields.place_of("StageName"));
    made.stages.insert(stage.clone(), stages::settings(scope, &mut fields));
    if let Some(node) = fields.get("Domain") {
        domain(scope, &node, stage, &mut made);
    }
    let people = ["Description", "Tags", "PropagateTags", "IpAddressType", "Version"];
    fields.noted(&people, "it is for people, or about AWS's network");
    fields.finish();
    parts.apis.push(made);
}

fn route(scope: &Scope<'_>, entry: &Entry, parts: &Parts, api: &mut Api) {
    let mut fields = Fields::new(scope, format!("the route {:?}", entry.key), &entry.value);
    let mut integration = shared::integration(IntegrationKind::AwsProxy, &entry.place);
    let function = fields.required("FunctionArn");
    integration.function = function.and_then(|node| functions::of_address(scope, &parts.functions, &node));
    if let Some(milliseconds) = fields.number("IntegrationTimeout", TIMEOUT_MS) {
        integration.timeout_ms = milliseconds;
    }
    let mut made = Route { integration: Some(integration), origin: entry.place.origin(), ..Route::default() };
    routes::own(scope, &mut fields, &mut made);
    fields.finish();
    shared::add_route(scope, api, &entry.key, made, &entry.place);
}

/// Who may come in.
fn auth(scope: &Scope<'_>, node: &Node, parts: &Parts, api: &mut Api) {
    let mut fields = Fields::new(scope, "Auth", node);
    let kinds = [("NONE", Authorization::None), ("AWS_IAM", Authorization::AwsIam), ("CUSTOM", Authorization::Custom)];
    let kind = fields.choice("AuthType", &kinds).unwrap_or_default();
    let name = fields.text("Name").unwrap_or_else(|| "Authorizer".to_owned());
    let function = fields.get("AuthArn");
    let sources = fields.list("IdentitySource");
    fields.noted(&["InvokeRole"], "functions need no permission here");
    if kind == Authorization::Custom && function.is_none() {
        scope.mistake(&fields.place, "`AuthType: CUSTOM` needs `AuthArn`; add the function's ARN");
    }
    fields.finish();
    let Some(connect) = api.routes.get_mut("$connect") else {
        return scope.mistake(&node.place, "`Auth` guards the route `$connect`, and there is none; add it");
    };
    connect.authorization = kind;
    if kind != Authorization::Custom {
        return;
    }
    let function = function.and_then(|node| functions::of_address(scope, &parts.functions, &node)).unwrap_or_default();
    let identity_sources = apis::identity_sources(scope, &sources);
    connect.authorizer = Some(name.clone());
    let origin = node.place.origin();
    api.authorizers.insert(name, Authorizer { function, identity_sources, timeout_ms: None, origin });
}

fn domain(scope: &Scope<'_>, node: &Node, stage: String, api: &mut Api) {
    let mut fields = Fields::new(scope, "Domain", node);
    let name = fields.required_text("DomainName");
    let paths: Vec<String> = fields.list("BasePath").iter().filter_map(|path| scope.text(path)).collect();
    let certificate = [
        "CertificateArn",
        "EndpointConfiguration",
        "SecurityPolicy",
        "OwnershipVerificationCertificateArn",
        "MutualTlsAuthentication",
        "Route53",
        "IpAddressType",
        "AccessAssociation",
    ];
    fields.noted(&certificate, "certificates and names are this server's");
    fields.finish();
    let Some(name) = name else { return };
    let name = name.to_ascii_lowercase();
    let paths = if paths.is_empty() { vec![String::new()] } else { paths };
    api.domains.extend(paths.into_iter().map(|path| {
        let mapping_key = path.trim_matches('/').replace("(none)", "");
        Domain { name: name.clone(), mapping_key, stage: stage.clone() }
    }));
}
