//! What is refused, and by which name.

use fanfare_aws::credentials::Secret;
use fanfare_aws::sigv4::{
    PayloadHash, Rules, SignatureError, Signing, SigningError, presign_url, sign_headers, verify,
};
use std::time::Duration;

use super::{KEY, NOW_MS, Sent, credential};

const SERVICES: &[&str] = &["iotdata", "iotdevicegateway"];

fn rules(now_ms: u64) -> Rules<'static> {
    Rules::new(SERVICES, now_ms)
}

fn signed(has_token: bool) -> Sent {
    let mut request = Sent::new("POST", "/topics/a%2Fb?qos=1", &[("host", "gw.example"), ("x-k", "v")], "payload");
    let credential = credential(has_token);
    let signing = Signing::new(&credential, "eu-central-1", "iotdata", NOW_MS);
    let added = request.with(|request| sign_headers(request, &signing)).unwrap();
    request.headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
    request
}

fn presigned(expires_s: Option<u64>, has_token: bool) -> Sent {
    let credential = credential(has_token);
    let request = Sent::new("GET", "/mqtt", &[("host", "gw.example")], "");
    let signing = Signing::new(&credential, "eu-central-1", "iotdevicegateway", NOW_MS);
    let expires = expires_s.map(Duration::from_secs);
    let url = request.with(|request| presign_url(request, &signing, expires)).unwrap();
    Sent::new("GET", &url, &[("host", "gw.example")], "")
}

fn error(sent: &Sent, now_ms: u64) -> SignatureError {
    sent.verify(&credential(false), &rules(now_ms)).unwrap_err()
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let window = 5 * 60 * 1000;
    for sent in [signed(false), presigned(None, false)] {
        let at = |now_ms| sent.verify(&credential(false), &rules(now_ms)).err();
        assert_eq!((at(NOW_MS - window), at(NOW_MS + window)), (None, None));
        let now_ms = NOW_MS + window + 1;
        let expired = SignatureError::Expired { signed_at_ms: NOW_MS, valid_until_ms: NOW_MS + window, now_ms };
        assert_eq!(at(now_ms), Some(expired));
        let now_ms = NOW_MS - window - 1;
        assert_eq!(at(now_ms), Some(SignatureError::NotYetValid { signed_at_ms: NOW_MS, now_ms }));
    }
    let text = error(&signed(false), NOW_MS + window + 1000).to_string();
    assert!(text.contains("20260102T030405Z") && text.contains("20260102T030906Z"), "{text}");
}

#[test]
fn a_signed_url_lasts_as_long_as_it_says_up_to_seven_days() {
    let day = 86_400;
    let at = |expires_s, after_s: u64| {
        presigned(Some(expires_s), false).verify(&credential(false), &rules(NOW_MS + after_s * 1000)).err()
    };
    assert_eq!((at(60, 60), at(7 * day, 7 * day)), (None, None));
    assert!(matches!(at(60, 61), Some(SignatureError::Expired { .. })));
    assert!(matches!(at(7 * day, 7 * day + 1), Some(SignatureError::Expired { .. })));
    assert!(matches!(at(7 * day + 1, 0), Some(SignatureError::Malformed { part: "X-Amz-Expires", .. })));
    assert!(matches!(at(0, 0), Some(SignatureError::Malformed { part: "X-Amz-Expires", .. })));
}

#[test]
fn session_tokens_must_be_those_of_the_key() {
    for sent in [signed(true), presigned(None, true)] {
        assert!(sent.verify(&credential(true), &rules(NOW_MS)).is_ok());
        assert_eq!(error(&sent, NOW_MS), SignatureError::TokenWrong);
        let mut other = credential(true);
        other.session_token = Some(Secret::new("another"));
        assert_eq!(sent.verify(&other, &rules(NOW_MS)).unwrap_err(), SignatureError::TokenWrong);
    }
    assert_eq!(signed(false).verify(&credential(true), &rules(NOW_MS)).unwrap_err(), SignatureError::TokenWrong);
}

#[test]
fn a_session_ends() {
    let mut credential = credential(true);
    credential.expires_at_ms = Some(NOW_MS + 1);
    assert!(signed(true).verify(&credential, &rules(NOW_MS)).is_ok());
    credential.expires_at_ms = Some(NOW_MS);
    let ended = SignatureError::SessionExpired { expired_at_ms: NOW_MS, now_ms: NOW_MS };
    assert_eq!(signed(true).verify(&credential, &rules(NOW_MS)).unwrap_err(), ended);
}

#[test]
fn every_refusal_has_its_name() {
    let sent = signed(false);
    let plain = Sent::new("GET", "/mqtt", &[("host", "h"), ("Authorization", "Bearer x")], "");
    assert_eq!(error(&plain, NOW_MS), SignatureError::Missing);
    let unknown = sent.with(|request| verify(request, &|_| None, &rules(NOW_MS))).unwrap_err();
    assert_eq!((unknown.clone(), unknown.exception()), (SignatureError::UnknownKey, "UnrecognizedClientException"));
    let elsewhere = sent.verify(&credential(false), &Rules::new(&["events"], NOW_MS)).unwrap_err();
    assert_eq!(elsewhere, SignatureError::ServiceNotAccepted { service: "iotdata".to_owned() });
    let mut other = credential(false);
    other.secret = Secret::new("another");
    let mismatch = sent.verify(&other, &rules(NOW_MS)).unwrap_err();
    assert_eq!(mismatch.exception(), "InvalidSignatureException");
    assert!(matches!(mismatch, SignatureError::Mismatch { attempts: 2 }), "{mismatch:?}");
}

#[test]
fn malformed_signatures_are_told_apart() {
    let header = |from: &str, to: &str| {
        let mut sent = signed(false);
        let value = sent.header("authorization").replacen(from, to, 1);
        *sent.header("authorization") = value;
        error(&sent, NOW_MS).to_string()
    };
    assert!(header("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256").contains("algorithm"));
    assert!(header(", Signature=", ", Sig=").contains("unknown element"));
    assert!(header(", SignedHeaders", ", Signature=x, Signature=y, SignedHeaders").contains("twice"));
    assert!(header("aws4_request", "aws5_request").contains("credential"));
    assert!(header("20260102", "20260103").contains("day"));
    assert!(header("host;", "").contains("host"));
    assert!(header("host;", "host;x-absent;").contains("not in the request"));
    assert!(header("host;", "Host;").contains("lower-case"));
    assert!(header("host;", &"host;".repeat(101)).contains("too many"));
    assert!(header("Signature=", "Signature=0").contains("64"));
    assert!(header(KEY, &"K".repeat(9000)).contains("too long"));

    let query = |from: &str, to: &str| {
        let mut sent = presigned(None, false);
        sent.query = sent.query.replacen(from, to, 1);
        error(&sent, NOW_MS).to_string()
    };
    assert!(query("X-Amz-Date=", "X-Amz-Data=").contains("X-Amz-Date is missing"));
    assert!(query("X-Amz-Date=", "X-Amz-Date=2&X-Amz-Date=").contains("X-Amz-Date is given twice"));
    assert!(query("AWS4-HMAC-SHA256", "AWS4").contains("X-Amz-Algorithm"));
    assert!(query("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=%ff").contains("UTF-8"));
    let mut both = presigned(None, false);
    both.headers = signed(false).headers;
    assert!(error(&both, NOW_MS).to_string().contains("more than one"));
    both.query = "x".repeat(65_537);
    assert!(error(&both, NOW_MS).to_string().contains("too long"));
}

#[test]
fn the_body_must_have_the_hash_that_was_signed() {
    let credential = credential(false);
    let sign = |payload, own_hash| {
        let mut sent = Sent::new("POST", "/", &[("host", "gw.example")], "hello");
        let mut signing = Signing::new(&credential, "eu-central-1", "iotdata", NOW_MS);
        signing.style.sends_content_hash = own_hash;
        let added = sent.with(|request| {
            let mut request = *request;
            request.payload = payload;
            sign_headers(&request, &signing)
        });
        sent.headers.extend(added.unwrap().into_iter().map(|(name, value)| (name.to_owned(), value)));
        sent
    };
    let mut declared = sign(PayloadHash::Bytes(b"hello"), true);
    assert!(declared.verify(&credential, &rules(NOW_MS)).is_ok());
    declared.body = b"other".to_vec();
    assert_eq!(error(&declared, NOW_MS), SignatureError::PayloadMismatch);

    let mut unsigned = sign(PayloadHash::Unsigned, true);
    unsigned.body = b"anything".to_vec();
    assert!(unsigned.verify(&credential, &rules(NOW_MS)).is_ok());
    let undeclared = sign(PayloadHash::Unsigned, false);
    assert!(matches!(error(&undeclared, NOW_MS), SignatureError::Mismatch { .. }));

    // A hash that the signature does not cover says nothing.
    let mut added = sign(PayloadHash::Bytes(b"hello"), false);
    added.headers.push(("x-amz-content-sha256".to_owned(), "UNSIGNED-PAYLOAD".to_owned()));
    assert!(added.verify(&credential, &rules(NOW_MS)).is_ok());
    added.body = b"other".to_vec();
    assert!(matches!(error(&added, NOW_MS), SignatureError::Mismatch { .. }));
    let streaming = sign(PayloadHash::Hex("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), true);
    assert!(error(&streaming, NOW_MS).to_string().contains("chunks"));
}

#[test]
fn what_cannot_be_signed_is_said() {
    let credential = credential(false);
    let sign = |headers: &[(&str, &str)], signing: &Signing<'_>| {
        Sent::new("GET", "/a%25b", headers, "").with(|request| sign_headers(request, signing)).unwrap_err()
    };
    let signing = Signing::new(&credential, "eu-central-1", "iotdata", NOW_MS);
    let host = [("Host", "h")];
    assert_eq!(sign(&[], &signing), SigningError::HostMissing);
    assert_eq!(sign(&[("Host", "h"), ("X-Amz-Date", "x")], &signing), SigningError::AlreadySigned);
    assert_eq!(sign(&host, &Signing { region: "a/b", ..signing }), SigningError::Scope);
    assert_eq!(sign(&host, &Signing { now_ms: u64::MAX, ..signing }), SigningError::Time);
    let mut once = signing;
    once.style.path = fanfare_aws::sigv4::PathForm::Once;
    assert_eq!(sign(&host, &once), SigningError::Path);
    let twice = presigned(None, false).with(|request| presign_url(request, &signing, None));
    assert_eq!(twice, Err(SigningError::AlreadySigned));
}
