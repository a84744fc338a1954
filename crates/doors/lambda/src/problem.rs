//! Errors in Lambda's words.

use fanfare_door::{Body, full_body};
use fanfare_functions::FunctionError;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

/// After how many seconds a caller may come again that was turned away because there is no room.
const RETRY_AFTER_S: u16 = 1;

/// Why a request is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    message: String,
}

/// Which of Lambda's exceptions it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidParameter,
    /// The body is no JSON.
    InvalidContent,
    TooLarge,
    NotFound,
    UnknownOperation,
    /// The caller may not do this.
    Denied,
    /// The caller did not prove who it is; with the exception's name.
    Unproved(&'static str),
    /// There is no room for one more call.
    TooMany,
    /// Our fault.
    Failing,
    /// Whom we ask for the answer cannot be asked.
    Unreachable,
}

impl Kind {
    /// HTTP status, exception, and under which name SDKs look for the message.
    fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::InvalidParameter => (400, "InvalidParameterValueException", "message"),
            Self::InvalidContent => (400, "InvalidRequestContentException", "message"),
            Self::TooLarge => (413, "RequestTooLargeException", "message"),
            Self::NotFound => (404, "ResourceNotFoundException", "Message"),
            Self::UnknownOperation => (404, "UnknownOperationException", "message"),
            Self::Denied => (403, "AccessDeniedException", "Message"),
            Self::Unproved(exception) => (403, exception, "message"),
            Self::TooMany => (429, "TooManyRequestsException", "message"),
            Self::Failing => (500, "ServiceException", "Message"),
            Self::Unreachable => (502, "ServiceException", "Message"),
        }
    }
}

impl Problem {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The name of the exception.
    pub(crate) fn exception(&self) -> &'static str {
        self.kind.parts().1
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let (status, exception, key) = self.kind.parts();
        let fault = if status < 500 { "User" } else { "Service" };
        let mut body = json!({ "Type": fault, key: self.message });
        if self.kind == Kind::TooMany {
            body["Reason"] = "ConcurrentInvocationLimitExceeded".into();
        }
        let mut response = Response::new(full_body(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(fanfare_aws::errors::ERROR_TYPE_HEADER, HeaderValue::from_static(exception));
        if self.kind == Kind::TooMany {
            headers.insert(http::header::RETRY_AFTER, RETRY_AFTER_S.into());
        }
        response
    }
}

/// Of those errors that are not the handler's own.
impl From<FunctionError> for Problem {
    fn from(error: FunctionError) -> Self {
        let kind = match &error {
            FunctionError::Unknown(_) => Kind::NotFound,
            FunctionError::Busy { .. } | FunctionError::QueueFull | FunctionError::Status(429) => Kind::TooMany,
            FunctionError::Refused(_) => Kind::Unreachable,
            _ => Kind::Failing,
        };
        Self::new(kind, error.to_string())
    }
}
