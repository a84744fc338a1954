//! One element of a pattern's leaf: what a scalar of an event is asked.

use std::cmp::Ordering;
use std::net::IpAddr;

use serde_json::Value;

use super::text::TextTest;
use crate::number::Canonical;

/// A test of one scalar, or of its presence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Matcher {
    Scalar(Scalar),
    Text(TextTest),
    /// The field exists and none of these holds.
    AnythingBut(Vec<Matcher>),
    Numeric(Range),
    Cidr(Network),
    Exists(bool),
}

/// A scalar other than a string.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Number(Canonical),
}

impl Matcher {
    /// Whether a scalar of an event passes. Arrays and objects never do.
    pub(crate) fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Array(_) | Value::Object(_)) => false,
            (Self::Exists(wanted), _) => *wanted,
            (Self::AnythingBut(tests), value) => !tests.iter().any(|test| test.holds_simply(value)),
            (test, value) => test.holds_simply(value),
        }
    }

    /// [`Matcher::holds`] for the tests that `anything-but` may deny.
    fn holds_simply(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(test), Value::String(text)) => test.holds(text),
            (Self::Scalar(Scalar::Number(wanted)), Value::Number(number)) => *wanted == Canonical::of(number),
            (Self::Scalar(Scalar::Bool(wanted)), Value::Bool(flag)) => wanted == flag,
            (Self::Scalar(Scalar::Null), Value::Null) => true,
            (Self::Numeric(range), Value::Number(number)) => range.contains(Canonical::of(number)),
            (Self::Cidr(network), Value::String(text)) => network.contains(text),
            _ => false,
        }
    }

    /// Whether an absent field passes.
    pub(crate) fn holds_for_nothing(&self) -> bool {
        matches!(self, Self::Exists(false))
    }
}

/// `{"numeric": [">", 0, "<=", 5]}`. `true` beside a bound includes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: Option<(Canonical, bool)>,
    pub(crate) high: Option<(Canonical, bool)>,
}

impl Range {
    fn contains(&self, number: Canonical) -> bool {
        let beyond = |bound: &Option<(Canonical, bool)>, direction| match bound {
            None => true,
            Some((bound, included)) => match number.order(*bound) {
                Some(Ordering::Equal) => *included,
                other => other == Some(direction),
            },
        };
        beyond(&self.low, Ordering::Greater) && beyond(&self.high, Ordering::Less)
    }
}

/// `{"cidr": "10.0.0.0/24"}`: addresses that share the leading bits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Network {
    address: IpAddr,
    /// Leading bits that count: 0 to 32, or to 128 for IPv6.
    bits: u32,
}

impl Network {
    /// Reads `address/bits`; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        if bits.is_empty() || !bits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let bits = bits.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        (bits <= width).then_some(Self { address, bits })
    }

    fn contains(&self, text: &str) -> bool {
        // A shift by the whole width leaves nothing to compare.
        match (self.address, text.parse()) {
            (IpAddr::V4(a), Ok(IpAddr::V4(b))) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), Ok(IpAddr::V6(b))) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}
