//! Characters of a template, with their places.

use std::cell::Cell;

use super::error::{Outcome, Place};

pub(super) struct Scanner<'t> {
    text: &'t str,
    pub(super) at: usize,
    /// Where each line begins.
    lines: Vec<usize>,
    /// Where the text stands that this one is a part of.
    base: Place,
    /// The last place that was asked for, and how many characters of its line stand before it: long lines
    /// are not counted from their begin each time.
    counted: Cell<(usize, usize)>,
}

impl<'t> Scanner<'t> {
    /// Reads a text that begins at `base`, the first place being line 1, column 1.
    pub(super) fn new(text: &'t str, base: Place) -> Self {
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        Self { text, at: 0, lines, base, counted: Cell::new((0, 0)) }
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn peek_after(&self, bytes: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + bytes).copied()
    }

    pub(super) fn slice(&self, from: usize) -> &'t str {
        &self.text[from..self.at]
    }

    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let is_there = self.rest().starts_with(wanted);
        if is_there {
            self.at += wanted.len();
        }
        is_there
    }

    pub(super) fn take_char(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn take_while(&mut self, is_wanted: impl Fn(u8) -> bool) -> &'t str {
        let from = self.at;
        while self.peek().is_some_and(&is_wanted) {
            self.at += 1;
        }
        self.slice(from)
    }

    /// Skips blanks, tabs and line ends.
    pub(super) fn skip_space(&mut self) {
        self.take_while(|byte| byte.is_ascii_whitespace());
    }

    /// A name: a letter or `_`, then also digits and hyphens.
    pub(super) fn take_name(&mut self) -> Option<&'t str> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
            return None;
        }
        Some(self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')))
    }

    /// Whether only blanks stand between the line's begin and `at`.
    pub(super) fn begins_line(&self, at: usize) -> bool {
        let before = self.text[..at].trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with('\n')
    }

    /// Skips the rest of the line, with its end, if nothing but blanks stand there.
    pub(super) fn skip_line_end(&mut self) -> bool {
        let from = self.at;
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
        if self.take("\r\n") || self.take("\n") {
            return true;
        }
        self.at = from;
        false
    }

    pub(super) fn expect(&mut self, wanted: &str) -> Outcome<()> {
        self.skip_space();
        if self.take(wanted) { Ok(()) } else { Err(self.here().error(format!("expected {wanted:?} {}", self.found()))) }
    }

    /// What stands here, for an error.
    pub(super) fn found(&self) -> String {
        match self.rest().chars().next() {
            Some(c) => format!("but found {c:?}"),
            None => "but the template ends".to_owned(),
        }
    }

    pub(super) fn here(&self) -> Place {
        self.place(self.at)
    }

    pub(super) fn place(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|&begin| begin <= at).max(1) - 1;
        let begin = self.lines[line];
        let (from, before) = match self.counted.get() {
            (from, before) if begin <= from && from <= at => (from, before),
            _ => (begin, 0),
        };
        let characters = before + self.text[from..at].chars().count();
        self.counted.set((at, characters));
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let column = count(characters);
        let shift = if line == 0 { self.base.column } else { 1 };
        Place { line: self.base.line.saturating_add(count(line)), column: column.saturating_add(shift) }
    }
}
