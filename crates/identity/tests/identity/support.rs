//! Key pairs, tokens, a log in memory and a server of key sets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_core::{
    Action, Done, Log, LogBatch, LogError, MemoryLog, Message, Millis, Offset, Principal, RecordTable, RecoveredSpace,
    TopicName,
};
use fanfare_identity::{
    Gate, GateConfig, KeyAlgorithm, KeyConfig, KeyMaterial, MintRequest, Revocations, SigningKey, SigningKeyConfig,
    SigningMaterial, TokenError, Verdict,
};
use http_body_util::Full;
use hyper::body::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) const NOW: Millis = 1_800_000_000_000;
pub(crate) const NOW_S: u64 = NOW / 1_000;
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A signing key and what verifies it.
pub(crate) struct Pair {
    pub(crate) config: KeyConfig,
    pub(crate) signing: SigningKey,
    jwk: Value,
}

impl Pair {
    pub(crate) fn secret(id: Option<&str>, secret: &str) -> Self {
        Self::new(
            id,
            KeyAlgorithm::HS256,
            KeyMaterial::Secret(secret.into()),
            SigningMaterial::Secret(secret.into()),
            Value::Null,
        )
    }

    pub(crate) fn generate(id: Option<&str>, algorithm: KeyAlgorithm) -> Self {
        let pair = match algorithm {
            KeyAlgorithm::HS256 => return Self::secret(id, SECRET),
            KeyAlgorithm::RS256 => {
                let size = rcgen::RsaKeySize::_2048;
                rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)
            }
            KeyAlgorithm::ES256 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyAlgorithm::EdDSA => rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
        }
        .unwrap();
        let jwk = jwk(id, algorithm, pair.public_key_raw());
        Self::new(
            id,
            algorithm,
            KeyMaterial::PublicKeyPem(pair.public_key_pem()),
            SigningMaterial::PrivateKeyPem(pair.serialize_pem().into()),
            jwk,
        )
    }

    fn new(
        id: Option<&str>,
        algorithm: KeyAlgorithm,
        material: KeyMaterial,
        signing: SigningMaterial,
        jwk: Value,
    ) -> Self {
        let id = id.map(str::to_owned);
        let signing = SigningKeyConfig { id: id.clone(), algorithm, material: signing };
        Self { config: KeyConfig { id, algorithm, material }, signing: SigningKey::new(&signing).unwrap(), jwk }
    }

    /// A token of `sub` with rules, good for a minute.
    pub(crate) fn token(&self, sub: &str, allow: &[&str]) -> String {
        mint(&self.signing, sub, allow, &[])
    }
}

pub(crate) fn mint(key: &SigningKey, sub: &str, allow: &[&str], deny: &[&str]) -> String {
    let texts = |rules: &[&str]| rules.iter().map(|r| (*r).to_owned()).collect();
    let request = MintRequest {
        sub: Some(sub.to_owned()),
        allow: texts(allow),
        deny: texts(deny),
        ttl_ms: 60_000,
        issued_at: NOW,
        ..MintRequest::default()
    };
    fanfare_identity::mint(key, &request).unwrap()
}

fn jwk(id: Option<&str>, algorithm: KeyAlgorithm, raw: &[u8]) -> Value {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut jwk = match algorithm {
        KeyAlgorithm::RS256 => {
            let key = aws_lc_rs::rsa::PublicKey::from_der(raw).unwrap();
            let n = text(key.modulus().big_endian_without_leading_zero());
            let e = text(key.exponent().big_endian_without_leading_zero());
            json!({ "kty": "RSA", "n": n, "e": e, "alg": "RS256", "use": "sig" })
        }
        KeyAlgorithm::ES256 => {
            json!({ "kty": "EC", "crv": "P-256", "x": text(&raw[1..33]), "y": text(&raw[33..]) })
        }
        _ => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(raw) }),
    };
    if let Some(id) = id {
        jwk["kid"] = json!(id);
    }
    jwk
}

pub(crate) fn key_set(pairs: &[&Pair]) -> String {
    let keys: Vec<_> = pairs.iter().map(|pair| &pair.jwk).collect();
    json!({ "keys": keys }).to_string()
}

/// A token with any header and claims, signed with [`SECRET`].
pub(crate) fn signed(header: &Value, claims: &Value) -> String {
    signed_with(SECRET.as_bytes(), header, claims)
}

pub(crate) fn signed_with(secret: &[u8], header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = jsonwebtoken::EncodingKey::from_secret(secret);
    let algorithm = jsonwebtoken::Algorithm::HS256;
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

pub(crate) fn hs256() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

pub(crate) fn no_revocations() -> Arc<Revocations> {
    Arc::new(Revocations::load(Arc::new(MemoryLog::new(1)), NOW).unwrap())
}

pub(crate) fn gate_of(pairs: &[&Pair]) -> Gate {
    gate_with(&GateConfig { keys: pairs.iter().map(|pair| pair.config.clone()).collect(), ..GateConfig::default() })
}

pub(crate) fn gate_with(config: &GateConfig) -> Gate {
    Gate::new(config, no_revocations()).unwrap()
}

/// A configuration with [`SECRET`] as its key.
pub(crate) fn config() -> GateConfig {
    GateConfig { keys: vec![Pair::secret(None, SECRET).config], ..GateConfig::default() }
}

#[track_caller]
pub(crate) fn admitted(verdict: Verdict) -> Arc<Principal> {
    match verdict {
        Verdict::Principal(principal) => principal,
        other => panic!("expected a principal, got {other:?}"),
    }
}

#[track_caller]
pub(crate) fn refused(verdict: Verdict) -> TokenError {
    match verdict {
        Verdict::Refused(error) => error,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub(crate) fn may(principal: &Principal, action: Action, topic: &str) -> bool {
    let topic = TopicName::new(topic).unwrap();
    principal.grant.allows(action, "default", &topic)
}

/// Looks again and again until something holds, for at most ten seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A log that keeps records as a disk would, and can fail.
#[derive(Default)]
pub(crate) struct FakeLog {
    pub(crate) records: Mutex<BTreeMap<Bytes, Bytes>>,
    pub(crate) failure: Mutex<Option<LogError>>,
}

impl Log for FakeLog {
    fn is_durable(&self) -> bool {
        true
    }

    fn failure(&self) -> Option<LogError> {
        self.failure.lock().clone()
    }

    fn open_space(&self, _name: &Arc<str>) -> Result<RecoveredSpace, LogError> {
        Ok(RecoveredSpace::default())
    }

    fn spaces(&self) -> Result<Vec<Arc<str>>, LogError> {
        Ok(Vec::new())
    }

    fn replay(&self, _: &str, _: &mut dyn FnMut(Message, bool)) -> Result<(), LogError> {
        Ok(())
    }

    fn append(&self, _batch: LogBatch) -> Result<(), LogError> {
        Ok(())
    }

    fn read(&self, _: &str, _: &[Offset]) -> Result<Vec<Arc<Message>>, LogError> {
        Ok(Vec::new())
    }

    fn put_record(
        &self,
        table: RecordTable,
        key: &[u8],
        value: Option<Bytes>,
        done: Option<Done>,
    ) -> Result<(), LogError> {
        assert_eq!(table, RecordTable::Revocations);
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let key = Bytes::copy_from_slice(key);
        match value {
            Some(value) => drop(self.records.lock().insert(key, value)),
            None => drop(self.records.lock().remove(&key)),
        }
        if let Some(done) = done {
            done(Ok(()));
        }
        Ok(())
    }

    fn records(&self, _table: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError> {
        let records = self.records.lock();
        Ok(records.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn flush(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

/// What the key server answers.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) cache_control: Option<&'static str>,
    pub(crate) body: String,
}

/// An HTTP server on loopback that publishes a key set.
pub(crate) struct KeyServer {
    pub(crate) url: String,
    hits: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
    /// Requests wait while this is true.
    pub(crate) is_held: watch::Sender<bool>,
}

impl KeyServer {
    pub(crate) async fn start(pairs: &[&Pair]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (is_held, held) = watch::channel(false);
        let server = Self {
            url: format!("http://{}/keys", listener.local_addr().unwrap()),
            hits: Arc::default(),
            answer: Arc::default(),
            is_held,
        };
        server.publish(pairs);
        let (hits, answer) = (server.hits.clone(), server.answer.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (hits, answer, held) = (hits.clone(), answer.clone(), held.clone());
                let service = hyper::service::service_fn(move |_| {
                    hits.fetch_add(1, Ordering::SeqCst);
                    let (answer, mut held) = (answer.clone(), held.clone());
                    async move {
                        let _ = held.wait_for(|held| !held).await;
                        let answer = answer.lock().clone();
                        let mut response = http::Response::builder().status(answer.status);
                        if let Some(value) = answer.cache_control {
                            response = response.header("cache-control", value);
                        }
                        let body = Full::new(Bytes::from(answer.body));
                        Ok::<_, Infallible>(response.body(body).unwrap())
                    }
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(io, service));
            }
        });
        server
    }

    pub(crate) fn publish(&self, pairs: &[&Pair]) {
        self.answer(200, key_set(pairs));
    }

    pub(crate) fn answer(&self, status: u16, body: impl Into<String>) {
        let mut answer = self.answer.lock();
        answer.status = status;
        answer.body = body.into();
    }

    pub(crate) fn cache_control(&self, value: &'static str) {
        self.answer.lock().cache_control = Some(value);
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}
