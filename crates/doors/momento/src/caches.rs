//! Which caches there are.
//!
//! Those of the configuration are always there; others are made and removed by SDKs and stand in the
//! log as records. The name of the default cache stands for the space `default`, every other name
//! for the space of that name.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fanfare_core::{Log, LogError, RecordTable};
use fanfare_momento::permission::{Caches as Chosen, Permissions, Statement};
use fanfare_momento::{Problem, name};
use hashbrown::HashMap;
use parking_lot::RwLock;
use tokio::sync::{oneshot, watch};

use crate::rates::Rate;

/// The space that is always there.
const DEFAULT_SPACE: &str = "default";

/// A cache.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) name: Arc<str>,
    /// Its space in the core.
    pub(crate) space: Arc<str>,
    /// Nobody can remove it: it is configured.
    is_fixed: bool,
    gone: watch::Sender<bool>,
    subscriptions: AtomicUsize,
    pub(crate) operations: Rate,
    pub(crate) throughput: Rate,
}

impl Cache {
    fn new(name: &str, space: &str, is_fixed: bool) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            space: space.into(),
            is_fixed,
            gone: watch::Sender::new(false),
            subscriptions: AtomicUsize::new(0),
            operations: Rate::default(),
            throughput: Rate::default(),
        })
    }

    /// Tells when the cache is removed.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }

    /// How many subscribe to it.
    #[cfg(test)]
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// Counts one more subscription; `None` when there are `limit` of them, of which 0 is none.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize) -> Option<Place> {
        let before = self.subscriptions.fetch_add(1, Ordering::AcqRel);
        let place = Place(self.clone());
        (limit == 0 || before < limit).then_some(place)
    }
}

/// One subscription of a cache, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Place(pub(crate) Arc<Cache>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::AcqRel);
    }
}

/// All caches.
#[derive(Debug)]
pub(crate) struct Caches {
    default_cache: String,
    limit: usize,
    known: RwLock<HashMap<Arc<str>, Arc<Cache>, foldhash::fast::RandomState>>,
}

impl Caches {
    /// Those of the configuration.
    pub(crate) fn new(default_cache: &str, configured: &[String], limit: usize) -> Result<Self, Problem> {
        let caches = Self { default_cache: default_cache.to_owned(), limit, known: RwLock::default() };
        for name in configured.iter().map(String::as_str).chain([default_cache]) {
            name::cache(name)?;
            if name == DEFAULT_SPACE && default_cache != DEFAULT_SPACE {
                let text = "the space default has another name here, so no other cache can be called default";
                return Err(Problem::InvalidArgument(text.to_owned()));
            }
            let cache = Cache::new(name, caches.space_of(name), true);
            caches.known.write().insert(cache.name.clone(), cache);
        }
        Ok(caches)
    }

    /// Takes up those that earlier runs made.
    pub(crate) fn restore(&self, log: &dyn Log) -> Result<(), LogError> {
        for (key, _) in log.records(RecordTable::Caches)? {
            let name = String::from_utf8_lossy(&key);
            if name != DEFAULT_SPACE {
                self.known.write().entry(name.as_ref().into()).or_insert_with(|| Cache::new(&name, &name, false));
            }
        }
        Ok(())
    }

    /// The space that a name stands for, whether there is such a cache or not.
    pub(crate) fn space_of<'a>(&self, name: &'a str) -> &'a str {
        if name == self.default_cache { DEFAULT_SPACE } else { name }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Cache>> {
        self.known.read().get(name).cloned()
    }

    /// All of them, in order of name.
    pub(crate) fn all(&self) -> Vec<Arc<Cache>> {
        let mut all: Vec<_> = self.known.read().values().cloned().collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Makes one, which is on disk when this is over.
    ///
    /// # Errors
    /// There is one of that name, there are too many, or it cannot be kept.
    pub(crate) async fn create(&self, name: &str, log: &dyn Log) -> Result<Arc<Cache>, Problem> {
        name::cache(name)?;
        if name == DEFAULT_SPACE && self.default_cache != DEFAULT_SPACE {
            return Err(Problem::InvalidArgument("a cache cannot be called default here; choose another name".into()));
        }
        let cache = Cache::new(name, self.space_of(name), false);
        let kept = {
            let mut known = self.known.write();
            if known.contains_key(name) {
                return Err(Problem::CacheExists(name.to_owned()));
            }
            if known.len() >= self.limit {
                return Err(Problem::TooMany { what: "caches", limit: self.limit });
            }
            // With the lock held, so that the order on disk is that of changes.
            let kept = put(log, name, Some(Bytes::from_static(b"{}")))?;
            known.insert(cache.name.clone(), cache.clone());
            kept
        };
        await_kept(kept).await?;
        Ok(cache)
    }

    /// Removes one; its subscriptions end. It is off the disk when this is over.
    ///
    /// # Errors
    /// There is none of that name, it is configured, or the disk does not take it.
    pub(crate) async fn remove(&self, name: &str, log: &dyn Log) -> Result<Arc<Cache>, Problem> {
        let (cache, kept) = {
            let mut known = self.known.write();
            let cache = known.get(name).cloned().ok_or_else(|| Problem::CacheNotFound(name.to_owned()))?;
            if cache.is_fixed {
                let text = format!("the cache {name} is configured; remove it from momento.caches");
                return Err(Problem::InvalidArgument(text));
            }
            let kept = put(log, name, None)?;
            known.remove(name);
            (cache, kept)
        };
        cache.gone.send_replace(true);
        await_kept(kept).await?;
        Ok(cache)
    }

    /// Permissions on caches as permissions on spaces.
    pub(crate) fn on_spaces(&self, permissions: &Permissions) -> Permissions {
        let Permissions::Listed(statements) = permissions else { return Permissions::SuperUser };
        if self.default_cache == DEFAULT_SPACE {
            return permissions.clone();
        }
        let on_space = |statement: &Statement| {
            let mut statement = statement.clone();
            if let Statement::Topics { caches: Chosen::Named(name), .. } = &mut statement {
                if name == DEFAULT_SPACE {
                    return None;
                }
                *name = self.space_of(name).to_owned();
            }
            Some(statement)
        };
        Permissions::Listed(statements.iter().filter_map(on_space).collect())
    }
}

type Kept = oneshot::Receiver<Result<(), LogError>>;

fn put(log: &dyn Log, name: &str, value: Option<Bytes>) -> Result<Kept, Problem> {
    let (tx, kept) = oneshot::channel();
    let done: fanfare_core::Done = Box::new(move |result| drop(tx.send(result)));
    log.put_record(RecordTable::Caches, name.as_bytes(), value, Some(done)).map_err(unkept)?;
    Ok(kept)
}

async fn await_kept(kept: Kept) -> Result<(), Problem> {
    let stopping = |_| Err(LogError::Failing("the server is stopping".into()));
    kept.await.unwrap_or_else(stopping).map_err(unkept)
}

fn unkept(error: LogError) -> Problem {
    Problem::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use fanfare_core::MemoryLog;
    use fanfare_momento::permission::{Names, TopicRole};

    use super::*;

    fn caches(default: &str) -> Caches {
        Caches::new(default, &["fixed".to_owned()], 4).unwrap()
    }

    #[tokio::test]
    async fn caches_come_and_go() {
        let (caches, log) = (caches("default"), MemoryLog::new(1));
        let cache = caches.create("a", &log).await.unwrap();
        assert!(matches!(caches.create("a", &log).await, Err(Problem::CacheExists(_))));
        caches.create("b", &log).await.unwrap();
        assert!(matches!(caches.create("c", &log).await, Err(Problem::TooMany { .. })));
        let gone = cache.watch();
        caches.remove("a", &log).await.unwrap();
        assert!(*gone.borrow());
        assert!(matches!(caches.remove("a", &log).await, Err(Problem::CacheNotFound(_))));
        assert!(matches!(caches.remove("fixed", &log).await, Err(Problem::InvalidArgument(_))));
        assert_eq!(caches.all().iter().map(|cache| &*cache.name).collect::<Vec<_>>(), ["b", "default", "fixed"]);
    }

    #[tokio::test]
    async fn the_default_space_may_have_another_name() {
        let (caches, log) = (caches("websocket"), MemoryLog::new(1));
        assert_eq!(&*caches.get("websocket").unwrap().space, "default");
        assert!(caches.get("default").is_none() && caches.create("default", &log).await.is_err());
        let on = |name: &str| {
            Permissions::Listed(vec![Statement::Topics {
                role: TopicRole::ReadWrite,
                caches: Chosen::Named(name.to_owned()),
                topics: Names::All,
            }])
        };
        assert_eq!(caches.on_spaces(&on("websocket")), on("default"));
        assert_eq!(caches.on_spaces(&on("default")), Permissions::Listed(Vec::new()));
        assert_eq!(caches.on_spaces(&on("other")), on("other"));
    }

    #[test]
    fn places_are_counted() {
        let cache = caches("default").get("default").unwrap();
        let first = cache.enter(1).unwrap();
        assert!(cache.enter(1).is_none());
        assert_eq!(cache.subscriptions(), 1);
        drop(first);
        assert!(cache.enter(1).is_some() && cache.enter(0).is_some());
        assert_eq!(cache.subscriptions(), 0);
    }
}
