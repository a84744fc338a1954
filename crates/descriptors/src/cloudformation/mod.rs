//! A template, and what a serverless.yml has under `resources`: the functions and APIs among the resources.

mod apis;
mod domains;
mod functions;
mod integrations;
mod keys;
mod routes;
mod sam;
mod stages;

use std::collections::{BTreeMap, BTreeSet};

use fanfare_apigateway::Api;
use fanfare_apigateway::model::Integration;
use fanfare_runtime::HandlerConfig;

use crate::fields::Fields;
use crate::nearest::nearest;
use crate::node::Node;
use crate::scope::Scope;
use crate::serverless::Events;
use crate::template::{self, Resource};
use crate::{Application, InlineCode};

/// What a reading has made so far.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) functions: Vec<HandlerConfig>,
    pub(crate) apis: Vec<Api>,
    pub(crate) code: Vec<InlineCode>,
    /// Of a serverless.yml.
    pub(crate) events: Events,
    /// Ids of APIs that are not served.
    foreign: BTreeSet<String>,
    /// By logical name.
    integrations: BTreeMap<String, Integration>,
    /// Names of authorizers by their logical names.
    authorizers: BTreeMap<String, String>,
    /// Place of the API among `apis`, and route key, by logical name.
    pub(crate) routes: BTreeMap<String, (usize, String)>,
}

/// `Globals` of SAM, which resources of a kind share.
#[derive(Debug, Default)]
pub(crate) struct Globals {
    function: Option<Node>,
    web_socket_api: Option<Node>,
}

/// Types of resources that are read.
const TYPES: [&str; 21] = [
    "AWS::Lambda::Function",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Serverless::Function",
    "AWS::Serverless::WebSocketApi",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Model",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::IntegrationResponse",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::RouteResponse",
    "AWS::ApiGatewayV2::Deployment",
    "AWS::ApiGatewayV2::Stage",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGateway::ApiKey",
    "AWS::ApiGateway::UsagePlan",
    "AWS::ApiGateway::UsagePlanKey",
    "AWS::ApiGatewayV2::VpcLink",
    "AWS::ApiGatewayV2::ApiGatewayManagedOverrides",
];

/// Other types that are near to these and are no slips of the pen.
const NEAR_TYPES: [&str; 7] = [
    "AWS::ApiGatewayV2::RoutingRule",
    "AWS::Lambda::Version",
    "AWS::Lambda::Permission",
    "AWS::Serverless::Api",
    "AWS::Serverless::HttpApi",
    "AWS::Serverless::Connector",
    "AWS::ApiGateway::DomainName",
];

/// Reads a template.
pub(crate) fn read(scope: &mut Scope<'_>, root: &Node) -> Application {
    let folder = scope.files.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stack = scope.options.stack.clone().unwrap_or_else(|| stack_name(&folder));
    scope.stack.clone_from(&stack);
    let part = |key| root.get(key).cloned();
    scope.template.mappings = part("Mappings");
    scope.template.parameters = part("Parameters");
    scope.template.conditions = part("Conditions");
    if let Some(resources) = root.get("Resources") {
        scope.template.resources = template::resources(scope, resources);
    } else {
        scope.mistake(&root.place, "there are no `Resources`; add them");
    }
    let scope = &*scope;
    let globals = top(scope, root);
    let mut parts = Parts::default();
    collect(scope, &globals, &mut parts);
    crate::functions::check_all(scope, &parts.functions, &root.place);
    crate::functions::bring_home(scope, &mut parts.functions, &parts.apis);
    let Parts { functions, apis, code, .. } = parts;
    Application { name: stack, region: scope.options.region.clone(), functions, apis, code, notes: Vec::new() }
}

/// A name of a stack: letters, digits and `-`.
fn stack_name(folder: &str) -> String {
    let name: String = folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "app".to_owned() } else { name.to_owned() }
}

/// Everything at the top of a template beside its resources.
fn top(scope: &Scope<'_>, root: &Node) -> Globals {
    let mut fields = Fields::new(scope, "the template", root);
    for known in ["AWSTemplateFormatVersion", "Resources", "Mappings", "Parameters", "Conditions", "Description"] {
        fields.get(known);
    }
    for transform in fields.list("Transform") {
        let name = scope.text(&transform).unwrap_or_default();
        if !matches!(name.as_str(), "AWS::Serverless-2016-10-31" | "AWS::LanguageExtensions" | "") {
            scope.mistake(
                &transform.place,
                format!("the macro {name} runs in AWS only; give the template that it makes"),
            );
        }
    }
    fields.noted(&["Outputs", "Metadata", "Rules", "Hooks"], "nothing is deployed");
    let globals = fields.get("Globals").map(|node| {
        let mut fields = Fields::new(scope, "Globals", &node);
        let globals = Globals { function: fields.get("Function"), web_socket_api: fields.get("WebSocketApi") };
        let others = ["Api", "HttpApi", "SimpleTable", "StateMachine", "LayerVersion", "CapacityProvider"];
        fields.noted(&others, "only functions and WebSocket APIs are read");
        fields.finish();
        globals
    });
    fields.finish();
    globals.unwrap_or_default()
}

/// Reads the resources, each kind after those that it refers to.
pub(crate) fn collect(scope: &Scope<'_>, globals: &Globals, parts: &mut Parts) {
    let mut resources: Vec<&Resource> = scope.template.resources.values().collect();
    resources.sort_by_key(|resource| (resource.place.file.clone(), resource.place.line, resource.place.column));
    type Step<'a> = &'a dyn Fn(&Resource, &mut Parts);
    let function = |resource: &Resource, parts: &mut Parts| {
        functions::function(scope, resource, globals.function.as_ref(), parts);
    };
    let api = |resource: &Resource, parts: &mut Parts| {
        sam::api(scope, resource, globals.web_socket_api.as_ref(), parts);
    };
    let steps: [(&str, Step<'_>); 17] = [
        ("AWS::Lambda::Function", &function),
        ("AWS::Serverless::Function", &function),
        ("AWS::Lambda::Alias", &|resource, parts| functions::alias(scope, resource, parts)),
        ("AWS::Lambda::EventInvokeConfig", &|resource, parts| functions::event_invoke(scope, resource, parts)),
        ("AWS::ApiGatewayV2::Api", &|resource, parts| apis::api(scope, resource, parts)),
        ("AWS::Serverless::WebSocketApi", &api),
        ("AWS::ApiGatewayV2::Authorizer", &|resource, parts| apis::authorizer(scope, resource, parts)),
        ("AWS::ApiGatewayV2::Model", &|resource, parts| apis::model(scope, resource, parts)),
        ("AWS::ApiGatewayV2::Integration", &|resource, parts| integrations::integration(scope, resource, parts)),
        ("AWS::ApiGatewayV2::IntegrationResponse", &|resource, parts| integrations::response(scope, resource, parts)),
        ("AWS::ApiGatewayV2::Route", &|resource, parts| routes::route(scope, resource, parts)),
        ("AWS::ApiGatewayV2::RouteResponse", &|resource, parts| routes::response(scope, resource, parts)),
        ("AWS::ApiGatewayV2::Deployment", &|resource, _| stages::deployment(scope, resource)),
        ("AWS::ApiGatewayV2::Stage", &|resource, parts| stages::stage(scope, resource, parts)),
        ("AWS::ApiGatewayV2::DomainName", &|resource, _| domains::domain(scope, resource)),
        ("AWS::ApiGatewayV2::ApiMapping", &|resource, parts| domains::mapping(scope, resource, parts)),
        ("AWS::ApiGateway::UsagePlanKey", &|resource, parts| keys::plan_key(scope, resource, parts)),
    ];
    for (kind, step) in steps {
        for resource in resources.iter().filter(|resource| resource.kind == kind) {
            step(resource, parts);
        }
    }
    keys::check(scope, &resources);
    for resource in &resources {
        rest(scope, resource);
        apis::finish(scope, resource, parts);
    }
}

/// Resources that are not made here, and slips of the pen.
fn rest(scope: &Scope<'_>, resource: &Resource) {
    let kind = resource.kind.as_str();
    if TYPES[..19].contains(&kind) {
        return;
    }
    let ours = kind.starts_with("AWS::ApiGatewayV2::") || kind.starts_with("AWS::Serverless::");
    match nearest(kind, TYPES.into_iter().chain(NEAR_TYPES)) {
        Some(near) if near != kind && (ours || kind.starts_with("AWS::Lambda::F")) => {
            let text = format!("there are no resources of type {kind:?} (did you mean {near:?}?); correct it");
            scope.mistake(&resource.place, text);
        }
        _ => {
            let text = format!("{} is of type {kind}, which is not made here and has no effect", resource.id);
            scope.note(&resource.place, text);
        }
    }
}

impl Parts {
    /// The API that a resource names as its own. Nothing, without a word, for one of an API that is not served.
    fn api_of(&self, scope: &Scope<'_>, fields: &mut Fields<'_>) -> Option<usize> {
        let id = fields.required_text("ApiId")?;
        let found = self.apis.iter().position(|api| api.id == id);
        if found.is_none() && !self.foreign.contains(&id) {
            let text = format!("`ApiId` is {id:?}, which is no WebSocket API of this descriptor; use `!Ref` of one");
            scope.mistake(&fields.place_of("ApiId"), text);
        }
        found
    }
}
