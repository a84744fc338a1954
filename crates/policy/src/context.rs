//! What is known about a request when a policy is evaluated.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fanfare_core::Millis;

use crate::date;

/// Key of the set that says what a CONNECT asks for.
pub(crate) const CONNECT_ATTRIBUTES: &str = "iot:connectattributes";

/// Keys whose value the client chooses when it connects.
pub(crate) const CLIENT_ID_KEYS: [&str; 2] = [CLIENT_ID, THING_NAME];

const CLIENT_ID: &str = "iot:clientid";
const THING_NAME: &str = "iot:connection.thing.thingname";
const THING: &str = "iot:connection.thing.";
const CERTIFICATE: &str = "iot:certificate.";

/// Longest value of a certificate that is filled in for a variable, in characters.
const CERTIFICATE_CHARS_MAX: usize = 1_024;

/// Values by name: condition keys and policy variables read from here.
///
/// Names are compared without regard to case, except what stands in brackets, as in
/// `iot:Connection.Thing.Attributes[model]`. Two groups of names have rules of their own:
///
/// - `iot:Connection.Thing.*` exist only if the client id is the name of the thing; hence never
///   over HTTP, where there is no client id.
/// - `iot:Certificate.*` may have several values. The plain name is the first one, `NAME.0`,
///   `NAME.1` and so on are all of them by position (`NAME.1` is the second), `NAME.List` is the
///   whole set. As variables they have no value if it is longer than 1,024 characters or holds one
///   of `* $ + ? #`; in conditions they are compared as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    values: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one value for `name`, instead of any it has.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        self.with_all(name, [value])
    }

    /// With a set of values for `name`, instead of any it has. No values at all is the same as not
    /// having the name.
    #[must_use]
    pub fn with_all<'a>(mut self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.values.insert(key_name(name), values.into_iter().map(str::to_owned).collect());
        self
    }

    /// The client id, as `iot:ClientId`.
    #[must_use]
    pub fn client_id(self, client_id: &str) -> Self {
        self.with(CLIENT_ID, client_id)
    }

    /// Where the client comes from, as `aws:SourceIp`. An IPv4 address in IPv6's clothes counts as
    /// IPv4.
    #[must_use]
    pub fn source_ip(self, address: IpAddr) -> Self {
        self.with("aws:SourceIp", &address.to_canonical().to_string())
    }

    /// Now, as `aws:CurrentTime` and `aws:EpochTime`, in milliseconds since 1970.
    #[must_use]
    pub fn at(self, now: Millis) -> Self {
        let seconds = i64::try_from(now / 1_000).unwrap_or(i64::MAX);
        self.with("aws:CurrentTime", &date::format(seconds)).with("aws:EpochTime", &seconds.to_string())
    }

    /// What a CONNECT asks for, as `iot:ConnectAttributes`: a session that outlives the connection,
    /// and a will.
    #[must_use]
    pub fn connect_attributes(self, is_persistent: bool, has_will: bool) -> Self {
        let persistent = is_persistent.then_some("PersistentConnect");
        let will = has_will.then_some("LastWill");
        self.with_all(CONNECT_ATTRIBUTES, persistent.into_iter().chain(will))
    }

    /// The values of a condition key, whose name is normalised; none if it does not exist.
    pub(crate) fn values(&self, key: &str) -> &[String] {
        let client_id = self.stored(CLIENT_ID);
        if key.starts_with(THING) && (client_id.is_empty() || self.stored(THING_NAME) != client_id) {
            return &[];
        }
        if !key.starts_with(CERTIFICATE) {
            return self.stored(key);
        }
        if let Some(values) = self.values.get(key) {
            return values.get(..1).unwrap_or_default();
        }
        let Some((name, suffix)) = key.rsplit_once('.') else { return &[] };
        let values = self.stored(name);
        match suffix.parse::<u16>() {
            _ if suffix == "list" => values,
            Ok(index) => values.get(usize::from(index)..=usize::from(index)).unwrap_or_default(),
            Err(_) => &[],
        }
    }

    /// The value of a variable, whose name is normalised, if it has exactly one and that may stand
    /// in a pattern.
    pub(crate) fn variable(&self, key: &str) -> Option<&str> {
        let [value] = self.values(key) else { return None };
        let is_dangerous =
            || value.contains(['*', '$', '+', '?', '#']) || value.chars().count() > CERTIFICATE_CHARS_MAX;
        let is_refused = key == CONNECT_ATTRIBUTES || key.starts_with(CERTIFICATE) && is_dangerous();
        (!is_refused).then_some(value)
    }

    fn stored(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }
}

/// The name of a key as it is compared: lower case, except what stands in brackets.
pub(crate) fn key_name(name: &str) -> String {
    let (head, brackets) = name.split_at(name.find('[').unwrap_or(name.len()));
    head.to_ascii_lowercase() + brackets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<'a>(context: &'a Context, name: &str) -> Vec<&'a str> {
        context.values(&key_name(name)).iter().map(String::as_str).collect()
    }

    #[test]
    fn names_ignore_case_outside_of_brackets() {
        let context = Context::new().client_id("dev1").with("IOT:Connection.Thing.ThingName", "dev1");
        let context = context.with("iot:Connection.Thing.Attributes[Model]", "x");
        assert_eq!(values(&context, "iot:CLIENTID"), ["dev1"]);
        assert_eq!(values(&context, "iot:connection.THING.attributes[Model]"), ["x"]);
        assert!(values(&context, "iot:Connection.Thing.Attributes[model]").is_empty());
    }

    #[test]
    fn a_thing_is_known_only_by_its_own_client_id() {
        let thing = Context::new()
            .with("iot:Connection.Thing.ThingName", "dev1")
            .with("iot:Connection.Thing.ThingTypeName", "lamp");
        assert!(values(&thing, "iot:Connection.Thing.ThingName").is_empty());
        assert!(values(&thing.clone().client_id("dev2"), "iot:Connection.Thing.ThingTypeName").is_empty());
        assert_eq!(values(&thing.client_id("dev1"), "iot:Connection.Thing.ThingTypeName"), ["lamp"]);
    }

    #[test]
    fn certificates_have_first_indexed_and_all_values() {
        let name = "iot:Certificate.Subject.Organization";
        let context = Context::new().with_all(name, ["one", "two"]);
        for (suffix, expected) in [
            ("", &["one"][..]),
            (".0", &["one"]),
            (".1", &["two"]),
            (".2", &[]),
            (".99999", &[]),
            (".-1", &[]),
            (".List", &["one", "two"]),
            (".list", &["one", "two"]),
            (".x", &[]),
        ] {
            assert_eq!(values(&context, &format!("{name}{suffix}")), expected, "{suffix}");
        }
        assert!(values(&Context::new().with_all(name, []), name).is_empty());
    }

    #[test]
    fn dangerous_values_of_certificates_are_no_variables() {
        let key = key_name("iot:Certificate.Subject.CommonName");
        for sign in ['*', '$', '+', '?', '#'] {
            let context = Context::new().with(&key, &format!("a{sign}"));
            assert_eq!(context.variable(&key), None, "{sign}");
            assert_eq!(context.values(&key).len(), 1, "conditions see it");
        }
        assert!(Context::new().with(&key, &"ä".repeat(1_024)).variable(&key).is_some());
        assert!(Context::new().with(&key, &"ä".repeat(1_025)).variable(&key).is_none());
    }

    #[test]
    fn addresses_and_time() {
        let context = Context::new().source_ip("::ffff:10.0.0.7".parse().unwrap()).at(1_795_263_271_999);
        assert_eq!(values(&context, "aws:SourceIp"), ["10.0.0.7"]);
        assert_eq!(values(&context, "aws:EpochTime"), ["1795263271"]);
        assert_eq!(values(&context, "aws:CurrentTime"), ["2026-11-21T12:14:31Z"]);
    }
}
