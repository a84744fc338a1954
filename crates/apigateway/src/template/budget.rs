//! What one rendering may still do.

use super::error::{Outcome, Place};
use super::limits::{DEPTH_MAX, OUTPUT_BYTES_MAX, STEPS_MAX, TEXT_BYTES_MAX};

/// Bytes that are looked at in one step.
const BYTES_A_STEP: usize = 64;

#[derive(Debug)]
pub(super) struct Budget {
    steps: usize,
    text: usize,
    depth: usize,
    /// Where the template is, for errors.
    pub(super) place: Place,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { steps: 0, text: 0, depth: 0, place: Place { line: 1, column: 1 } }
    }

    pub(super) fn fail<T>(&self, problem: impl Into<String>) -> Outcome<T> {
        Err(self.place.error(problem))
    }

    pub(super) fn step(&mut self, count: usize) -> Outcome<()> {
        self.steps = self.steps.saturating_add(count);
        if self.steps > STEPS_MAX {
            return self.fail(format!("the template takes more than {STEPS_MAX} steps; let it do less"));
        }
        Ok(())
    }

    /// Looks at a text.
    pub(super) fn read(&mut self, bytes: usize) -> Outcome<()> {
        self.step(1 + bytes / BYTES_A_STEP)
    }

    /// Makes a text.
    pub(super) fn make(&mut self, bytes: usize) -> Outcome<()> {
        self.text = self.text.saturating_add(bytes);
        if self.text > TEXT_BYTES_MAX {
            return self.fail(format!("the template makes more than {TEXT_BYTES_MAX} bytes of text; let it do less"));
        }
        self.step(1)
    }

    pub(super) fn write(&mut self, out: &mut String, text: &str) -> Outcome<()> {
        self.make(text.len())?;
        if out.len() + text.len() > OUTPUT_BYTES_MAX {
            return self.fail(format!("the template writes more than {OUTPUT_BYTES_MAX} bytes; write less"));
        }
        out.push_str(text);
        Ok(())
    }

    pub(super) fn enter(&mut self) -> Outcome<()> {
        if self.depth == DEPTH_MAX {
            return self
                .fail(format!("more than {DEPTH_MAX} levels deep; a #define may use itself, or a list hold itself"));
        }
        self.depth += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}
