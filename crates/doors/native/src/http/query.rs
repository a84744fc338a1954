//! The query of a URL.

use percent_encoding::percent_decode_str;

use crate::errors::Problem;

/// Names and values in their order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=2`, percent-encoded, a space also as `+`. In a `pattern` a `+` that stands alone
    /// in its level is the wildcard, because that is how it is typed.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let malformed = || Problem::bad_request("the query is not percent-encoded UTF-8");
            let name = decode(&name.replace('+', " ")).ok_or_else(malformed)?;
            let value = if name == "pattern" { keep_wildcards(value) } else { value.replace('+', " ") };
            pairs.push((name, decode(&value).ok_or_else(malformed)?));
        }
        Ok(Self(pairs))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given == name)
    }

    /// All values of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| &**value)
    }

    /// The value of a name that may be given once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(given, _)| given == name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first.map(|(_, value)| &**value)),
            _ => Err(Problem::bad_request(format!("{name}: given more than once"))),
        }
    }

    /// `true`, `false`, or absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Problem::bad_request(format!("{name}: true or false is needed"))),
        }
    }
}

/// A percent-encoded text; `None` when it is not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn keep_wildcards(pattern: &str) -> String {
    let separated = pattern.replace("%2F", "/").replace("%2f", "/");
    let levels = separated.split('/').map(|level| if level == "+" { "+".to_owned() } else { level.replace('+', " ") });
    levels.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_forms_are_written() {
        let query = Query::parse("topic=a%2Fb&topic=x+y&space=&retain=true&flag").unwrap();
        assert_eq!(query.all("topic").collect::<Vec<_>>(), ["a/b", "x y"]);
        assert_eq!(query.one("space").unwrap(), Some(""));
        assert_eq!(query.one("since").unwrap(), None);
        assert!(query.flag("retain").unwrap() && query.has("flag") && query.flag("flag").is_err());
        assert!(query.one("topic").is_err());
        assert!(Query::parse("a=%FF").is_err());
    }

    #[test]
    fn a_plus_alone_in_its_level_is_the_wildcard() {
        for (text, expected) in
            [("a/+", "a/+"), ("+%2Fb+c", "+/b c"), ("%2B/x", "+/x"), ("a+b", "a b"), ("room/%23", "room/#")]
        {
            assert_eq!(Query::parse(&format!("pattern={text}")).unwrap().one("pattern").unwrap(), Some(expected));
        }
    }
}
