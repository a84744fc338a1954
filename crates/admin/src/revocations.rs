//! Revoking credentials, and what is revoked.

use fanfare_core::Millis;
use fanfare_identity::Revocation;
use serde::Deserialize;
use serde_json::json;

use crate::problem::Problem;
use crate::request::{Answer, Call, answer};

/// No time of ours is before this one (1973): a smaller number was meant in seconds.
const MILLIS_MIN: Millis = 100_000_000_000;
/// How far in the future `issued_before` may lie. Revocations are not taken back, and one of a
/// wrong unit would keep everybody out for good.
const AHEAD_MAX: Millis = 24 * 60 * 60 * 1_000;

/// An unknown field is an error here: it may be the misspelt half of what was meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    subject: Option<String>,
    token_id: Option<String>,
    issued_before: Option<Millis>,
    until: Option<Millis>,
}

impl Fields {
    fn revocation(self, now: Millis) -> Result<(Revocation, Option<Millis>), Problem> {
        let times = [("issued_before", self.issued_before), ("until", self.until)];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_some_and(|time| time < MILLIS_MIN)) {
            return Err(Problem::bad_request(format!("{name}: milliseconds since 1970 are needed")));
        }
        if self.issued_before.is_some_and(|time| time > now + AHEAD_MAX) {
            return Err(Problem::bad_request("issued_before: more than a day ahead"));
        }
        if self.until.is_some_and(|until| until <= now) {
            return Err(Problem::bad_request("until: has passed already; nothing would be revoked"));
        }
        let revocation = match (self.subject, self.token_id, self.issued_before) {
            (Some(subject), None, issued_before) => Revocation::Subject { subject, issued_before },
            (None, Some(token_id), None) => Revocation::Token { token_id },
            (None, None, Some(issued_before)) => Revocation::IssuedBefore { issued_before },
            _ => {
                return Err(Problem::bad_request(
                    "one of these is needed: subject (with or without issued_before), token_id, or issued_before alone",
                ));
            }
        };
        Ok((revocation, self.until))
    }
}

/// `POST revoke`
pub(crate) async fn revoke(mut call: Call) -> Answer {
    call.caller.require_server()?;
    let body = call.read_body().await?;
    let fields: Fields =
        serde_json::from_slice(&body).map_err(|error| Problem::bad_request(format!("body: {error}")))?;
    let (revocation, until) = fields.revocation(call.gateway.clock.now())?;
    tracing::info!(by = call.caller.name(), ?revocation, until, "revoking");
    call.gateway.revoke(revocation.clone(), until).await?;
    answer(&json!({ "revoked": revocation, "until": until }))
}

/// `GET revocations`
pub(crate) fn list(call: &Call) -> Answer {
    call.caller.require_server()?;
    let limit = call.query.page()?.limit;
    let revocations = call.gateway.gate.revocations();
    answer(&json!({ "revocations": revocations.list(limit), "total": revocations.len() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_800_000_000_000;

    fn read(json: &str) -> Result<(Revocation, Option<Millis>), String> {
        let fields: Fields = serde_json::from_str(json).map_err(|error| error.to_string())?;
        fields.revocation(NOW).map_err(|problem| problem.message)
    }

    #[test]
    fn each_kind_has_its_own_fields() {
        let subject = Revocation::Subject { subject: "ann".into(), issued_before: None };
        assert_eq!(read(r#"{"subject":"ann"}"#), Ok((subject, None)));
        let subject = Revocation::Subject { subject: "ann".into(), issued_before: Some(NOW) };
        assert_eq!(read(r#"{"subject":"ann","issued_before":1800000000000}"#), Ok((subject, None)));
        let token = Revocation::Token { token_id: "t".into() };
        assert_eq!(read(r#"{"token_id":"t","until":1800000000001}"#), Ok((token, Some(NOW + 1))));
        let everybody = Revocation::IssuedBefore { issued_before: NOW };
        assert_eq!(read(r#"{"issued_before":1800000000000}"#), Ok((everybody, None)));
    }

    #[test]
    fn what_may_be_a_mistake_revokes_nothing() {
        for json in [
            "{}",
            r#"{"until":1800000000001}"#,
            r#"{"subject":"ann","token_id":"t"}"#,
            r#"{"token_id":"t","issued_before":1800000000000}"#,
            r#"{"subject":"ann","isued_before":1800000000000}"#,
            r#"{"issued_before":1800000000}"#,
            r#"{"issued_before":1800000000000000}"#,
            r#"{"subject":"ann","until":1799999999999}"#,
            r#"{"subject":"ann","issued_before":-1}"#,
            "[]",
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
