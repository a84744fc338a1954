//! Signatures that the SDKs made.

use fanfare_aws::sigv4::{ATTEMPTS_MAX, PathForm, Rules, Signing, Style, presign_url, sign_headers};

use super::vectors::{VECTORS, Vector};
use super::{KEY, NOW_MS, SECRET, Sent, TOKEN, credential};

const ALL_PATHS: &[PathForm] = &[PathForm::Twice, PathForm::Once, PathForm::NormalisedTwice];

fn sent(vector: &Vector) -> Sent {
    Sent::new(vector.method, vector.target, vector.headers, vector.body)
}

fn vector(name: &str) -> &'static Vector {
    VECTORS.iter().find(|vector| vector.name == name).unwrap_or_else(|| panic!("no vector {name}"))
}

#[test]
fn what_the_sdks_sign_is_accepted() {
    for vector in VECTORS {
        let services = [vector.service];
        let mut rules = Rules::new(&services, NOW_MS);
        if vector.name.contains("normalised") {
            rules.paths = ALL_PATHS;
        }
        let verified = sent(vector).verify(&credential(vector.has_token), &rules);
        let verified = verified.unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert_eq!((verified.service.as_str(), verified.region.as_str()), (vector.service, "eu-central-1"));
        assert_eq!((verified.signed_at_ms, verified.credential.principal.as_str()), (NOW_MS, "someone"));
        assert!(verified.attempts <= ATTEMPTS_MAX && verified.covers("host") && !verified.covers("ho"));
    }
}

#[test]
fn the_usual_form_is_tried_first() {
    let attempts = |name| {
        let vector = vector(name);
        let services = [vector.service];
        let mut rules = Rules::new(&services, NOW_MS);
        rules.paths = ALL_PATHS;
        sent(vector).verify(&credential(vector.has_token), &rules).unwrap().attempts
    };
    assert_eq!(attempts("client: iot-data publish"), 1);
    assert_eq!(attempts("query: mqtt with token and port"), 1);
    assert_eq!(attempts("JS v3: presigned mqtt"), 1);
    assert_eq!(attempts("device SDK v1: port and token after signing"), 2);
    assert_eq!(attempts("CRT browser form: host signed without its port"), 4);
    assert_eq!(attempts("signer: path signed once"), 2);
}

#[test]
fn a_form_that_the_rules_do_not_accept_is_refused() {
    let refused = |name, change: &dyn Fn(&mut Rules<'_>)| {
        let vector = vector(name);
        let services = [vector.service];
        let mut rules = Rules::new(&services, NOW_MS);
        change(&mut rules);
        sent(vector).verify(&credential(vector.has_token), &rules).unwrap_err();
    };
    refused("signer: normalised path", &|_| {});
    refused("signer: path signed once", &|rules| rules.paths = &[PathForm::Twice]);
    refused("device SDK v1: port and token after signing", &|rules| rules.allows_unsigned_token = false);
    refused("CRT browser form: host signed without its port", &|rules| rules.allows_host_without_port = false);
}

#[test]
fn no_request_costs_more_than_five_signatures() {
    for vector in VECTORS {
        let services = [vector.service];
        let mut rules = Rules::new(&services, NOW_MS);
        rules.paths = ALL_PATHS;
        let mut sent = sent(vector);
        // A path that differs in every form, with a host that has a port.
        sent.path.push_str("/./%20x");
        sent.header("host").push_str(":1");
        let error = sent.verify(&credential(vector.has_token), &rules).unwrap_err();
        let fanfare_aws::sigv4::SignatureError::Mismatch { attempts } = error else {
            panic!("{}: {error}", vector.name)
        };
        assert!((1..=ATTEMPTS_MAX).contains(&attempts), "{}: {attempts}", vector.name);
    }
}

/// Our own signer writes the very signature of the SDK.
#[test]
fn our_signer_agrees_with_the_sdks() {
    for name in ["client: iot-data publish", "client: put_events", "client: lambda invoke", "JS v3: iotdata publish"] {
        let vector = vector(name);
        let mut request = sent(vector);
        let expected = request.header("authorization").clone();
        let is_covered = |name: &str| expected.contains(&name.to_ascii_lowercase());
        request.headers.retain(|(name, _)| is_covered(name) && !name.to_ascii_lowercase().starts_with("x-amz-date"));
        request.headers.retain(|(name, _)| {
            !["x-amz-security-token", "x-amz-content-sha256"].contains(&name.to_ascii_lowercase().as_str())
        });
        let credential = credential(vector.has_token);
        let mut signing = Signing::new(&credential, "eu-central-1", vector.service, NOW_MS);
        signing.style.sends_content_hash = expected.contains("x-amz-content-sha256");
        let added = request.with(|request| sign_headers(request, &signing)).unwrap();
        assert_eq!(added.last(), Some(&("authorization", expected)), "{name}");
    }
}

#[test]
fn our_urls_agree_with_the_sdks() {
    let url = |has_token, host, style| {
        let credential = credential(has_token);
        let request = Sent::new("GET", "/mqtt", &[("host", host)], "");
        let signing = Signing { style, ..Signing::new(&credential, "eu-central-1", "iotdevicegateway", NOW_MS) };
        request.with(|request| presign_url(request, &signing, None)).unwrap()
    };
    let late = Style { adds_token_after_signing: true, ..Style::default() };
    let of_browser = Style { signs_host_without_port: true, ..late };
    let port = "gw.example:8443";
    assert_eq!(url(true, port, late), vector("device SDK v1: port and token after signing").target);
    assert_eq!(url(true, port, of_browser), vector("CRT browser form: host signed without its port").target);
}

#[test]
fn nothing_secret_is_in_what_is_shown() {
    let vector = vector("client: lambda invoke");
    let verified = sent(vector).verify(&credential(true), &Rules::new(&["lambda"], NOW_MS)).unwrap();
    let shown = format!("{verified:?}");
    assert!(shown.contains(KEY) && !shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
}
