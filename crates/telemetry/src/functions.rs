//! What `/metrics` shows of functions that run as processes of the server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::histogram::Durations;
use crate::metrics::{encode_counter, gauge, write_durations};

type Labels<'a> = &'a [(&'static str, &'a str)];

/// What one function did so far, and what its processes are at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionFigures {
    /// The function's name. There are as many as are configured.
    pub function: Arc<str>,
    /// Calls that were made.
    pub calls: u64,
    /// Calls and processes that went wrong, by what went wrong.
    pub errors: Vec<(&'static str, u64)>,
    /// Processes begun because a call needed one.
    pub cold_starts: u64,
    /// Processes by what they are at.
    pub processes: Vec<(&'static str, u64)>,
    /// Calls that wait for a process.
    pub waiting: u64,
}

/// Durations of calls by function.
#[derive(Default)]
pub(crate) struct CallTimes(RwLock<BTreeMap<Arc<str>, Durations>>);

impl CallTimes {
    pub(crate) fn observe(&self, function: &Arc<str>, seconds: f64) {
        if let Some(durations) = self.0.read().get(function) {
            return durations.observe(seconds);
        }
        self.0.write().entry(function.clone()).or_default().observe(seconds);
    }

    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "From a call of a function to its answer, cold starts included";
        let mut family = encoder.encode_descriptor("functions_call_seconds", help, None, MetricType::Histogram)?;
        for (function, durations) in self.0.read().iter() {
            let labels: Labels<'_> = &[("function", function)];
            write_durations(&mut family.encode_family(&labels)?, durations)?;
        }
        Ok(())
    }
}

/// One counter of a function: its name, its help and its value.
type Counter = (&'static str, &'static str, fn(&FunctionFigures) -> u64);

const COUNTERS: [Counter; 2] = [
    ("functions_calls", "Calls of functions that run here", |f| f.calls),
    ("functions_cold_starts", "Processes begun because a call needed one", |f| f.cold_starts),
];

pub(crate) fn encode(encoder: &mut DescriptorEncoder<'_>, all: &[FunctionFigures]) -> fmt::Result {
    for (name, help, count) in COUNTERS {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for figures in all {
            encode_counter(&mut family, &[("function", &figures.function)], count(figures))?;
        }
    }
    let help = "Calls and processes of functions that went wrong";
    let mut family = encoder.encode_descriptor("functions_errors", help, None, MetricType::Counter)?;
    for figures in all {
        for (error, count) in &figures.errors {
            encode_counter(&mut family, &[("function", &figures.function), ("error", error)], *count)?;
        }
    }
    let help = "Processes of functions by what they are at";
    let mut family = encoder.encode_descriptor("functions_processes", help, None, MetricType::Gauge)?;
    for figures in all {
        for (state, count) in &figures.processes {
            let labels: Labels<'_> = &[("function", &figures.function), ("state", state)];
            family.encode_family(&labels)?.encode_gauge(&gauge(*count))?;
        }
    }
    let help = "Calls that wait for a process";
    let mut family = encoder.encode_descriptor("functions_waiting", help, None, MetricType::Gauge)?;
    for figures in all {
        let labels: Labels<'_> = &[("function", &figures.function)];
        family.encode_family(&labels)?.encode_gauge(&gauge(figures.waiting))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MeterBook, Metrics};

    #[test]
    fn functions_are_shown_with_their_calls_and_processes() {
        let metrics = Metrics::new(MeterBook::new());
        metrics.observe_call(&"chat".into(), 0.004);
        metrics.observe(Box::new(|gauges| {
            gauges.functions.push(FunctionFigures {
                function: "chat".into(),
                calls: 7,
                errors: vec![("timeout", 2)],
                cold_starts: 3,
                processes: vec![("idle", 1), ("busy", 4)],
                waiting: 5,
            });
        }));
        let shown = metrics.render();
        for line in [
            r#"fanfare_functions_calls_total{function="chat"} 7"#,
            r#"fanfare_functions_cold_starts_total{function="chat"} 3"#,
            r#"fanfare_functions_errors_total{function="chat",error="timeout"} 2"#,
            r#"fanfare_functions_processes{function="chat",state="busy"} 4"#,
            r#"fanfare_functions_waiting{function="chat"} 5"#,
            r#"fanfare_functions_call_seconds_count{function="chat"} 1"#,
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
        }
    }
}
