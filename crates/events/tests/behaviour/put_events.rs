//! PutEvents, entry by entry.

use fanfare_events::{ErrorKind, PutEvents, limits};
use serde_json::{Value, json};

fn parse(entries: Value) -> PutEvents {
    PutEvents::parse(json!({"Entries": entries}).to_string().as_bytes()).expect("the request as a whole is good")
}

fn entry() -> Value {
    json!({"Source": "shop", "DetailType": "t", "Detail": "{}"})
}

fn with(member: &str, value: Value) -> Value {
    let mut entry = entry();
    entry[member] = value;
    entry
}

#[test]
fn bad_entries_fail_alone_and_by_name() {
    let cases = [
        (with("Source", Value::Null), "InvalidArgument", "Source"),
        (with("Source", json!("")), "InvalidArgument", "Source"),
        (with("Source", json!("aws.ec2")), "NotAuthorizedForSourceException", "source"),
        (with("DetailType", Value::Null), "InvalidArgument", "DetailType"),
        (with("Detail", Value::Null), "InvalidArgument", "Detail"),
        (with("Detail", json!({"a": 1})), "InvalidArgument", "Detail"),
        (with("Detail", json!("{")), "MalformedDetail", "Detail"),
        (with("Detail", json!("[1]")), "MalformedDetail", "Detail"),
        (with("Time", json!("soon")), "InvalidArgument", "Time"),
        (with("Resources", json!([1])), "InvalidArgument", "Resources"),
        (with("EventBusName", json!(1)), "InvalidArgument", "EventBusName"),
        (json!("text"), "InvalidArgument", "Entry"),
    ];
    for (bad, code, word) in cases {
        let parsed = parse(json!([entry(), bad, entry()]));
        assert!(parsed.entries[0].is_ok() && parsed.entries[2].is_ok());
        let failure = parsed.entries[1].as_ref().expect_err(code);
        assert_eq!(failure.code, code, "{bad}");
        assert!(failure.message.contains(word), "{}", failure.message);
    }
}

#[test]
fn an_entry_is_read_whole() {
    let parsed = parse(json!([{"Source": "awsome", "DetailType": "t", "Detail": "{\"n\": 1}", "Time": 1_795_262_400,
        "Resources": ["a", "b"], "EventBusName": "arn:aws:events:r:0:event-bus/shop", "TraceHeader": "x"}]));
    let entry = parsed.entries[0].as_ref().expect("a good entry");
    assert_eq!((entry.bus.as_str(), entry.parts.source.as_str()), ("shop", "awsome"));
    assert_eq!(Value::from(entry.parts.detail.clone()), json!({"n": 1}));
    assert_eq!((entry.parts.time_s, entry.parts.resources.len()), (Some(1_795_262_400), 2));
}

#[test]
fn the_request_fails_as_a_whole_when_it_has_no_size() {
    let kind = |body: Value| PutEvents::parse(body.to_string().as_bytes()).expect_err("refused").kind;
    assert_eq!(PutEvents::parse(b"{").expect_err("refused").kind, ErrorKind::Serialization);
    assert_eq!(kind(json!({})), ErrorKind::Validation);
    assert_eq!(kind(json!({"Entries": 1})), ErrorKind::Serialization);
    assert_eq!(kind(json!({"Entries": []})), ErrorKind::Validation);
    assert_eq!(kind(json!({"Entries": vec![entry(); 11]})), ErrorKind::Validation);
    assert_eq!(parse(json!(vec![entry(); 10])).entries.len(), 10);
}

#[test]
fn sizes_count_time_and_resources() {
    // Source and detail type have 5 bytes, the detail 8 around its text,
    // the time 14 and the resource 3.
    let sized = |text: usize| {
        let detail = format!("{{\"a\":\"{}\"}}", "x".repeat(text));
        json!({"Entries": [{"Source": "shop", "DetailType": "t", "Detail": detail, "Time": 0, "Resources": ["abc"]}]})
    };
    let most = limits::ENTRIES_BYTES_MAX - 5 - 8 - 14 - 3;
    assert!(PutEvents::parse(sized(most).to_string().as_bytes()).is_ok());
    let error = PutEvents::parse(sized(most + 1).to_string().as_bytes()).expect_err("one byte too many");
    assert_eq!((error.kind, error.status()), (ErrorKind::Validation, 400));
    assert!(error.message.contains("262145"), "{}", error.message);
}
