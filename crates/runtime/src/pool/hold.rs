//! Functions that cannot start are not started again at once.

use std::time::{Duration, Instant};

use fanfare_functions::FunctionError;

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The pause after the first failure.
const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// A pause between starts, after one failed.
pub(crate) struct Hold {
    failures: u32,
    pub(crate) until: Instant,
    /// What callers are told meanwhile.
    pub(crate) error: FunctionError,
}

impl Hold {
    /// The pause after one more failure. Processes that fail together count once.
    pub(crate) fn after(before: Option<Self>, error: FunctionError, now: Instant) -> Self {
        match before {
            Some(hold) if now < hold.until => Self { error, ..hold },
            before => {
                let failures = before.map_or(0, |hold| hold.failures) + 1;
                Self { failures, until: now + pause(failures), error }
            }
        }
    }
}

/// 1, 2, 4 to 60 s, drawn from the upper half.
fn pause(failures: u32) -> Duration {
    let full = PAUSE_FIRST.saturating_mul(1 << (failures - 1).min(10)).min(PAUSE_MAX);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let (error, mut now, mut hold) = (FunctionError::QueueFull, Instant::now(), None);
        for full in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let next = Hold::after(hold.take(), error.clone(), now);
            let pause = next.until - now;
            assert!(
                pause <= Duration::from_secs(full) && pause * 2 >= Duration::from_secs(full),
                "{pause:?} of {full}"
            );
            let again = Hold::after(Some(next), error.clone(), now);
            assert_eq!(again.until, now + pause, "a second failure within the pause does not lengthen it");
            now = again.until;
            hold = Some(again);
        }
    }
}
