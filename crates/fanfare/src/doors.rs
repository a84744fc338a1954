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
use fanfare_momento_door::MomentoDoor;
use fanfare_mqtt::{MqttDoor, RuleOptions};

use crate::access::SharedAccess;
use crate::config::Config;
use crate::endpoints::Endpoints;
use crate::exit::Misuse;
use crate::hosting::Hosted;
use crate::momento_keys::MomentoKeys;

/// Every door, in the order of their numbers. The start page is the last to be asked whether a path is its own.
///
/// # Errors
/// A part of the configuration cannot be used after all.
pub(crate) fn all(
    config: &Config,
    operations: Operations,
    shared: &SharedAccess,
    hosted: &Hosted,
    momento: &MomentoKeys,
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
    let apigateway = ApiGatewayDoor::new(ApiGatewayOptions {
        apis: hosted.apis.clone(),
        region: config.aws.region.clone(),
        account: config.aws.account.clone(),
        functions: shared.functions.clone(),
        access: shared.access.clone(),
        http: HttpCaller::new(Reach::Anywhere, None)?,
        endpoints: config.apigateway.services().map_err(|error| anyhow!(error))?,
        host: config.apigateway.host.clone(),
    });
    let momento =
        config.momento.options(momento.authority.clone(), &Endpoints::of(config).host, config.is_development());
    Ok(vec![
        Arc::new(fanfare_native::NativeDoor), //
        // Before those with which it shares paths: it takes what is its own.
        Arc::new(MomentoDoor::new(momento.map_err(Misuse)?)?),
        Arc::new(
            MqttDoor::with_authority(config.mqtt.options(&config.iot), shared.authority.clone()).with_rules(rules)?,
        ),
        Arc::new(events),
        Arc::new(apigateway.map_err(|mistakes| Misuse(lines(&mistakes)))?),
        Arc::new(LambdaDoor::new(LambdaOptions { functions: shared.functions.clone(), access: shared.access.clone() })),
        Arc::new(OperationsDoor::new(operations)),
    ])
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n")
}
