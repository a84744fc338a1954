//! Texts of a policy with wildcards and variables in them.

use std::borrow::Cow;

use crate::context::{Context, key_name};
use crate::glob::{Glob, GlobToken};

/// Most characters of a pattern once its variables are filled in. What is longer counts as not
/// resolved: no name that a broker takes comes near.
pub(crate) const EXPANDED_CHARS_MAX: usize = 8_192;

/// Whether `*` and `?` mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wildcards {
    Apply,
    Literal,
}

/// A pattern that may hold variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// Nothing to fill in.
    Fixed(Glob),
    /// At least one variable.
    Open(Box<[Piece]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Token(GlobToken),
    /// The normalised name of a variable.
    Variable(String),
}

impl Template {
    /// Reads `${name}` as a variable and `${*}`, `${?}`, `${$}` as these characters.
    ///
    /// # Errors
    /// The variable that cannot be read, from its `${` on.
    pub(crate) fn parse(text: &str, wildcards: Wildcards) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(tail) = rest.strip_prefix("${") {
                let name = tail.split('}').next().unwrap_or_default();
                pieces.push(Piece::parse(name).ok_or_else(|| shorten(rest, name))?);
                rest = tail[name.len()..].strip_prefix('}').ok_or_else(|| shorten(rest, name))?;
                continue;
            }
            pieces.push(Piece::Token(match (c, wildcards) {
                ('*', Wildcards::Apply) => GlobToken::AnyRun,
                ('?', Wildcards::Apply) => GlobToken::AnyChar,
                _ => GlobToken::Char(c),
            }));
            rest = &rest[c.len_utf8()..];
        }
        let tokens: Option<Vec<_>> = pieces.iter().map(Piece::token).collect();
        Ok(tokens.map_or_else(|| Self::Open(pieces.into()), |tokens| Self::Fixed(Glob::new(tokens))))
    }

    /// The pattern with the values of `context`, whose characters all stand for themselves. `None`
    /// if a variable has no usable value: the pattern then matches nothing.
    pub(crate) fn expand(&self, context: &Context) -> Option<Cow<'_, Glob>> {
        let pieces = match self {
            Self::Fixed(glob) => return Some(Cow::Borrowed(glob)),
            Self::Open(pieces) => pieces,
        };
        let mut tokens = Vec::with_capacity(pieces.len() + 32);
        for piece in pieces {
            match piece {
                Piece::Token(token) => tokens.push(*token),
                Piece::Variable(name) => tokens.extend(context.variable(name)?.chars().map(GlobToken::Char)),
            }
            if tokens.len() > EXPANDED_CHARS_MAX {
                return None;
            }
        }
        Some(Cow::Owned(Glob::new(tokens)))
    }

    /// Whether one of `names`, normalised, is filled in.
    pub(crate) fn uses(&self, names: &[&str]) -> bool {
        let Self::Open(pieces) = self else { return false };
        pieces.iter().any(|piece| matches!(piece, Piece::Variable(name) if names.contains(&name.as_str())))
    }
}

impl Piece {
    /// What stands between `${` and `}`.
    fn parse(name: &str) -> Option<Self> {
        match name {
            "*" => return Some(Self::Token(GlobToken::Char('*'))),
            "?" => return Some(Self::Token(GlobToken::Char('?'))),
            "$" => return Some(Self::Token(GlobToken::Char('$'))),
            _ => {}
        }
        // Names of thing attributes, in brackets, may hold more signs than names of keys.
        let is_name_char = |c: char| c.is_ascii_alphanumeric() || ":._-/@#,=+[]".contains(c);
        (name.contains(':') && name.chars().all(is_name_char)).then(|| Self::Variable(key_name(name)))
    }

    fn token(&self) -> Option<GlobToken> {
        match self {
            Self::Token(token) => Some(*token),
            Self::Variable(_) => None,
        }
    }
}

/// The variable at the head of `rest`, short enough for an error.
fn shorten(rest: &str, name: &str) -> String {
    rest.chars().take((name.chars().count() + 3).min(80)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, context: &Context) -> Option<String> {
        Template::parse(text, Wildcards::Apply).unwrap().expand(context).map(|glob| glob.to_string())
    }

    #[test]
    fn values_stand_for_themselves() {
        let context = Context::new().client_id("a*?$").with("aws:x", "1");
        assert_eq!(expand("c/${iot:ClientId}/*", &context).as_deref(), Some("c/a${*}${?}${$}/*"));
        assert_eq!(expand("${AWS:X}${aws:x}", &context).as_deref(), Some("11"));
        assert_eq!(expand("${*}${?}${$}$", &context).as_deref(), Some("${*}${?}${$}${$}"));
        assert_eq!(expand("${aws:none}", &context), None);
    }

    #[test]
    fn what_is_not_a_variable_is_named() {
        for (text, expected) in [
            ("a${iot:ClientId", "${iot:ClientId"),
            ("a${}b", "${}"),
            ("a${x}b", "${x}"),
            ("${aws:user, 'x'}b", "${aws:user, 'x'}"),
            ("${aws:${aws:x}}", "${aws:${aws:x}"),
        ] {
            assert_eq!(Template::parse(text, Wildcards::Apply), Err(expected.to_owned()));
        }
    }

    #[test]
    fn what_grows_beyond_all_names_is_not_resolved() {
        let context = Context::new().with("aws:x", &"x".repeat(4_097));
        assert!(expand("${aws:x}", &context).is_some());
        assert_eq!(expand("${aws:x}${aws:x}", &context), None);
    }
}
