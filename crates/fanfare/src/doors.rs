//! The doors of this build: one line each.

use std::sync::Arc;

use anyhow::anyhow;
use fanfare_admin::{Operations, OperationsDoor};
use fanfare_apigateway::check::Mistake;
use fanfare_apigateway_door::{ApiGatewayDoor, ApiGatewayOptions};
use fanfare_door::Door;
use fanfare_events_door::{EventsDoor, EventsOptions};
use fanfare_functions::{HttpCaller, Reach};
use fanfare_lambda_door::{LambdaDoor, LambdaOptions};
use fanfare_mqtt::{MqttDoor, RuleOptions};
use fanfare_telemetry::Metrics;

use crate::access::SharedAccess;
use crate::config::Config;
use crate::exit::Misuse;
use crate::hosting::Hosted;

/// The figure of the door to WebSocket APIs that rises and falls.
const LEVEL: &str = "apigateway_connections";

/// Every door, in the order of their numbers. The start page is the last to be asked whether a path is its own.
///
/// # Errors
/// A part of the configuration cannot be used after all.
pub(crate) fn all(
    config: &Config,
    operations: Operations,
    shared: &SharedAccess,
    hosted: &Hosted,
    metrics: &Metrics,
) -> anyhow::Result<Vec<Arc<dyn Door>>> {
    let events = EventsDoor::new(EventsOptions {
        account: config.aws.account.clone(),
        region: config.aws.region.clone(),
        rules: config.events.rules().map_err(|error| anyhow!(error))?,
        destinations: config.events.destinations().map_err(|error| anyhow!(error))?,
        functions: shared.functions.clone(),
        access: shared.access.clone(),
    })?;
    let rules = RuleOptions {
        rules: config.iot.rules().map_err(|error| anyhow!(error))?,
        functions: shared.functions.clone(),
        events: Some(events.sink()),
        http_allow: config.iot.http_allow.clone(),
        account: config.aws.account.clone(),
    };
    let mut doors: Vec<Arc<dyn Door>> = vec![
        Arc::new(fanfare_native::NativeDoor), //
        Arc::new(
            MqttDoor::with_authority(config.mqtt.options(&config.iot), shared.authority.clone()).with_rules(rules)?,
        ),
        Arc::new(events),
        Arc::new(LambdaDoor::new(LambdaOptions { functions: shared.functions.clone(), access: shared.access.clone() })),
    ];
    doors.extend(apigateway(config, shared, hosted, metrics)?);
    doors.push(Arc::new(OperationsDoor::new(operations)));
    Ok(doors)
}

/// The door to the WebSocket APIs of the configuration and of the application; none where there are none.
fn apigateway(
    config: &Config,
    shared: &SharedAccess,
    hosted: &Hosted,
    metrics: &Metrics,
) -> anyhow::Result<Option<Arc<dyn Door>>> {
    if hosted.apis.is_empty() {
        return Ok(None);
    }
    let door = ApiGatewayDoor::new(ApiGatewayOptions {
        apis: hosted.apis.clone(),
        region: config.aws.region.clone(),
        account: config.aws.account.clone(),
        functions: shared.functions.clone(),
        access: shared.access.clone(),
        http: HttpCaller::new(Reach::Anywhere, None)?,
        endpoints: config.apigateway.services().map_err(|error| anyhow!(error))?,
    });
    let told = |mistakes: Vec<Mistake>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let door = Arc::new(door.map_err(|mistakes| Misuse(told(mistakes)))?);
    let watched = Arc::downgrade(&door);
    metrics.observe(Box::new(move |gauges| {
        let figures = watched.upgrade().map(|door| door.figures()).unwrap_or_default();
        let (levels, counts): (Vec<_>, Vec<_>) = figures.into_iter().partition(|(name, ..)| *name == LEVEL);
        gauges.levels.extend(levels);
        gauges.counts.extend(counts);
    }));
    Ok(Some(door))
}
