//! Open-ended inputs: what we sign is accepted, what is changed is not, and nothing panics.

use std::time::Duration;

use fanfare_aws::arn::Arn;
use fanfare_aws::authorizer::{Decision, TokenKey, verify_token};
use fanfare_aws::sigv4::{ATTEMPTS_MAX, PathForm, Rules, SignatureError, Signing, Style, presign_url, sign_headers};
use fanfare_aws::username::UserName;
use proptest::prelude::*;

use super::{NOW_MS, Sent, credential};

const SERVICE: &str = "iotdata";

fn rules() -> Rules<'static> {
    Rules::new(&[SERVICE], NOW_MS)
}

/// Text that is escaped here and there, as clients do.
fn wire_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[A-Za-z0-9._~@=:,!-]",
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02X}")),
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02x}")),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(wire_text(), 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn query() -> impl Strategy<Value = String> {
    let pair = (wire_text(), wire_text()).prop_map(|(name, value)| format!("q{name}={value}"));
    prop::collection::vec(pair, 0..5).prop_map(|pairs| pairs.join("&"))
}

prop_compose! {
    fn requests()(
        method in "GET|PUT|POST|DELETE",
        path in path(),
        query in query(),
        host in "[a-z]{1,9}(:[0-9]{1,5})?",
        headers in prop::collection::vec(("x-[a-z]{1,5}", "[ -~]{0,20}"), 0..4),
        body in prop::collection::vec(any::<u8>(), 0..50),
    ) -> Sent {
        let headers = std::iter::once(("Host".to_owned(), host)).chain(headers).collect();
        Sent { method, path, query, headers, body }
    }
}

prop_compose! {
    fn styles()(late in any::<bool>(), hostname in any::<bool>(), hash in any::<bool>()) -> Style {
        Style {
            path: PathForm::Twice,
            adds_token_after_signing: late,
            signs_host_without_port: hostname,
            sends_content_hash: hash,
        }
    }
}

fn sign(mut sent: Sent, style: Style, has_token: bool, in_query: bool) -> Sent {
    let credential = credential(has_token);
    let signing = Signing { style, ..Signing::new(&credential, "eu-central-1", SERVICE, NOW_MS) };
    if in_query {
        let url = sent.with(|request| presign_url(request, &signing, Some(Duration::from_secs(60)))).unwrap();
        sent.query = url.split_once('?').unwrap().1.to_owned();
    } else {
        let added = sent.with(|request| sign_headers(request, &signing)).unwrap();
        sent.headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    sent
}

/// Puts another letter in the place of one byte; the place counts from the start, around the end. Nothing is
/// changed inside an escape, where two spellings mean the same.
fn change(text: &mut String, at: usize) -> bool {
    let bytes = text.as_bytes();
    let is_plain = |at: &usize| bytes[*at].is_ascii_alphanumeric() && !bytes[at.saturating_sub(2)..*at].contains(&b'%');
    let places: Vec<usize> = (0..bytes.len()).filter(is_plain).collect();
    let Some(&place) = at.checked_rem(places.len()).and_then(|at| places.get(at)) else { return false };
    let other = if bytes[place] == b'z' { "y" } else { "z" };
    text.replace_range(place..=place, other);
    true
}

proptest! {
    #[test]
    fn what_we_sign_is_accepted(
        sent in requests(), style in styles(), has_token in any::<bool>(), in_query in any::<bool>(),
    ) {
        let sent = sign(sent, style, has_token, in_query);
        let verified = sent.verify(&credential(has_token), &rules());
        prop_assert!(verified.is_ok(), "{:?}", verified);
        prop_assert!(verified.unwrap().attempts <= ATTEMPTS_MAX);
    }

    #[test]
    fn every_form_of_the_path_is_accepted(sent in requests(), form in 0..3_usize) {
        let all = [PathForm::Twice, PathForm::Once, PathForm::NormalisedTwice];
        prop_assume!(all[form] != PathForm::Once || !sent.path.contains("%25"));
        let sent = sign(sent, Style { path: all[form], ..Style::default() }, false, false);
        let mut rules = rules();
        rules.paths = &[PathForm::Twice, PathForm::Once, PathForm::NormalisedTwice];
        prop_assert!(sent.verify(&credential(false), &rules).is_ok());
    }

    #[test]
    fn what_is_changed_is_refused(
        sent in requests(), style in styles(), in_query in any::<bool>(), part in 0..6_usize, at in any::<usize>(),
    ) {
        let style = Style { sends_content_hash: false, ..style };
        let mut sent = sign(sent, style, true, in_query);
        let is_changed = match part {
            0 => change(&mut sent.method, at),
            1 => change(&mut sent.path, at),
            2 => change(&mut sent.query, at),
            3 => sent.headers.iter().position(|(name, _)| name.starts_with("x-")).is_some_and(|place| {
                change(&mut sent.headers[place].1, at)
            }),
            4 => match sent.body.len() {
                0 => { sent.body.push(0); true }
                length => { sent.body[at % length] ^= 1; true }
            },
            _ if in_query => change(sent.header("host"), at),
            _ => change(sent.header("authorization"), at),
        };
        prop_assume!(is_changed);
        // The port is not always signed; everything else is.
        prop_assume!(!(part == 5 && in_query && style.signs_host_without_port));
        prop_assert!(sent.verify(&credential(true), &rules()).is_err());
    }

    #[test]
    fn every_digit_of_a_signature_counts(sent in requests(), at in 0..64_usize, digit in "[0-9a-f]") {
        let mut sent = sign(sent, Style::default(), false, false);
        let value = sent.header("authorization");
        let start = value.len() - 64 + at;
        prop_assume!(value[start..=start] != digit);
        value.replace_range(start..=start, &digit);
        let is_mismatch = matches!(sent.verify(&credential(false), &rules()), Err(SignatureError::Mismatch { .. }));
        prop_assert!(is_mismatch);
    }

    #[test]
    fn nothing_panics_on_any_text(
        method in any::<String>(), path in any::<String>(), query in any::<String>(), value in any::<String>(),
        headers in prop::collection::vec((any::<String>(), any::<String>()), 0..4),
        noise in "[&=%/;,+]{0,6}", place in any::<usize>(), in_query in any::<bool>(),
    ) {
        let mut sent = Sent { method, path, query, headers, body: Vec::new() };
        sent.headers.push(("Authorization".to_owned(), format!("AWS4-HMAC-SHA256 {value}")));
        prop_assert!(sent.verify(&credential(false), &rules()).is_err());
        // Noise inside of a signature that was right.
        let plain = Sent::new("GET", "/mqtt", &[("host", "gw.example")], "");
        let mut sent = sign(plain, Style::default(), true, in_query);
        let text = if in_query { &mut sent.query } else { sent.header("authorization") };
        let place = place % (text.len() + 1);
        text.insert_str(place, &noise);
        let _ = sent.verify(&credential(true), &rules());
        let _ = (Arn::parse(&value), UserName::parse(&value).pairs().count(), Decision::parse(value.as_bytes()));
        let _ = (TokenKey::from_pem(&value).is_ok(), verify_token(&[], &value, &value));
    }

    #[test]
    fn names_of_resources_make_the_round_trip(
        service in "[a-z]{1,9}", region in "[a-z0-9-]{0,12}", account in "[0-9]{0,12}", resource in "[ -~]{1,40}",
    ) {
        let arn = Arn::new(&service, &region, &account, &resource);
        let text = arn.to_string();
        prop_assert_eq!(Arn::parse(&text), Ok(arn));
    }
}
