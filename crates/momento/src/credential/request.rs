//! Orders from the requests of SDKs, and answers to them.

use super::{Endpoint, Form, Minted, Order};
use crate::error::Problem;
use crate::permission::{PermissionError, Permissions};
use crate::wire;

impl Order {
    /// What a request for a disposable token asks for. `id` is that of the new token.
    ///
    /// # Errors
    /// [`Problem::InvalidArgument`] for permissions that are none. What else must hold is looked at
    /// when it is made.
    pub fn of_disposable(request: &wire::GenerateDisposableTokenRequest, id: &str) -> Result<Self, Problem> {
        Ok(Self {
            form: Form::Disposable,
            permissions: permissions(request.permissions.as_ref())?,
            token_id: request.token_id.clone(),
            lifetime_s: request.expires.map(|expires| expires.valid_for_seconds),
            id: id.to_owned(),
        })
    }

    /// What a request for a key asks for. SDKs wrap it, so it is a v1 key. `id` is that of the new key.
    ///
    /// # Errors
    /// [`Problem::InvalidArgument`] for permissions that are none, and for a request that does not say
    /// whether the key ends.
    pub fn of_key(request: &wire::GenerateApiTokenRequest, id: &str) -> Result<Self, Problem> {
        let lifetime_s = match request.expiry {
            Some(wire::expiry::Expiry::Never(_)) => None,
            Some(wire::expiry::Expiry::Expires(expires)) => Some(expires.valid_for_seconds),
            None => return Err(Problem::InvalidArgument("the key's expiry is missing: set never or expires".into())),
        };
        Ok(Self {
            form: Form::V1,
            permissions: permissions(request.permissions.as_ref())?,
            token_id: request.token_id.clone(),
            lifetime_s,
            id: id.to_owned(),
        })
    }
}

fn permissions(message: Option<&wire::Permissions>) -> Result<Permissions, PermissionError> {
    Permissions::from_wire(message.ok_or(PermissionError::Empty)?)
}

impl Minted {
    /// The answer to a request for a disposable token.
    #[must_use]
    pub fn into_disposable(self, endpoint: &Endpoint) -> wire::GenerateDisposableTokenResponse {
        wire::GenerateDisposableTokenResponse {
            api_key: self.api_key,
            endpoint: endpoint.as_str().to_owned(),
            valid_until: self.valid_until,
        }
    }

    /// The answer to a request for a key, new or refreshed.
    #[must_use]
    pub fn into_key(self, endpoint: &Endpoint) -> wire::ApiTokenResponse {
        wire::ApiTokenResponse {
            api_key: self.api_key,
            refresh_token: self.refresh_token.unwrap_or_default(),
            endpoint: endpoint.as_str().to_owned(),
            valid_until: self.valid_until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Authority;

    const NOW: u64 = 1_800_000_000;

    fn all() -> Option<wire::Permissions> {
        Some(Permissions::SuperUser.to_wire())
    }

    #[test]
    fn a_disposable_token_is_answered() {
        let authority = Authority::new([&[7; 32][..]]).unwrap();
        let endpoint = Endpoint::new("gw.example.com").unwrap();
        let request = wire::GenerateDisposableTokenRequest {
            expires: Some(wire::Expires { valid_for_seconds: 300 }),
            auth_token: String::new(),
            permissions: Some(Permissions::Listed(Vec::new()).to_wire()),
            token_id: "u1".into(),
        };
        let order = Order::of_disposable(&request, "id").unwrap();
        let answer = authority.mint(&order, NOW).unwrap().into_disposable(&endpoint);
        assert_eq!((&*answer.endpoint, answer.valid_until), ("gw.example.com", NOW + 300));
        assert_eq!(&*authority.verify(&answer.api_key, NOW).unwrap().token_id, "u1");
        let endless = wire::GenerateDisposableTokenRequest { expires: None, ..request.clone() };
        let endless = Order::of_disposable(&endless, "id").unwrap();
        assert!(matches!(authority.mint(&endless, NOW), Err(Problem::InvalidArgument(_))));
        let nothing = wire::GenerateDisposableTokenRequest { permissions: None, ..request };
        assert!(matches!(Order::of_disposable(&nothing, "id"), Err(Problem::InvalidArgument(_))));
    }

    #[test]
    fn a_key_is_answered() {
        let authority = Authority::new([&[7; 32][..]]).unwrap();
        let endpoint = Endpoint::new("gw").unwrap();
        let request = |expiry| wire::GenerateApiTokenRequest { expiry, permissions: all(), ..Default::default() };
        let never = Order::of_key(&request(Some(wire::expiry::Expiry::Never(wire::Never {}))), "id").unwrap();
        let answer = authority.mint(&never, NOW).unwrap().into_key(&endpoint);
        assert_eq!((answer.valid_until, answer.refresh_token.is_empty()), (0, false));
        let some = wire::expiry::Expiry::Expires(wire::Expires { valid_for_seconds: 7 });
        assert_eq!(Order::of_key(&request(Some(some)), "id").unwrap().lifetime_s, Some(7));
        assert!(matches!(Order::of_key(&request(None), "id"), Err(Problem::InvalidArgument(_))));
    }
}
