//! Values while a statement runs, and the standard conversions between them.

use serde_json::{Map, Number, Value as Json};

/// Whole floats below this are exact and are written without a fraction.
const EXACT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A value of the language.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Undefined,
    Null,
    Bool(bool),
    Int(i64),
    /// Always finite; build with [`Value::decimal`].
    Decimal(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Map<String, Json>),
}

/// A number that kept its type.
#[derive(Clone, Copy)]
pub(super) enum Numeric {
    Int(i64),
    Decimal(f64),
}

impl Numeric {
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Decimal(number) => number,
        }
    }
}

impl Value {
    /// A Decimal, or Undefined if `number` is not finite.
    pub(super) fn decimal(number: f64) -> Self {
        if number.is_finite() { Self::Decimal(number) } else { Self::Undefined }
    }

    /// An Int from a whole float, or Undefined beyond 64 bits.
    pub(super) fn whole(number: f64) -> Self {
        // The upper bound is excluded: 2^63 itself does not fit, and the next float below does.
        if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
            Self::Int(number as i64)
        } else {
            Self::Undefined
        }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// About how many bytes it takes beyond itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Array(items) => items.iter().map(weight).sum(),
            Self::Object(fields) => fields.iter().map(|(key, value)| key.len() + weight(value)).sum(),
            _ => 0,
        }
    }

    /// `None` for Undefined, which is never written.
    pub(super) fn into_json(self) -> Option<Json> {
        Some(match self {
            Self::Undefined => return None,
            Self::Null => Json::Null,
            Self::Bool(truth) => Json::Bool(truth),
            Self::Int(number) => Json::from(number),
            Self::Decimal(number) if number.fract() == 0.0 && number.abs() < EXACT_WHOLE_MAX => {
                Json::from(number as i64)
            }
            Self::Decimal(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
            Self::Text(text) => Json::String(text),
            Self::Array(items) => Json::Array(items),
            Self::Object(fields) => Json::Object(fields),
        })
    }

    /// The number itself; no conversion.
    pub(super) fn number(&self) -> Option<Numeric> {
        match self {
            Self::Int(number) => Some(Numeric::Int(*number)),
            Self::Decimal(number) => Some(Numeric::Decimal(*number)),
            _ => None,
        }
    }

    /// The number, or the number that a string spells. Such a one is always a Decimal.
    pub(super) fn to_number(&self) -> Option<Numeric> {
        match self {
            Self::Text(text) => spelled_number(text).map(Numeric::Decimal),
            _ => self.number(),
        }
    }

    pub(super) fn to_f64(&self) -> Option<f64> {
        self.to_number().map(Numeric::as_f64)
    }

    /// The number rounded down.
    pub(super) fn to_i64(&self) -> Option<i64> {
        match self.to_number()? {
            Numeric::Int(number) => Some(number),
            Numeric::Decimal(number) => match Self::whole(number.floor()) {
                Self::Int(number) => Some(number),
                _ => None,
            },
        }
    }

    /// True, false, or a string that spells one of them.
    pub(super) fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// The text of everything but Null and Undefined; arrays and objects as JSON.
    pub(super) fn to_text(&self) -> Option<String> {
        match self {
            Self::Undefined | Self::Null => None,
            Self::Text(text) => Some(text.clone()),
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Decimal(number) => Some(number.to_string()),
            Self::Array(items) => serde_json::to_string(items).ok(),
            Self::Object(fields) => serde_json::to_string(fields).ok(),
        }
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(truth),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => number.as_f64().map_or(Self::Undefined, Self::decimal),
            },
            Json::String(text) => Self::Text(text),
            Json::Array(items) => Self::Array(items),
            Json::Object(fields) => Self::Object(fields),
        }
    }
}

/// `-1.2`, `5E-12`: an optional minus, digits, a fraction, an exponent; nothing else.
fn spelled_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix('-').unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_number = is_digits(whole) && fraction.is_none_or(is_digits) && exponent.is_none_or(is_digits);
    if !is_number {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Equality of JSON values with numbers compared by value: `1` equals `1.0`.
pub(crate) fn same_json(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left == right,
            _ => left.as_f64() == right.as_f64(),
        },
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_json(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same_json(left, right)))
        }
        _ => left == right,
    }
}

/// About how many bytes `json` takes: what a copy of it is charged.
pub(super) fn weight(json: &Json) -> usize {
    16 + match json {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(weight).sum(),
        Json::Object(fields) => fields.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        _ => 0,
    }
}
