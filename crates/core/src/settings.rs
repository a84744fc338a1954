//! What a space can be set to, with defaults.

/// How much history a space keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySettings {
    /// Messages kept per topic; 0 turns history off.
    pub count: usize,
    /// How long messages are kept, in milliseconds.
    pub age_ms: u64,
    /// Weight of all kept messages of the space, in bytes; the oldest go first.
    pub bytes: u64,
    /// How much of it is held in memory, in bytes. Older messages are read from the log.
    pub memory_bytes: u64,
    /// Most topics that hold history at once.
    pub topics: usize,
    /// Messages kept of a topic that a durable session wants, where `count` is less: they are kept
    /// for those who are away.
    pub held_count: usize,
}

impl HistorySettings {
    /// The same, with the count that holds for a topic that durable sessions want, or do not.
    pub(crate) fn for_topic(&self, is_held: bool) -> Self {
        let count = if is_held { self.count.max(self.held_count) } else { self.count };
        Self { count, ..self.clone() }
    }
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            count: 1_000,
            age_ms: 24 * 60 * 60 * 1_000,
            bytes: 1 << 30,
            memory_bytes: 64 << 20,
            topics: 1_000_000,
            held_count: 100_000,
        }
    }
}

/// What happens to a connection that reads more slowly than it is sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumer {
    /// It is told where to resume and closed.
    #[default]
    Disconnect,
    /// The oldest waiting messages are dropped.
    DropOldest,
    /// Of each topic only the newest waiting message is kept.
    KeepLatest,
}

/// Settings of one space. They can be replaced while it is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceSettings {
    /// What is kept.
    pub history: HistorySettings,
    /// Largest payload plus properties, in bytes.
    pub message_bytes_max: usize,
    /// What happens to slow readers.
    pub slow_consumer: SlowConsumer,
    /// How long a member may be away before others are told that it left, in milliseconds.
    pub presence_lease_ms: u64,
    /// Most members of one topic.
    pub presence_members_max: usize,
    /// How long a repeated idempotency key is recognised, in milliseconds.
    pub idempotency_window_ms: u64,
    /// Most idempotency keys remembered; beyond it the oldest are forgotten early.
    pub idempotency_keys_max: usize,
}

impl Default for SpaceSettings {
    fn default() -> Self {
        Self {
            history: HistorySettings::default(),
            message_bytes_max: 1 << 20,
            slow_consumer: SlowConsumer::default(),
            presence_lease_ms: 15_000,
            presence_members_max: 10_000,
            idempotency_window_ms: 120_000,
            idempotency_keys_max: 100_000,
        }
    }
}

/// Bounds of the core as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreLimits {
    /// Most spaces.
    pub spaces_max: usize,
    /// Most messages in one batch.
    pub batch_messages_max: usize,
}

impl Default for CoreLimits {
    fn default() -> Self {
        Self { spaces_max: 10_000, batch_messages_max: 1_000 }
    }
}
