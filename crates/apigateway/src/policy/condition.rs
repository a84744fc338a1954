//! Conditions of statements: those over the client's address. Others are not known here.

use std::net::IpAddr;

use serde_json::Value;

use super::{Truth, list};
use crate::glob;

/// Whether all conditions hold for a client at `source_ip`.
pub(super) fn holds(condition: Option<&Value>, source_ip: IpAddr) -> Result<Truth, String> {
    let Some(condition) = condition else { return Ok(Truth::Yes) };
    let operators = condition.as_object().ok_or("`Condition` must be an object")?;
    let mut all = Truth::Yes;
    for (operator, tests) in operators {
        let tests = tests.as_object().ok_or_else(|| format!("`{operator}` must be an object"))?;
        for (key, values) in tests {
            let is = match (key.eq_ignore_ascii_case("aws:SourceIp"), Operator::read(operator)) {
                (true, Some(operator)) => operator.holds(list(values), source_ip)?,
                _ => Truth::Unknown,
            };
            all = all.and(is);
        }
    }
    Ok(all)
}

/// An operator: how it compares, and whether the opposite is meant.
struct Operator {
    compares: Compares,
    is_negated: bool,
}

enum Compares {
    Network,
    Text,
    TextOfAnyCase,
    Pattern,
}

impl Operator {
    fn read(name: &str) -> Option<Self> {
        let (compares, is_negated) = match name {
            "IpAddress" => (Compares::Network, false),
            "NotIpAddress" => (Compares::Network, true),
            "StringEquals" => (Compares::Text, false),
            "StringNotEquals" => (Compares::Text, true),
            "StringEqualsIgnoreCase" => (Compares::TextOfAnyCase, false),
            "StringNotEqualsIgnoreCase" => (Compares::TextOfAnyCase, true),
            "StringLike" => (Compares::Pattern, false),
            "StringNotLike" => (Compares::Pattern, true),
            _ => return None,
        };
        Some(Self { compares, is_negated })
    }

    /// Whether one of `values` fits the address, or none where the opposite is meant.
    fn holds(&self, values: &[Value], source_ip: IpAddr) -> Result<Truth, String> {
        let text = source_ip.to_string();
        let mut is = false;
        for value in values {
            let value = value.as_str().ok_or("values of `Condition` must be texts")?;
            is |= match self.compares {
                Compares::Network => contains(value, source_ip)
                    .ok_or_else(|| format!("{value:?} is no address or network, such as 192.0.2.0/24"))?,
                Compares::Text => value == text,
                Compares::TextOfAnyCase => value.eq_ignore_ascii_case(&text),
                Compares::Pattern => glob::matches(value, &text),
            };
        }
        Ok(Truth::of(is != self.is_negated))
    }
}

/// Whether `ip` is in `network`, an address with or without the length of a prefix.
fn contains(network: &str, ip: IpAddr) -> Option<bool> {
    let (address, bits) = match network.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (network, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    if bits > width {
        return None;
    }
    // Shifting by the whole width is a shift too far.
    let prefix = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)).checked_shr(width - bits).unwrap_or(0),
        IpAddr::V6(ip) => u128::from(ip).checked_shr(width - bits).unwrap_or(0),
    };
    Some(address.is_ipv4() == ip.is_ipv4() && prefix(address) == prefix(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, ip, expected) in [
            ("203.0.113.0/24", "203.0.113.9", Some(true)),
            ("203.0.113.9", "203.0.113.9", Some(true)),
            ("203.0.113.8", "203.0.113.9", Some(false)),
            ("203.0.113.8/31", "203.0.113.9", Some(true)),
            ("203.0.114.0/24", "203.0.113.9", Some(false)),
            ("0.0.0.0/0", "203.0.113.9", Some(true)),
            ("0.0.0.0/0", "2001:db8::1", Some(false)),
            ("2001:db8::/32", "2001:db8::1", Some(true)),
            ("::/0", "2001:db8::1", Some(true)),
            ("::/0", "203.0.113.9", Some(false)),
            ("203.0.113.0/33", "203.0.113.9", None),
            ("203.0.113/24", "203.0.113.9", None),
            ("here", "203.0.113.9", None),
        ] {
            assert_eq!(contains(network, ip.parse().unwrap()), expected, "{ip} in {network}");
        }
    }
}
