//! Paths and queries in the form that is signed.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Everything but the unreserved characters of RFC 3986 is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// How a signer turns the path on the wire into the path it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PathForm {
    /// Escapes the path as it is sent, so `%2F` becomes `%252F`. Every SDK does this for every
    /// service but S3.
    #[default]
    Twice,
    /// Signs the path with one layer of escapes, as S3 wants and old versions of curl do. A path
    /// that holds `%25` has no such form here: it would read like another path that is escaped
    /// twice, and a signature would be good for two resources.
    Once,
    /// Like [`PathForm::Twice`] after dropping `.`, `..` and empty segments. Signers that follow
    /// the published algorithm to the letter do so, but a signature for `/a/b` is then good for
    /// `/a//b`, which are two topics. Not tried unless asked for.
    NormalisedTwice,
}

impl PathForm {
    /// The path to sign, or `None` when this form is not to be used for that path.
    pub(crate) fn apply(self, raw: &str) -> Option<String> {
        let raw = if raw.is_empty() { "/" } else { raw };
        match self {
            Self::Twice => Some(percent_encode(raw.as_bytes(), ESCAPED_IN_PATH).to_string()),
            Self::NormalisedTwice => Some(percent_encode(normalise(raw).as_bytes(), ESCAPED_IN_PATH).to_string()),
            Self::Once if raw.contains("%25") => None,
            Self::Once => Some(raw.split('/').map(escape_once).collect::<Vec<_>>().join("/")),
        }
    }
}

/// Without `.`, `..` and empty segments; a slash at the end stays.
fn normalise(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// One layer of escapes, in the one spelling that is signed.
fn escape_once(text: &str) -> String {
    escape(&Cow::from(percent_decode_str(text)))
}

pub(crate) fn escape(bytes: &[u8]) -> String {
    percent_encode(bytes, ESCAPED).to_string()
}

/// The pairs of a raw query, each in its signed spelling, in signed order. A `+` means a space,
/// as in forms; signers that mean a plus send `%2B`.
pub(crate) fn query_pairs(raw: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = raw
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (escape_field(name), escape_field(value))
        })
        .collect();
    pairs.sort_unstable();
    pairs
}

fn escape_field(text: &str) -> String {
    if text.contains('+') { escape_once(&text.replace('+', "%20")) } else { escape_once(text) }
}

/// The pairs as one query, without those that `skip` names.
pub(crate) fn join_pairs(pairs: &[(String, String)], skip: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    for (name, value) in pairs.iter().filter(|(name, _)| !skip(name)) {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_form_per_kind_of_signer() {
        let raw = "/topics/a%2fb%20c/@x=";
        assert_eq!(PathForm::Twice.apply(raw).unwrap(), "/topics/a%252fb%2520c/%40x%3D");
        assert_eq!(PathForm::Once.apply(raw).unwrap(), "/topics/a%2Fb%20c/%40x%3D");
        assert_eq!(PathForm::NormalisedTwice.apply("/./a//b/../c/").unwrap(), "/a/c/");
        assert_eq!(PathForm::NormalisedTwice.apply("/../..").unwrap(), "/");
        assert_eq!(PathForm::Twice.apply("").unwrap(), "/");
    }

    #[test]
    fn escaped_once_never_reads_like_another_path_escaped_twice() {
        assert_eq!(PathForm::Once.apply("/a%252Fb"), None);
        assert_eq!(PathForm::Twice.apply("/a%2Fb").unwrap(), "/a%252Fb");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

        /// Whatever the usual forms of two paths share, they name one resource.
        #[test]
        fn one_signature_is_never_good_for_two_resources(pieces in proptest::collection::vec(0..8_usize, 0..5)) {
            let spell = |other: bool| -> String {
                let one = ["/", "a", "%2F", "%25", "%41", "=", "%3D", "2F"];
                let two = ["%2F", "%61", "%252F", "%2525", "%2541", "%3D", "%253D", "%32F"];
                pieces.iter().map(|at| if other { two[*at] } else { one[*at] }).collect()
            };
            let resource = |path: &str| path.split('/').map(escape_once).collect::<Vec<_>>();
            let (one, two) = (format!("/{}", spell(false)), format!("/{}", spell(true)));
            let forms = [PathForm::Twice, PathForm::Once];
            let shares = forms.iter().any(|a| forms.iter().any(|b| a.apply(&one).is_some_and(|path| b.apply(&two) == Some(path))));
            proptest::prop_assert!(!shares || resource(&one) == resource(&two), "{} {}", one, two);
        }
    }

    #[test]
    fn a_query_is_sorted_and_respelled() {
        let pairs = query_pairs("b=%2f&a=1&flag&a=0&&c=x+y&d=%2B&a-=z");
        assert_eq!(join_pairs(&pairs, |_| false), "a=0&a=1&a-=z&b=%2F&c=x%20y&d=%2B&flag=");
        assert_eq!(join_pairs(&pairs, |name| name == "a"), "a-=z&b=%2F&c=x%20y&d=%2B&flag=");
    }
}
