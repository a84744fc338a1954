//! Operations and functions in paths.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::problem::{Kind, Problem};

/// Where all paths of the door begin.
pub(crate) const ROOT: &str = "/2015-03-31/functions";
/// The longest name of a function, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The longest version or alias, in bytes.
const QUALIFIER_BYTES_MAX: usize = 128;

/// What a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Invoke(Target),
    GetFunction(Target),
    GetFunctionConfiguration(Target),
    ListFunctions,
}

/// A function as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// Version or alias, if one is given.
    pub(crate) qualifier: Option<String>,
}

impl Operation {
    /// Reads a request line.
    pub(crate) fn read(method: &Method, path: &str, query: &str) -> Result<Self, Problem> {
        let unknown =
            || Problem::new(Kind::UnknownOperation, format!("{method} {path} is no operation that is served here"));
        let rest = path.strip_prefix(ROOT).ok_or_else(unknown)?.trim_start_matches('/');
        let (name, action) = rest.split_once('/').unwrap_or((rest, ""));
        let target = || Target::read(name, query);
        match (method, name, action) {
            (&Method::GET, "", "") => Ok(Self::ListFunctions),
            (_, "", _) => Err(unknown()),
            (&Method::POST, _, "invocations") => Ok(Self::Invoke(target()?)),
            (&Method::GET, _, "") => Ok(Self::GetFunction(target()?)),
            (&Method::GET, _, "configuration") => Ok(Self::GetFunctionConfiguration(target()?)),
            _ => Err(unknown()),
        }
    }

    /// Its name in policies: `lambda:..`.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::Invoke(_) => "lambda:InvokeFunction",
            Self::GetFunction(_) => "lambda:GetFunction",
            Self::GetFunctionConfiguration(_) => "lambda:GetFunctionConfiguration",
            Self::ListFunctions => "lambda:ListFunctions",
        }
    }

    /// The function it is about.
    pub(crate) fn target(&self) -> Option<&Target> {
        match self {
            Self::Invoke(target) | Self::GetFunction(target) | Self::GetFunctionConfiguration(target) => Some(target),
            Self::ListFunctions => None,
        }
    }
}

impl Target {
    /// `encoded` stands in the path: `NAME`, `ACCOUNT:function:NAME` or a whole ARN, each perhaps with
    /// `:QUALIFIER`. Account and region of it are not looked at: there is only what is here.
    fn read(encoded: &str, query: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| Problem::new(Kind::InvalidParameter, what);
        let text = percent_decode_str(encoded).decode_utf8().map_err(|_| wrong("The function's name is no UTF-8"))?;
        let named = text.split_once(":function:").map_or(&*text, |(_, named)| named);
        let (name, of_name) = match named.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
            None => (named, None),
        };
        if !is_word(name, NAME_BYTES_MAX) {
            let message = "A function's name has letters, digits, - and _, at most 64; or it is the function's ARN";
            return Err(wrong(message));
        }
        let of_query = qualifier(query)?;
        if of_name.is_some() && of_query.is_some() && of_name != of_query {
            return Err(wrong("The qualifier of the function's name is not the one of the parameter Qualifier"));
        }
        let qualifier = of_name.or(of_query);
        let is_right = |text: &String| is_word(text.strip_prefix('$').unwrap_or(text), QUALIFIER_BYTES_MAX);
        if !qualifier.as_ref().is_none_or(is_right) {
            return Err(wrong("A qualifier is $LATEST, a version's number or an alias"));
        }
        Ok(Self { name: name.to_owned(), qualifier })
    }

    /// What of its ARN follows `function:`.
    pub(crate) fn qualified(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", self.name),
            None => self.name.clone(),
        }
    }
}

fn is_word(text: &str, bytes_max: usize) -> bool {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= bytes_max && text.bytes().all(is_right)
}

/// The parameter `Qualifier` of a query.
fn qualifier(query: &str) -> Result<Option<String>, Problem> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, encoded)) = pairs.find(|(name, _)| *name == "Qualifier") else { return Ok(None) };
    let text = percent_decode_str(encoded).decode_utf8();
    let text = text.map_err(|_| Problem::new(Kind::InvalidParameter, "The parameter Qualifier is no UTF-8"))?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn post(rest: &str, query: &str) -> Option<(String, Option<String>)> {
        match Operation::read(&Method::POST, &format!("{ROOT}/{rest}"), query).ok()? {
            Operation::Invoke(Target { name, qualifier }) => Some((name, qualifier)),
            _ => None,
        }
    }

    #[test]
    fn functions_are_named_in_every_form_that_sdks_send() {
        for (text, query, qualifier) in [
            ("myfunction", "", None),
            ("myfunction", "Qualifier=live", Some("live")),
            ("myfunction", "Qualifier=%24LATEST", Some("$LATEST")),
            ("myfunction:live", "", Some("live")),
            ("myfunction%3Alive", "Qualifier=live", Some("live")),
            ("arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Amyfunction", "", None),
            ("arn:aws:lambda:eu-west-1:000000000000:function:myfunction:7", "", Some("7")),
            ("000000000000:function:myfunction", "a=b&Qualifier=7", Some("7")),
        ] {
            let expected = ("myfunction".to_owned(), qualifier.map(str::to_owned));
            assert_eq!(post(&format!("{text}/invocations"), query), Some(expected), "{text} {query}");
        }
    }

    #[test]
    fn what_names_no_function_is_refused() {
        let long = "x".repeat(65);
        for (text, query) in
            [("a b", ""), ("a%20b", ""), (&*long, ""), ("a:", ""), ("a:b:c", ""), ("%ff", ""), ("f:1", "Qualifier=2")]
        {
            let read = Operation::read(&Method::POST, &format!("{ROOT}/{text}/invocations"), query);
            assert!(matches!(&read, Err(problem) if problem.kind == Kind::InvalidParameter), "{text}: {read:?}");
        }
    }

    #[test]
    fn the_catalogue_is_read_and_nothing_else_is_served() {
        let read = |method, rest: &str| Operation::read(&method, &format!("{ROOT}{rest}"), "");
        for rest in ["", "/"] {
            assert_eq!(read(Method::GET, rest).unwrap(), Operation::ListFunctions);
        }
        assert!(matches!(read(Method::GET, "/f"), Ok(Operation::GetFunction(_))));
        assert!(matches!(read(Method::GET, "/f/configuration"), Ok(Operation::GetFunctionConfiguration(_))));
        for (method, rest) in [
            (Method::POST, ""),
            (Method::DELETE, "/f"),
            (Method::GET, "/f/invocations"),
            (Method::POST, "//invocations"),
            (Method::PUT, "/f/code"),
        ] {
            let answer = read(method, rest);
            assert!(matches!(&answer, Err(problem) if problem.kind == Kind::UnknownOperation), "{rest}: {answer:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_a_name_whatever_came(path in "(/[a-z0-9:%$ /_-]{0,40})?", query in "(Qualifier=)?[a-z%$&=]{0,20}") {
            for method in [Method::GET, Method::POST] {
                let Ok(operation) = Operation::read(&method, &format!("{ROOT}{path}"), &query) else { continue };
                let Some(target) = operation.target() else { continue };
                prop_assert!(is_word(&target.name, NAME_BYTES_MAX));
            }
        }
    }
}
