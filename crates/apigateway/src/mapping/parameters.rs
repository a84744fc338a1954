//! Request parameters: headers, query and path of what an integration is sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::check::Notes;
use crate::expression::{ParameterValue, Variable};
use crate::message::Scope;

/// What may stand in a path's segment or a query as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Query,
    Path,
}

#[derive(Debug)]
struct Parameter {
    place: Place,
    name: String,
    value: ParameterValue,
}

/// All parameters of one integration.
#[derive(Debug)]
pub(super) struct Parameters(Vec<Parameter>);

impl Parameters {
    pub(super) fn compile(parameters: &BTreeMap<String, String>, notes: &mut Notes<'_>) -> Self {
        let mut notes = notes.within("request_parameters");
        let compiled = parameters.iter().filter_map(|(key, value)| {
            let (place, name) = notes.keep(key, target(key))?;
            let value = notes.keep(key, ParameterValue::parse(value))?;
            if value.variable().is_some_and(|variable| !Variable::is_of_request(variable)) {
                notes.within(key).add("an answer is not known yet when the request is made");
                return None;
            }
            Some(Parameter { place, name: name.to_owned(), value })
        });
        Self(compiled.collect())
    }

    fn values<'a>(&'a self, place: Place, scope: &Scope<'_>) -> Vec<(&'a str, String)> {
        let here = self.0.iter().filter(|parameter| parameter.place == place);
        here.filter_map(|parameter| Some((parameter.name.as_str(), parameter.value.evaluate(scope)?))).collect()
    }

    /// The value of a header, in any case.
    pub(super) fn header(&self, name: &str, scope: &Scope<'_>) -> Option<String> {
        let is_it = |one: &&Parameter| one.place == Place::Header && one.name.eq_ignore_ascii_case(name);
        self.0.iter().find(is_it)?.value.evaluate(scope)
    }

    /// Names and values of headers; what is missing is left out.
    pub(super) fn headers(&self, scope: &Scope<'_>) -> Vec<(String, String)> {
        self.values(Place::Header, scope).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// An address with `{NAME}` replaced in its path, and a query at its end.
    pub(super) fn complete(&self, address: String, scope: &Scope<'_>) -> String {
        let mut address = address;
        for (name, value) in self.values(Place::Path, scope) {
            address = address.replace(&format!("{{{name}}}"), &encoded(&value));
        }
        for (name, value) in self.values(Place::Query, scope) {
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str(&format!("{}={}", encoded(name), encoded(&value)));
        }
        address
    }
}

fn encoded(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, UNRESERVED).into()
}

fn target(key: &str) -> Result<(Place, &str), &'static str> {
    let rule = "write integration.request.header.NAME, integration.request.querystring.NAME or \
                integration.request.path.NAME";
    let (place, name) = key.strip_prefix("integration.request.").and_then(|rest| rest.split_once('.')).ok_or(rule)?;
    let place = match place {
        "header" => Place::Header,
        "querystring" => Place::Query,
        "path" => Place::Path,
        _ => return Err(rule),
    };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || (place == Place::Header && !name.bytes().all(is_token)) {
        return Err("the parameter has no name, or one that no header can have");
    }
    Ok((place, name))
}
