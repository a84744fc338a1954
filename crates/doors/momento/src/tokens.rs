//! Keys and tokens for those who ask by SDK. The caller's own key stands in the request.

use bytes::Bytes;
use fanfare_core::Principal;
use fanfare_momento::Problem;
use fanfare_momento::credential::{CredentialError, Form, Order, presented};
use fanfare_momento::grpc::frame;
use fanfare_momento::method::Method;
use fanfare_momento::wire::{GenerateApiTokenRequest, GenerateDisposableTokenRequest, RefreshApiTokenRequest};

use crate::grpc::parse;
use crate::shared::Shared;

impl Shared {
    /// Makes what is asked for.
    ///
    /// # Errors
    /// The caller may not, or what is asked for cannot be.
    pub(crate) fn mint(&self, method: Method, message: Bytes) -> Result<Bytes, Problem> {
        let endpoint = &self.options.endpoint;
        match method {
            Method::GenerateDisposableToken => {
                let request: GenerateDisposableTokenRequest = parse(message)?;
                let order = Order::of_disposable(&request, &new_id())?;
                Ok(frame(&self.mint_for(&request.auth_token, &order)?.into_disposable(endpoint)))
            }
            Method::GenerateApiToken => {
                let request: GenerateApiTokenRequest = parse(message)?;
                let order = Order::of_key(&request, &new_id())?;
                Ok(frame(&self.mint_for(&request.auth_token, &order)?.into_key(endpoint)))
            }
            _ => Ok(frame(&self.refresh(&parse(message)?)?.into_key(endpoint))),
        }
    }

    fn mint_for(&self, key: &str, order: &Order) -> Result<fanfare_momento::credential::Minted, Problem> {
        let gateway = self.gateway();
        let caller = self.caller(presented(Some(key)).as_deref(), gateway)?;
        let minted = self.options.authority.load().mint_for(&caller.holder, order, gateway.clock.now() / 1_000)?;
        tracing::debug!(id = order.id, is_disposable = order.form == Form::Disposable, "a key was made");
        Ok(minted)
    }

    fn refresh(&self, request: &RefreshApiTokenRequest) -> Result<fanfare_momento::credential::Minted, Problem> {
        let gateway = self.gateway();
        let (authority, now) = (self.options.authority.load(), gateway.clock.now());
        let key = presented(Some(&request.api_key)).ok_or(CredentialError::Missing)?;
        let owner = Principal { token_id: Some(authority.id_of(&key)?.into()), ..Principal::default() };
        if gateway.gate.revocations().is_revoked(&owner, now) {
            return Err(CredentialError::Revoked.into());
        }
        authority.refresh(&key, &request.refresh_token, &new_id(), now / 1_000)
    }
}

/// The id of a new key. It only has to differ: nobody is let in by it.
fn new_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}
