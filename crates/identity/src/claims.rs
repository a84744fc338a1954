//! From verified claims to a principal.

use std::sync::Arc;

use fanfare_core::{Effect, Grant, Millis, Principal, Rule};
use serde_json::{Map, Value};

use crate::error::{ConfigError, TokenError, quoted};

/// Allow and deny rules of one token together, at most.
pub const RULES_MAX: usize = 256;
/// Longest `sub`.
pub const SUBJECT_BYTES_MAX: usize = 1024;
/// Longest `jti`.
pub const TOKEN_ID_BYTES_MAX: usize = 1024;
/// Longest rule of a token.
pub const CLAIM_TEXT_BYTES_MAX: usize = 2048;

/// Seconds and milliseconds of a claim are kept below this, so that sums cannot overflow.
const MILLIS_MAX: Millis = Millis::MAX / 4;

/// Rules as text, before a subject is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantRules {
    /// Such as `subscribe:default/room-*`.
    pub allow: Vec<String>,
    /// Take precedence over every allow.
    pub deny: Vec<String>,
}

impl GrantRules {
    /// Checks the rules without a subject.
    ///
    /// # Errors
    /// [`ConfigError::Rule`] names the broken rule.
    pub(crate) fn check(&self, setting: &'static str) -> Result<(), ConfigError> {
        self.compile(None).map(drop).map_err(|problem| ConfigError::Rule { setting, problem })
    }

    /// With `${sub}` replaced.
    pub(crate) fn compile(&self, subject: Option<&str>) -> Result<Grant, String> {
        let deny = compile(Effect::Deny, &self.deny, subject)?;
        let allow = compile(Effect::Allow, &self.allow, subject)?;
        Ok(Grant::new(deny.into_iter().chain(allow).collect()))
    }
}

fn compile(effect: Effect, rules: &[String], subject: Option<&str>) -> Result<Vec<Rule>, String> {
    rules.iter().map(|rule| Rule::parse(effect, rule, subject).map_err(|e| e.to_string())).collect()
}

/// What the claims of a token must say.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// Refuse tokens without `exp`.
    pub require_exp: bool,
    /// How far the clocks of issuer and server may differ.
    pub leeway_ms: Millis,
    /// Accepted `iss`; empty accepts any and none.
    pub issuers: Vec<String>,
    /// Accepted `aud`, of which the token must have one; empty accepts any and none.
    pub audiences: Vec<String>,
    /// The grant of tokens that say nothing about Fanfare.
    pub default_grant: GrantRules,
}

impl Default for ClaimRules {
    fn default() -> Self {
        Self {
            require_exp: true,
            leeway_ms: 5_000,
            issuers: Vec::new(),
            audiences: Vec::new(),
            default_grant: GrantRules::default(),
        }
    }
}

/// A principal and the time before which it does not count.
pub(crate) struct Admitted {
    pub(crate) principal: Arc<Principal>,
    pub(crate) valid_from: Millis,
}

impl ClaimRules {
    /// Judges the claims of a token whose signature is good.
    pub(crate) fn admit(&self, claims: &Map<String, Value>, now: Millis) -> Result<Admitted, TokenError> {
        let expires = time(claims, "exp")?;
        if self.require_exp && expires.is_none() {
            return Err(broken("exp", "is missing"));
        }
        // The principal counts as long as its token is accepted: a connection that is let in
        // within the leeway would otherwise be closed at once, and come back, and be closed.
        let expires_at = expires.map(|at| at.saturating_add(self.leeway_ms));
        if let (Some(at), Some(end)) = (expires, expires_at)
            && end <= now
        {
            return Err(TokenError::Expired { at });
        }
        let not_before = time(claims, "nbf")?.unwrap_or(0);
        let valid_from = not_before.saturating_sub(self.leeway_ms);
        if now < valid_from {
            return Err(TokenError::NotYetValid { from: not_before });
        }
        require_one_of(claims, "iss", &self.issuers)?;
        require_one_of(claims, "aud", &self.audiences)?;
        let subject = text(claims, "sub", SUBJECT_BYTES_MAX)?;
        let token_id = text(claims, "jti", TOKEN_ID_BYTES_MAX)?;
        let issued_at = time(claims, "iat")?;
        if subject.is_none() && token_id.is_none() && issued_at.is_none() && expires.is_none() {
            return Err(broken("sub", "is missing, and so are jti, iat and exp: such a token could never be revoked"));
        }
        let grant = self.grant(claims, subject)?;
        let principal = Principal {
            subject: subject.map(Into::into),
            token_id: token_id.map(Into::into),
            issued_at,
            expires_at,
            grant,
        };
        Ok(Admitted { principal: Arc::new(principal), valid_from })
    }

    fn grant(&self, claims: &Map<String, Value>, subject: Option<&str>) -> Result<Grant, TokenError> {
        let Some(rules) = token_rules(claims)? else {
            // Checked when the configuration was read; a subject cannot break a rule.
            return self
                .default_grant
                .compile(subject)
                .map_err(|problem| TokenError::Rule { claim: "default_allow", problem });
        };
        if rules.allow.len() + rules.deny.len() > RULES_MAX {
            return Err(broken("fanfare", "has more than 256 rules"));
        }
        let compiled = |claim, effect, rules: &[String]| {
            compile(effect, rules, subject)
                .map_err(|problem| TokenError::Rule { claim, problem: quoted_rule(&problem) })
        };
        let mut all = compiled("fanfare.deny", Effect::Deny, &rules.deny)?;
        all.extend(compiled("fanfare.allow", Effect::Allow, &rules.allow)?);
        Ok(Grant::new(all))
    }
}

fn quoted_rule(problem: &str) -> String {
    match problem.char_indices().nth(400) {
        Some((end, _)) => format!("{}...", &problem[..end]),
        None => problem.to_owned(),
    }
}

/// Reads `fanfare: { allow, deny }` and `"fanfare.allow"`, `"fanfare.deny"`, which add up. `None`
/// when the token has neither. Any other name is refused: a misspelt `deny` must not be ignored.
fn token_rules(claims: &Map<String, Value>) -> Result<Option<GrantRules>, TokenError> {
    let mut rules = GrantRules::default();
    let mut is_present = false;
    for (name, value) in claims {
        if name == "fanfare" {
            let Value::Object(nested) = value else {
                return Err(broken("fanfare", "is not an object with allow and deny"));
            };
            for (name, value) in nested {
                add_rules(&mut rules, name, value)?;
            }
            is_present = true;
        } else if let Some(name) = name.strip_prefix("fanfare.") {
            add_rules(&mut rules, name, value)?;
            is_present = true;
        }
    }
    Ok(is_present.then_some(rules))
}

fn add_rules(rules: &mut GrantRules, name: &str, value: &Value) -> Result<(), TokenError> {
    let (into, claim) = match name {
        "allow" => (&mut rules.allow, "fanfare.allow"),
        "deny" => (&mut rules.deny, "fanfare.deny"),
        other => {
            let claim = format!("fanfare.{}", quoted(other));
            return Err(TokenError::Claims { claim, problem: "is unknown; known are allow and deny" });
        }
    };
    let Value::Array(items) = value else {
        return Err(broken(claim, "is not a list of rules"));
    };
    if items.len() > RULES_MAX {
        return Err(broken(claim, "has more than 256 rules"));
    }
    for item in items {
        match item {
            Value::String(rule) if rule.len() <= CLAIM_TEXT_BYTES_MAX => into.push(rule.clone()),
            Value::String(_) => return Err(broken(claim, "has a rule of more than 2048 bytes")),
            _ => return Err(broken(claim, "holds something that is not text")),
        }
    }
    Ok(())
}

fn broken(claim: &str, problem: &'static str) -> TokenError {
    TokenError::Claims { claim: claim.to_owned(), problem }
}

/// RFC 7519 2, NumericDate: seconds, possibly with a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Millis>, TokenError> {
    let not_a_time = || broken(name, "is not a time in seconds since 1970");
    let number = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(not_a_time()),
    };
    if let Some(seconds) = number.as_u64() {
        return Ok(Some(seconds.saturating_mul(1_000).min(MILLIS_MAX)));
    }
    match number.as_f64() {
        // A float is cut to the range of the integer when converted.
        Some(seconds) if seconds >= 0.0 => Ok(Some(((seconds * 1_000.0) as Millis).min(MILLIS_MAX))),
        _ => Err(not_a_time()),
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str, bytes_max: usize) -> Result<Option<&'a str>, TokenError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Err(broken(name, "is empty")),
        Some(Value::String(text)) if text.len() > bytes_max => Err(broken(name, "is too long")),
        Some(Value::String(text)) if text.chars().any(char::is_control) => {
            Err(broken(name, "contains control characters"))
        }
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(broken(name, "is not text")),
    }
}

/// RFC 7519 4.1.3: `aud` is one text or a list, and one of them must be ours; `iss` likewise.
fn require_one_of(claims: &Map<String, Value>, name: &str, accepted: &[String]) -> Result<(), TokenError> {
    if accepted.is_empty() {
        return Ok(());
    }
    let is_accepted = |value: &Value| value.as_str().is_some_and(|text| accepted.iter().any(|a| a == text));
    let found = match claims.get(name) {
        None | Some(Value::Null) => return Err(broken(name, "is missing")),
        Some(Value::Array(values)) if name == "aud" => values.iter().any(is_accepted),
        Some(value) => is_accepted(value),
    };
    if found { Ok(()) } else { Err(broken(name, "is not one that is accepted here")) }
}
