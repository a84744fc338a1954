//! The doors of this build: one line each.

use std::sync::Arc;

use fanfare_admin::{Operations, OperationsDoor};
use fanfare_door::Door;
use fanfare_mqtt::{MqttDoor, MqttOptions};

/// Every door, in the order of their numbers.
pub fn all(operations: Operations, mqtt: MqttOptions) -> Vec<Arc<dyn Door>> {
    vec![
        Arc::new(fanfare_native::NativeDoor), //
        Arc::new(MqttDoor::new(mqtt)),
        Arc::new(OperationsDoor::new(operations)),
    ]
}
