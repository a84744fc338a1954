//! `AWS::Lambda::Function` and `AWS::Serverless::Function`.

use std::path::PathBuf;
use std::time::Duration;

use fanfare_runtime::{HandlerConfig, RuntimeKind};

use crate::InlineCode;
use crate::extensions;
use crate::fields::Fields;
use crate::functions::{self as shared, CONCURRENCY, MEMORY_MB, OF_LAMBDA, TIMEOUT_S, small};
use crate::node::{Node, Value, merge};
use crate::physical;
use crate::scope::Scope;
use crate::template::Resource;

use super::Parts;

/// Reads a function.
pub(crate) fn function(scope: &Scope<'_>, resource: &Resource, globals: Option<&Node>, parts: &mut Parts) {
    let is_sam = resource.kind == "AWS::Serverless::Function";
    let properties = properties(scope, resource, globals.filter(|_| is_sam));
    let mut fields = Fields::new(scope, format!("the function {}", resource.id), &properties);
    let name = physical::name(scope, resource);
    fields.get("FunctionName");
    shared::check_name(scope, &name, &fields.place_of("FunctionName"));
    let mut config = shared::config(name, &resource.id, scope.files.folder.clone(), &OF_LAMBDA, &resource.place);
    if fields.text("PackageType").is_some_and(|kind| kind == "Image") {
        scope.mistake(
            &fields.place_of("PackageType"),
            "functions run from folders, not from images; use a zip's folder",
        );
    } else {
        config.handler = fields.required_text("Handler").unwrap_or_default();
        if let Some(node) = fields.required("Runtime") {
            let name = scope.text(&node);
            if let Some(kind) = name.and_then(|name| shared::runtime(scope, &name, &node.place)) {
                config.runtime = kind;
            }
        }
        code(scope, &mut fields, resource, &mut config, parts);
    }
    if let Some(node) = fields.get("Environment") {
        let mut inner = Fields::new(scope, "Environment", &node);
        config.environment = inner.texts("Variables");
        inner.finish();
    }
    limits(scope, &mut fields, is_sam, &mut config);
    without_effect(&mut fields, is_sam);
    fields.finish();
    metadata(scope, resource, &mut config);
    parts.functions.push(config);
}

/// A function's own properties over those that all share.
pub(crate) fn properties(scope: &Scope<'_>, resource: &Resource, globals: Option<&Node>) -> Node {
    let own = scope.resolve(&resource.properties);
    match globals {
        Some(globals) if own.is_void() => globals.clone(),
        Some(globals) => merge(globals, &own),
        None if own.is_void() => Node { value: Value::Null, place: resource.place.clone() },
        None => own,
    }
}

fn limits(scope: &Scope<'_>, fields: &mut Fields<'_>, is_sam: bool, config: &mut HandlerConfig) {
    if let Some(seconds) = fields.number("Timeout", TIMEOUT_S) {
        config.timeout = Duration::from_secs(seconds);
    }
    if let Some(size) = fields.number("MemorySize", MEMORY_MB) {
        config.memory_mb = small(size);
    }
    config.reserved_concurrency = fields.number("ReservedConcurrentExecutions", CONCURRENCY).map(small);
    if !is_sam {
        return;
    }
    if let Some(node) = fields.get("ProvisionedConcurrencyConfig") {
        provisioned(scope, &node, config);
    }
    if let Some(node) = fields.get("EventInvokeConfig") {
        let mut inner = Fields::new(scope, "EventInvokeConfig", &node);
        retries(&mut inner, config);
        inner.finish();
    }
    if let Some(node) = fields.get("Events") {
        for entry in node.entries() {
            let kind = entry.value.get("Type").and_then(|kind| scope.text(kind)).unwrap_or_default();
            let text =
                format!("events of type {kind:?} do not call {:?} here; routes of WebSocket APIs do", config.name);
            scope.note(&entry.place, text);
        }
    }
}

fn provisioned(scope: &Scope<'_>, node: &Node, config: &mut HandlerConfig) {
    let mut fields = Fields::new(scope, "ProvisionedConcurrencyConfig", node);
    config.provisioned_concurrency = fields.number("ProvisionedConcurrentExecutions", CONCURRENCY).map_or(0, small);
    fields.finish();
}

fn retries(fields: &mut Fields<'_>, config: &mut HandlerConfig) {
    if let Some(retries) = fields.number("MaximumRetryAttempts", 0..=2) {
        config.retries = small(retries);
    }
    if let Some(age) = fields.number("MaximumEventAgeInSeconds", 60..=21_600) {
        config.event_age_max = Duration::from_secs(age);
    }
    fields.noted(&["DestinationConfig"], "name a topic in `Metadata.Fanfare.dead_letter_topic` of the function");
}

/// `Metadata`: what only this server knows, and what tools leave there.
fn metadata(scope: &Scope<'_>, resource: &Resource, config: &mut HandlerConfig) {
    let Some(metadata) = resource.metadata.as_ref().map(|node| scope.resolve(node)) else { return };
    if let Some(own) = metadata.get("Fanfare") {
        extensions::function(scope, own, config);
    }
    if let Some(method) = metadata.get("BuildMethod") {
        let text =
            "nothing is built here; run `sam build` and give .aws-sam/build/template.yaml, or the folder as built";
        scope.note(&method.place, text);
    }
}

/// Finds the function's folder.
fn code(
    scope: &Scope<'_>,
    fields: &mut Fields<'_>,
    resource: &Resource,
    config: &mut HandlerConfig,
    parts: &mut Parts,
) {
    let inline = fields.get("InlineCode");
    let written = fields.get("CodeUri").or_else(|| fields.get("Code"));
    let asset = resource.metadata.as_ref().and_then(|metadata| metadata.get("aws:asset:path"));
    // cdk writes down where the folder is that it would upload.
    if let Some(asset) = asset {
        return folder(scope, asset, config);
    }
    if let Some(text) = inline {
        return self::inline(scope, &text, config, parts);
    }
    let Some(node) = written else {
        let text = format!("the function {} says nothing of its code; name its folder in `CodeUri`", resource.id);
        return scope.mistake(&fields.place, text);
    };
    if matches!(node.value, Value::Text(_)) {
        return folder(scope, &node, config);
    }
    let mut inner = Fields::new(scope, "the code", &node);
    if let Some(text) = inner.get("ZipFile") {
        self::inline(scope, &text, config, parts);
    }
    let why = "code is not fetched from S3; give the template as it is before `package`, with a folder in its place";
    inner.refused(&["S3Bucket", "S3Key", "S3ObjectVersion", "Bucket", "Key", "Version"], why);
    inner.refused(&["ImageUri"], "functions run from folders, not from images");
    inner.noted(&["SourceKMSKeyArn"], "nothing is encrypted");
    inner.finish();
}

fn folder(scope: &Scope<'_>, node: &Node, config: &mut HandlerConfig) {
    let Some(name) = scope.text(node) else { return };
    if name.contains("://") {
        let text =
            format!("code is not fetched from {name}; give the template as it is before `package`, with a folder");
        return scope.mistake(&node.place, text);
    }
    config.root = scope.files.folder.join(name.trim_start_matches("./").trim_end_matches('/'));
    if matches!(name.as_str(), "." | "./") {
        config.root.clone_from(&scope.files.folder);
    }
    shared::check_folder(scope, &config.root, &name, &node.place);
}

/// Code that stands in the template: one file, whose name Lambda fixes.
fn inline(scope: &Scope<'_>, node: &Node, config: &mut HandlerConfig, parts: &mut Parts) {
    let Some(text) = scope.text(node) else { return };
    let file = match config.runtime {
        RuntimeKind::Python(_) => "index.py",
        RuntimeKind::Node(_) => "index.js",
        RuntimeKind::Provided => {
            return scope
                .mistake(&node.place, "code can stand in the template for Python and Node.js only; name a folder");
        }
    };
    if !config.handler.starts_with("index.") {
        let text = format!("the handler is {:?}; code that stands in the template is in `index`", config.handler);
        scope.mistake(&node.place, text);
    }
    let folder: PathBuf = scope.options.code.clone().unwrap_or_else(|| scope.files.folder.join(".fanfare/code"));
    config.root = folder.join(&config.name);
    parts.code.push(InlineCode { path: config.root.join(file), text });
}

fn without_effect(fields: &mut Fields<'_>, is_sam: bool) {
    fields.noted(&["Description", "Tags", "VersionDescription", "PropagateTags"], "it is for people");
    fields.noted(&["Layers"], "put what a layer holds beside the function's code");
    let access = ["Role", "Policies", "PermissionsBoundary", "AssumeRolePolicyDocument", "RolePath"];
    fields.noted(&access, "functions may do here what their keys may do");
    let later = "name a topic in `Metadata.Fanfare.dead_letter_topic` of the function";
    fields.noted(&["DeadLetterQueue", "DeadLetterConfig"], later);
    fields.refused(&["ImageUri", "ImageConfig"], "functions run from folders, not from images");
    let place = [
        "Architectures",
        "VpcConfig",
        "Tracing",
        "TracingConfig",
        "KmsKeyArn",
        "EphemeralStorage",
        "FileSystemConfigs",
        "SnapStart",
        "RuntimeManagementConfig",
        "LoggingConfig",
        "RecursiveLoop",
        "SourceKMSKeyArn",
        "CodeSigningConfigArn",
        "TenancyConfig",
        "DurableConfig",
        "CapacityProviderConfig",
        "FunctionScalingConfig",
    ];
    fields.noted(&place, "it is about where Lambda runs functions");
    if is_sam {
        fields.noted(&["FunctionUrlConfig"], "functions are called by WebSocket APIs and by Lambda's API");
        let deployment = [
            "AutoPublishAlias",
            "AutoPublishAliasAllProperties",
            "AutoPublishCodeSha256",
            "DeploymentPreference",
            "VersionDeletionPolicy",
            "PublishToLatestPublished",
        ];
        fields.noted(&deployment, "there is one version of each function");
    }
}

/// The function that a resource is about.
fn target<'p>(scope: &Scope<'_>, fields: &mut Fields<'_>, parts: &'p mut Parts) -> Option<&'p mut HandlerConfig> {
    let node = fields.required("FunctionName")?;
    let name = shared::of_address(scope, &parts.functions, &node)?;
    parts.functions.iter_mut().find(|one| one.name == name || one.alias.as_ref() == Some(&name))
}

/// Reads `AWS::Lambda::Alias`: an alias is the function itself.
pub(crate) fn alias(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, resource.id.to_string(), &resource.properties);
    fields.get("Name");
    let wanted = fields.get("ProvisionedConcurrencyConfig");
    let target = target(scope, &mut fields, parts);
    if let (Some(node), Some(config)) = (wanted, target) {
        provisioned(scope, &node, config);
    }
    fields.noted(&["FunctionVersion", "RoutingConfig", "Description"], "there is one version of each function");
    fields.finish();
}

/// Reads `AWS::Lambda::EventInvokeConfig`.
pub(crate) fn event_invoke(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, resource.id.to_string(), &resource.properties);
    if let Some(config) = target(scope, &mut fields, parts) {
        retries(&mut fields, config);
    }
    fields.noted(&["Qualifier"], "there is one version of each function");
    fields.finish();
}
