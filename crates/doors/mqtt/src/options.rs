//! What can be set of the door.

use fanfare_mqtt_codec::ReasonCode;

/// Whose rules count where they differ from the standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The OASIS standards.
    #[default]
    Standard,
    /// The limits and departures of AWS IoT Core.
    AwsIot,
}

/// The code for a subscription that is not allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenyCode {
    /// 0x87, Not authorized.
    #[default]
    Specific,
    /// 0x80, Unspecified error, for clients that know no other.
    Unspecified,
}

/// Settings of the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttOptions {
    /// Whose rules count.
    pub profile: Profile,
    /// Longest keep alive, in seconds; clients that ask for more, or for none, get it. 0 is no bound.
    pub max_keepalive_s: u16,
    /// Messages of quality 1 and 2 that a client may have under way towards the server.
    pub receive_maximum: u16,
    /// Messages of quality 1 and 2 under way towards one client, whatever it asks for.
    pub inflight_messages: u16,
    /// Highest topic alias that clients may use.
    pub topic_alias_maximum: u16,
    /// How long sessions last without a connection, in seconds; `u32::MAX` is for ever.
    pub session_expiry_max_s: u32,
    /// Sessions without a connection, in all.
    pub sessions_max: usize,
    /// The largest packet, in bytes.
    pub packet_bytes: usize,
    /// Longest client id, in bytes.
    pub client_id_bytes: usize,
    /// Messages that wait for one client in memory before it has to read on from the log.
    pub queue_messages: usize,
    /// The code for a subscription that is not allowed.
    pub deny_code: DenyCode,
    /// How long a connection lasts that proved with a signature (SigV4) who it is, in seconds; 0 is no bound.
    pub sigv4_session_max_s: u32,
    /// Every client is the thing of its client id, which policies may then speak about.
    pub has_things: bool,
    /// How often the topics below `$SYS` are published, in seconds; 0 is never.
    pub sys_interval_s: u32,
    /// Whether comings and goings are published below `$aws/events`; unset is only in [`Profile::AwsIot`].
    pub lifecycle_events: Option<bool>,
    /// Device shadows, in all, deleted ones included.
    pub shadows_max: usize,
    /// Messages sent to single clients over HTTP that wait for their acknowledgements, in all.
    pub direct_messages_max: usize,
}

impl Default for MqttOptions {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            max_keepalive_s: 0,
            receive_maximum: 256,
            inflight_messages: 128,
            topic_alias_maximum: 16,
            session_expiry_max_s: 24 * 60 * 60,
            sessions_max: 1_000_000,
            packet_bytes: (1 << 20) + (64 << 10),
            client_id_bytes: 256,
            queue_messages: 1_000,
            deny_code: DenyCode::default(),
            sigv4_session_max_s: 0,
            has_things: false,
            sys_interval_s: 10,
            lifecycle_events: None,
            shadows_max: 100_000,
            direct_messages_max: 256,
        }
    }
}

impl MqttOptions {
    /// The same, within what AWS IoT Core allows, if its profile is chosen.
    #[must_use]
    pub fn within_profile(self) -> Self {
        if self.profile == Profile::Standard {
            return self;
        }
        Self {
            max_keepalive_s: match self.max_keepalive_s {
                0 => 1_200,
                seconds => seconds.min(1_200),
            },
            receive_maximum: self.receive_maximum.min(100),
            inflight_messages: self.inflight_messages.min(100),
            topic_alias_maximum: self.topic_alias_maximum.min(8),
            session_expiry_max_s: self.session_expiry_max_s.min(7 * 24 * 60 * 60),
            packet_bytes: self.packet_bytes.min(128 << 10),
            client_id_bytes: self.client_id_bytes.min(128),
            ..self
        }
    }

    /// The code for a subscription that is not allowed.
    pub(crate) fn denied(&self) -> ReasonCode {
        match self.deny_code {
            DenyCode::Specific => ReasonCode::NotAuthorized,
            DenyCode::Unspecified => ReasonCode::UnspecifiedError,
        }
    }

    pub(crate) fn has_lifecycle_events(&self) -> bool {
        self.lifecycle_events.unwrap_or(self.is_aws())
    }

    /// Whether AWS's departures are wanted.
    pub(crate) fn is_aws(&self) -> bool {
        self.profile == Profile::AwsIot
    }
}
