//! Tests of one string.

use super::wildcard::Wildcard;

/// What a string is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TextTest {
    Is(String),
    Prefix(String),
    Suffix(String),
    /// The three below compare lower-case forms, letter by letter.
    IsFolded(String),
    PrefixFolded(String),
    SuffixFolded(String),
    Wildcard(Wildcard),
}

impl TextTest {
    pub(crate) fn holds(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => text == wanted,
            Self::Prefix(wanted) => text.starts_with(wanted.as_str()),
            Self::Suffix(wanted) => text.ends_with(wanted.as_str()),
            Self::IsFolded(wanted) => folded(text).eq(wanted.chars()),
            Self::PrefixFolded(wanted) => starts_with(folded(text), wanted.chars()),
            Self::SuffixFolded(wanted) => starts_with(folded(text).rev(), wanted.chars().rev()),
            Self::Wildcard(wildcard) => wildcard.matches(text),
        }
    }
}

/// The lower-case letters of a text. Each letter is folded by itself, so the
/// same rule holds read forwards and backwards.
pub(crate) fn folded(text: &str) -> impl DoubleEndedIterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

fn starts_with(mut text: impl Iterator<Item = char>, mut wanted: impl Iterator<Item = char>) -> bool {
    wanted.all(|c| text.next() == Some(c))
}
