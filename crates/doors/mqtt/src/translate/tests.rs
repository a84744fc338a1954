use super::*;
use crate::testing::message;

#[test]
fn qualities_go_there_and_back() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        assert_eq!(quality(&message("t", 1, qos)), qos);
    }
}

#[test]
fn kinds_are_told_by_the_payload_and_its_type() {
    let json = PublishProperties { content_type: Some("Application/JSON; charset=utf-8"), ..Default::default() };
    let text = PublishProperties { content_type: Some("text/plain"), ..Default::default() };
    let claims_text = PublishProperties { payload_is_text: Some(true), ..Default::default() };
    for (payload, properties, expected) in [
        (b"{\"a\":1}".as_slice(), &json, Kind::Json),
        (b"{\"a\":1}", &text, Kind::Text),
        (b"{\"a\":1}", &PublishProperties::default(), Kind::Text),
        (b"{\"a\":", &json, Kind::Text),
        (b"", &json, Kind::Text),
        (b"\xff", &json, Kind::Binary),
        (b"\xff", &claims_text, Kind::Binary),
        ("grüße".as_bytes(), &PublishProperties::default(), Kind::Text),
    ] {
        assert_eq!(kind(payload, properties), expected, "{payload:?}");
    }
}

#[test]
fn what_is_left_of_its_time_travels_along() {
    let expiry = |seconds| PublishProperties { expiry_seconds: seconds, ..Default::default() };
    assert_eq!(expires_at(&expiry(None), 5), None);
    assert_eq!(expires_at(&expiry(Some(10)), 5), Some(10_005));
    assert_eq!(expires_at(&expiry(Some(0)), 5), Some(6), "it lasts for those who are there");
    assert_eq!(expires_at(&expiry(Some(u32::MAX)), 0), Some(4_294_967_295_000));
    let plain = message("t", 1, Qos::AtLeastOnce);
    let left = |expires_at, now| {
        let message = Message { expires_at, ..(*plain).clone() };
        with_properties(&message, now, |properties| properties.expiry_seconds)
    };
    assert_eq!(left(None, 0), None);
    assert_eq!(left(Some(10_005), 5), Some(10));
    assert_eq!(left(Some(10_005), 1_000), Some(10), "begun seconds count");
    assert_eq!(left(Some(10_005), 10_004), Some(1));
    assert_eq!(left(Some(u64::MAX), 0), Some(u32::MAX));
}

#[test]
fn properties_go_there_and_back() {
    let pairs = [("a", "1"), ("b", ""), ("a", "2")];
    let before = PublishProperties {
        payload_is_text: Some(true),
        expiry_seconds: Some(7),
        content_type: Some("text/plain"),
        response_topic: Some("answers"),
        correlation_data: Some(b"\0\xff"),
        user: UserProperties::new(&pairs),
    };
    let message = Message {
        headers: headers(&before),
        properties: user_properties(&before),
        expires_at: expires_at(&before, 100),
        ..(*message("t", 1, Qos::AtLeastOnce)).clone()
    };
    with_properties(&message, 100, |after| assert_eq!(after, before));
    let nothing = PublishProperties::default();
    assert!(headers(&nothing).is_none() && user_properties(&nothing).is_empty());
}

#[test]
fn json_of_other_doors_says_what_it_is() {
    let json = Message { kind: Kind::Json, ..(*message("t", 1, Qos::AtLeastOnce)).clone() };
    let said = |message: &Message| with_properties(message, 0, |p| p.content_type.map(str::to_owned));
    assert_eq!(said(&json).as_deref(), Some("application/json"));
    assert_eq!(said(&message("t", 1, Qos::AtLeastOnce)), None);
    let own = Headers { content_type: Some("application/geo+json".into()), ..Headers::default() };
    assert_eq!(said(&Message { headers: Some(Box::new(own)), ..json }).as_deref(), Some("application/geo+json"));
}
