//! What a caller is told when a process failed it: the payloads of Lambda.

use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use fanfare_functions::FunctionError;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An error as Lambda writes it.
pub(crate) fn payload(kind: &str, message: &str) -> Bytes {
    json!({ "errorType": kind, "errorMessage": message }).to_string().into()
}

/// The process ended in the middle of a call, or before it was ready.
pub(crate) fn exit(request_id: &str, how: &str) -> Bytes {
    payload("Runtime.ExitError", &format!("RequestId: {request_id} Error: Runtime exited with error: {how}"))
}

/// The process used more memory than the function may have.
pub(crate) fn out_of_memory(request_id: &str, limit_mb: u32) -> Bytes {
    let message = format!(
        "RequestId: {request_id} Error: Runtime exited with error: signal: killed (more than {limit_mb} MB of memory)"
    );
    payload("Runtime.OutOfMemory", &message)
}

/// What Lambda says of a handler that took longer than the function's timeout.
pub(crate) fn timed_out(request_id: &str, after: Duration) -> String {
    let now = OffsetDateTime::now_utc();
    let thousandths = now.replace_nanosecond(u32::from(now.millisecond()) * 1_000_000).unwrap_or(now);
    let now = thousandths.format(&Rfc3339).unwrap_or_default();
    format!("{now} {request_id} Task timed out after {:.2} seconds", after.as_secs_f64())
}

/// A call's failure as Lambda's Invoke interface puts it into the body of its answer: JSON with `errorMessage`, and
/// with `errorType` where Lambda has one. What a handler said itself stays as it is.
#[must_use]
pub fn error_payload(error: &FunctionError, request_id: &str) -> Bytes {
    match error {
        FunctionError::Handler(said) => said.clone(),
        FunctionError::Timeout(after) => json!({ "errorMessage": timed_out(request_id, *after) }).to_string().into(),
        FunctionError::TooLarge(max) => answer_too_large(*max),
        error => payload("Runtime.Unavailable", &error.to_string()),
    }
}

/// The process did not become ready.
pub(crate) fn init_timed_out(after: Duration) -> Bytes {
    payload("Runtime.InitTimeout", &format!("Init timed out after {:.2} seconds", after.as_secs_f64()))
}

/// The answer was larger than `max` bytes.
pub(crate) fn answer_too_large(max: usize) -> Bytes {
    let message = format!("Response payload size exceeded maximum allowed payload size ({max} bytes).");
    payload("Function.ResponseSizeTooLarge", &message)
}

/// How a process ended, in the words of Lambda.
pub(crate) fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "signal: killed".to_owned(),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_lambda() {
        let timeout = FunctionError::Timeout(Duration::from_secs(6));
        let payload = String::from_utf8(error_payload(&timeout, "id-1").to_vec()).unwrap();
        assert!(payload.starts_with("{\"errorMessage\":\"20"), "{payload}");
        assert!(payload.ends_with("Z id-1 Task timed out after 6.00 seconds\"}"), "{payload}");
        assert_eq!(
            exit("id-1", "exit status 3"),
            r#"{"errorMessage":"RequestId: id-1 Error: Runtime exited with error: exit status 3","errorType":"Runtime.ExitError"}"#
        );
    }
}
