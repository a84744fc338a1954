//! `auth.Auth`: long-lived keys.

use std::fmt;

use super::{Expires, Permissions, hidden};

/// A key that does not end.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Never {}

/// `_GenerateApiTokenRequest`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GenerateApiTokenRequest {
    /// How long the key is to count.
    #[prost(oneof = "expiry::Expiry", tags = "1, 2")]
    pub expiry: Option<expiry::Expiry>,
    /// The caller's key; some SDKs say it here alone and not in the metadata.
    #[prost(string, tag = "3")]
    pub auth_token: String,
    /// What the key is to allow.
    #[prost(message, optional, tag = "4")]
    pub permissions: Option<Permissions>,
    /// Comes out as the publisher's id of what its holder publishes; may be empty.
    #[prost(string, tag = "5")]
    pub token_id: String,
    /// What the key is for, in the operator's words.
    #[prost(string, tag = "6")]
    pub description: String,
}

/// Inside [`GenerateApiTokenRequest`].
pub mod expiry {
    /// Until when.
    #[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
    pub enum Expiry {
        /// For ever.
        #[prost(message, tag = "1")]
        Never(super::Never),
        /// For some time.
        #[prost(message, tag = "2")]
        Expires(super::Expires),
    }
}

/// `_GenerateApiTokenResponse` and `_RefreshApiTokenResponse`, which are the same.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct ApiTokenResponse {
    /// The key; SDKs wrap it together with the endpoint.
    #[prost(string, tag = "1")]
    pub api_key: String,
    /// Exchanges the key for a new one.
    #[prost(string, tag = "2")]
    pub refresh_token: String,
    /// Base domain, perhaps with a port.
    #[prost(string, tag = "3")]
    pub endpoint: String,
    /// Seconds since 1970; 0 for a key that does not end.
    #[prost(uint64, tag = "4")]
    pub valid_until: u64,
}

/// `_RefreshApiTokenRequest`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct RefreshApiTokenRequest {
    /// The key that is to be replaced.
    #[prost(string, tag = "1")]
    pub api_key: String,
    /// What came with it.
    #[prost(string, tag = "2")]
    pub refresh_token: String,
}

/// `_LoginRequest`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct LoginRequest {}

/// `_LoginResponse`: one message of the stream that `Login` answers with.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LoginResponse {
    /// Which one.
    #[prost(oneof = "login_response::State", tags = "1, 2, 3, 4")]
    pub state: Option<login_response::State>,
}

/// Inside [`LoginResponse`].
pub mod login_response {
    use std::fmt;

    /// How far a login is.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum State {
        /// Look here.
        #[prost(message, tag = "1")]
        DirectBrowser(DirectBrowser),
        /// Done.
        #[prost(message, tag = "2")]
        LoggedIn(LoggedIn),
        /// To be shown.
        #[prost(message, tag = "3")]
        Message(Text),
        /// Over.
        #[prost(message, tag = "4")]
        Error(Error),
    }

    /// Where to log in.
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub struct DirectBrowser {
        /// A page.
        #[prost(string, tag = "1")]
        pub url: String,
    }

    /// The login has succeeded.
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    #[prost(skip_debug)]
    pub struct LoggedIn {
        /// A key for the session.
        #[prost(string, tag = "1")]
        pub session_token: String,
        /// For so many seconds.
        #[prost(uint32, tag = "2")]
        pub valid_for_seconds: u32,
    }

    impl fmt::Debug for LoggedIn {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("LoggedIn")
                .field("session_token", &super::hidden(&self.session_token))
                .field("valid_for_seconds", &self.valid_for_seconds)
                .finish()
        }
    }

    /// Something to be shown.
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub struct Text {
        /// For people.
        #[prost(string, tag = "1")]
        pub text: String,
    }

    /// The login has failed.
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub struct Error {
        /// Why.
        #[prost(string, tag = "1")]
        pub description: String,
    }
}

impl fmt::Debug for GenerateApiTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenerateApiTokenRequest")
            .field("expiry", &self.expiry)
            .field("auth_token", &hidden(&self.auth_token))
            .field("permissions", &self.permissions)
            .field("token_id", &self.token_id)
            .field("description", &self.description)
            .finish()
    }
}

impl fmt::Debug for ApiTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiTokenResponse")
            .field("api_key", &hidden(&self.api_key))
            .field("refresh_token", &hidden(&self.refresh_token))
            .field("endpoint", &self.endpoint)
            .field("valid_until", &self.valid_until)
            .finish()
    }
}

impl fmt::Debug for RefreshApiTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshApiTokenRequest")
            .field("api_key", &hidden(&self.api_key))
            .field("refresh_token", &hidden(&self.refresh_token))
            .finish()
    }
}
