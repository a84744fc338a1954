//! What a step is, how the steps are run one after another, and what is said of them at the end.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::install::Ready;
use crate::process::{self, End, Interrupt};
use crate::repository::Repository;
use crate::tidy;

/// One thing that is run and judged.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) limit: Duration,
    pub(crate) work: Work,
    pub(crate) needs: Vec<Need>,
}

/// What a step does.
pub(crate) enum Work {
    Tidy,
    /// Commands in order; the first that fails ends the step.
    Commands(Vec<Command>),
}

/// What must be there before a step can run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Need {
    /// The `release` step has passed.
    Release,
    /// The virtual environment with the suites' packages.
    Python,
    /// The suites' npm packages.
    Node,
    /// A program of some Debian package.
    Program(&'static str),
}

/// How a step went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// A step's line in the table.
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) seconds: f64,
}

pub(crate) const RELEASE: &str = "release";

/// Runs every step, whatever became of those before it; an interrupt skips the rest.
pub(crate) fn run_all(
    repository: &Repository,
    ready: &Ready,
    steps: Vec<Step>,
    out: &mut impl Write,
) -> Result<Vec<Report>> {
    let interrupt = Interrupt::watch()?;
    let mut reports: Vec<Report> = Vec::new();
    for mut step in steps {
        let start = Instant::now();
        let missing = if interrupt.is_set() { Some("interrupted".to_owned()) } else { missing(&step, ready, &reports) };
        let verdict = match missing {
            Some(reason) => Verdict::Skipped(reason),
            None => {
                writeln!(out, "\n==> {} (at most {} s)", step.name, step.limit.as_secs())?;
                work(repository, ready, &mut step, &interrupt, out)
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        writeln!(out, "==> {}: {} ({seconds:.1} s)", step.name, words(&verdict))?;
        reports.push(Report { name: step.name, verdict, seconds });
    }
    Ok(reports)
}

fn missing(step: &Step, ready: &Ready, reports: &[Report]) -> Option<String> {
    step.needs.iter().find_map(|need| match need {
        Need::Release => {
            let release = reports.iter().find(|report| report.name == RELEASE)?;
            (release.verdict != Verdict::Passed).then(|| "there is no release binary".to_owned())
        }
        other => ready.lacks(*other),
    })
}

fn work(
    repository: &Repository,
    ready: &Ready,
    step: &mut Step,
    interrupt: &Interrupt,
    out: &mut impl Write,
) -> Verdict {
    let commands = match &mut step.work {
        Work::Commands(commands) => commands,
        Work::Tidy => {
            return match tidy::run(repository, out) {
                Ok(true) => Verdict::Passed,
                Ok(false) => Verdict::Failed("see above".into()),
                Err(error) => Verdict::Failed(format!("{error:#}")),
            };
        }
    };
    let start = Instant::now();
    for command in commands {
        ready.equip(command);
        let left = step.limit.saturating_sub(start.elapsed());
        match process::run(command.current_dir(&repository.root), left, interrupt) {
            Ok(End::Exited(status)) if status.success() => {}
            Ok(End::Exited(status)) => return Verdict::Failed(status.to_string()),
            Ok(End::TimedOut) => return Verdict::Failed(format!("not done after {} s", step.limit.as_secs())),
            Ok(End::Interrupted) => return Verdict::Failed("interrupted".into()),
            Err(error) => return Verdict::Failed(format!("{error:#}")),
        }
    }
    Verdict::Passed
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => "passed".into(),
        Verdict::Failed(reason) => format!("FAILED: {reason}"),
        Verdict::Skipped(reason) => format!("skipped: {reason}"),
    }
}

/// The table and the closing line. True when the run counts as passed.
pub(crate) fn conclude(reports: &[Report], is_strict: bool, out: &mut impl Write) -> Result<bool> {
    let count = |wanted: fn(&Verdict) -> bool| reports.iter().filter(|report| wanted(&report.verdict)).count();
    let passed = count(|verdict| matches!(verdict, Verdict::Passed));
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    let skipped = count(|verdict| matches!(verdict, Verdict::Skipped(_)));
    let wide = reports.iter().map(|report| report.name.len()).max().unwrap_or(0).max("total".len());
    writeln!(out)?;
    for report in reports {
        writeln!(out, "{:wide$}  {:>7.1} s  {}", report.name, report.seconds, words(&report.verdict))?;
    }
    let total: f64 = reports.iter().map(|report| report.seconds).sum();
    writeln!(out, "{:wide$}  {total:>7.1} s", "total")?;
    if is_strict && skipped > 0 {
        writeln!(out, "\nCI is set: a skipped step fails the run")?;
    }
    writeln!(out, "\n{passed} passed, {failed} failed, {skipped} skipped")?;
    out.flush()?;
    Ok(failed == 0 && passed > 0 && !(is_strict && skipped > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str, verdict: Verdict) -> Report {
        Report { name: name.into(), verdict, seconds: 1.25 }
    }

    fn concluded(reports: &[Report], is_strict: bool) -> (bool, String) {
        let mut out = Vec::new();
        let is_good = conclude(reports, is_strict, &mut out).unwrap();
        (is_good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_count_is_the_last_line() {
        let reports = [report("tidy", Verdict::Passed), report("rust", Verdict::Failed("exit status: 1".into()))];
        let (is_good, text) = concluded(&reports, false);
        assert!(!is_good);
        assert_eq!(text.lines().last(), Some("1 passed, 1 failed, 0 skipped"));
        assert!(text.contains("rust       1.2 s  FAILED: exit status: 1"), "{text}");
    }

    #[test]
    fn a_skip_counts_only_under_ci() {
        let reports = [report("tidy", Verdict::Passed), report("bench", Verdict::Skipped("npm is missing".into()))];
        assert!(concluded(&reports, false).0);
        let (is_good, text) = concluded(&reports, true);
        assert!(!is_good);
        assert_eq!(text.lines().last(), Some("1 passed, 0 failed, 1 skipped"));
    }

    #[test]
    fn nothing_run_is_not_a_pass() {
        assert!(!concluded(&[], false).0);
    }
}
