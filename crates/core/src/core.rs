//! The core's operations.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::message::{Message, Position};
use crate::ports::{Inbox, Log, LogError};
use crate::refusal::Refusal;
use crate::settings::{CoreLimits, HistorySettings, SpaceSettings};
use crate::space::Space;

mod keeping;
mod listing;
mod members;
mod publishing;
mod reading;

pub use listing::RETAINED_PAGE_MAX;
pub use publishing::IDEMPOTENCY_KEY_BYTES_MAX;

type Spaces = HashMap<Arc<str>, Arc<Space>, foldhash::fast::RandomState>;
type Settings = HashMap<Arc<str>, Arc<SpaceSettings>, foldhash::fast::RandomState>;

/// All spaces, what they keep, and the queues towards the shards. Shared by all threads.
pub struct Core {
    spaces: RwLock<Spaces>,
    settings: RwLock<Settings>,
    default_settings: RwLock<Arc<SpaceSettings>>,
    limits: CoreLimits,
    log: Arc<dyn Log>,
    inboxes: Vec<Arc<dyn Inbox>>,
}

/// What became of a publish.
#[derive(Clone, Debug)]
pub struct Published {
    /// Where the message stands.
    pub position: Position,
    /// The key was seen before; nothing was published now.
    pub is_duplicate: bool,
    /// Somebody subscribes to it now, or a durable session that is away does. A batch does not look.
    pub has_receivers: bool,
    /// The publishing shard has subscribers and hands this to them at once. Absent when it has
    /// none, or when earlier messages wait in its inbox and this one was queued behind them.
    pub deliver_here: Option<Arc<Message>>,
    /// The acknowledgement must wait for the commit: `done` will be called. When `false` it was
    /// dropped, and the publish is acknowledged now.
    pub awaits_commit: bool,
}

impl Core {
    /// A core over a log, delivering to one inbox per shard (at most 64), with the spaces that the
    /// log holds.
    ///
    /// # Errors
    /// What the log says when it cannot be read.
    pub fn open(
        log: Arc<dyn Log>,
        inboxes: Vec<Arc<dyn Inbox>>,
        limits: CoreLimits,
        spaces: impl IntoIterator<Item = (Arc<str>, SpaceSettings)>,
        default_settings: SpaceSettings,
    ) -> Result<Self, LogError> {
        debug_assert!(inboxes.len() <= 64, "interest is one u64 of shards");
        let core = Self {
            spaces: RwLock::default(),
            settings: RwLock::default(),
            default_settings: RwLock::new(Arc::new(default_settings)),
            limits,
            log,
            inboxes,
        };
        core.configure(spaces, None);
        for name in core.log.spaces()? {
            let space = core.recover(&name)?;
            core.spaces.write().insert(name, space);
        }
        Ok(core)
    }

    /// Replaces the settings of spaces, also of those in use.
    pub fn configure(
        &self,
        spaces: impl IntoIterator<Item = (Arc<str>, SpaceSettings)>,
        default: Option<SpaceSettings>,
    ) {
        if let Some(default) = default {
            *self.default_settings.write() = Arc::new(default);
        }
        *self.settings.write() = spaces.into_iter().map(|(name, s)| (name, Arc::new(s))).collect();
        for space in self.spaces.read().values() {
            *space.settings.write() = self.settings_for(&space.name);
        }
    }

    fn settings_for(&self, space: &str) -> Arc<SpaceSettings> {
        let configured = self.settings.read().get(space).cloned();
        configured.unwrap_or_else(|| self.default_settings.read().clone())
    }

    /// Settings in force for a space, whether it exists yet or not.
    pub fn space_settings(&self, space: &str) -> Arc<SpaceSettings> {
        let existing = self.spaces.read().get(space).map(|s| s.settings());
        existing.unwrap_or_else(|| self.settings_for(space))
    }

    /// The log, for what stands beside messages.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The bounds it was opened with.
    pub fn limits(&self) -> &CoreLimits {
        &self.limits
    }

    /// Checks a space name: 1 to 128 bytes without `/`, white space and control characters.
    ///
    /// # Errors
    /// [`Refusal::InvalidSpace`].
    pub fn check_space(name: &str) -> Result<(), Refusal> {
        let is_plain = |c: char| c != '/' && !c.is_whitespace() && !c.is_control();
        if name.is_empty() || name.len() > 128 || !name.chars().all(is_plain) {
            return Err(Refusal::InvalidSpace);
        }
        Ok(())
    }

    fn recover(&self, name: &Arc<str>) -> Result<Arc<Space>, LogError> {
        let recovered = self.log.open_space(name)?;
        let epoch = recovered.epoch;
        let space = Space::new(recovered, self.settings_for(name));
        let settings = space.settings();
        // A topic's count may have been lowered; age and bytes are for the first tick. Which topics
        // durable sessions want is not known yet: what may be theirs stays until the next publish.
        let limits = settings.history.for_topic(true);
        let limits = HistorySettings { age_ms: u64::MAX, bytes: u64::MAX, topics: usize::MAX, ..limits };
        let mut guard = space.state.lock();
        let state = &mut *guard;
        self.log.replay(name, &mut |mut message, is_retained| {
            message.space = space.name.clone();
            message.epoch = epoch;
            let message = Arc::new(message);
            if is_retained {
                state.retain(vec![(message.topic.clone(), Some(message))]);
                return;
            }
            let now = message.time;
            state.keys.remember(&message);
            let oldest_key = now.saturating_sub(settings.idempotency_window_ms);
            state.keys.forget_before(oldest_key, settings.idempotency_keys_max);
            state.history.restore(message.clone());
            state.history.trim(&limits, now, Some(&message.topic), true, &mut state.trims_due);
        })?;
        if settings.history.count == 0 {
            state.history.pass(state.next_offset - 1);
        }
        drop(guard);
        Ok(Arc::new(space))
    }

    fn space(&self, name: &Arc<str>) -> Result<Arc<Space>, Refusal> {
        if let Some(space) = self.spaces.read().get(name) {
            return Ok(space.clone());
        }
        Self::check_space(name)?;
        let mut spaces = self.spaces.write();
        if let Some(space) = spaces.get(name) {
            return Ok(space.clone());
        }
        if spaces.len() >= self.limits.spaces_max {
            return Err(Refusal::TooManySpaces { limit: self.limits.spaces_max });
        }
        let recovered = self.log.open_space(name)?;
        let space = Arc::new(Space::new(recovered, self.settings_for(name)));
        spaces.insert(name.clone(), space.clone());
        Ok(space)
    }
}
