//! `AWS::ApiGateway::ApiKey`, `UsagePlan` and `UsagePlanKey`: keys for routes that need one.

use fanfare_apigateway::model::{ApiKey, Period, Quota, Throttle};

use crate::fields::Fields;
use crate::functions::small;
use crate::node::Node;
use crate::scope::Scope;
use crate::template::Resource;

use super::Parts;

/// A usage plan: what its keys may ask, and of which APIs.
struct Plan {
    apis: Vec<String>,
    throttle: Option<Throttle>,
    quota: Option<Quota>,
}

/// Reads `AWS::ApiGateway::UsagePlanKey`: a key gets its plan's APIs.
pub(crate) fn plan_key(scope: &Scope<'_>, resource: &Resource, parts: &mut Parts) {
    let mut fields = Fields::new(scope, format!("the plan's key {}", resource.id), &resource.properties);
    fields.choice("KeyType", &[("API_KEY", ())]);
    let (key_id, plan_id) = (fields.required_text("KeyId"), fields.required_text("UsagePlanId"));
    let (key_place, plan_place) = (fields.place_of("KeyId"), fields.place_of("UsagePlanId"));
    fields.finish();
    let find = |id: &Option<String>, kind: &str| {
        let found = scope.template.resources.get(id.as_deref()?)?;
        (found.kind == kind).then_some(found)
    };
    let Some(key) = find(&key_id, "AWS::ApiGateway::ApiKey") else {
        return scope.mistake(&key_place, "`KeyId` names no AWS::ApiGateway::ApiKey; use `!Ref` of one");
    };
    let Some(plan) = find(&plan_id, "AWS::ApiGateway::UsagePlan") else {
        return scope.mistake(&plan_place, "`UsagePlanId` names no AWS::ApiGateway::UsagePlan; use `!Ref` of one");
    };
    let plan = self::plan(scope, plan);
    let Some(key) = self::key(scope, key, &plan) else { return };
    for api in parts.apis.iter_mut().filter(|api| plan.apis.contains(&api.id)) {
        if !api.api_keys.iter().any(|other| other.id == key.id) {
            api.api_keys.push(key.clone());
        }
    }
}

/// A key that is enabled.
fn key(scope: &Scope<'_>, resource: &Resource, plan: &Plan) -> Option<ApiKey> {
    let mut fields = Fields::new(scope, format!("the key {}", resource.id), &resource.properties);
    let is_enabled = fields.flag("Enabled").unwrap_or(false);
    let value = fields.text("Value");
    fields.noted(&["Name", "Description", "Tags", "CustomerId", "GenerateDistinctId"], "it is for people");
    fields.noted(&["StageKeys"], "usage plans say which APIs a key is for");
    fields.finish();
    if !is_enabled {
        scope.note(&resource.place, format!("the key {} is not `Enabled`, and is not taken", resource.id));
        return None;
    }
    // AWS would make one up, which nobody would know here.
    let value = value.or_else(|| scope.given(&format!("apikey:{}", resource.id), &resource.place))?;
    Some(ApiKey { id: resource.id.to_string(), value, throttle: plan.throttle, quota: plan.quota })
}

fn plan(scope: &Scope<'_>, resource: &Resource) -> Plan {
    let mut fields = Fields::new(scope, format!("the plan {}", resource.id), &resource.properties);
    let mut apis = Vec::new();
    for stage in fields.list("ApiStages") {
        let mut inner = Fields::new(scope, "ApiStages", &stage);
        apis.extend(inner.text("ApiId"));
        inner.noted(&["Stage"], "keys are for all stages of an API");
        inner.noted(&["Throttle"], "throttle routes by `RouteSettings` of the stage");
        inner.finish();
    }
    let throttle = fields.get("Throttle").and_then(|node| throttle(scope, &node));
    let quota = fields.get("Quota").and_then(|node| quota(scope, &node));
    fields.noted(&["UsagePlanName", "Description", "Tags"], "it is for people");
    fields.finish();
    Plan { apis, throttle, quota }
}

fn throttle(scope: &Scope<'_>, node: &Node) -> Option<Throttle> {
    let mut fields = Fields::new(scope, "Throttle", node);
    let (rate, burst) = (fields.rate("RateLimit"), fields.number("BurstLimit", 0..=u64::from(u32::MAX)));
    fields.finish();
    let rate = rate?;
    // A burst of nothing would let nobody through.
    let burst = burst.unwrap_or_else(|| (rate.ceil() as u64).clamp(1, u64::from(u32::MAX)));
    Some(Throttle { rate, burst: small(burst) })
}

fn quota(scope: &Scope<'_>, node: &Node) -> Option<Quota> {
    let mut fields = Fields::new(scope, "Quota", node);
    let limit = fields.number("Limit", 0..=u64::MAX);
    let periods = [("DAY", Period::Day), ("WEEK", Period::Week), ("MONTH", Period::Month)];
    let period = fields.choice("Period", &periods);
    fields.noted(&["Offset"], "the first period is a whole one");
    fields.finish();
    Some(Quota { limit: limit?, period: period? })
}

/// Keys without a plan open nothing, as in the original.
pub(crate) fn check(scope: &Scope<'_>, resources: &[&Resource]) {
    let used: Vec<String> = resources
        .iter()
        .filter(|resource| resource.kind == "AWS::ApiGateway::UsagePlanKey")
        .filter_map(|resource| scope.text(&resource.property(scope, "KeyId")?))
        .collect();
    for key in resources.iter().filter(|resource| resource.kind == "AWS::ApiGateway::ApiKey") {
        if !used.iter().any(|id| **id == *key.id) {
            let text =
                format!("the key {} is in no usage plan (AWS::ApiGateway::UsagePlanKey), and opens nothing", key.id);
            scope.note(&key.place, text);
        }
    }
}
