//! Who a client is: from what CONNECT carries to a principal.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fanfare_core::{Millis, Principal};
use fanfare_door::Gateway;
use fanfare_identity::{TokenError, Verdict as Judged};
use fanfare_mqtt_codec::{Connect, ReasonCode};

/// What a client shows.
pub(crate) struct Credentials {
    password: Option<Vec<u8>>,
}

/// Why a client is not let in.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) reason: ReasonCode,
    /// For metrics and logs.
    pub(crate) code: &'static str,
}

/// The judgement, now or after somebody was asked.
pub(crate) enum Verdict {
    Now(Result<Arc<Principal>, Denied>),
    Later(Pin<Box<dyn Future<Output = Result<Arc<Principal>, Denied>> + Send>>),
}

impl Credentials {
    pub(crate) fn of(connect: &Connect<'_>) -> Self {
        Self { password: connect.password.map(<[u8]>::to_vec) }
    }
}

/// Judges credentials: the password is a token.
pub(crate) fn judge(gateway: &Arc<Gateway>, credentials: Credentials, now: Millis) -> Verdict {
    let token = match credentials.password.map(String::from_utf8) {
        None => return Verdict::Now(gateway.gate.anonymous(now).map_err(|error| denied(&error))),
        Some(Ok(token)) => token,
        Some(Err(_)) => return Verdict::Now(Err(denied(&TokenError::Malformed("it is not text")))),
    };
    match gateway.gate.verify(&token, now) {
        Judged::Principal(principal) => Verdict::Now(Ok(principal)),
        Judged::Refused(error) => Verdict::Now(Err(denied(&error))),
        Judged::NeedsKeys => {
            let gateway = gateway.clone();
            Verdict::Later(Box::pin(async move {
                gateway.gate.verify_with_fetch(&token, now).await.map_err(|error| denied(&error))
            }))
        }
    }
}

fn denied(error: &TokenError) -> Denied {
    let reason = match error {
        TokenError::Missing | TokenError::Revoked => ReasonCode::NotAuthorized,
        TokenError::KeysUnavailable => ReasonCode::ServerUnavailable,
        _ => ReasonCode::BadUserNameOrPassword,
    };
    Denied { reason, code: error.code() }
}
