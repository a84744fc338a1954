//! What is known of a client before it has said a word of MQTT.

use fanfare_aws::sigv4::{PayloadHash, Request, SignatureError};
use fanfare_core::Millis;
use fanfare_door::{Arrival, Head, Opening};
use fanfare_iam::{Caller, Certificate};

use super::authority::Authority;

/// Services for which clients sign an upgrade.
const SERVICES: &[&str] = &["iotdevicegateway", "iotdata"];

/// How a client arrived. Kept until its CONNECT has come.
#[derive(Default)]
pub(crate) struct Arrived {
    /// Who signed the upgrade.
    pub(crate) caller: Option<Caller>,
    /// Verified by TLS.
    pub(crate) certificate: Option<Certificate>,
    /// For authorizers: TLS, with the server's name that the client asked for.
    pub(crate) tls: Option<Option<String>>,
    /// For authorizers: headers and query of the upgrade.
    pub(crate) http: Option<HttpPart>,
}

/// Of the upgrade to WebSocket.
pub(crate) struct HttpPart {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: String,
}

impl Arrived {
    /// Looks at an arrival. `None` when there is nothing to keep.
    ///
    /// # Errors
    /// The upgrade is signed, and the signature does not count.
    pub(crate) fn of(
        arrival: &Arrival<'_>,
        authority: &Authority,
        now: Millis,
    ) -> Result<Option<Box<Self>>, SignatureError> {
        let signed = arrival.head.filter(|head| is_signed(head));
        let caller = signed.map(|head| verify(head, authority, now)).transpose()?;
        let caller = caller.map(|caller| caller.from_ip(arrival.peer.ip()));
        let mut arrived = Self { caller, ..Self::default() };
        if let Some(tls) = arrival.tls {
            arrived.certificate = tls.certificates.first().and_then(|der| match Certificate::read(der) {
                Ok(certificate) => Some(certificate),
                Err(error) => {
                    tracing::debug!(peer = %arrival.peer, %error, "a certificate is disregarded");
                    None
                }
            });
        }
        if !authority.authorizers.is_empty() {
            arrived.tls = arrival.tls.map(|tls| tls.server_name.clone());
            arrived.http =
                arrival.head.map(|head| HttpPart { headers: head.headers.clone(), query: head.query.clone() });
        }
        let is_empty = arrived.caller.is_none()
            && arrived.certificate.is_none()
            && arrived.tls.is_none()
            && arrived.http.is_none();
        Ok((!is_empty).then(|| Box::new(arrived)))
    }
}

fn is_signed(head: &Head) -> bool {
    let names = || head.query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    names().any(|name| name == "X-Amz-Signature" || name == "X-Amz-Algorithm")
        || head.header("authorization").is_some_and(|value| value.trim_start().starts_with("AWS4-"))
}

fn verify(head: &Head, authority: &Authority, now: Millis) -> Result<Caller, SignatureError> {
    let headers: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let request = Request {
        method: &head.method,
        raw_path: &head.path,
        raw_query: &head.query,
        headers: &headers,
        payload: PayloadHash::Bytes(b""),
    };
    authority.access.verify(&request, SERVICES, now)
}

/// The answer to an upgrade whose signature does not count; what is wrong with it is in the log,
/// under the same id.
pub(crate) fn forbidden(trace_id: &str) -> Opening {
    let body = format!(r#"{{"message":"Forbidden","traceId":"{trace_id}"}}"#).into_bytes();
    let headers = vec![("x-amzn-errortype", "ForbiddenException".to_owned())];
    Opening::Refuse { status: 403, headers, body }
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn trace_id() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fanfare_aws::credentials::Credential;
    use fanfare_aws::sigv4::{Signing, presign_url};
    use fanfare_core::Grant;
    use fanfare_iam::{Access, Attached, Policies, Realm};

    use super::*;

    const NOW: Millis = 1_767_323_045_000;

    fn key() -> Credential {
        Credential::new("AKIDEXAMPLE", "hush-hush", "ann")
    }

    fn authority() -> Authority {
        let mut access = Access::new(Realm::new("local", "000000000000", "default"), Policies::default());
        access.add(key(), &Attached { allow: vec!["publish:default/#".to_owned()], ..Attached::default() }).unwrap();
        Authority { access: Arc::new(access), ..Authority::default() }
    }

    fn head(query: &str) -> Head {
        let headers = vec![("Host".to_owned(), "gw.example:8443".to_owned())];
        Head { method: "GET".to_owned(), path: "/mqtt".to_owned(), query: query.to_owned(), headers }
    }

    fn signed(at: Millis) -> String {
        let headers = [("host", "gw.example:8443")];
        let payload = PayloadHash::Bytes(b"");
        let request = Request { method: "GET", raw_path: "/mqtt", raw_query: "", headers: &headers, payload };
        let url = presign_url(&request, &Signing::new(&key(), "local", "iotdevicegateway", at), None).unwrap();
        url.split_once('?').unwrap().1.to_owned()
    }

    fn arrive(query: &str) -> Result<Option<Box<Arrived>>, SignatureError> {
        let head = head(query);
        let peer = "127.0.0.1:1".parse().unwrap();
        let arrival = Arrival { head: Some(&head), subprotocol: None, peer, is_secure: false, tls: None };
        Arrived::of(&arrival, &authority(), NOW)
    }

    #[test]
    fn a_signature_on_the_upgrade_names_the_caller() {
        let arrived = arrive(&signed(NOW)).unwrap().unwrap();
        let caller = arrived.caller.unwrap();
        assert_eq!(caller.principal.subject.as_deref(), Some("ann"));
        assert_ne!(caller.principal.grant, Grant::everything());
        assert!(arrive("").unwrap().is_none());
        assert!(arrive("a=b&token=X-Amz-Signature").unwrap().is_none());
    }

    #[test]
    fn a_wrong_or_old_signature_ends_it() {
        let mut changed = signed(NOW);
        let last = if changed.pop() == Some('0') { '1' } else { '0' };
        changed.push(last);
        assert!(matches!(arrive(&changed), Err(SignatureError::Mismatch { .. })));
        assert!(matches!(arrive(&signed(NOW - 20 * 60 * 1_000)), Err(SignatureError::Expired { .. })));
        assert!(matches!(arrive("X-Amz-Signature=00"), Err(SignatureError::Missing)));
    }

    #[test]
    fn the_refusal_names_nothing_but_its_id() {
        let id = trace_id();
        let Opening::Refuse { status, body, .. } = forbidden(&id) else { panic!("it refuses") };
        assert_eq!(status, 403);
        assert_eq!(String::from_utf8(body).unwrap(), format!(r#"{{"message":"Forbidden","traceId":"{id}"}}"#));
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
    }
}
