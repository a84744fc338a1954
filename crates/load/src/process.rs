//! What a process uses, from /proc.

use std::fs;

use anyhow::{Context, bail};
use serde::Serialize;

/// Ticks per second of the times in /proc, a constant of the Linux interface (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;
const TICK_NANOS: u64 = 1_000_000_000 / TICKS_PER_SECOND;

/// Differences that the coarse clock explains by itself.
const CLOCK_SLACK_NANOS: u64 = 4 * TICK_NANOS;

/// Which clock a CPU time comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuClock {
    /// The scheduler's nanoseconds, summed over living threads.
    Schedstat,
    /// Ticks of 10 ms over all threads, ended ones included.
    Stat,
}

/// CPU time so far, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuReading {
    schedstat: Option<Schedstat>,
    stat_nanos: u64,
}

/// The scheduler's account, summed over living threads.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Schedstat {
    run_nanos: u64,
    /// Ready to run, while the core did something else.
    wait_nanos: u64,
}

/// CPU time of an interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CpuTime {
    pub(crate) nanos: u64,
    pub(crate) clock: CpuClock,
    pub(crate) wait_nanos: u64,
}

impl CpuReading {
    /// The CPU time between two readings. The fine clock forgets threads that ended, the coarse one
    /// does not: where they disagree, the coarse one is right.
    pub(crate) fn since(&self, earlier: &Self) -> CpuTime {
        let stat = self.stat_nanos.saturating_sub(earlier.stat_nanos);
        let both = self.schedstat.zip(earlier.schedstat);
        let fine = both.map(|(later, earlier)| later.run_nanos.saturating_sub(earlier.run_nanos));
        let wait = both.map(|(later, earlier)| later.wait_nanos.saturating_sub(earlier.wait_nanos));
        let (nanos, clock) = match fine {
            Some(fine) if fine.abs_diff(stat) <= CLOCK_SLACK_NANOS + stat / 20 => (fine, CpuClock::Schedstat),
            _ => (stat, CpuClock::Stat),
        };
        CpuTime { nanos, clock, wait_nanos: wait.unwrap_or(0) }
    }
}

/// Memory in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Memory {
    /// Everything resident.
    pub resident: u64,
    /// Resident and shared with no other process.
    pub private: u64,
    /// Heap and stacks: resident and backed by no file.
    pub anonymous: u64,
}

/// A process on this machine.
#[derive(Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn new(pid: u32) -> anyhow::Result<Self> {
        let process = Self(pid);
        process.cpu().with_context(|| format!("--pid {pid}: its figures cannot be read"))?;
        Ok(process)
    }

    /// The generator itself.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<CpuReading> {
        let path = format!("/proc/{}/stat", self.0);
        let stat = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        Ok(CpuReading { schedstat: self.schedstat(), stat_nanos: stat_nanos(&stat)? })
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let path = format!("/proc/{}/smaps_rollup", self.0);
        let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        rollup(&text).with_context(|| format!("{path} is not understood"))
    }

    fn schedstat(&self) -> Option<Schedstat> {
        let mut sum = Schedstat::default();
        for task in fs::read_dir(format!("/proc/{}/task", self.0)).ok()? {
            // A thread may end between listing and reading; `since` notices.
            if let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) {
                let mut fields = text.split(' ').map(|field| field.parse::<u64>().ok());
                sum.run_nanos += fields.next()??;
                sum.wait_nanos += fields.next()??;
            }
        }
        (sum.run_nanos > 0).then_some(sum)
    }
}

/// User and system time of `/proc/PID/stat`: fields 14 and 15, counted behind the name, which may
/// itself hold spaces and parentheses.
fn stat_nanos(stat: &str) -> anyhow::Result<u64> {
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' '));
    let times: Vec<u64> = fields.into_iter().flatten().skip(11).take(2).flat_map(str::parse).collect();
    match times[..] {
        [user, system] => Ok((user + system) * TICK_NANOS),
        _ => bail!("no times in {stat}"),
    }
}

fn rollup(text: &str) -> Option<Memory> {
    let field = |name: &str| kib_field(text, name);
    Some(Memory {
        resident: field("Rss:")?,
        private: field("Private_Clean:")? + field("Private_Dirty:")?,
        anonymous: field("Anonymous:")?,
    })
}

/// Kernel memory in slabs of the whole machine, where it is told.
pub(crate) fn slab_bytes() -> Option<u64> {
    kib_field(&fs::read_to_string("/proc/meminfo").ok()?, "Slab:")
}

/// A line such as `Rss:    123 kB`, in bytes.
fn kib_field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let rest = "S 1 2 3 0 -1 4194560 9 0 0 0 150 25 0 0 20 0 1 0 8 9 10";
        for name in ["fanfare", "a b", "x) S 1 (y"] {
            let stat = format!("42 ({name}) {rest}");
            assert_eq!(stat_nanos(&stat).unwrap(), 1_750_000_000, "{name}");
        }
        assert!(stat_nanos("42 (x) S 1").is_err());
    }

    #[test]
    fn memory_is_read_from_a_rollup() {
        let text = "55a0-7fff ---p 00000000 00:00 0 [rollup]\nRss:   1000 kB\nPss: 1 kB\n\
            Private_Clean:  10 kB\nPrivate_Dirty:  20 kB\nAnonymous:   15 kB\n";
        let expected = Memory { resident: 1_024_000, private: 30_720, anonymous: 15_360 };
        assert_eq!(rollup(text), Some(expected));
        assert_eq!(rollup("Rss: 1 kB\n"), None);
    }

    #[test]
    fn the_fine_clock_is_used_while_it_agrees() {
        let reading = |run_nanos: Option<u64>, stat_nanos| CpuReading {
            schedstat: run_nanos.map(|run_nanos| Schedstat { run_nanos, wait_nanos: run_nanos / 2 }),
            stat_nanos,
        };
        let start = reading(Some(1_000), 0);
        let second = 1_000_000_000;
        let later = reading(Some(second + 1_000), second + 3 * TICK_NANOS).since(&start);
        assert_eq!((later.nanos, later.clock), (second, CpuClock::Schedstat));
        assert_eq!(later.wait_nanos, second / 2);
        for other in [reading(Some(500), second), reading(None, second)] {
            let time = other.since(&start);
            assert_eq!((time.nanos, time.clock), (second, CpuClock::Stat));
        }
    }

    #[test]
    fn our_own_figures_can_be_read() {
        let own = Process::own();
        let before = own.cpu().unwrap();
        assert_eq!(own.cpu().unwrap().since(&before).nanos / 10_000_000_000, 0);
        let memory = own.memory().unwrap();
        assert!(memory.anonymous > 0 && memory.anonymous <= memory.resident);
        assert!(Process::new(u32::MAX).is_err());
    }
}
