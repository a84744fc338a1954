//! Error answers that the SDKs turn into their typed exceptions.
//!
//! Services of the REST-JSON kind (the IoT data plane, `@connections`) name the exception in the
//! header `x-amzn-errortype`; services of the JSON 1.1 kind (events) name it in the body.

use serde::Serialize;

/// The header that names the exception.
pub const ERROR_TYPE_HEADER: &str = "x-amzn-errortype";

/// The type of REST-JSON bodies.
pub const REST_JSON: &str = "application/json";

/// The type of JSON 1.1 bodies.
pub const JSON_1_1: &str = "application/x-amz-json-1.1";

/// The errors of the IoT data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataPlaneError {
    /// A parameter is missing or wrong.
    InvalidRequest,
    /// Nobody has proved who they are.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// There is no such thing, shadow, connection or retained message.
    ResourceNotFound,
    /// The path exists with other methods.
    MethodNotAllowed,
    /// The version given is not the current one.
    Conflict,
    /// The payload is over its limit.
    RequestEntityTooLarge,
    /// The payload is not UTF-8.
    UnsupportedDocumentEncoding,
    /// Too many requests.
    Throttling,
    /// Our fault.
    InternalFailure,
    /// Later, please.
    ServiceUnavailable,
    /// The device did not answer in time.
    GatewayTimeout,
}

impl DataPlaneError {
    /// Every error.
    pub const ALL: [Self; 12] = [
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ResourceNotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::RequestEntityTooLarge,
        Self::UnsupportedDocumentEncoding,
        Self::Throttling,
        Self::InternalFailure,
        Self::ServiceUnavailable,
        Self::GatewayTimeout,
    ];

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.parts().0
    }

    /// The name of the exception.
    #[must_use]
    pub const fn exception(self) -> &'static str {
        self.parts().1
    }

    const fn parts(self) -> (u16, &'static str) {
        match self {
            Self::InvalidRequest => (400, "InvalidRequestException"),
            Self::Unauthorized => (401, "UnauthorizedException"),
            Self::Forbidden => (403, "ForbiddenException"),
            Self::ResourceNotFound => (404, "ResourceNotFoundException"),
            Self::MethodNotAllowed => (405, "MethodNotAllowedException"),
            Self::Conflict => (409, "ConflictException"),
            Self::RequestEntityTooLarge => (413, "RequestEntityTooLargeException"),
            Self::UnsupportedDocumentEncoding => (415, "UnsupportedDocumentEncodingException"),
            Self::Throttling => (429, "ThrottlingException"),
            Self::InternalFailure => (500, "InternalFailureException"),
            Self::ServiceUnavailable => (503, "ServiceUnavailableException"),
            Self::GatewayTimeout => (504, "GatewayTimeoutException"),
        }
    }

    /// The whole answer. `trace_id` is a UUID that the log also knows.
    #[must_use]
    pub fn answer(self, message: &str, trace_id: &str) -> ErrorAnswer {
        ErrorAnswer::rest_json(self.status(), self.exception(), message, Some(trace_id))
    }
}

/// An error as HTTP: status, headers, body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The value of `content-type`.
    pub content_type: &'static str,
    /// The value of [`ERROR_TYPE_HEADER`]; absent in JSON 1.1, whose body says it.
    pub error_type: Option<&'static str>,
    /// A JSON object.
    pub body: String,
}

impl ErrorAnswer {
    /// `{"message":..,"traceId":..}` with the exception in a header.
    #[must_use]
    pub fn rest_json(status: u16, exception: &'static str, message: &str, trace_id: Option<&str>) -> Self {
        let body = json(&RestBody { message, trace_id });
        Self { status, content_type: REST_JSON, error_type: Some(exception), body }
    }

    /// `{"__type":..,"message":..}`: 500 for the service's own faults, 400 for all else.
    #[must_use]
    pub fn json_1_1(exception: &str, message: &str) -> Self {
        let is_ours = matches!(exception, "InternalException" | "InternalFailure" | "InternalServerError");
        let body = json(&RpcBody { exception, message });
        Self { status: if is_ours { 500 } else { 400 }, content_type: JSON_1_1, error_type: None, body }
    }

    /// The headers of the answer, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let kind = self.error_type.map(|name| (ERROR_TYPE_HEADER, name));
        std::iter::once(("content-type", self.content_type)).chain(kind)
    }
}

#[derive(Serialize)]
struct RestBody<'a> {
    message: &'a str,
    #[serde(rename = "traceId", skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

#[derive(Serialize)]
struct RpcBody<'a> {
    #[serde(rename = "__type")]
    exception: &'a str,
    message: &'a str,
}

fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("structs of texts always have a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_errors_are_named_in_a_header() {
        let answer = DataPlaneError::Forbidden.answer("Forbidden", "5b1f");
        assert_eq!((answer.status, answer.body.as_str()), (403, r#"{"message":"Forbidden","traceId":"5b1f"}"#));
        let headers: Vec<_> = answer.headers().collect();
        assert_eq!(headers, [("content-type", "application/json"), ("x-amzn-errortype", "ForbiddenException")]);
        let statuses = DataPlaneError::ALL.map(DataPlaneError::status);
        assert_eq!(statuses, [400, 401, 403, 404, 405, 409, 413, 415, 429, 500, 503, 504]);
        assert!(DataPlaneError::ALL.iter().all(|error| error.exception().ends_with("Exception")));
    }

    #[test]
    fn json_1_1_errors_are_named_in_the_body() {
        let answer = ErrorAnswer::json_1_1("InvalidEventPatternException", "a \"quoted\" word");
        assert_eq!(answer.body, r#"{"__type":"InvalidEventPatternException","message":"a \"quoted\" word"}"#);
        assert_eq!((answer.status, answer.headers().count()), (400, 1));
        assert_eq!(ErrorAnswer::json_1_1("InternalException", "").status, 500);
        let bare = ErrorAnswer::rest_json(410, "GoneException", "Gone", None);
        assert_eq!(bare.body, r#"{"message":"Gone"}"#);
    }
}
