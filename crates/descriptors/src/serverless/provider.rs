//! `provider`: what all functions and the API share.

use std::collections::BTreeMap;

use crate::fields::Fields;
use crate::functions::{MEMORY_MB, TIMEOUT_S};
use crate::node::{Node, Value};
use crate::scope::Scope;

/// A line for each request where logging is on and no format is given.
const LOG_FORMAT: &str = "$context.identity.sourceIp $context.identity.caller $context.identity.user \
                          [$context.requestTime] \"$context.eventType $context.routeKey $context.connectionId\" \
                          $context.requestId";

#[derive(Debug, Default)]
pub(crate) struct Provider {
    pub(crate) region: Option<String>,
    pub(crate) runtime: Option<Node>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) timeout_s: Option<u64>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) api_name: Option<String>,
    pub(crate) route_selection: Option<String>,
    pub(crate) access_log: Option<String>,
}

pub(crate) fn read(scope: &Scope<'_>, file: &mut Fields<'_>) -> Provider {
    let Some(node) = file.required("provider") else { return Provider::default() };
    // `provider: aws` is short for its name.
    if matches!(node.value, Value::Text(_)) {
        check_name(scope, &node);
        return Provider::default();
    }
    let mut fields = Fields::new(scope, "provider", &node);
    if let Some(name) = fields.required("name") {
        check_name(scope, &name);
    }
    // The stage and the stack's name are found before all else.
    for known in ["stage", "stackName"] {
        fields.get(known);
    }
    let provider = Provider {
        region: fields.text("region"),
        runtime: fields.get("runtime"),
        environment: environment(scope, &mut fields),
        timeout_s: fields.number("timeout", TIMEOUT_S),
        memory_mb: fields.number("memorySize", MEMORY_MB),
        api_name: fields.text("websocketsApiName"),
        route_selection: fields.text("websocketsApiRouteSelectionExpression"),
        access_log: fields.get("logs").and_then(|node| logs(scope, &node)),
    };
    api_gateway(scope, &mut fields);
    without_effect(&mut fields);
    fields.finish();
    provider
}

fn check_name(scope: &Scope<'_>, name: &Node) {
    if scope.text(name).is_some_and(|name| name != "aws") {
        scope.mistake(&name.place, "the provider must be `aws`: other descriptors cannot be read");
    }
}

/// The provider's own, over what `serverless-dotenv-plugin` would add.
fn environment(scope: &Scope<'_>, fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Some(variables) =
        scope.variables.as_ref().filter(|v| super::has_plugin(scope, &v.root, "serverless-dotenv-plugin"))
    {
        all.clone_from(&variables.dotenv);
        let list = |key: &str| -> Option<Vec<String>> {
            let node = scope.resolve(&scope.resolve(variables.root.get("custom")?).get("dotenv")?.clone());
            Some(scope.items(node.get(key)?, true).iter().filter_map(|item| scope.text(item)).collect())
        };
        let (include, exclude) = (list("include"), list("exclude").unwrap_or_default());
        all.retain(|key, _| include.as_ref().is_none_or(|include| include.contains(key)) && !exclude.contains(key));
    }
    all.extend(fields.texts("environment"));
    all
}

/// Reads `logs.websocket`: true, or a map.
fn logs(scope: &Scope<'_>, node: &Node) -> Option<String> {
    let mut fields = Fields::new(scope, "provider.logs", node);
    fields.noted(&["restApi", "httpApi", "frameworkLambda", "lambda"], "only WebSocket APIs write lines for requests");
    let websocket = fields.get("websocket");
    fields.finish();
    let websocket = websocket?;
    if let Value::Text(scalar) = &websocket.value {
        if scalar.truth().is_none() {
            scope.mistake(&websocket.place, "`logs.websocket` must be true, false or a map");
        }
        return scalar.truth().unwrap_or(false).then(|| LOG_FORMAT.to_owned());
    }
    let mut fields = Fields::new(scope, "provider.logs.websocket", &websocket);
    let format = fields.text("format").unwrap_or_else(|| LOG_FORMAT.to_owned());
    let is_on = fields.flag("accessLogging").unwrap_or(true);
    fields.noted(
        &["level", "executionLogging", "fullExecutionData", "role", "roleManagedExternally"],
        "it is about CloudWatch",
    );
    fields.finish();
    is_on.then_some(format)
}

fn api_gateway(scope: &Scope<'_>, fields: &mut Fields<'_>) {
    let Some(node) = fields.get("apiGateway") else { return };
    let mut fields = Fields::new(scope, "provider.apiGateway", &node);
    // Known to whoever refers to the API already.
    if let Some(id) = fields.text("websocketApiId") {
        let is_good = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_good {
            let text = format!("`websocketApiId` is {id:?}; it must be 1 to 32 lower-case letters and digits");
            scope.mistake(&fields.place_of("websocketApiId"), text);
        }
    }
    let rest = [
        "apiKeys",
        "apiKeySourceType",
        "binaryMediaTypes",
        "description",
        "disableDefaultEndpoint",
        "metrics",
        "minimumCompressionSize",
        "resourcePolicy",
        "restApiId",
        "restApiResources",
        "restApiRootResourceId",
        "request",
        "shouldStartNameWithService",
        "useProviderTags",
        "usagePlan",
        "timeoutInMillis",
        "stage",
    ];
    fields.noted(&rest, "it is about REST APIs");
    fields.finish();
}

fn without_effect(fields: &mut Fields<'_>) {
    fields.noted(&["websocketsDescription", "description"], "it is for people");
    let access = [
        "iam",
        "iamRoleStatements",
        "iamManagedPolicies",
        "role",
        "rolePermissionsBoundary",
        "cfnRole",
        "resourcePolicy",
    ];
    fields.noted(&access, "functions may do here what their keys may do");
    let other_apis = [
        "httpApi",
        "alb",
        "apiKeys",
        "apiName",
        "usagePlan",
        "cloudFront",
        "eventBridge",
        "endpointType",
        "s3",
        "vpcEndpointIds",
    ];
    fields.noted(&other_apis, "only WebSocket APIs are served");
    fields.noted(&["layers"], "put what a layer holds beside the function's code");
    fields.refused(&["ecr"], "functions run from folders, not from images");
    let place = [
        "architecture",
        "vpc",
        "tracing",
        "kmsKeyArn",
        "snapStart",
        "runtimeManagement",
        "ephemeralStorageSize",
        "logRetentionInDays",
        "logDataProtectionPolicy",
        "logging",
    ];
    fields.noted(&place, "it is about where Lambda runs functions");
    let deployment = [
        "profile",
        "kinesis",
        "credentials",
        "deploymentMethod",
        "deploymentBucket",
        "deploymentPrefix",
        "tags",
        "stackTags",
        "stackPolicy",
        "stackParameters",
        "versionFunctions",
        "lambdaHashingVersion",
        "disableRollback",
        "rollbackConfiguration",
        "notificationArns",
        "disableDefaultOutputExportNames",
        "resolver",
        "build",
        "variableSyntax",
        "tagsKey",
        "disableExports",
    ];
    fields.noted(&deployment, "it is about deploying");
}
