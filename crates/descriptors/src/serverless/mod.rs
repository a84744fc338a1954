//! A serverless.yml: the service, its provider, its functions and their events.

mod events;
mod functions;
mod provider;

use fanfare_apigateway::Api;
use fanfare_apigateway::model::Stage;

use crate::cloudformation::{Globals, Parts};
use crate::extensions;
use crate::fields::Fields;
use crate::files;
use crate::node::{Entry, Node, Value, merge};
use crate::physical;
use crate::scope::Scope;
use crate::variables::Variables;
use crate::{Application, apis, cloudformation, template};

pub(crate) use events::Events;
use provider::Provider;

/// The API's logical name.
const API: &str = "WebsocketsApi";

/// What is not run, and what to do instead.
const PLUGINS: [(&str, &str); 8] = [
    ("serverless-offline", "this server takes its place"),
    ("serverless-dotenv-plugin", "its files are read here"),
    ("serverless-python-requirements", "install the requirements for the Python that runs the functions"),
    ("serverless-esbuild", "build first, and let `handler` name what was built"),
    ("serverless-webpack", "build first, and let `handler` name what was built"),
    ("serverless-bundle", "build first, and let `handler` name what was built"),
    ("serverless-plugin-typescript", "build first, and let `handler` name what was built"),
    ("serverless-domain-manager", "give domains under `custom.fanfare.domains`"),
];

pub(crate) fn read(scope: &mut Scope<'_>, root: &Node) -> Application {
    let service = prepare(scope, root);
    let scope = &*scope;
    let mut fields = Fields::new(scope, "the file", root);
    fields.get("service");
    let provider = provider::read(scope, &mut fields);
    let mut parts = Parts::default();
    functions::read(scope, &mut fields, &provider, &mut parts);
    let api = api(scope, root, &provider, &service);
    custom(scope, &mut fields, api, &mut parts);
    plugins(scope, &mut fields);
    rest(scope, &mut fields);
    fields.finish();
    cloudformation::collect(scope, &Globals::default(), &mut parts);
    for api in &parts.apis {
        apis::check(scope, api, &root.place);
    }
    crate::functions::check_all(scope, &parts.functions, &root.place);
    crate::functions::bring_home(scope, &mut parts.functions, &parts.apis);
    let region = scope.options.region.clone().or(provider.region);
    let Parts { functions, apis, code, .. } = parts;
    Application { name: service, region, functions, apis, code, notes: Vec::new() }
}

/// Finds out what variables and references need: stage, region, names, resources. Answers with the service's name.
fn prepare(scope: &mut Scope<'_>, root: &Node) -> String {
    let instance = physical::api_id(&scope.files.folder.to_string_lossy(), "instance");
    let asked = scope.options.stage.clone();
    let first = asked.clone().unwrap_or_else(|| "dev".to_owned());
    scope.variables = Some(Variables::new(root.clone(), first.clone(), instance));
    let reads_dotenv = reads_dotenv(scope, root);
    dotenv(scope, &first, reads_dotenv);
    let stage = asked.or_else(|| peek(scope, root, &["provider", "stage"])).unwrap_or(first);
    if let Some(variables) = &mut scope.variables {
        variables.stage.clone_from(&stage);
    }
    dotenv(scope, &stage, reads_dotenv);
    if let (None, Some(region)) = (&scope.options.region, peek(scope, root, &["provider", "region"])) {
        scope.region = region;
    }
    let service = service(scope, root);
    scope.stack = peek(scope, root, &["provider", "stackName"]).unwrap_or_else(|| format!("{service}-{stage}"));
    if let Some(stack) = &scope.options.stack {
        scope.stack.clone_from(stack);
    }
    let known = known(scope, root, &service, &stage);
    scope.template.known.extend(known);
    resources(scope, root);
    service
}

/// `service: name`, or as it was once: `service: {name: ..}`.
fn service(scope: &Scope<'_>, root: &Node) -> String {
    let node = root.get("service").map(|node| scope.resolve(node));
    let node = node.map(|node| node.get("name").map(|name| scope.resolve(name)).unwrap_or(node));
    match node {
        Some(node) => scope.text(&node).unwrap_or_default(),
        None => {
            scope.mistake(&root.place, "there is no `service`; add its name");
            String::new()
        }
    }
}

/// A text on the way, if it is there.
fn peek(scope: &Scope<'_>, root: &Node, path: &[&str]) -> Option<String> {
    let node = path.iter().try_fold(root.clone(), |node, key| scope.resolve(&node).get(key).cloned())?;
    let node = scope.resolve(&node);
    if node.is_void() { None } else { scope.text(&node) }
}

fn plugin_names(scope: &Scope<'_>, node: &Node) -> Vec<Node> {
    let node = scope.resolve(node);
    let list = node.get("modules").cloned().unwrap_or(node);
    scope.items(&list, true)
}

fn has_plugin(scope: &Scope<'_>, root: &Node, name: &str) -> bool {
    let plugins = root.get("plugins").map(|node| plugin_names(scope, node)).unwrap_or_default();
    plugins.iter().any(|plugin| plugin.as_text() == Some(name))
}

/// Version 4 reads `.env` files without being told.
fn reads_dotenv(scope: &Scope<'_>, root: &Node) -> bool {
    let is_asked = peek(scope, root, &["useDotenv"]).is_some_and(|text| text == "true");
    let version = peek(scope, root, &["frameworkVersion"]).unwrap_or_default();
    is_asked
        || version.trim_start_matches(['^', '~', '=', '>', ' ']).starts_with('4')
        || has_plugin(scope, root, "serverless-dotenv-plugin")
}

fn dotenv(scope: &mut Scope<'_>, stage: &str, is_asked: bool) {
    if let (Some(variables), true) = (&mut scope.variables, is_asked) {
        variables.dotenv = files::dotenv(&scope.files.folder, stage);
    }
}

/// What resources are called that the framework would make.
fn known(scope: &Scope<'_>, root: &Node, service: &str, stage: &str) -> Vec<(String, String)> {
    let id = peek(scope, root, &["provider", "apiGateway", "websocketApiId"])
        .unwrap_or_else(|| physical::api_id(&scope.stack, API));
    let role = format!("{service}-{stage}-{}-lambdaRole", scope.region);
    let mut known = vec![
        (format!("{API}.ApiEndpoint"), format!("wss://{}", physical::api_host(scope, &id))),
        (format!("{API}.ApiId"), id.clone()),
        (API.to_owned(), id),
        ("WebsocketsDeploymentStage".to_owned(), stage.to_owned()),
        ("ServerlessDeploymentBucket".to_owned(), format!("{}-deployments", scope.stack)),
        ("IamRoleLambdaExecution.Arn".to_owned(), format!("arn:aws:iam::{}:role/{role}", scope.options.account)),
        ("IamRoleLambdaExecution".to_owned(), role),
    ];
    for entry in function_entries(scope, root) {
        let name = functions::name(scope, &entry, service, stage);
        let logical = format!("{}LambdaFunction", functions::normal(&entry.key));
        known.push((format!("{logical}.Arn"), physical::function_arn(scope, &name)));
        known.push((logical, name));
        known.extend(events::keys(scope, &entry).map(|key| (events::logical(&key), events::logical(&key))));
    }
    known
}

/// All functions: a map, or a list of maps that stand in files of their own.
fn function_entries(scope: &Scope<'_>, root: &Node) -> Vec<Entry> {
    root.get("functions").map(|node| maps(scope, node)).map(|node| node.entries().to_vec()).unwrap_or_default()
}

/// A map, or the maps of a list put together.
fn maps(scope: &Scope<'_>, node: &Node) -> Node {
    let node = scope.resolve(node);
    match &node.value {
        Value::List(items) => {
            let items = items.iter().map(|item| scope.resolve(item)).filter(|item| !item.is_void());
            items.reduce(|all, one| merge(&all, &one)).unwrap_or_else(|| Node::map(Vec::new(), &node.place))
        }
        _ => node,
    }
}

/// `resources`: a template, or a list of templates.
fn resources(scope: &mut Scope<'_>, root: &Node) {
    let Some(node) = root.get("resources") else { return };
    let node = maps(scope, node);
    let part = |key| node.get(key).map(|part| maps(scope, part));
    let (mappings, parameters, conditions) = (part("Mappings"), part("Parameters"), part("Conditions"));
    let resources = part("Resources");
    scope.template.mappings = mappings;
    scope.template.parameters = parameters;
    scope.template.conditions = conditions;
    if let Some(resources) = resources {
        scope.template.resources = template::resources(scope, &resources);
    }
}

/// The API that the framework makes where there is a `websocket` event.
fn api(scope: &Scope<'_>, root: &Node, provider: &Provider, service: &str) -> Api {
    let place = root.entries().iter().find(|entry| &*entry.key == "provider").map_or(&root.place, |entry| &entry.place);
    let stage = scope.variables.as_ref().map(|variables| variables.stage.clone()).unwrap_or_default();
    apis::check_stage(scope, &stage, place);
    let name = provider.api_name.clone().unwrap_or_else(|| format!("{stage}-{service}-websockets"));
    let id = scope.template.known.get(API).cloned().unwrap_or_default();
    let mut api = apis::api(id, name, place);
    if let Some(expression) = &provider.route_selection {
        api.route_selection_expression.clone_from(expression);
    }
    api.stages.insert(stage, Stage { access_log: provider.access_log.clone(), ..Stage::default() });
    api
}

/// Reads `custom.fanfare`, and puts together the API of all events.
fn custom(scope: &Scope<'_>, fields: &mut Fields<'_>, mut api: Api, parts: &mut Parts) {
    let own = fields.get("custom").and_then(|custom| custom.get("fanfare").cloned());
    api.authorizers = std::mem::take(&mut parts.events.authorizers);
    for (key, route, place) in std::mem::take(&mut parts.events.routes) {
        apis::add_route(scope, &mut api, &key, route, &place);
    }
    if let Some(own) = own {
        let mut fields = Fields::new(scope, "custom.fanfare", &own);
        extensions::api(scope, &mut fields, &mut api);
        extensions::functions(scope, &mut fields, &mut parts.functions);
        fields.finish();
    }
    let is_used = scope.template.resources.values().any(|resource| {
        resource.kind.starts_with("AWS::ApiGatewayV2::")
            && resource.property(scope, "ApiId").and_then(|node| scope.text(&node)).as_ref() == Some(&api.id)
    });
    if !api.routes.is_empty() || is_used {
        let at = parts.apis.len();
        parts.routes.extend(api.routes.keys().map(|key| (events::logical(key), (at, key.clone()))));
        parts.apis.push(api);
    }
}

fn plugins(scope: &Scope<'_>, fields: &mut Fields<'_>) {
    let Some(node) = fields.get("plugins") else { return };
    for plugin in plugin_names(scope, &node) {
        let Some(name) = scope.text(&plugin) else { continue };
        let known = PLUGINS.iter().find(|(known, _)| *known == name).map(|(_, what)| *what);
        let text =
            format!("the plugin {name:?} is not run here{}", known.map(|what| format!(": {what}")).unwrap_or_default());
        scope.note(&plugin.place, text);
    }
}

/// Everything else at the top.
fn rest(scope: &Scope<'_>, fields: &mut Fields<'_>) {
    for known in ["params", "useDotenv", "frameworkVersion"] {
        fields.get(known);
    }
    if let Some(package) = fields.get("package") {
        functions::package(scope, &package);
    }
    if let Some(node) = fields.get("resources") {
        let mut inner = Fields::new(scope, "resources", &maps(scope, &node));
        for known in ["Resources", "Mappings", "Parameters", "Conditions"] {
            inner.get(known);
        }
        inner.noted(&["Outputs", "Description", "AWSTemplateFormatVersion", "Metadata"], "nothing is deployed");
        inner.refused(&["Transform"], "macros run in AWS only; write what it makes");
        extensions_of_resources(scope, &mut inner);
        inner.finish();
    }
    // What version 4 calls stages may hold parameters, which `param` finds.
    fields.get("stages");
    fields.noted(&["layers"], "put what a layer holds beside the function's code");
    let deployment = [
        "org",
        "app",
        "tenant",
        "console",
        "dashboard",
        "licenseKey",
        "outputs",
        "build",
        "state",
        "observability",
        "configValidationMode",
        "variablesResolutionMode",
        "deprecationNotificationMode",
        "disabledDeprecations",
        "unresolvedVariablesNotificationMode",
        "enableLegacyDeploymentBucket",
        "provisionOnly",
        "projectDir",
    ];
    fields.noted(&deployment, "it is about deploying");
}

/// `extensions` change what the framework makes: of that, only the API and the functions are made here.
fn extensions_of_resources(scope: &Scope<'_>, fields: &mut Fields<'_>) {
    let Some(node) = fields.get("extensions") else { return };
    for entry in node.entries() {
        if entry.key.starts_with("Websockets") || entry.key.ends_with("LambdaFunction") {
            let text = format!("`extensions` of {} cannot be followed; say it in the function or its event", entry.key);
            scope.mistake(&entry.place, text);
        } else {
            scope.note(&entry.place, format!("`extensions` of {} have no effect: it is not made here", entry.key));
        }
    }
}
