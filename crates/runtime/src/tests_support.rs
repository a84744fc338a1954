//! A configuration for unit tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::config::{HandlerConfig, RuntimeKind};

pub(crate) fn config(name: &str, root: &Path) -> HandlerConfig {
    HandlerConfig {
        name: name.to_owned(),
        alias: None,
        runtime: RuntimeKind::Provided,
        handler: "bootstrap".to_owned(),
        root: root.to_owned(),
        environment: BTreeMap::new(),
        timeout: Duration::from_secs(3),
        memory_mb: 128,
        reserved_concurrency: None,
        provisioned_concurrency: 0,
        idle_timeout: Duration::from_secs(300),
        freeze_after: None,
        retries: 2,
        event_age_max: Duration::from_secs(6 * 3_600),
        dead_letter_topic: None,
        origin: "test".to_owned(),
    }
}
