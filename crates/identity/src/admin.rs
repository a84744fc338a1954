//! Keys of operators.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};

use crate::error::ConfigError;
use crate::key::Secret;

/// Shorter admin keys are refused.
pub(crate) const ADMIN_KEY_BYTES_MIN: usize = 16;

/// The configured admin keys; several, so that one can be replaced without a gap.
///
/// Only SHA-256 digests are kept and compared. Digests have one length, so neither the length of a
/// key nor how much of it was guessed shows in the time a comparison takes, and a memory dump does
/// not hold the keys.
#[derive(Clone, Default)]
pub struct AdminKeys {
    digests: Vec<Digest>,
}

impl AdminKeys {
    /// From the configured keys. None at all is allowed: then nobody is admitted.
    ///
    /// # Errors
    /// [`ConfigError::AdminKeyTooShort`].
    pub fn new(keys: &[Secret]) -> Result<Self, ConfigError> {
        let mut digests = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let bytes = key.expose().as_bytes();
            if bytes.len() < ADMIN_KEY_BYTES_MIN {
                return Err(ConfigError::AdminKeyTooShort { place: index + 1, bytes: bytes.len() });
            }
            digests.push(digest(&SHA256, bytes));
        }
        Ok(Self { digests })
    }

    /// Whether no key is configured.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Whether `presented` is one of the keys. Every key is compared, found or not.
    pub fn admits(&self, presented: &str) -> bool {
        let presented = digest(&SHA256, presented.as_bytes());
        self.digests
            .iter()
            .fold(false, |found, key| found | verify_slices_are_equal(key.as_ref(), presented.as_ref()).is_ok())
    }
}

impl std::fmt::Debug for AdminKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AdminKeys({})", self.digests.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_configured_key_is_admitted_and_nothing_else() {
        let first = "first-admin-key-0123456789";
        let second = "second-admin-key-0123456789";
        let keys = AdminKeys::new(&[first.into(), second.into()]).unwrap();
        assert!(keys.admits(first) && keys.admits(second));
        for other in ["", "first-admin-key-012345678", "first-admin-key-0123456780"] {
            assert!(!keys.admits(other), "{other}");
        }
        assert!(!AdminKeys::default().admits(""));
        assert!(!format!("{keys:?}").contains("first"));
    }

    #[test]
    fn a_key_that_can_be_guessed_is_refused() {
        let error = AdminKeys::new(&["hunter2".into()]).unwrap_err();
        assert_eq!(error, ConfigError::AdminKeyTooShort { place: 1, bytes: 7 });
        assert!(!error.to_string().contains("hunter2"));
    }
}
