//! What functions answer on proxy integrations.

use serde_json::{Map, Value};

/// Why an answer is none. Clients get `Internal server error`, an upgrade 502.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It cannot be read.
    #[error("the function's answer is not JSON: {0}; answer with an object such as {{\"statusCode\": 200}}")]
    Json(String),
    /// It is something else.
    #[error("the function's answer is {0}; answer with an object such as {{\"statusCode\": 200}}")]
    NotAnObject(&'static str),
}

/// A function's answer, as far as it means something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyAnswer {
    /// Its status, 100 to 599, if it is one. An upgrade needs one.
    pub status: Option<u16>,
    /// The subprotocol that the header `Sec-WebSocket-Protocol` picks.
    pub subprotocol: Option<String>,
    /// The body. Empty ones are none.
    pub body: Option<String>,
    /// The body is base64.
    pub is_base64: bool,
    /// Topics to subscribe the connection to. Not of the original.
    pub subscribe: Vec<String>,
    /// Topics that the connection leaves. Not of the original.
    pub unsubscribe: Vec<String>,
    /// What was read with good will, for the log.
    pub warnings: Vec<String>,
}

impl ProxyAnswer {
    /// Reads an answer. Single members that cannot be used are left out with a warning.
    ///
    /// # Errors
    /// [`Malformed`], if it is not a JSON object.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut object = match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => object,
            Ok(other) => return Err(Malformed::NotAnObject(kind(&other))),
            Err(error) => return Err(Malformed::Json(error.to_string())),
        };
        let mut answer = Self::default();
        answer.status = object.get("statusCode").and_then(|value| status(value, &mut answer.warnings));
        answer.subprotocol = subprotocol(&object);
        answer.is_base64 = object.get("isBase64Encoded").is_some_and(|value| *value == true || *value == "true");
        answer.subscribe = topics(object.remove("subscribe"), "subscribe", &mut answer.warnings);
        answer.unsubscribe = topics(object.remove("unsubscribe"), "unsubscribe", &mut answer.warnings);
        answer.body = match object.remove("body") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
            Some(other) => {
                answer.warnings.push(format!("`body` is {}, not text; it is sent as JSON", kind(&other)));
                Some(other.to_string())
            }
        };
        Ok(answer)
    }

    /// It says 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

fn status(value: &Value, warnings: &mut Vec<String>) -> Option<u16> {
    let number = match value {
        // JavaScript and Lua know no whole numbers of their own.
        Value::Number(number) => {
            number.as_u64().or_else(|| number.as_f64().filter(|n| n.fract() == 0.0).map(|n| n as u64))
        }
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let status = number.and_then(|number| u16::try_from(number).ok()).filter(|status| (100..600).contains(status));
    if status.is_none() {
        warnings.push("`statusCode` is no number from 100 to 599 and is ignored".to_owned());
    }
    status
}

fn subprotocol(object: &Map<String, Value>) -> Option<String> {
    let named = |member: &str| {
        let mut headers = object.get(member)?.as_object()?.iter();
        headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol")).map(|(_, value)| value)
    };
    let text = |value: &Value| value.as_str().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let single = named("headers").and_then(text);
    single.or_else(|| named("multiValueHeaders")?.as_array()?.iter().find_map(text))
}

/// A list of topics, or one.
fn topics(value: Option<Value>, name: &str, warnings: &mut Vec<String>) -> Vec<String> {
    let values = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values,
        Some(other) => vec![other],
    };
    let mut topics = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::String(topic) if !topic.is_empty() => topics.push(topic),
            other => warnings.push(format!("`{name}` has {}, not a topic; it is ignored", kind(&other))),
        }
    }
    topics
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(answer: &Value) -> ProxyAnswer {
        ProxyAnswer::read(answer.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_in_full() {
        let answer = read(&json!({
            "statusCode": 200, "headers": {"sec-websocket-protocol": " mine ", "X": 1}, "body": "hi", "isBase64Encoded": true,
            "subscribe": ["chat/r1", "chat/r2"], "unsubscribe": "chat/r0", "cookies": []}));
        let expected = ProxyAnswer {
            status: Some(200),
            subprotocol: Some("mine".to_owned()),
            body: Some("hi".to_owned()),
            is_base64: true,
            subscribe: vec!["chat/r1".to_owned(), "chat/r2".to_owned()],
            unsubscribe: vec!["chat/r0".to_owned()],
            warnings: Vec::new(),
        };
        assert_eq!(answer, expected);
        assert!(answer.is_success());
    }

    #[test]
    fn an_answer_may_be_empty() {
        assert_eq!(read(&json!({})), ProxyAnswer::default());
        let nulls =
            json!({"statusCode": 204, "headers": null, "multiValueHeaders": null, "body": null, "subscribe": null});
        assert_eq!(read(&nulls), ProxyAnswer { status: Some(204), ..ProxyAnswer::default() });
        assert_eq!(read(&json!({"body": ""})).body, None);
    }

    #[test]
    fn statuses() {
        for (value, expected) in [
            (json!(200), Some(200)),
            (json!(200.0), Some(200)),
            (json!("401"), Some(401)),
            (json!(301), Some(301)),
            (json!(599), Some(599)),
            (json!(600), None),
            (json!(99), None),
            (json!(-200), None),
            (json!(200.5), None),
            (json!(1e300), None),
            (json!("ok"), None),
            (json!(null), None),
            (json!([200]), None),
        ] {
            let answer = read(&json!({"statusCode": value}));
            assert_eq!(answer.status, expected, "{value}");
            assert_eq!(answer.warnings.len(), usize::from(expected.is_none()), "{value}");
        }
        assert!(!read(&json!({"statusCode": 300})).is_success() && !read(&json!({})).is_success());
    }

    #[test]
    fn subprotocols_of_both_kinds_of_headers() {
        let picked = |answer: Value| read(&answer).subprotocol;
        assert_eq!(picked(json!({"headers": {"Sec-WebSocket-Protocol": "a"}})).as_deref(), Some("a"));
        assert_eq!(picked(json!({"multiValueHeaders": {"SEC-WEBSOCKET-PROTOCOL": ["b"]}})).as_deref(), Some("b"));
        assert_eq!(
            picked(json!({"headers": {"X": "a"}, "multiValueHeaders": {"Sec-Websocket-Protocol": ["b"]}})).as_deref(),
            Some("b")
        );
        for none in [
            json!({"headers": {"Sec-WebSocket-Protocol": ""}}),
            json!({"headers": ["a"]}),
            json!({"headers": {"Sec-WebSocket-Protocol": 1}}),
        ] {
            assert_eq!(picked(none), None);
        }
    }

    #[test]
    fn bodies_that_are_not_text() {
        let answer = read(&json!({"statusCode": 200, "body": {"a": [1, null]}}));
        assert_eq!(answer.body.as_deref(), Some(r#"{"a":[1,null]}"#));
        assert_eq!(answer.warnings, ["`body` is an object, not text; it is sent as JSON"]);
        assert_eq!(read(&json!({"body": 7})).body.as_deref(), Some("7"));
    }

    #[test]
    fn topics_that_are_none() {
        let answer = read(&json!({"subscribe": ["a", "", 1], "unsubscribe": {}}));
        assert_eq!(answer.subscribe, ["a"]);
        assert_eq!(answer.unsubscribe, Vec::<String>::new());
        assert_eq!(answer.warnings.len(), 3);
    }

    #[test]
    fn answers_that_are_none() {
        for (answer, kind) in
            [("null", "null"), ("\"ok\"", "a text"), ("[{}]", "a list"), ("1", "a number"), ("true", "a boolean")]
        {
            assert_eq!(ProxyAnswer::read(answer.as_bytes()), Err(Malformed::NotAnObject(kind)));
        }
        for answer in ["", "{", "Task timed out after 3.00 seconds", &"[".repeat(1_000)] {
            assert!(matches!(ProxyAnswer::read(answer.as_bytes()), Err(Malformed::Json(_))), "{answer}");
        }
        let text = Malformed::NotAnObject("null").to_string();
        assert_eq!(text, r#"the function's answer is null; answer with an object such as {"statusCode": 200}"#);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(body in ".{1,40}", status in 100_u16..600) {
            let answer = read(&json!({"statusCode": status, "body": body}));
            prop_assert_eq!(answer.body, Some(body));
            prop_assert_eq!(answer.status, Some(status));
        }
    }
}
