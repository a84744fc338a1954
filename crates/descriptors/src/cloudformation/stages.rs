//! `AWS::ApiGatewayV2::Stage`.

use fanfare_apigateway::model::{Stage, Throttle};

use crate::apis as shared;
use crate::fields::Fields;
use crate::functions::small;
use crate::node::Node;
use crate::scope::Scope;
use crate::template::Resource;

use super::Parts;

/// Where only the other half is said: those of an account.
const RATE: f64 = 10_000.0;
const BURST: u32 = 5_000;

/// Reads a stage.
pub(crate) fn stage(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the stage {}", resource.id), &resource.properties);
    let Some(at) = parts.api_of(scope, &mut fields) else { return };
    let name = fields.required_text("StageName");
    let made = settings(scope, &mut fields);
    let deployment = ["DeploymentId", "AutoDeploy", "Description", "Tags", "AccessPolicyId"];
    fields.noted(&deployment, "it is about deploying");
    fields.noted(&["ClientCertificateId"], "backends see no certificate");
    if let Some(name) = &name {
        shared::check_stage(scope, name, &fields.place_of("StageName"));
    }
    fields.finish();
    if let Some(name) = name {
        parts.apis[at].stages.insert(name, made);
    }
}

/// What SAM's own resource has, too.
pub(crate) fn settings(scope: &Scope<'_>, fields: &mut Fields<'_>) -> Stage {
    let mut stage = Stage { variables: fields.texts("StageVariables"), ..Stage::default() };
    if let Some(node) = fields.get("DefaultRouteSettings") {
        stage.throttle = throttle(scope, "DefaultRouteSettings", &node);
    }
    if let Some(node) = fields.get("RouteSettings") {
        for entry in node.entries() {
            let throttle = throttle(scope, &format!("RouteSettings of {}", entry.key), &entry.value);
            stage.route_throttles.extend(throttle.map(|throttle| (entry.key.to_string(), throttle)));
        }
    }
    if let Some(node) = fields.get("AccessLogSettings") {
        let mut inner = Fields::new(scope, "AccessLogSettings", &node);
        stage.access_log = inner.text("Format");
        inner.noted(&["DestinationArn"], "lines go to this server's log");
        inner.finish();
    }
    stage
}

fn throttle(scope: &Scope<'_>, what: &str, node: &Node) -> Option<Throttle> {
    let mut fields = Fields::new(scope, what, node);
    let rate = fields.rate("ThrottlingRateLimit");
    let burst = fields.number("ThrottlingBurstLimit", 0..=u64::from(u32::MAX)).map(small);
    let metrics = ["LoggingLevel", "DataTraceEnabled", "DetailedMetricsEnabled"];
    fields.noted(&metrics, "it is about CloudWatch");
    fields.finish();
    if rate.is_none() && burst.is_none() {
        return None;
    }
    Some(Throttle { rate: rate.unwrap_or(RATE), burst: burst.unwrap_or(BURST) })
}

/// Reads `AWS::ApiGatewayV2::Deployment`, which is this server's start.
pub(crate) fn deployment(scope: &Scope<'_>, resource: &Resource) {
    let mut fields = Fields::new(scope, format!("the deployment {}", resource.id), &resource.properties);
    fields.get("ApiId");
    fields.noted(&["StageName", "Description"], "the descriptor as it is now is what is served");
    fields.finish();
}
