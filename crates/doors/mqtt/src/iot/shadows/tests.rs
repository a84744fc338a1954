//! What the service holds while rows are on their way to the disk, and when they do not arrive.

use fanfare_core::{CoreLimits, Log, LogBatch, MemoryLog, Message, Offset, RecoveredSpace, SpaceSettings};

use super::*;

/// A log that says when it is asked to whether a row has arrived.
struct HeldLog {
    inner: MemoryLog,
    rows: Mutex<BTreeMap<Bytes, Bytes>>,
    held: Mutex<Vec<Done>>,
}

impl HeldLog {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: MemoryLog::new(1), rows: Mutex::default(), held: Mutex::default() })
    }

    /// Answers the oldest row that waits.
    fn answer(&self, result: Result<(), LogError>) {
        self.held.lock().remove(0)(result);
    }
}

impl Log for HeldLog {
    fn is_durable(&self) -> bool {
        true
    }

    fn failure(&self) -> Option<LogError> {
        None
    }

    fn open_space(&self, name: &Arc<str>) -> Result<RecoveredSpace, LogError> {
        self.inner.open_space(name)
    }

    fn spaces(&self) -> Result<Vec<Arc<str>>, LogError> {
        Ok(Vec::new())
    }

    fn replay(&self, _space: &str, _visit: &mut dyn FnMut(Message, bool)) -> Result<(), LogError> {
        Ok(())
    }

    fn append(&self, batch: LogBatch) -> Result<(), LogError> {
        self.inner.append(batch)
    }

    fn read(&self, _space: &str, _offsets: &[Offset]) -> Result<Vec<Arc<Message>>, LogError> {
        Ok(Vec::new())
    }

    fn put_record(
        &self,
        _table: RecordTable,
        key: &[u8],
        value: Option<Bytes>,
        done: Option<Done>,
    ) -> Result<(), LogError> {
        self.rows.lock().insert(Bytes::copy_from_slice(key), value.unwrap_or_default());
        self.held.lock().extend(done);
        Ok(())
    }

    fn records(&self, _table: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError> {
        Ok(self.rows.lock().clone().into_iter().collect())
    }

    fn flush(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

fn open(log: &Arc<HeldLog>, max: usize) -> (Shadows, mpsc::Receiver<Job>) {
    let core = Core::open(log.clone(), Vec::new(), CoreLimits::default(), [], SpaceSettings::default()).unwrap();
    Shadows::open(Arc::new(core), max).unwrap()
}

fn ask(shadows: &Shadows, thing: &str, operation: Operation, n: u32) {
    let name = ShadowName::new(thing, None).unwrap();
    let request = format!(r#"{{"state":{{"reported":{{"n":{n}}}}}}}"#);
    let request = if operation == Operation::Update { request.as_bytes() } else { b"" };
    shadows.request(ShadowTopic { name, operation }, request, 0, Asker::Client(None)).unwrap();
}

/// Goes on with the oldest request, whose row arrives or not; its code.
fn finish(shadows: &Shadows, jobs: &mut mpsc::Receiver<Job>, log: &HeldLog, is_kept: bool) -> u16 {
    let job = jobs.try_recv().unwrap();
    if let Some((change, mut awaited)) = job.change {
        assert!(awaited.try_recv().is_err(), "nothing is answered before the disk has it");
        let result = if is_kept { Ok(()) } else { Err(LogError::Failing("full".into())) };
        log.answer(result.clone());
        assert_eq!(awaited.try_recv().unwrap(), result);
        shadows.settle(&job.name, change, &result);
    }
    if job.is_counted {
        shadows.release(job.name.thing());
    }
    job.outcome.err().map_or(200, |rejection| rejection.code)
}

fn version(shadows: &Shadows, thing: &str) -> u64 {
    let inner = shadows.inner.lock();
    inner.documents.get(&ShadowName::new(thing, None).unwrap()).map_or(0, |document| document.version)
}

#[test]
fn what_the_disk_does_not_take_is_taken_back() {
    // Which of three updates arrive, and the version that counts then.
    for (kept, expected) in [
        ([true, true, true], 3),
        ([true, true, false], 2),
        ([true, false, true], 3),
        ([true, false, false], 1),
        ([false, false, false], 0),
        ([false, true, true], 3),
        ([false, true, false], 2),
        ([false, false, true], 3),
    ] {
        let log = HeldLog::new();
        let (shadows, mut jobs) = open(&log, 10);
        (0..3).for_each(|n| ask(&shadows, "t", Operation::Update, n));
        assert_eq!(version(&shadows, "t"), 3, "later requests see earlier ones at once");
        for is_kept in kept {
            finish(&shadows, &mut jobs, &log, is_kept);
        }
        assert_eq!(version(&shadows, "t"), expected, "{kept:?}");
        let inner = shadows.inner.lock();
        assert!(inner.documents.values().all(|document| document.committed.is_none()), "{kept:?}");
        assert!(inner.under_way.is_empty());
    }
}

#[test]
fn a_thing_has_ten_requests_under_way() {
    let log = HeldLog::new();
    let (shadows, mut jobs) = open(&log, 10);
    (0..12).for_each(|n| ask(&shadows, "t", Operation::Update, n));
    ask(&shadows, "other", Operation::Update, 0);
    let codes: Vec<_> = (0..13).map(|_| finish(&shadows, &mut jobs, &log, true)).collect();
    assert_eq!(codes, [vec![200; 10], vec![429; 2], vec![200]].concat());
    ask(&shadows, "t", Operation::Update, 0);
    assert_eq!((finish(&shadows, &mut jobs, &log, true), version(&shadows, "t")), (200, 11));
}

#[test]
fn there_is_a_bound_on_all_of_them_and_deleted_ones_count() {
    let log = HeldLog::new();
    let (shadows, mut jobs) = open(&log, 1);
    ask(&shadows, "a", Operation::Update, 0);
    ask(&shadows, "a", Operation::Delete, 0);
    ask(&shadows, "b", Operation::Update, 0);
    ask(&shadows, "a", Operation::Get, 0);
    ask(&shadows, "a", Operation::Update, 0);
    let codes: Vec<_> = (0..5).map(|_| finish(&shadows, &mut jobs, &log, true)).collect();
    assert_eq!(codes, [200, 200, 429, 404, 200]);
    assert_eq!(version(&shadows, "a"), 2);
}

#[test]
fn a_restart_finds_every_row_under_its_name() {
    let log = HeldLog::new();
    let (shadows, _jobs) = open(&log, 10);
    for (thing, shadow) in [("t", None), ("t", Some("b")), ("t", Some("a$")), ("t2", Some("c"))] {
        let topic = ShadowTopic { name: ShadowName::new(thing, shadow).unwrap(), operation: Operation::Update };
        shadows.request(topic, br#"{"state":{"desired":{"n":1}}}"#, 0, Asker::Client(None)).unwrap();
    }
    let (again, _jobs) = open(&log, 10);
    assert_eq!(again.named("t", None, 10), ["a$", "b"]);
    assert_eq!(
        (again.named("t", Some("a$"), 10), again.named("t", None, 1)),
        (vec!["b".to_owned()], vec!["a$".to_owned()])
    );
    assert_eq!((again.named("t2", None, 10), again.named("none", None, 10)), (vec!["c".to_owned()], vec![]));
    assert_eq!(version(&again, "t"), 1);
    log.rows.lock().insert(Bytes::from_static(b"bad name"), Bytes::new());
    let core = Core::open(log.clone(), Vec::new(), CoreLimits::default(), [], SpaceSettings::default()).unwrap();
    assert!(matches!(Shadows::open(Arc::new(core), 10), Err(LogError::Damaged(_))));
}
