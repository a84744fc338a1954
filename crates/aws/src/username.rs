//! The MQTT user name, which carries a query string.
//!
//! SDKs append `?SDK=..&Platform=..&Metadata=..` to every user name, also to an empty one, and
//! callers of custom authorizers add `x-amz-customauthorizer-name` and the like. A check of passwords
//! must see only what stands before the `?`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The parameter that selects a custom authorizer; a header and a query parameter of HTTP too.
pub const AUTHORIZER_NAME: &str = "x-amz-customauthorizer-name";

/// The parameter that signs the token of a custom authorizer; a header and a query parameter of HTTP too.
pub const AUTHORIZER_SIGNATURE: &str = "x-amz-customauthorizer-signature";

/// A user name in its two parts. Nothing is copied; parameters are looked for when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserName<'a> {
    /// What stands before the first `?`, as sent.
    pub name: &'a str,
    /// What stands after it, as sent; `None` without a `?`.
    pub raw_query: Option<&'a str>,
}

impl<'a> UserName<'a> {
    /// Splits a user name. Every text is one.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        match text.split_once('?') {
            Some((name, query)) => Self { name, raw_query: Some(query) },
            None => Self { name: text, raw_query: None },
        }
    }

    /// The parameters in their order. Values are unescaped; a `+` stays a `+`, since SDKs do not
    /// write spaces that way and signatures hold plain ones. A value that is not UTF-8 stays as sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let pairs = self.raw_query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name, percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value)))
        })
    }

    /// The first value of a parameter; upper and lower case differ.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.pairs().find(|(sent, _)| *sent == name).map(|(_, value)| value)
    }

    /// Which custom authorizer is to decide.
    #[must_use]
    pub fn authorizer_name(&self) -> Option<Cow<'a, str>> {
        self.get(AUTHORIZER_NAME)
    }

    /// The signature over the token, in base64.
    #[must_use]
    pub fn authorizer_signature(&self) -> Option<Cow<'a, str>> {
        self.get(AUTHORIZER_SIGNATURE)
    }

    /// The SDK's name for itself, such as `IoTDeviceSDK/Python`.
    #[must_use]
    pub fn sdk(&self) -> Option<Cow<'a, str>> {
        self.get("SDK")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sdks_append_is_not_the_name() {
        let text = "?SDK=IoTDeviceSDK/JS&Platform=Unix&Metadata=(CRTVersion=1.33.1;IoTSDKFeature=B/A,F/5,G/A)";
        let user = UserName::parse(text);
        assert_eq!((user.name, user.sdk().as_deref()), ("", Some("IoTDeviceSDK/JS")));
        let metadata = user.get("Metadata").unwrap();
        assert_eq!(metadata, "(CRTVersion=1.33.1;IoTSDKFeature=B/A,F/5,G/A)");
        assert_eq!(user.pairs().count(), 3);
    }

    #[test]
    fn parameters_of_custom_authorizers_are_unescaped() {
        let user = UserName::parse(
            "dev1?x=1&x-amz-customauthorizer-name=A%40b&x-amz-customauthorizer-signature=a%2Bb%3D&t?=1&x=2",
        );
        assert_eq!(user.name, "dev1");
        assert_eq!(user.authorizer_name().as_deref(), Some("A@b"));
        assert_eq!(user.authorizer_signature().as_deref(), Some("a+b="));
        assert_eq!((user.get("x").as_deref(), user.get("t?").as_deref()), (Some("1"), Some("1")));
        assert_eq!(UserName::parse("u?s=a+b=").get("s").as_deref(), Some("a+b="));
        assert_eq!(UserName::parse("u?s=%ff").get("s").as_deref(), Some("%ff"));
        assert_eq!(UserName::parse("plain"), UserName { name: "plain", raw_query: None });
        assert_eq!(UserName::parse("u?").pairs().count(), 0);
    }
}
