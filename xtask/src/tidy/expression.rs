//! Licence expressions (SPDX): `MIT OR Apache-2.0`, `ISC AND (A OR B)`, `A WITH E`, and the old `MIT/Apache-2.0`.

use anyhow::{Result, bail};

/// Whether an expression can be met by licences of `allowed`; exceptions only widen a licence.
pub(super) fn is_met(expression: &str, allowed: &[&str]) -> Result<bool> {
    let tokens = tokens(expression);
    let mut reader = Reader { tokens: &tokens, allowed };
    let is_met = reader.any_of()?;
    match reader.tokens {
        [] => Ok(is_met),
        [token, ..] => bail!("{token:?} is in the way"),
    }
}

fn tokens(expression: &str) -> Vec<String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    spaced.split_whitespace().map(str::to_owned).collect()
}

struct Reader<'a> {
    tokens: &'a [String],
    allowed: &'a [&'a str],
}

impl Reader<'_> {
    /// OR binds less than AND. Both sides are always read: a broken expression is an error either way.
    fn any_of(&mut self) -> Result<bool> {
        let mut is_met = self.all_of()?;
        while self.skips("OR") {
            is_met |= self.all_of()?;
        }
        Ok(is_met)
    }

    fn all_of(&mut self) -> Result<bool> {
        let mut is_met = self.one()?;
        while self.skips("AND") {
            is_met &= self.one()?;
        }
        Ok(is_met)
    }

    fn one(&mut self) -> Result<bool> {
        if self.skips("(") {
            let is_met = self.any_of()?;
            if !self.skips(")") {
                bail!("a parenthesis is not closed");
            }
            return Ok(is_met);
        }
        let name = self.name()?;
        if self.skips("WITH") {
            self.name()?;
        }
        Ok(self.allowed.contains(&name.as_str()))
    }

    fn name(&mut self) -> Result<String> {
        match self.tokens {
            [name, rest @ ..] if !["AND", "OR", "WITH", "(", ")"].contains(&name.as_str()) => {
                self.tokens = rest;
                Ok(name.clone())
            }
            [token, ..] => bail!("{token:?} stands where a licence should"),
            [] => bail!("a licence is missing at the end"),
        }
    }

    fn skips(&mut self, word: &str) -> bool {
        match self.tokens {
            [token, rest @ ..] if token == word => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_they_bind() {
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0 OR ISC", true),
            ("MIT AND GPL-3.0", false),
            ("MIT OR GPL-3.0 AND GPL-2.0", true),
            ("(MIT OR GPL-3.0) AND GPL-2.0", false),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("MIT/Apache-2.0", true),
            ("GPL-2.0 / GPL-3.0", false),
            ("MIT WITH LLVM-exception", true),
            ("GPL-2.0 WITH LLVM-exception OR ISC", true),
        ] {
            assert_eq!(is_met(expression, &["MIT", "ISC"]).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn broken_expressions_are_errors() {
        for expression in ["", "MIT OR", "(MIT", "MIT)", "AND MIT", "MIT ISC"] {
            assert!(is_met(expression, &["MIT"]).is_err(), "{expression}");
        }
    }
}
