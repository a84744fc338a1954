//! Why a request was refused, in the words and codes of `docs/protocol.md`.

use fanfare_core::Refusal;
use fanfare_door::{Body, full_body};
use fanfare_identity::{RevocationError, TokenError};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// A request that was refused, as callers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// Stable code.
    pub(crate) code: &'static str,
    /// What happened and what to do. Never holds a credential.
    pub(crate) message: String,
    /// When the same request may succeed later: after how many milliseconds to try.
    pub(crate) retry_ms: Option<u64>,
    /// The methods that are allowed, where this one is not.
    allow: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_ms: None, allow: None }
    }

    /// The request is not what the documentation says.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// There is no such thing.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    /// The path is one, the method is none of it.
    pub(crate) fn method(allow: &'static str) -> Self {
        let message = format!("this path answers {allow}");
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
        Self { allow: Some(allow), ..problem }
    }

    /// A credential is needed, or this one is none.
    pub(crate) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// The credential does not allow this.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "denied", message)
    }

    /// The body is longer than is read.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message = format!("the body has more than the {limit} bytes that limits.body_bytes allows");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "message_too_large", message)
    }

    /// The body did not come in time.
    pub(crate) fn body_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not come in time")
    }

    /// The server cannot now.
    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        Self { retry_ms: Some(2_000), ..problem }
    }

    /// A task of the server broke off; the log of the server says why.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server could not finish this; see its log")
    }

    /// As a response.
    pub(crate) fn response(&self) -> Response<Body> {
        let is_retryable = self.retry_ms.is_some();
        let mut body = json!({ "code": self.code, "message": self.message, "retry": is_retryable });
        if let Some(retry_ms) = self.retry_ms {
            body["retry_ms"] = retry_ms.into();
        }
        let mut response = Response::new(full_body(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(retry_ms) = self.retry_ms {
            headers.insert(header::RETRY_AFTER, retry_ms.div_ceil(1_000).max(1).into());
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fanfare\""));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::Denied { .. } => StatusCode::FORBIDDEN,
            Refusal::InvalidTopic { .. }
            | Refusal::InvalidFilter { .. }
            | Refusal::InvalidSpace
            | Refusal::InvalidBatch { .. } => StatusCode::BAD_REQUEST,
            Refusal::MessageTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TooManySpaces { .. }
            | Refusal::TooManySubscriptions { .. }
            | Refusal::TooManyMembers { .. }
            | Refusal::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Overloaded | Refusal::Log(_) | Refusal::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        };
        let problem = Self::new(status, refusal.code(), refusal.to_string());
        Self { retry_ms: refusal.retry_ms(), ..problem }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string());
        Self { retry_ms: error.retryable().then_some(1_000), ..problem }
    }
}

impl From<RevocationError> for Problem {
    fn from(error: RevocationError) -> Self {
        let message = error.to_string();
        match error {
            RevocationError::Name => Self::bad_request(message),
            RevocationError::Full { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_revocations", message),
            RevocationError::NotKept(_) | RevocationError::Unreadable(_) | RevocationError::Damaged(_) => {
                Self::unavailable("storage_unavailable", message)
            }
        }
    }
}
