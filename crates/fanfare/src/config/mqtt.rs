//! `[mqtt]` and `[iot]` in the words of `fanfare-mqtt`.

use fanfare_mqtt::{DenyCode, MqttOptions, Profile};

use super::access::Iot;
use super::keys::{Mqtt, MqttDenyCode, MqttProfile};

impl Mqtt {
    /// The settings of the door.
    pub fn options(&self, iot: &Iot) -> MqttOptions {
        let is_aws = self.profile == MqttProfile::AwsIot;
        MqttOptions {
            profile: match self.profile {
                MqttProfile::Standard => Profile::Standard,
                MqttProfile::AwsIot => Profile::AwsIot,
            },
            max_keepalive_s: self.max_keepalive_s,
            receive_maximum: self.receive_maximum,
            inflight_messages: self.inflight_messages,
            topic_alias_maximum: self.topic_alias_maximum,
            session_expiry_max_s: self.session_expiry_max_s,
            sessions_max: self.sessions,
            packet_bytes: self.packet_bytes,
            client_id_bytes: self.client_id_bytes,
            queue_messages: self.queue_messages,
            sigv4_session_max_s: self.sigv4_session_max_s.unwrap_or(if is_aws { 24 * 60 * 60 } else { 0 }),
            has_things: iot.things,
            deny_code: match self.deny_code {
                MqttDenyCode::Specific => DenyCode::Specific,
                MqttDenyCode::Unspecified => DenyCode::Unspecified,
            },
            sys_interval_s: self.sys_interval_s,
            lifecycle_events: iot.lifecycle_events,
            shadows_max: iot.shadows,
            direct_messages_max: iot.direct_messages,
        }
    }
}
