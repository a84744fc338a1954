//! Conditions of statements.

use std::net::IpAddr;

use serde_json::Value;

use crate::context::{CONNECT_ATTRIBUTES, Context, key_name};
use crate::date;
use crate::error::{Place, PolicyError};
use crate::template::{Template, Wildcards};

const OPERATORS: &str = "StringEquals, StringNotEquals, StringLike, StringNotLike (these also after ForAllValues: and \
                         ForAnyValue:), IpAddress, NotIpAddress, Bool, Null, DateLessThan, DateGreaterThan, \
                         NumericLessThan, NumericEquals";

/// One key of one operator. All conditions of a statement must hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    /// Normalised.
    key: String,
    quantifier: Quantifier,
    test: Test,
}

/// How a test of one value becomes a test of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// No prefix: some value passes; if negated, no value fails.
    Plain,
    /// `ForAllValues:`, true of the empty set.
    All,
    /// `ForAnyValue:`, false of the empty set.
    Any,
}

/// What a single value of the key is compared with; any one of the list is enough.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    Text {
        patterns: Vec<Template>,
        is_negated: bool,
    },
    Address {
        networks: Vec<Network>,
        is_negated: bool,
    },
    Bool(Vec<bool>),
    /// About the key, not about a value: whether it may be absent, or present.
    Null(Vec<bool>),
    DateLess(Vec<i64>),
    DateGreater(Vec<i64>),
    NumberLess(Vec<f64>),
    NumberEqual(Vec<f64>),
}

impl Condition {
    /// Reads the value of a statement's `Condition`: `{operator: {key: value or values}}`.
    ///
    /// # Errors
    /// [`PolicyError`] at `place`.
    pub(crate) fn parse_all(value: &Value, place: &Place) -> Result<Vec<Self>, PolicyError> {
        let what = "write {operator: {key: value}}";
        let not_an_object = || PolicyError::NotAnObject { place: place.clone(), what };
        let mut conditions = Vec::new();
        for (operator, keys) in value.as_object().ok_or_else(not_an_object)? {
            // An unknown operator is an error even if it compares nothing.
            Operator::parse(operator, place)?;
            for (key, values) in keys.as_object().ok_or_else(not_an_object)? {
                conditions.push(Self::parse(operator, key, values, place)?);
            }
        }
        Ok(conditions)
    }

    fn parse(operator: &str, key: &str, values: &Value, place: &Place) -> Result<Self, PolicyError> {
        let (quantifier, kind) = Operator::parse(operator, place)?;
        let expected = "a text, number or boolean, or a list of these that is not empty";
        let wrong_kind = || PolicyError::Value { place: place.clone(), key: format!("{operator} on {key}"), expected };
        let values = scalars(values).ok_or_else(wrong_kind)?;
        let wrong_value = |value: &str, expected| PolicyError::Condition {
            place: place.clone(),
            test: format!("{operator} on {key}"),
            value: value.to_owned(),
            expected,
        };
        let test = match kind {
            Operator::Text { wildcards, is_negated } => {
                let pattern = |value: &String| {
                    let error = |variable| PolicyError::Variable { place: place.clone(), variable };
                    Template::parse(value, wildcards).map_err(error)
                };
                Test::Text { patterns: values.iter().map(pattern).collect::<Result<_, _>>()?, is_negated }
            }
            Operator::Scalar(read, expected) => read(&values).map_err(|value| wrong_value(value, expected))?,
        };
        Ok(Self { key: key_name(key), quantifier, test })
    }

    /// Whether it speaks about what a CONNECT asks for.
    pub(crate) fn is_about_connect(&self) -> bool {
        self.key == CONNECT_ATTRIBUTES
    }

    /// Whether it holds for `context`.
    pub(crate) fn holds(&self, context: &Context) -> bool {
        let values = context.values(&self.key);
        if let Test::Null(absent) = &self.test {
            return absent.contains(&values.is_empty());
        }
        let mut values = values.iter();
        match self.quantifier {
            Quantifier::All => values.all(|value| self.test.accepts(value, context)),
            Quantifier::Plain if self.test.is_negated() => values.all(|value| self.test.accepts(value, context)),
            Quantifier::Plain | Quantifier::Any => values.any(|value| self.test.accepts(value, context)),
        }
    }
}

/// An operator without its quantifier.
enum Operator {
    Text { wildcards: Wildcards, is_negated: bool },
    Scalar(ReadTest, &'static str),
}

/// Makes a test of the values, or returns the one that cannot be read.
type ReadTest = fn(&[String]) -> Result<Test, &str>;

impl Operator {
    fn parse(text: &str, place: &Place) -> Result<(Quantifier, Self), PolicyError> {
        let (quantifier, name) = match text.split_once(':') {
            Some(("ForAllValues", name)) => (Quantifier::All, name),
            Some(("ForAnyValue", name)) => (Quantifier::Any, name),
            _ => (Quantifier::Plain, text),
        };
        let operator = Self::named(name);
        let fits = |operator: &Self| quantifier == Quantifier::Plain || matches!(operator, Self::Text { .. });
        let unknown = || PolicyError::Operator { place: place.clone(), operator: text.to_owned(), known: OPERATORS };
        Ok((quantifier, operator.filter(fits).ok_or_else(unknown)?))
    }

    fn named(name: &str) -> Option<Self> {
        const NETWORK: &str = "an address or a network such as 10.0.0.0/8";
        const BOOL: &str = "true or false";
        const DATE: &str = "a moment such as 2026-11-21T12:00:00Z, or seconds since 1970";
        const NUMBER: &str = "a number";
        use Wildcards::{Apply, Literal};
        Some(match name {
            "StringEquals" => Self::Text { wildcards: Literal, is_negated: false },
            "StringNotEquals" => Self::Text { wildcards: Literal, is_negated: true },
            "StringLike" => Self::Text { wildcards: Apply, is_negated: false },
            "StringNotLike" => Self::Text { wildcards: Apply, is_negated: true },
            "IpAddress" => {
                Self::Scalar(|v| Ok(Test::Address { networks: each(v, Network::parse)?, is_negated: false }), NETWORK)
            }
            "NotIpAddress" => {
                Self::Scalar(|v| Ok(Test::Address { networks: each(v, Network::parse)?, is_negated: true }), NETWORK)
            }
            "Bool" => Self::Scalar(|v| each(v, boolean).map(Test::Bool), BOOL),
            "Null" => Self::Scalar(|v| each(v, boolean).map(Test::Null), BOOL),
            "DateLessThan" => Self::Scalar(|v| each(v, date::parse).map(Test::DateLess), DATE),
            "DateGreaterThan" => Self::Scalar(|v| each(v, date::parse).map(Test::DateGreater), DATE),
            "NumericLessThan" => Self::Scalar(|v| each(v, number).map(Test::NumberLess), NUMBER),
            "NumericEquals" => Self::Scalar(|v| each(v, number).map(Test::NumberEqual), NUMBER),
            _ => return None,
        })
    }
}

impl Test {
    fn is_negated(&self) -> bool {
        matches!(self, Self::Text { is_negated: true, .. } | Self::Address { is_negated: true, .. })
    }

    /// Whether one value of the key passes. A pattern with a variable that has no value neither
    /// equals nor differs: it fails both ways.
    fn accepts(&self, value: &str, context: &Context) -> bool {
        match self {
            Self::Text { patterns, is_negated } => {
                let equals = |pattern: &Template| Some(pattern.expand(context)?.matches(value));
                match is_negated {
                    false => patterns.iter().any(|pattern| equals(pattern) == Some(true)),
                    true => patterns.iter().all(|pattern| equals(pattern) == Some(false)),
                }
            }
            Self::Address { networks, is_negated } => {
                // A source that is no address is outside of every network.
                let address = value.parse().ok();
                let is_inside = address.is_some_and(|address| networks.iter().any(|network| network.holds(address)));
                is_inside != *is_negated
            }
            Self::Bool(expected) => boolean(value).is_some_and(|value| expected.contains(&value)),
            Self::Null(_) => false,
            Self::DateLess(dates) => date::parse(value).is_some_and(|value| dates.iter().any(|date| value < *date)),
            Self::DateGreater(dates) => date::parse(value).is_some_and(|value| dates.iter().any(|date| value > *date)),
            Self::NumberLess(numbers) => number(value).is_some_and(|value| numbers.iter().any(|n| value < *n)),
            Self::NumberEqual(numbers) => number(value).is_some_and(|value| numbers.contains(&value)),
        }
    }
}

/// A range of addresses. Those of version 4 stand in the low bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    is_v4: bool,
    bits: u128,
    mask: u128,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let (is_v4, bits) = address_bits(address.parse().ok()?);
        let width: u32 = if is_v4 { 32 } else { 128 };
        let length = length.map_or(Some(width), |length| length.parse().ok().filter(|length| *length <= width))?;
        let mask = u128::MAX.checked_shl(width - length).unwrap_or(0);
        Some(Self { is_v4, bits: bits & mask, mask })
    }

    fn holds(self, address: IpAddr) -> bool {
        let (is_v4, bits) = address_bits(address);
        is_v4 == self.is_v4 && bits & self.mask == self.bits
    }
}

fn address_bits(address: IpAddr) -> (bool, u128) {
    match address.to_canonical() {
        IpAddr::V4(address) => (true, address.to_bits().into()),
        IpAddr::V6(address) => (false, address.to_bits()),
    }
}

/// A scalar, or a list of scalars that is not empty, as texts.
fn scalars(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(text).collect(),
        value => text(value).map(|text| vec![text]),
    }
}

fn each<T>(values: &[String], read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, &str> {
    values.iter().map(|value| read(value).ok_or(value.as_str())).collect()
}

fn boolean(text: &str) -> Option<bool> {
    [("true", true), ("false", false)].into_iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, b)| b)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.9/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0/0", "255.1.1.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "10.0.0.1", false),
            ("::/0", "fe80::1", true),
            ("2001:db8::/32", "2001:db8:1::", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ] {
            let holds = Network::parse(network).unwrap().holds(address.parse().unwrap());
            assert_eq!(holds, expected, "{address} in {network}");
        }
        for text in ["10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "x", ""] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
