//! Making keys, and knowing them again.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashMap;
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::signing::{Secret, SecretError, decoded, verified};
use super::{CredentialError, Endpoint, Holder, unwrap};
use crate::error::Problem;
use crate::limits::{DISPOSABLE_SECONDS_MAX, KEY_BYTES_MAX};
use crate::name;
use crate::permission::{Delegation, Permissions};
use crate::wire;

/// Secrets that are tried, at most.
pub const SECRETS_MAX: usize = 8;

/// Keys from elsewhere that are known as they are, at most.
pub const STATIC_KEYS_MAX: usize = 10_000;

/// For whom a key is made, and so how it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A token for browsers and devices, to be wrapped. It ends, within 25 hours.
    Disposable,
    /// A key to be wrapped.
    V1,
    /// A key that SDKs take beside the endpoint.
    V2,
    /// A key for old SDKs, with `control.` and `cache.` of the endpoint in it.
    Legacy(Endpoint),
}

/// What a key is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// How it looks.
    pub form: Form,
    /// What it allows.
    pub permissions: Permissions,
    /// Its token id; may be empty.
    pub token_id: String,
    /// How long it counts, in seconds; `None` for ever.
    pub lifetime_s: Option<u32>,
    /// Its own id, which must be new: some random text of at most 64 letters, digits, `-` and `_`.
    pub id: String,
}

/// A key that was made.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// The key itself; SDKs wrap it.
    pub api_key: String,
    /// Exchanges it for a new one. Disposable tokens have none.
    pub refresh_token: Option<String>,
    /// Seconds since 1970; 0 for a key that does not end.
    pub valid_until: u64,
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Minted {{ valid_until: {}, .. }}", self.valid_until)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Use {
    #[serde(rename = "key")]
    Key,
    #[serde(rename = "refresh")]
    Refresh,
}

#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    /// `g` for keys that SDKs know as v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    /// Control host of legacy keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    cp: Option<String>,
    /// Cache host of legacy keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    c: Option<String>,
    #[serde(rename = "use")]
    use_: Use,
    jti: String,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    #[serde(rename = "tid", default, skip_serializing_if = "String::is_empty")]
    token_id: String,
    /// The message `Permissions` in Base64.
    #[serde(rename = "p")]
    permissions: String,
}

/// Makes keys and knows them again: by signature those that it made, by their text those that were
/// made elsewhere and that the operator lists.
pub struct Authority {
    /// The first signs, all verify.
    secrets: Vec<Secret>,
    static_keys: HashMap<[u8; 32], Arc<Holder>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({} secrets, {} static keys)", self.secrets.len(), self.static_keys.len())
    }
}

impl Authority {
    /// The first secret signs, all verify: to change it, put the new one before the old one and take
    /// that away when the last key that it signed is over. Use them for nothing else.
    ///
    /// # Errors
    /// [`SecretError`] for none, more than [`SECRETS_MAX`], or one of less than 32 bytes.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, SecretError> {
        let secrets = secrets.into_iter().map(Secret::new).collect::<Result<Vec<_>, _>>()?;
        match secrets.len() {
            0 => Err(SecretError::None),
            1..=SECRETS_MAX => Ok(Self { secrets, static_keys: HashMap::new() }),
            count => Err(SecretError::TooMany(count)),
        }
    }

    /// Accepts a key from elsewhere as it is, such as one of the hosted service that applications
    /// have already; wrapped or not. Only its hash is kept. A holder that expires does so here, too.
    ///
    /// # Errors
    /// [`Problem::TooMany`] beyond [`STATIC_KEYS_MAX`], [`Problem::InvalidArgument`] for a key of less
    /// than 16 bytes, which could be guessed.
    pub fn accept(&mut self, key: &str, holder: Holder) -> Result<(), Problem> {
        if self.static_keys.len() >= STATIC_KEYS_MAX {
            return Err(Problem::TooMany { what: "static keys", limit: STATIC_KEYS_MAX });
        }
        let inner = unwrap(key).map_or_else(|| key.to_owned(), |wrapped| wrapped.api_key);
        if inner.len() < 16 {
            return Err(Problem::InvalidArgument("a key needs at least 16 bytes".to_owned()));
        }
        self.static_keys.insert(hash(&inner), Arc::new(holder));
        Ok(())
    }

    /// Whom a key speaks for; `key` as [`super::presented`] gives it. `now_s` is in seconds since 1970.
    ///
    /// # Errors
    /// [`CredentialError`] says why it does not count. Whether it was revoked is for others to ask.
    pub fn verify(&self, key: &str, now_s: u64) -> Result<Arc<Holder>, CredentialError> {
        if let Some(holder) = self.static_keys.get(&hash(key)) {
            return still_counts(holder.expires_at, now_s).map(|()| holder.clone());
        }
        let claims = self.claims(key)?;
        if claims.use_ != Use::Key {
            return Err(CredentialError::WrongUse);
        }
        still_counts(claims.exp, now_s)?;
        claims.holder().map(Arc::new)
    }

    fn claims(&self, key: &str) -> Result<Claims, CredentialError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(CredentialError::TooLong);
        }
        let claims = verified(&self.secrets, key).ok_or(CredentialError::Unknown)?;
        decoded(claims).ok_or(CredentialError::Unreadable("its claims are of another version"))
    }

    /// Makes a key for nobody in particular: the operator asks. For others see [`Authority::mint_for`].
    ///
    /// # Errors
    /// [`Problem::InvalidArgument`] for a token id or lifetime that is not allowed, and for
    /// permissions that make the key longer than [`KEY_BYTES_MAX`].
    pub fn mint(&self, order: &Order, now_s: u64) -> Result<Minted, Problem> {
        name::token_id(&order.token_id)?;
        check_id(&order.id)?;
        let is_disposable = order.form == Form::Disposable;
        match order.lifetime_s {
            Some(0) => return Err(invalid("a key must count for at least one second")),
            None if is_disposable => return Err(invalid("a disposable token must expire: say after how long")),
            Some(seconds) if is_disposable && seconds > DISPOSABLE_SECONDS_MAX => {
                return Err(invalid(format!(
                    "a disposable token may count for {DISPOSABLE_SECONDS_MAX} seconds (25 hours) at most, not {seconds}"
                )));
            }
            _ => {}
        }
        let exp = order.lifetime_s.map(|seconds| now_s.saturating_add(u64::from(seconds)));
        let claims = Claims::new(order, now_s, exp);
        let api_key = self.signed(&claims)?;
        let refresh = || self.signed(&Claims { use_: Use::Refresh, t: None, ..claims });
        let refresh_token = if is_disposable { None } else { Some(refresh()?) };
        Ok(Minted { api_key, refresh_token, valid_until: exp.unwrap_or(0) })
    }

    fn signed(&self, claims: &Claims) -> Result<String, Problem> {
        // Never empty: Authority::new sees to it.
        let secret = self.secrets.first().ok_or(Problem::Internal)?;
        let token = secret.sign(claims);
        if token.len() > KEY_BYTES_MAX {
            let text = format!(
                "with these permissions the key would have {} bytes, {KEY_BYTES_MAX} fit into headers: use prefixes, or fewer",
                token.len()
            );
            return Err(invalid(text));
        }
        Ok(token)
    }

    /// Makes a key for a holder who asks for it, if [`Permissions::may_give`] lets them.
    ///
    /// # Errors
    /// As that, and as [`Authority::mint`].
    pub fn mint_for(&self, issuer: &Holder, order: &Order, now_s: u64) -> Result<Minted, Problem> {
        let to = if order.form == Form::Disposable { Delegation::Disposable } else { Delegation::Lasting };
        issuer.permissions.may_give(&order.permissions, to)?;
        self.mint(order, now_s)
    }

    /// Makes a new key for an old one, with what the old one allowed and as long a life. Both count
    /// until they end; a refresh token ends with its key.
    ///
    /// # Errors
    /// [`Problem::Credential`] when one of both does not count or they do not belong together.
    pub fn refresh(&self, api_key: &str, refresh_token: &str, id: &str, now_s: u64) -> Result<Minted, Problem> {
        check_id(id)?;
        let (key, refresh) = (self.claims(api_key)?, self.claims(refresh_token)?);
        if key.use_ != Use::Key || refresh.use_ != Use::Refresh {
            return Err(CredentialError::WrongUse.into());
        }
        if key.jti != refresh.jti {
            return Err(CredentialError::OtherKey.into());
        }
        still_counts(refresh.exp, now_s)?;
        let lifetime = key.exp.map(|exp| exp.saturating_sub(key.iat));
        let exp = lifetime.map(|lifetime| now_s.saturating_add(lifetime));
        let claims = Claims { jti: id.to_owned(), iat: now_s, exp, ..key };
        let api_key = self.signed(&claims)?;
        let refresh_token = self.signed(&Claims { use_: Use::Refresh, t: None, ..claims })?;
        Ok(Minted { api_key, refresh_token: Some(refresh_token), valid_until: exp.unwrap_or(0) })
    }

    /// The key that a refresh token belongs to, by id, so that a revoked one is not refreshed.
    ///
    /// # Errors
    /// [`CredentialError`] when it was not made here.
    pub fn id_of(&self, key: &str) -> Result<String, CredentialError> {
        self.claims(key).map(|claims| claims.jti)
    }
}

impl Claims {
    fn new(order: &Order, iat: u64, exp: Option<u64>) -> Self {
        let (cp, c) = match &order.form {
            Form::Legacy(endpoint) => {
                (Some(format!("control.{}", endpoint.as_str())), Some(format!("cache.{}", endpoint.as_str())))
            }
            Form::Disposable | Form::V1 | Form::V2 => (None, None),
        };
        Self {
            t: (order.form == Form::V2).then(|| "g".to_owned()),
            cp,
            c,
            use_: Use::Key,
            jti: order.id.clone(),
            iat,
            exp,
            token_id: order.token_id.clone(),
            permissions: URL_SAFE_NO_PAD.encode(order.permissions.to_wire().encode_to_vec()),
        }
    }

    fn holder(self) -> Result<Holder, CredentialError> {
        let unreadable = CredentialError::Unreadable("its permissions are of another version");
        let read = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let message = wire::Permissions::decode(&*bytes).ok()?;
            Permissions::from_wire(&message).ok()
        };
        Ok(Holder {
            permissions: read(&self.permissions).ok_or(unreadable)?,
            id: self.jti.into(),
            token_id: self.token_id.into(),
            issued_at: self.iat,
            expires_at: self.exp,
        })
    }
}

fn still_counts(expires_at: Option<u64>, now_s: u64) -> Result<(), CredentialError> {
    match expires_at {
        Some(at) if at <= now_s => Err(CredentialError::Expired { at }),
        _ => Ok(()),
    }
}

fn check_id(id: &str) -> Result<(), Problem> {
    let is_id_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if id.is_empty() || id.len() > 64 || !id.bytes().all(is_id_char) {
        return Err(invalid("the id of a key has 1 to 64 letters, digits, - and _"));
    }
    Ok(())
}

fn hash(key: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    bytes
}

fn invalid(text: impl Into<String>) -> Problem {
    Problem::InvalidArgument(text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::credential::{Shape, presented, wrap};
    use crate::permission::{Names, TopicRole};

    const NOW: u64 = 1_800_000_000;

    fn authority() -> Authority {
        Authority::new([&[7; 32][..]]).unwrap()
    }

    fn listener() -> Permissions {
        let topics = Names::Named("mychannel".into());
        Permissions::Listed(vec![crate::permission::tests::topics(TopicRole::ReadOnly, Some("websocket"), topics)])
    }

    fn order(form: Form, permissions: Permissions) -> Order {
        Order { form, permissions, token_id: "u1".into(), lifetime_s: Some(300), id: "k-1".into() }
    }

    #[test]
    fn a_disposable_token_all_the_way() {
        let authority = authority();
        let minted = authority.mint(&order(Form::Disposable, listener()), NOW).unwrap();
        assert_eq!((minted.valid_until, &minted.refresh_token), (NOW + 300, &None));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!(minted.api_key.bytes().all(is_plain));
        let text = wrap(&minted.api_key, &Endpoint::new("gw.example.com").unwrap());
        let key = presented(Some(&text)).unwrap();
        let holder = authority.verify(&key, NOW + 299).unwrap();
        assert!(holder.permissions.may_subscribe("websocket", "mychannel"));
        assert!(!holder.permissions.may_publish("websocket", "mychannel"));
        let principal = holder.principal();
        assert_eq!((principal.subject.as_deref(), principal.token_id.as_deref()), (Some("u1"), Some("k-1")));
        assert_eq!(principal.expires_at, Some((NOW + 300) * 1_000));
        let expired = CredentialError::Expired { at: NOW + 300 };
        assert_eq!(authority.verify(&key, NOW + 300), Err(expired));
        assert!(holder.is_expired(NOW + 300) && !holder.is_expired(NOW + 299));
    }

    #[test]
    fn sdks_see_the_shape_they_want() {
        let authority = authority();
        let mint = |form| authority.mint(&order(form, Permissions::SuperUser), NOW).unwrap().api_key;
        assert_eq!(Shape::of(&mint(Form::V2)), Shape::V2);
        assert_eq!(Shape::of(&mint(Form::V1)), Shape::Other);
        let endpoint = Endpoint::new("gw:1").unwrap();
        assert!(matches!(Shape::of(&wrap(&mint(Form::V1), &endpoint)), Shape::V1(_)));
        let legacy = Shape::Legacy { control: "control.gw:1".into(), cache: "cache.gw:1".into() };
        assert_eq!(Shape::of(&mint(Form::Legacy(endpoint))), legacy);
        let never = Order { lifetime_s: None, ..order(Form::V2, Permissions::SuperUser) };
        let never = authority.mint(&never, NOW).unwrap();
        assert_eq!(never.valid_until, 0);
        assert_eq!(authority.verify(&never.api_key, u64::MAX).unwrap().expires_at, None);
    }

    #[test]
    fn orders_that_are_refused() {
        let authority = authority();
        let base = order(Form::Disposable, listener());
        for bad in [
            Order { lifetime_s: Some(26 * 3_600), ..base.clone() },
            Order { lifetime_s: Some(DISPOSABLE_SECONDS_MAX + 1), ..base.clone() },
            Order { lifetime_s: Some(0), ..base.clone() },
            Order { lifetime_s: None, ..base.clone() },
            Order { token_id: "x".repeat(65), ..base.clone() },
            Order { id: String::new(), ..base.clone() },
            Order { id: "a b".into(), ..base.clone() },
        ] {
            assert!(matches!(authority.mint(&bad, NOW), Err(Problem::InvalidArgument(_))), "{bad:?}");
        }
        assert!(authority.mint(&Order { lifetime_s: Some(DISPOSABLE_SECONDS_MAX), ..base }, NOW).is_ok());
        let long = Names::Named("t".repeat(1_000));
        let long = crate::permission::tests::topics(TopicRole::ReadOnly, None, long);
        let long = order(Form::V1, Permissions::Listed(vec![long; 20]));
        assert!(matches!(authority.mint(&long, NOW), Err(Problem::InvalidArgument(_))));
    }

    #[test]
    fn issuers_are_held_to_what_they_may_give() {
        let authority = authority();
        let holder = |permissions| {
            let key = authority.mint(&order(Form::V2, permissions), NOW).unwrap().api_key;
            authority.verify(&key, NOW).unwrap()
        };
        let (root, listener_key) = (holder(Permissions::SuperUser), holder(listener()));
        let token = order(Form::Disposable, listener());
        assert!(authority.mint_for(&root, &token, NOW).is_ok());
        assert!(matches!(authority.mint_for(&listener_key, &token, NOW), Err(Problem::Denied(_))));
        let all = order(Form::Disposable, Permissions::SuperUser);
        assert!(matches!(authority.mint_for(&root, &all, NOW), Err(Problem::InvalidArgument(_))));
    }

    #[test]
    fn keys_are_refreshed() {
        let authority = authority();
        let old = authority.mint(&order(Form::V1, listener()), NOW).unwrap();
        let refresh = old.refresh_token.clone().unwrap();
        assert_eq!(authority.verify(&refresh, NOW), Err(CredentialError::WrongUse));
        assert_eq!(authority.id_of(&refresh).as_deref(), Ok("k-1"));
        let new = authority.refresh(&old.api_key, &refresh, "k-2", NOW + 100).unwrap();
        assert_eq!(new.valid_until, NOW + 400);
        let holder = authority.verify(&new.api_key, NOW + 399).unwrap();
        assert_eq!((&*holder.id, &holder.permissions), ("k-2", &listener()));
        let other = authority.refresh(&new.api_key, &refresh, "k-3", NOW);
        assert_eq!(other, Err(CredentialError::OtherKey.into()));
        let swapped = authority.refresh(&refresh, &old.api_key, "k-3", NOW);
        assert_eq!(swapped, Err(CredentialError::WrongUse.into()));
        let late = authority.refresh(&old.api_key, &refresh, "k-3", NOW + 300);
        assert_eq!(late, Err(CredentialError::Expired { at: NOW + 300 }.into()));
    }

    #[test]
    fn secrets_are_changed_without_a_break() {
        let old = authority().mint(&order(Form::V1, listener()), NOW).unwrap().api_key;
        let both = Authority::new([&[8; 32][..], &[7; 32]]).unwrap();
        assert!(both.verify(&old, NOW).is_ok());
        let new = both.mint(&order(Form::V1, listener()), NOW).unwrap().api_key;
        assert_eq!(authority().verify(&new, NOW), Err(CredentialError::Unknown));
        assert_eq!(Authority::new([]).err(), Some(SecretError::None));
        assert_eq!(Authority::new([&[1; 32][..]; 9]).err(), Some(SecretError::TooMany(9)));
    }

    #[test]
    fn keys_from_elsewhere_are_known_by_their_text() {
        let mut authority = authority();
        let holder = Holder {
            id: "hosted".into(),
            token_id: "".into(),
            issued_at: 0,
            expires_at: Some(NOW),
            permissions: listener(),
        };
        let key = "a-key-of-the-hosted-service";
        authority.accept(&wrap(key, &Endpoint::new("cell-1.example.org").unwrap()), holder.clone()).unwrap();
        assert_eq!(*authority.verify(key, NOW - 1).unwrap(), holder);
        assert_eq!(authority.verify(key, NOW), Err(CredentialError::Expired { at: NOW }));
        assert_eq!(authority.verify("another-key-of-that-service", NOW), Err(CredentialError::Unknown));
        assert_eq!(holder.principal().subject, None);
        assert!(matches!(authority.accept("short", holder), Err(Problem::InvalidArgument(_))));
        assert!(!format!("{authority:?}").contains(key));
    }

    #[test]
    fn nothing_else_counts() {
        let authority = authority();
        for key in ["", "garbage", "a.b.c", "eyJhbGciOiJub25lIn0.eyJ0IjoiZyJ9.", &"x".repeat(KEY_BYTES_MAX)] {
            assert_eq!(authority.verify(key, NOW), Err(CredentialError::Unknown), "{key}");
        }
        assert_eq!(authority.verify(&"x".repeat(KEY_BYTES_MAX + 1), NOW), Err(CredentialError::TooLong));
        // Signed with our secret, and no key of ours.
        let foreign = authority.secrets[0].sign(&serde_json::json!({"sub": "a", "exp": u64::MAX}));
        assert!(matches!(authority.verify(&foreign, NOW), Err(CredentialError::Unreadable(_))));
    }

    proptest! {
        #[test]
        fn what_was_given_is_what_comes_back(
            permissions in crate::permission::tests::permissions(), token_id in "\\PC{0,20}", seconds in 1_u32..,
        ) {
            let authority = authority();
            let order = Order {
                form: Form::V2,
                permissions,
                token_id,
                lifetime_s: Some(seconds),
                id: "id".into(),
            };
            let minted = authority.mint(&order, NOW).unwrap();
            let holder = authority.verify(&minted.api_key, NOW).unwrap();
            prop_assert_eq!(&holder.permissions, &order.permissions);
            prop_assert_eq!(&*holder.token_id, &*order.token_id);
            prop_assert_eq!(holder.expires_at, Some(NOW + u64::from(seconds)));
        }
    }
}
