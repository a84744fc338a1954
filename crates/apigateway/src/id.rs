//! Ids of connections, requests and messages.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes of an [`Id`].
pub const ID_BYTES: usize = 11;

/// Characters of an [`Id`] as text.
pub const ID_CHARS: usize = 16;

/// An id: eleven bytes, as text URL-safe base64 with padding, such as `R1kmxc2VNjMCFIA=`. Clients
/// of the original keep them in columns of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; ID_BYTES]);

impl Id {
    /// From bytes that nobody can guess.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
        &self.0
    }

    /// Reads the text of an id. There is exactly one text for each id; other texts that would
    /// decode to the same bytes are refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != ID_CHARS {
            return None;
        }
        // The decoder wants room for whole groups of three.
        let mut bytes = [0; ID_BYTES + 1];
        let len = URL_SAFE.decode_slice(text, &mut bytes).ok()?;
        bytes[..len].try_into().ok().map(Self)
    }
}

/// Whether a text has the form of an id, be it one of ours or not.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let is_of_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == ID_CHARS && text.ends_with('=') && text.as_bytes()[..ID_CHARS - 1].iter().all(is_of_base64)
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; ID_CHARS];
        let len = URL_SAFE.encode_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.pad(std::str::from_utf8(&text[..len]).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format_args!("{text:?} is not an id of 16 characters")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_as_they_are_seen_in_the_wild() {
        for text in ["TXzPWdnOjoECGjA=", "R1kmxc2VNjMCFIA=", "JC1dgf9yoAMCK-g=", "e_d2EewNLPECIGw=", "AAAAAAAAAAAAAAA="]
        {
            assert_eq!(Id::parse(text).map(|id| id.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in [
            "",
            "abc",
            "R1kmxc2VNjMCFIA",
            "R1kmxc2VNjMCFIA==",
            "R1kmxc2VNjMCFIAA",
            "R1kmxc2VNjMCF+A=",
            "R1kmxc2VNjMCFIB=",
            "R1kmxc2VNjMCFI%3",
            "R1kmxc2VNjMCFI==",
            "ääääääää",
        ] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_form_of_an_id() {
        for text in ["AbCdEfGhIjKlMnO=", "R1kmxc2VNjMCFIA=", "JC1dgf9yoAMCK-g="] {
            assert!(is_well_formed(text), "{text}");
        }
        for text in ["", "abc", "AbCdEfGhIjKlMnOp", "AbCdEfGhIjKlMn==", "AbCdEfGhIjK+MnO=", "ääääääää"] {
            assert!(!is_well_formed(text), "{text}");
        }
    }

    #[test]
    fn in_json_it_is_its_text() {
        let id = Id::from_bytes(*b"hello world");
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, r#""aGVsbG8gd29ybGQ=""#);
        assert_eq!(serde_json::from_str::<Id>(&json).unwrap(), id);
        assert!(serde_json::from_str::<Id>(r#""nope""#).is_err());
    }

    proptest! {
        #[test]
        fn every_id_comes_back(bytes: [u8; ID_BYTES]) {
            let text = Id::from_bytes(bytes).to_string();
            prop_assert_eq!(text.len(), ID_CHARS);
            prop_assert_eq!(Id::parse(&text), Some(Id(bytes)));
        }

        #[test]
        fn no_text_is_another_name_of_an_id(text in "[A-Za-z0-9_-]{15}=") {
            if let Some(id) = Id::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
