//! The doors of this build: one line each.

use std::sync::Arc;

use arc_swap::ArcSwap;
use fanfare_admin::{Operations, OperationsDoor};
use fanfare_door::Door;
use fanfare_mqtt::{Authority, MqttDoor, MqttOptions};

/// Every door, in the order of their numbers.
pub fn all(operations: Operations, mqtt: MqttOptions, authority: &Arc<ArcSwap<Authority>>) -> Vec<Arc<dyn Door>> {
    vec![
        Arc::new(fanfare_native::NativeDoor), //
        Arc::new(MqttDoor::with_authority(mqtt, authority.clone())),
        Arc::new(OperationsDoor::new(operations)),
    ]
}
