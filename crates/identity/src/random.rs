//! Unguessable bytes for tickets and token ids.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The operating system gave no randomness. Nothing secret can be made without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness; nothing secret can be made")]
pub struct RandomnessUnavailable;

/// 128 bits; too many to guess one that is valid for any useful time.
pub(crate) fn id_bytes() -> Result<[u8; 16], RandomnessUnavailable> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| RandomnessUnavailable)?;
    Ok(bytes)
}

/// As text that needs no escaping in a URL.
pub(crate) fn id_text(bytes: &[u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
