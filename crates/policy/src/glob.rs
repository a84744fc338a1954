//! Patterns with `*` and `?`, as policies use them.

use std::fmt;

/// One part of a [`Glob`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GlobToken {
    /// This character and no other.
    Char(char),
    /// `?`: any one character.
    AnyChar,
    /// `*`: any run of characters, also none, also across `/` and `:`.
    AnyRun,
}

/// A pattern over whole texts: `*` is any run of characters, `?` any one; all others, also `+` and
/// `#`, stand for themselves. Upper and lower case differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob {
    /// Never two runs in a row.
    tokens: Box<[GlobToken]>,
    /// Characters that a text needs at least.
    chars_min: usize,
}

impl Glob {
    /// From its parts. Neighbouring runs become one.
    pub fn new(tokens: impl IntoIterator<Item = GlobToken>) -> Self {
        let mut tokens: Vec<_> = tokens.into_iter().collect();
        tokens.dedup_by(|a, b| *a == GlobToken::AnyRun && a == b);
        let chars_min = tokens.iter().filter(|token| **token != GlobToken::AnyRun).count();
        Self { tokens: tokens.into(), chars_min }
    }

    /// Reads `*` and `?` as wildcards, everything else as itself. There are no escapes and no
    /// variables in this form.
    pub fn parse(text: &str) -> Self {
        Self::new(text.chars().map(|c| match c {
            '*' => GlobToken::AnyRun,
            '?' => GlobToken::AnyChar,
            other => GlobToken::Char(other),
        }))
    }

    /// Matches exactly `text`.
    pub fn literal(text: &str) -> Self {
        Self::new(text.chars().map(GlobToken::Char))
    }

    /// Its parts, in order; never two runs in a row.
    pub fn tokens(&self) -> &[GlobToken] {
        &self.tokens
    }

    /// Whether the whole of `text` matches.
    ///
    /// Takes at most as many steps as `text` is long times the longest stretch between two `*`:
    /// it never goes back further than to the last `*`, since an earlier one cannot do better.
    pub fn matches(&self, text: &str) -> bool {
        if text.len() < self.chars_min {
            return false;
        }
        let mut at = 0;
        let mut rest = text.chars();
        // Where to go on when a comparison fails: behind the last run, with that run one longer.
        let mut retry = None;
        loop {
            let here = rest.clone();
            let found = match (self.tokens.get(at), rest.next()) {
                (None, None) => return true,
                (Some(GlobToken::AnyRun), next) => {
                    rest = here;
                    at += 1;
                    retry = next.map(|_| (at, rest.clone()));
                    continue;
                }
                (Some(GlobToken::Char(expected)), Some(found)) => *expected == found,
                (Some(GlobToken::AnyChar), Some(_)) => true,
                (Some(_), None) => return false,
                (None, Some(_)) => false,
            };
            if found {
                at += 1;
                continue;
            }
            let Some((behind, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            at = *behind;
            rest = from.clone();
        }
    }

    /// What may follow `prefix`: `prefix + text` matches `self` exactly if one of these matches
    /// `text`. At most one pattern more than `prefix` has characters.
    pub(crate) fn after(&self, prefix: &str) -> Vec<Self> {
        let mut live = vec![false; self.tokens.len() + 1];
        live[0] = true;
        for c in prefix.chars() {
            live = self.step(&live, c);
        }
        // A place before a run that is itself live asks for more than the run does.
        let is_live_run = |i: &usize| live[*i] && self.tokens.get(*i) == Some(&GlobToken::AnyRun);
        let first = (0..live.len()).rev().find(is_live_run).unwrap_or(0);
        let places = (first..live.len()).filter(|i| live[*i]);
        places.map(|i| Self::new(self.tokens[i..].iter().copied())).collect()
    }

    /// The places in the pattern where matching may stand after one more character.
    fn step(&self, live: &[bool], c: char) -> Vec<bool> {
        let mut next = vec![false; live.len()];
        let mut is_behind_run = false;
        for (i, token) in self.tokens.iter().enumerate() {
            let is_here = live[i] || is_behind_run;
            is_behind_run = is_here && *token == GlobToken::AnyRun;
            match token {
                GlobToken::AnyRun => next[i] |= is_here,
                GlobToken::AnyChar => next[i + 1] |= is_here,
                GlobToken::Char(expected) => next[i + 1] |= is_here && *expected == c,
            }
        }
        next
    }
}

/// As policies write it: the characters `*`, `?` and `$` that stand for themselves are `${*}`,
/// `${?}` and `${$}`.
impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| match token {
            GlobToken::AnyRun => f.write_str("*"),
            GlobToken::AnyChar => f.write_str("?"),
            GlobToken::Char(c @ ('*' | '?' | '$')) => write!(f, "${{{c}}}"),
            GlobToken::Char(c) => write!(f, "{c}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_single_characters() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b:c", true),
            ("?", "", false),
            ("?", "ä", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "bba", true),
            ("*a", "bab", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1c2b", false),
            ("a??", "ab", false),
            ("a?c", "a/c", true),
            ("**a**", "a", true),
            ("*ab", "aab", true),
            ("*?", "", false),
            ("+/#", "+/#", true),
            ("+/#", "a/b", false),
            ("A", "a", false),
        ] {
            assert_eq!(Glob::parse(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_pattern_made_to_backtrack_is_answered_at_once() {
        let pattern = Glob::parse(&"*a".repeat(500));
        let text = "a".repeat(499) + &"b".repeat(4_000);
        assert!(!pattern.matches(&text));
        assert!(pattern.matches(&"ba".repeat(500)));
    }

    #[test]
    fn what_follows_a_prefix() {
        for (pattern, prefix, expected) in [
            ("ab/c*", "ab/", &["c*"][..]),
            ("ab/c*", "x", &[]),
            ("*", "ab/", &["*"]),
            ("a*/t", "ab/", &["*/t", "t"]),
            ("a?/t", "ab/", &["t"]),
            ("*a*b", "xaxb", &["*b", ""]),
            ("ab", "ab", &[""]),
            ("a", "ab", &[]),
        ] {
            let found: Vec<_> = Glob::parse(pattern).after(prefix).iter().map(Glob::to_string).collect();
            assert_eq!(found, expected, "{pattern} after {prefix}");
        }
    }

    #[test]
    fn written_with_escapes() {
        assert_eq!(Glob::literal("a*?$b").to_string(), "a${*}${?}${$}b");
        assert_eq!(Glob::parse("a*?+").to_string(), "a*?+");
    }
}
