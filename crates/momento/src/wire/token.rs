//! `token.Token`: tokens for browsers and devices.

use std::fmt;

use super::{Permissions, hidden};

/// How long something counts, from now.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Expires {
    /// Seconds.
    #[prost(uint32, tag = "1")]
    pub valid_for_seconds: u32,
}

/// `_GenerateDisposableTokenRequest`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GenerateDisposableTokenRequest {
    /// How long the token is to count.
    #[prost(message, optional, tag = "1")]
    pub expires: Option<Expires>,
    /// The caller's key; some SDKs say it here alone and not in the metadata.
    #[prost(string, tag = "2")]
    pub auth_token: String,
    /// What the token is to allow.
    #[prost(message, optional, tag = "3")]
    pub permissions: Option<Permissions>,
    /// Comes out as the publisher's id of what its holder publishes; may be empty.
    #[prost(string, tag = "4")]
    pub token_id: String,
}

/// `_GenerateDisposableTokenResponse`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GenerateDisposableTokenResponse {
    /// The token; SDKs wrap it together with the endpoint.
    #[prost(string, tag = "1")]
    pub api_key: String,
    /// Base domain, perhaps with a port.
    #[prost(string, tag = "2")]
    pub endpoint: String,
    /// Seconds since 1970.
    #[prost(uint64, tag = "3")]
    pub valid_until: u64,
}

impl fmt::Debug for GenerateDisposableTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenerateDisposableTokenRequest")
            .field("expires", &self.expires)
            .field("auth_token", &hidden(&self.auth_token))
            .field("permissions", &self.permissions)
            .field("token_id", &self.token_id)
            .finish()
    }
}

impl fmt::Debug for GenerateDisposableTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenerateDisposableTokenResponse")
            .field("api_key", &hidden(&self.api_key))
            .field("endpoint", &self.endpoint)
            .field("valid_until", &self.valid_until)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_show() {
        let request = GenerateDisposableTokenRequest { auth_token: "tell-nobody".into(), ..Default::default() };
        let shown = format!("{request:?}");
        assert!(!shown.contains("tell-nobody") && shown.contains("***"), "{shown}");
        let response = GenerateDisposableTokenResponse { api_key: "tell-nobody".into(), ..Default::default() };
        assert!(!format!("{response:?}").contains("tell-nobody"));
    }
}
