//! What is refused, and in which words.

use fanfare_policy::{Document, Limits, PolicyError};

fn error(text: &str) -> PolicyError {
    Document::parse(text).expect_err(text)
}

/// The error about a document of one good statement and this one.
fn about(statement: &str) -> String {
    let good = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    error(&format!(r#"{{"Version":"2012-10-17","Statement":[{good},{statement}]}}"#)).to_string()
}

#[test]
fn documents() {
    let statement = r#""Statement":{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    for (text, expected) in [
        ("", "document: not JSON: EOF"),
        ("{", "document: not JSON: EOF"),
        ("[]", "document: expected an object"),
        ("{}", "document: Version is missing"),
        (r#"{"Version":"2008-10-17"}"#, r#"document: Version is "2008-10-17"; write"#),
        (r#"{"Version":20121017}"#, "document: Version is 20121017"),
        (r#"{"Version":"2012-10-17"}"#, "document: Statement is missing"),
        (r#"{"Version":"2012-10-17","Statement":[]}"#, "document: Statement is missing"),
        (r#"{"Version":"2012-10-17","Statement":["x"]}"#, "Statement[0]: expected an object"),
        (r#"{"Version":"2012-10-17","Statement":7}"#, "Statement[0]: expected an object"),
        (&format!(r#"{{"Version":"2012-10-17","Extra":1,{statement}}}"#), "document: unknown key \"Extra\""),
        (&format!(r#"{{"Version":"2012-10-17",{statement},{statement}}}"#), "the key \"Statement\" occurs twice"),
        (&"[".repeat(2_000), "document: not JSON: recursion limit"),
    ] {
        let found = error(text).to_string();
        assert!(found.contains(expected), "{text}: {found}");
    }
    assert_eq!(
        Document::parse(&format!(r#"{{"Version":"2012-10-17","Id":"x",{statement}}}"#)).unwrap().statements(),
        1
    );
}

#[test]
fn statements() {
    let rest = r#""Action":"*","Resource":"*""#;
    for (statement, expected) in [
        (format!("{{{rest}}}"), "Statement[1]: Effect is missing"),
        (format!(r#"{{"Effect":"allow",{rest}}}"#), r#"Statement[1]: Effect is "allow"; write "Allow" or "Deny""#),
        (format!(r#"{{"Sid":"S","Effect":1,{rest}}}"#), r#"Statement[1] ("S"): Effect is 1"#),
        (format!(r#"{{"Sid":1,"Effect":"Deny",{rest}}}"#), "Statement[1]: Sid must be a text"),
        (format!(r#"{{"Effect":"Deny",{rest},"Actions":[]}}"#), r#"Statement[1]: unknown key "Actions"; known are"#),
        (r#"{"Effect":"Deny","Resource":"*"}"#.to_owned(), "Statement[1]: Action is missing"),
        (r#"{"Effect":"Deny","Action":"*"}"#.to_owned(), "Statement[1]: Resource is missing"),
        (
            r#"{"Effect":"Deny","Action":[],"Resource":"*"}"#.to_owned(),
            "Statement[1]: Action must be a text, or a list",
        ),
        (r#"{"Effect":"Deny","Action":"*","Resource":[1]}"#.to_owned(), "Statement[1]: Resource must be a text, or"),
        (r#"{"Effect":"Deny","NotAction":"*","Resource":"*"}"#.to_owned(), "NotAction is not supported; list what"),
        (r#"{"Effect":"Deny","Action":"*","NotResource":"*"}"#.to_owned(), "NotResource is not supported; list what"),
        (format!(r#"{{"Effect":"Deny",{rest},"Principal":"*"}}"#), "Principal is not supported; the policy is for"),
        (r#"{"Effect":"Deny","Action":"Publish","Resource":"*"}"#.to_owned(), "action \"Publish\" is not of the form"),
        (r#"{"Effect":"Deny","Action":"iot:","Resource":"*"}"#.to_owned(), "action \"iot:\" is not of the form"),
        (r#"{"Effect":"Deny","Action":"iot:A b","Resource":"*"}"#.to_owned(), "action \"iot:A b\" is not"),
        (r#"{"Effect":"Deny","Action":"*","Resource":"topic/a"}"#.to_owned(), "resource \"topic/a\" is not an ARN"),
        (
            r#"{"Effect":"Deny","Action":"*","Resource":"*${a"}"#.to_owned(),
            "\"${a\" is no variable; write ${service:Name}",
        ),
        (
            r#"{"Effect":"Deny","Action":"*","Resource":"*","Action":"iot:Publish"}"#.to_owned(),
            "\"Action\" occurs twice",
        ),
    ] {
        let found = about(&statement);
        assert!(found.contains(expected), "{statement}: {found}");
    }
}

#[test]
fn conditions() {
    for (condition, expected) in [
        ("[]", "Statement[1] (\"S\"): expected an object; write {operator"),
        (r#"{"Bool":1}"#, "Statement[1] (\"S\"): expected an object"),
        (r#"{"StringMatches":{"k":"v"}}"#, "unknown condition operator \"StringMatches\"; known are StringEquals,"),
        (r#"{"StringEqualsIfExists":{}}"#, "unknown condition operator \"StringEqualsIfExists\""),
        (r#"{"ForAllValues:Bool":{"k":true}}"#, "unknown condition operator \"ForAllValues:Bool\""),
        (r#"{"ForSomeValues:StringEquals":{"k":"v"}}"#, "unknown condition operator \"ForSomeValues:StringEquals\""),
        (r#"{"StringEquals":{"k":[]}}"#, "StringEquals on k must be a text, number or boolean"),
        (r#"{"StringEquals":{"k":null}}"#, "StringEquals on k must be"),
        (r#"{"StringEquals":{"k":[["v"]]}}"#, "StringEquals on k must be"),
        (r#"{"StringEquals":{"k":"${v}"}}"#, "\"${v}\" is no variable"),
        (
            r#"{"IpAddress":{"k":"10.0.0.0/40"}}"#,
            "IpAddress on k cannot compare with \"10.0.0.0/40\"; write an address",
        ),
        (r#"{"NotIpAddress":{"k":["10.0.0.1","x"]}}"#, "NotIpAddress on k cannot compare with \"x\""),
        (r#"{"Bool":{"k":"yes"}}"#, "Bool on k cannot compare with \"yes\"; write true or false"),
        (r#"{"Null":{"k":1}}"#, "Null on k cannot compare with \"1\""),
        (r#"{"DateLessThan":{"k":"soon"}}"#, "DateLessThan on k cannot compare with \"soon\"; write a moment"),
        (r#"{"NumericEquals":{"k":"nan"}}"#, "NumericEquals on k cannot compare with \"nan\"; write a number"),
        (r#"{"Bool":{"k":true,"k":false}}"#, "\"k\" occurs twice"),
    ] {
        let found =
            about(&format!(r#"{{"Sid":"S","Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#));
        assert!(found.contains(expected), "{condition}: {found}");
    }
}

#[test]
fn length_is_counted_without_white_space() {
    let document = |chars: usize| {
        let head = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"#;
        format!("{head}{}\"}}}}", "ä".repeat(chars - head.len() - 3))
    };
    assert!(Document::parse(&document(2_048)).is_ok());
    assert_eq!(error(&document(2_049)), PolicyError::TooLong { chars: 2_049, max: 2_048 });
    assert!(Document::parse(&(document(2_048) + &" \n".repeat(1_000))).is_ok());
    let limits = Limits { chars_max: 4_096, ..Limits::default() };
    assert!(Document::parse_within(&document(2_049), limits).is_ok());
    let spaces = " ".repeat(32_769);
    assert_eq!(error(&spaces), PolicyError::TooManyBytes { bytes: 32_769, max: 32_768 });
}
