//! The doors of this build: one line each.

use std::sync::Arc;

use anyhow::anyhow;
use arc_swap::ArcSwap;
use fanfare_admin::{Operations, OperationsDoor};
use fanfare_door::Door;
use fanfare_events_door::{EventsDoor, EventsOptions};
use fanfare_iam::{Access, Policies, Realm};
use fanfare_mqtt::{MqttDoor, RuleOptions};

use crate::config::Config;

/// Every door, in the order of their numbers. The start page is the last to be asked whether a path is its own.
///
/// # Errors
/// A part of the configuration cannot be used after all.
pub fn all(config: &Config, operations: Operations) -> anyhow::Result<Vec<Arc<dyn Door>>> {
    let functions = config.functions()?;
    let events = EventsDoor::new(EventsOptions {
        account: config.aws.account.clone(),
        region: config.aws.region.clone(),
        rules: config.events.rules().map_err(|error| anyhow!(error))?,
        destinations: config.events.destinations().map_err(|error| anyhow!(error))?,
        functions: functions.clone(),
        access: Arc::new(ArcSwap::from_pointee(access(config))),
    })?;
    let rules = RuleOptions {
        rules: config.iot.rules().map_err(|error| anyhow!(error))?,
        functions,
        events: Some(events.sink()),
        http_allow: config.iot.http_allow.clone(),
        account: config.aws.account.clone(),
    };
    Ok(vec![
        Arc::new(fanfare_native::NativeDoor), //
        Arc::new(MqttDoor::new(config.mqtt.options()).with_rules(rules)?),
        Arc::new(events),
        Arc::new(OperationsDoor::new(operations)),
    ])
}

/// Without keys everybody may ask; with keys nobody yet, because no credentials are configured.
fn access(config: &Config) -> Access {
    let realm = Realm::new(&config.aws.region, &config.aws.account, "default");
    let access = Access::new(realm, Policies::default());
    if config.is_development() { access.development() } else { access }
}
