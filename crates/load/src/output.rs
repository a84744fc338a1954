//! Everything that reaches the terminal: the figures, and a progress bar while they are made.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Common;
use crate::report::Report;

const REDRAWS_PER_SECOND: u8 = 5;

/// Prints the figures.
#[expect(clippy::print_stdout, reason = "the figures are the product of this command")]
pub(crate) fn show(report: &Report, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// A progress bar, on a terminal only.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Counts up to `total` of `what`.
    pub(crate) fn new(common: &Common, what: &'static str, total: u64) -> Self {
        let is_shown = std::io::stderr().is_terminal() && !common.quiet && !common.json;
        let target = if is_shown {
            ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what);
        Self(match ProgressStyle::with_template("{msg:>12} [{bar:40}] {pos}/{len}") {
            Ok(style) => bar.with_style(style.progress_chars("=> ")),
            Err(_) => bar,
        })
    }

    /// Counts the milliseconds of a measurement.
    pub(crate) fn over(common: &Common, what: &'static str, time: Duration) -> Self {
        Self::new(common, what, u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn at(&self, position: u64) {
        if !self.0.is_hidden() {
            self.0.set_position(position);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
