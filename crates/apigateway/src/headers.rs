//! Header names as handlers look them up, and query strings as maps.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::{Serialize, Serializer};

/// Names that are written with capitals whatever the client did. Others stay as they came.
const KNOWN: [&str; 8] =
    ["accept", "authorization", "cache-control", "cookie", "host", "origin", "pragma", "user-agent"];

/// Beginnings of such names.
const KNOWN_PREFIXES: [&str; 4] = ["accept-", "sec-fetch-", "sec-websocket-", "x-forwarded-"];

/// A header's name in the case that handlers expect: `host` becomes `Host`, `sec-websocket-key`
/// becomes `Sec-WebSocket-Key`, and names that are not well known stay as they are.
#[must_use]
pub fn canonical(name: &str) -> Cow<'_, str> {
    let lower = name.to_ascii_lowercase();
    let is_known = KNOWN.contains(&lower.as_str()) || KNOWN_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    if !is_known {
        return Cow::Borrowed(name);
    }
    let words: Vec<_> = lower.split('-').map(capitalised).collect();
    Cow::Owned(words.join("-"))
}

fn capitalised(word: &str) -> Cow<'_, str> {
    let mut chars = word.chars();
    match (word, chars.next()) {
        ("websocket", _) => Cow::Borrowed("WebSocket"),
        (_, Some(first)) => Cow::Owned(format!("{}{}", first.to_ascii_uppercase(), chars.as_str())),
        (_, None) => Cow::Borrowed(word),
    }
}

/// The value of a header, whatever the case of its name; the last one if there are several.
#[must_use]
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().rev().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Headers of one request by their names, in the order of the alphabet.
pub(crate) struct Headers<'a>(Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>);

impl<'a> Headers<'a> {
    /// Puts `own` in the place of the headers that bear these names, and leaves out those of
    /// `without` (lower case). Headers whose names differ in case only are one.
    pub(crate) fn new(sent: &'a [(String, String)], without: &[&str], own: Vec<(&'a str, Cow<'a, str>)>) -> Self {
        let is_kept = |name: &str| {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            !without.iter().any(|other| is(other)) && !own.iter().any(|(other, _)| is(other))
        };
        let kept = sent.iter().filter(|(name, _)| is_kept(name));
        let mut pairs: Vec<(String, Cow<'a, str>, Cow<'a, str>)> = kept
            .map(|(name, value)| (name.to_ascii_lowercase(), canonical(name), Cow::Borrowed(value.as_str())))
            .collect();
        pairs.extend(own.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), Cow::Borrowed(name), value)));
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let mut grouped: Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)> = Vec::with_capacity(pairs.len());
        for (_, name, value) in pairs {
            match grouped.last_mut() {
                Some((last, values)) if last.eq_ignore_ascii_case(&name) => values.push(value),
                _ => grouped.push((name, vec![value])),
            }
        }
        Self(grouped)
    }

    /// One value each, the last one. Lists of subprotocols become one list, so that none is lost.
    pub(crate) fn single(&self) -> impl Serialize {
        Single(self)
    }

    /// All values.
    pub(crate) fn multi(&self) -> impl Serialize {
        Multi(self)
    }
}

struct Single<'a>(&'a Headers<'a>);

impl Serialize for Single<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = |name: &str, values: &[Cow<'_, str>]| match name {
            "Sec-WebSocket-Protocol" => values.join(","),
            _ => values.last().map(ToString::to_string).unwrap_or_default(),
        };
        serializer.collect_map(self.0.0.iter().map(|(name, values)| (name, value(name, values))))
    }
}

struct Multi<'a>(&'a Headers<'a>);

impl Serialize for Multi<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.0.iter().map(|(name, values)| (name, values)))
    }
}

/// A query string's parameters by name, each with its values in their order. Names and values are
/// percent-decoded and `+` is a space; bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn query(raw: &str) -> BTreeMap<String, Vec<String>> {
    let mut parameters = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in query_pairs(raw) {
        parameters.entry(name).or_default().push(value);
    }
    parameters
}

/// Names and values of a query string in their order, decoded as [`query`] does.
#[must_use]
pub fn query_pairs(raw: &str) -> Vec<(String, String)> {
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decoded(n), decoded(v))).collect()
}

/// One value for each name, the last one.
#[must_use]
pub fn last_values(parameters: &BTreeMap<String, Vec<String>>) -> BTreeMap<&str, &str> {
    let pairs = parameters.iter();
    pairs.map(|(name, values)| (name.as_str(), values.last().map(String::as_str).unwrap_or_default())).collect()
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{json, to_value};

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn well_known_names_get_their_capitals() {
        for (name, expected) in [
            ("host", "Host"),
            ("HOST", "Host"),
            ("user-agent", "User-Agent"),
            ("accept", "Accept"),
            ("accept-language", "Accept-Language"),
            ("cache-control", "Cache-Control"),
            ("sec-websocket-key", "Sec-WebSocket-Key"),
            ("Sec-Websocket-Protocol", "Sec-WebSocket-Protocol"),
            ("sec-fetch-mode", "Sec-Fetch-Mode"),
            ("x-forwarded-for", "X-Forwarded-For"),
            ("x-api-key", "x-api-key"),
            ("X-Custom", "X-Custom"),
            ("acceptable", "acceptable"),
            ("", ""),
        ] {
            assert_eq!(canonical(name), expected);
        }
    }

    #[test]
    fn the_last_value_wins_and_all_are_kept() {
        let sent = pairs(&[("x-b", "1"), ("Host", "h"), ("X-B", "2"), ("Upgrade", "websocket"), ("a", "0")]);
        let headers = Headers::new(&sent, &["upgrade"], vec![("A", Cow::Borrowed("own"))]);
        assert_eq!(to_value(headers.single()).unwrap(), json!({"A": "own", "Host": "h", "x-b": "2"}));
        assert_eq!(to_value(headers.multi()).unwrap(), json!({"A": ["own"], "Host": ["h"], "x-b": ["1", "2"]}));
        assert_eq!(header(&sent, "x-B"), Some("2"));
        assert_eq!(header(&sent, "none"), None);
    }

    #[test]
    fn no_subprotocol_is_lost() {
        let sent = pairs(&[("sec-websocket-protocol", "chat1, mine"), ("Sec-WebSocket-Protocol", "third")]);
        let headers = Headers::new(&sent, &[], Vec::new());
        assert_eq!(to_value(headers.single()).unwrap(), json!({"Sec-WebSocket-Protocol": "chat1, mine,third"}));
        assert_eq!(to_value(headers.multi()).unwrap(), json!({"Sec-WebSocket-Protocol": ["chat1, mine", "third"]}));
    }

    #[test]
    fn queries() {
        let parameters = query("token=a%20b&x=1&x=2+3&empty&%C3%A4=%ff&&=v");
        assert_eq!(
            to_value(&parameters).unwrap(),
            json!({"token": ["a b"], "x": ["1", "2 3"], "empty": [""], "ä": ["\u{fffd}"], "": ["v"]})
        );
        assert_eq!(last_values(&parameters)["x"], "2 3");
        assert!(query("").is_empty() && query("&&").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_too_odd(raw in ".{0,60}", name in ".{0,20}") {
            let values: usize = query(&raw).values().map(Vec::len).sum();
            prop_assert_eq!(values, raw.split('&').filter(|pair| !pair.is_empty()).count());
            prop_assert!(canonical(&name).eq_ignore_ascii_case(&name));
        }
    }
}
