//! What a process writes: always read, cut into lines, and passed on to the server's log and to whoever waits for the
//! end of it.
//!
//! | module     | story                                                |
//! |------------|------------------------------------------------------|
//! | `lines`    | bytes to lines of a bounded length                   |
//! | `rate`     | how many lines a function may write                  |
//! | `severity` | how serious a line is, as far as it says so          |

mod lines;
mod rate;
mod severity;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_functions::{LOG_TAIL_BYTES_MAX, LogTail};
use parking_lot::Mutex;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::HostError;
use lines::Lines;
pub(crate) use rate::Rate;

/// A flush reads no more than this, so that a process that never stops writing does not hold up its own calls.
const FLUSH_BYTES_MAX: usize = 1 << 20;
/// How long is waited for a reader.
const FLUSH_MAX: Duration = Duration::from_millis(100);

/// Where the lines of one process go. They carry the request id of the call that runs.
pub(crate) struct Journal {
    function: Arc<str>,
    rate: Arc<Rate>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    request: Option<Arc<str>>,
    tail: Option<LogTail>,
}

impl Journal {
    pub(crate) fn new(function: Arc<str>, rate: Arc<Rate>) -> Self {
        Self { function, rate, current: Mutex::default() }
    }

    /// From now on lines belong to this call.
    pub(crate) fn begin(&self, request: &Arc<str>, tail: Option<&LogTail>) {
        if let Some(tail) = tail {
            append(tail, format!("START RequestId: {request} Version: $LATEST\n").as_bytes());
        }
        *self.current.lock() = Current { request: Some(request.clone()), tail: tail.cloned() };
    }

    /// From now on lines belong to no call.
    pub(crate) fn end(&self) {
        *self.current.lock() = Current::default();
    }

    fn line(&self, stream: &'static str, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let (request, tail) = {
            let current = self.current.lock();
            (current.request.clone(), current.tail.clone())
        };
        if let Some(tail) = tail {
            append(&tail, line);
            append(&tail, b"\n");
        }
        match self.rate.take(line.len(), Instant::now()) {
            rate::Verdict::Pass => severity::emit(&self.function, request.as_deref(), stream, line),
            rate::Verdict::Drop => {}
            rate::Verdict::PassAfter(dropped) => {
                tracing::warn!(target: "fanfare::function", function = &*self.function, dropped, "lines of the log were dropped; the function writes more than it may");
                severity::emit(&self.function, request.as_deref(), stream, line);
            }
        }
    }
}

/// Adds to a tail, of which only the end is kept.
pub(crate) fn append(tail: &LogTail, bytes: &[u8]) {
    let mut kept = tail.lock();
    kept.extend_from_slice(bytes);
    let excess = kept.len().saturating_sub(LOG_TAIL_BYTES_MAX);
    kept.drain(..excess);
}

/// The lines that end a call in a tail. `peak_kb` is what its process used at most.
pub(crate) struct Report<'a> {
    pub(crate) request: &'a str,
    pub(crate) took: Duration,
    pub(crate) init: Option<Duration>,
    pub(crate) memory_mb: u32,
    pub(crate) peak_kb: u64,
}

impl Report<'_> {
    pub(crate) fn write(&self, tail: &LogTail) {
        let Self { request, memory_mb, .. } = self;
        let took = self.took.as_secs_f64() * 1_000.0;
        let init = self.init.map(|init| format!("\tInit Duration: {:.2} ms", init.as_secs_f64() * 1_000.0));
        let text = format!(
            "END RequestId: {request}\nREPORT RequestId: {request}\tDuration: {took:.2} ms\tBilled Duration: {:.0} ms\t\
             Memory Size: {memory_mb} MB\tMax Memory Used: {} MB{}\t\n",
            took.ceil(),
            self.peak_kb.div_ceil(1_024),
            init.unwrap_or_default(),
        );
        append(tail, text.as_bytes());
    }
}

/// A task that reads what a process writes to one of its pipes.
pub(crate) struct Reader {
    flusher: Flusher,
    task: JoinHandle<()>,
}

/// Has a reader catch up.
#[derive(Clone)]
pub(crate) struct Flusher(mpsc::Sender<oneshot::Sender<()>>);

impl Reader {
    /// The process's end of a pipe, and the task that reads the other. To be called on a task.
    pub(crate) fn open(stream: &'static str, journal: Arc<Journal>) -> Result<(Stdio, Self), HostError> {
        let failed = |error: std::io::Error| HostError::system("a pipe for the log of a function", &error);
        let (end, other) = std::io::pipe().map_err(failed)?;
        let direct = File::from(OwnedFd::from(end.try_clone().map_err(failed)?));
        let pipe = pipe::Receiver::from_owned_fd(end.into()).map_err(failed)?;
        let (flush, flushes) = mpsc::channel(4);
        let task = tokio::spawn(read(Source { pipe, direct, stream, journal }, flushes));
        Ok((other.into(), Self { flusher: Flusher(flush), task }))
    }

    pub(crate) fn flusher(&self) -> Flusher {
        self.flusher.clone()
    }

    /// Waits for the end of the pipe, which others than the process may still hold.
    pub(crate) async fn finish(mut self) {
        if tokio::time::timeout(Duration::from_secs(1), &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Flusher {
    /// Waits until everything is read that was written before.
    pub(crate) async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        let flushed = async {
            if self.0.send(done).await.is_ok() {
                is_done.await.ok();
            }
        };
        tokio::time::timeout(FLUSH_MAX, flushed).await.ok();
    }
}

struct Source {
    pipe: pipe::Receiver,
    /// The same end: tells at once whether there is more, where `pipe` first has to be told by the system.
    direct: File,
    stream: &'static str,
    journal: Arc<Journal>,
}

async fn read(source: Source, mut flushes: mpsc::Receiver<oneshot::Sender<()>>) {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 16 << 10];
    let line = |line: &[u8]| source.journal.line(source.stream, line);
    loop {
        tokio::select! {
            biased;
            Some(done) = flushes.recv() => {
                let mut room = FLUSH_BYTES_MAX;
                while let Ok(count @ 1..) = (&source.direct).read(&mut buffer) {
                    lines.push(&buffer[..count], line);
                    room = room.saturating_sub(count);
                    if room == 0 {
                        break;
                    }
                }
                done.send(()).ok();
            }
            ready = source.pipe.readable() => {
                if ready.is_err() {
                    break;
                }
                match source.pipe.try_read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => lines.push(&buffer[..count], line),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
        }
    }
    lines.finish(line);
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn text(tail: &LogTail) -> String {
        String::from_utf8(tail.lock().clone()).unwrap()
    }

    #[test]
    fn a_tail_keeps_the_end() {
        let tail = LogTail::default();
        for number in 0..2_000 {
            append(&tail, format!("{number}\n").as_bytes());
        }
        assert_eq!(tail.lock().len(), LOG_TAIL_BYTES_MAX);
        assert!(text(&tail).ends_with("1998\n1999\n"));
    }

    #[test]
    fn a_report_reads_like_lambdas() {
        let tail = LogTail::default();
        let took = Duration::from_micros(1_230);
        Report { request: "r", took, init: Some(Duration::from_millis(80)), memory_mb: 128, peak_kb: 2_049 }
            .write(&tail);
        assert_eq!(
            text(&tail),
            "END RequestId: r\nREPORT RequestId: r\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t\
             Max Memory Used: 3 MB\tInit Duration: 80.00 ms\t\n"
        );
    }

    #[tokio::test]
    async fn a_flush_has_what_was_written_before_it() {
        let journal = Arc::new(Journal::new("f".into(), Arc::default()));
        let (tail, request) = (LogTail::default(), Arc::from("r"));
        let (end, mut writer) = std::io::pipe().unwrap();
        let direct = File::from(OwnedFd::from(end.try_clone().unwrap()));
        let pipe = pipe::Receiver::from_owned_fd(end.into()).unwrap();
        let (flush, flushes) = mpsc::channel(1);
        let task = tokio::spawn(read(Source { pipe, direct, stream: "stdout", journal: journal.clone() }, flushes));
        let reader = Reader { flusher: Flusher(flush), task };
        for number in 0..50 {
            journal.begin(&request, Some(&tail));
            writer.write_all(format!("line {number}\n").as_bytes()).unwrap();
            reader.flusher().flush().await;
            assert!(text(&tail).ends_with(&format!("line {number}\n")), "{number}: {}", text(&tail));
            journal.end();
        }
        writer.write_all(b"belongs to nobody\nunfinished").unwrap();
        drop(writer);
        reader.finish().await;
        assert!(!text(&tail).contains("nobody"));
    }
}
