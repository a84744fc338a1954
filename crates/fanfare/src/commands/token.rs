//! `fanfare token`: makes a token with a key of the configuration, or with the development key.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use fanfare_core::{Effect, Rule};
use fanfare_identity::{KeyAlgorithm, MintRequest, SigningKey, SigningKeyConfig, SigningMaterial, mint};

use crate::cli::TokenArgs;
use crate::config::{Config, Flag, Sources, nearest};
use crate::development_key;
use crate::exit::Misuse;
use crate::output;

pub(crate) fn run(args: TokenArgs) -> anyhow::Result<ExitCode> {
    check_rules(&args)?;
    let data = args.data.clone().map(|data| Flag { name: "--data", key: "data", value: data.into() });
    let config = Config::load(Sources {
        file: args.config.clone(),
        flags: data.into_iter().collect(),
        ..Sources::from_environment()
    })?;
    let key = SigningKey::new(&signing_key(&config, args.key_id.as_deref())?)?;
    if args.allow.is_empty() && config.auth.default_allow.is_empty() {
        output::note("fanfare: this token allows nothing; add --allow or set auth.default_allow");
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let mut request = MintRequest {
        sub: args.sub,
        allow: args.allow,
        deny: args.deny,
        ttl_ms: millis(args.ttl),
        issued_at: millis(now),
        ..MintRequest::default()
    };
    // A token that the server of this configuration would refuse helps nobody.
    for (claim, accepted) in [("iss", &config.auth.issuer), ("aud", &config.auth.audience)] {
        if let Some(first) = accepted.first() {
            request.extra.insert(claim.to_owned(), first.as_str().into());
        }
    }
    let token = mint(&key, &request)?;
    output::write_to_reader(format!("{token}\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn check_rules(args: &TokenArgs) -> Result<(), Misuse> {
    let rules = args.allow.iter().map(|rule| (Effect::Allow, rule));
    for (effect, rule) in rules.chain(args.deny.iter().map(|rule| (Effect::Deny, rule))) {
        Rule::parse(effect, rule, args.sub.as_deref()).map_err(|e| Misuse(e.to_string()))?;
    }
    Ok(())
}

fn signing_key(config: &Config, id: Option<&str>) -> anyhow::Result<SigningKeyConfig> {
    let keys = &config.auth.keys;
    if config.is_development() && id.is_none_or(|id| id == development_key::ID) {
        let secret = development_key::read_or_create(&config.data).with_context(|| {
            let file = config.data.join(development_key::FILE);
            format!("the development key {}", file.display())
        })?;
        return Ok(SigningKeyConfig {
            id: Some(development_key::ID.to_owned()),
            algorithm: KeyAlgorithm::HS256,
            material: SigningMaterial::Secret(secret),
        });
    }
    let Some(id) = id else {
        let can_sign = keys.iter().find(|key| key.algorithm == KeyAlgorithm::HS256);
        let key = can_sign.ok_or_else(|| {
            Misuse(
                "no configured key can sign: public keys and JWKS only verify; make tokens where \
                 the private key is, or configure an HS256 key"
                    .to_owned(),
            )
        })?;
        return key.signing()?.context("the key cannot sign");
    };
    let key = keys.iter().find(|key| key.id == id).ok_or_else(|| {
        let hint = nearest(id, keys.iter().map(|key| key.id.as_str()));
        let hint = hint.map(|id| format!("; did you mean \"{id}\"?")).unwrap_or_default();
        Misuse(format!("no key with id \"{id}\" is configured{hint}"))
    })?;
    let cannot = || Misuse(format!("key \"{id}\" is a public {} key and cannot sign", key.algorithm));
    Ok(key.signing()?.ok_or_else(cannot)?)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Reads `90s`, `15m`, `12h` or `30d`.
pub(crate) fn parse_ttl(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 90s, 15m, 12h or 30d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=TTL_SECONDS_MAX) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected at least a second and at most ten years".to_owned()),
    }
}

const TTL_SECONDS_MAX: u64 = 10 * 366 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_ttl("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_ttl("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_ttl("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(parse_ttl("30d"), Ok(Duration::from_secs(2_592_000)));
        for text in ["", "h", "1", "1w", "0s", "-1h", "1.5h", "99999999999999d", "5µ"] {
            assert!(parse_ttl(text).is_err(), "{text}");
        }
    }
}
