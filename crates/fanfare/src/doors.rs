//! The doors of this build: one line each.

use std::sync::Arc;

use fanfare_admin::{Operations, OperationsDoor};
use fanfare_door::Door;

/// Every door, in the order of their numbers.
pub fn all(operations: Operations) -> Vec<Arc<dyn Door>> {
    vec![
        Arc::new(fanfare_native::NativeDoor), //
        Arc::new(fanfare_mqtt::MqttDoor::new(fanfare_mqtt::MqttOptions::default())),
        Arc::new(OperationsDoor::new(operations)),
    ]
}
