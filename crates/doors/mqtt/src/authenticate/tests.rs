//! Every proof, in its order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::{Action, TopicName};
use fanfare_functions::{Answer, Call, Function, FunctionError, Functions};
use fanfare_iam::{Attached, Certificate, Policies, Realm};
use fanfare_identity::{GateConfig, PasswordHash, Passwords, hash_password};
use fanfare_policy::ConnectRequest;
use fanfare_testkit::{TestServer, TestServerOptions};
use parking_lot::Mutex;
use rcgen::{CertificateParams, DnType, KeyPair};

use super::arrived::HttpPart;
use super::*;
use crate::{MqttDoor, MqttOptions};

const OWN: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/lamp*"},
    {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/${iot:ClientId}/*"}]}"#;

/// A function that answers always the same and writes down what it is told.
struct Fixed {
    answer: Result<&'static str, FunctionError>,
    events: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Function for Fixed {
    fn invoke(&self, event: Bytes, _call: Call) -> Answer {
        self.events.lock().push(serde_json::from_slice(&event).unwrap());
        let answer = self.answer.clone().map(|text| Bytes::from_static(text.as_bytes()));
        Box::pin(async move { answer })
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }
}

struct Fixture {
    door: MqttDoor,
    server: TestServer,
    events: Arc<Mutex<Vec<serde_json::Value>>>,
}

fn policies() -> Policies {
    let mut policies = Policies::default();
    policies.add("own", OWN).unwrap();
    policies
}

fn named(policy: &str) -> Attached {
    Attached { policies: vec![policy.to_owned()], ..Attached::default() }
}

fn start(
    gate: Option<GateConfig>,
    build: impl FnOnce(&mut Authority, &dyn Fn(&str, Result<&'static str, FunctionError>)),
) -> Fixture {
    let events = Arc::new(Mutex::default());
    let functions = Functions::new();
    let mut authority = Authority {
        access: Arc::new(Access::new(Realm::new("local", "000000000000", "default"), policies())),
        functions: functions.clone(),
        ..Authority::default()
    };
    let add = |name: &str, answer| {
        functions.insert(name, Arc::new(Fixed { answer, events: Arc::clone(&events) }));
    };
    build(&mut authority, &add);
    let authority = Arc::new(arc_swap::ArcSwap::from_pointee(authority));
    let door = MqttDoor::with_authority(MqttOptions::default(), authority.clone());
    let twin = MqttDoor { hub: door.hub.clone() };
    let server =
        TestServer::start(TestServerOptions { doors: vec![Arc::new(twin)], gate, ..Default::default() }).unwrap();
    Fixture { door, server, events }
}

fn shown(user_name: Option<&str>, password: Option<&str>) -> Credentials {
    Credentials {
        user_name: user_name.map(str::to_owned),
        password: password.map(|password| password.as_bytes().to_vec()),
        client_id: "lamp1".into(),
        address: [127, 0, 0, 1].into(),
        arrived: Box::default(),
    }
}

impl Fixture {
    fn judge(&self, shown: Credentials) -> Judgement {
        let now = self.server.gateway.clock.now();
        match judge(&self.door.hub, shown, now) {
            Verdict::Now(judgement) => judgement,
            Verdict::Later(judging) => self.server.gateway.tasks.block_on(judging),
        }
    }

    fn code(&self, shown: Credentials) -> (ReasonCode, &'static str) {
        let denied = self.judge(shown).unwrap_err();
        (denied.reason, denied.code)
    }
}

fn closed() -> Option<GateConfig> {
    Some(GateConfig { is_token_required: true, ..GateConfig::default() })
}

fn may_publish(admitted: &Admitted, topic: &str) -> bool {
    admitted.principal.grant.allows(Action::Publish, "default", &TopicName::new(topic).unwrap())
}

fn with_users(gate: Option<GateConfig>) -> Fixture {
    start(gate, |authority, _| {
        let hash = PasswordHash::parse(&hash_password("sesame").unwrap()).unwrap();
        let permissions = Permissions::read(&named("own"), &policies(), "ann", &Grant::nothing()).unwrap();
        let users = BTreeMap::from([("ann".to_owned(), (hash, permissions))]);
        authority.users = Users::new(Arc::new(Passwords::new().unwrap()), users);
    })
}

#[test]
fn users_prove_themselves_with_their_password() {
    let fixture = with_users(closed());
    for _ in 0..2 {
        // What an SDK adds to the name is no part of it. The second time the answer is remembered.
        let admitted = fixture.judge(shown(Some("ann?SDK=IoTDeviceSDK"), Some("sesame"))).unwrap();
        assert_eq!(admitted.principal.subject.as_deref(), Some("ann"));
        assert!(may_publish(&admitted, "lamp1/on") && !may_publish(&admitted, "lamp2/on"));
        let policy = admitted.policy.unwrap();
        let connect = |client_id| policy.connect(&ConnectRequest { client_id, ..Default::default() }).is_allowed();
        assert!(connect("lamp1") && !connect("door1"));
    }
    let wrong = (ReasonCode::BadUserNameOrPassword, "password");
    assert_eq!(fixture.code(shown(Some("ann"), Some("open"))), wrong);
    assert_eq!(fixture.code(shown(Some("nobody"), Some("sesame"))), wrong);
    assert_eq!(fixture.code(shown(Some("nobody"), Some("a.b.c"))), wrong, "no token either");
    assert_eq!(fixture.code(shown(Some("ann"), None)).0, ReasonCode::NotAuthorized);
    assert_eq!(fixture.code(shown(None, None)).0, ReasonCode::NotAuthorized);
}

#[test]
fn anonymous_clients_are_let_in_by_development_mode() {
    let fixture = with_users(None);
    assert!(may_publish(&fixture.judge(shown(Some("?SDK=x"), None)).unwrap(), "a"));
    assert_eq!(fixture.code(shown(Some("ann"), Some("open"))).1, "password");
}

fn certificate(name: &str) -> Certificate {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    Certificate::read(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap()
}

#[test]
fn certificates_stand_for_what_rules_say() {
    let known = certificate("known");
    let fixture = start(closed(), |authority, _| {
        let rule = |is, principal: Option<&str>, attached| {
            CertificateRule::new(is, principal.map(str::to_owned), attached, &policies()).unwrap()
        };
        let allow = Attached { allow: vec!["publish:default/${sub}".to_owned()], ..Attached::default() };
        let fingerprint = CertificateMatch::Fingerprint(known.fingerprint().to_uppercase());
        authority.certificates = vec![
            rule(fingerprint, Some("someone"), named("own")),
            rule(CertificateMatch::CommonName("lamp9".to_owned()), None, allow),
        ];
    });
    let showing = |certificate: &Certificate| {
        let arrived = Arrived { certificate: Some(certificate.clone()), ..Arrived::default() };
        Credentials { arrived: Box::new(arrived), ..shown(Some("?SDK=x"), None) }
    };
    let admitted = fixture.judge(showing(&known)).unwrap();
    assert_eq!(admitted.principal.subject.as_deref(), Some("someone"));
    assert_eq!(admitted.principal.token_id.as_deref(), Some(known.fingerprint()));
    assert!(admitted.policy.is_some() && may_publish(&admitted, "lamp1/on"));
    let admitted = fixture.judge(showing(&certificate("lamp9"))).unwrap();
    assert!(may_publish(&admitted, "lamp9") && admitted.policy.is_none());
    assert_eq!(fixture.code(showing(&certificate("other"))).0, ReasonCode::NotAuthorized);
}

const GRANTED: &str = r#"{"isAuthenticated": true, "principalId": "dev1", "disconnectAfterInSeconds": 3600,
    "refreshAfterInSeconds": 300, "policyDocuments": [{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}]}"#;

fn authorizer(name: &str, function: &str) -> Authorizer {
    Authorizer {
        name: name.to_owned(),
        function: function.to_owned(),
        token_key: Some("k".to_owned()),
        token_keys: Vec::new(),
    }
}

fn with_authorizers() -> Fixture {
    start(closed(), |authority, add| {
        add("yes", Ok(GRANTED));
        add("no", Ok(r#"{"isAuthenticated": false}"#));
        add("slow", Err(FunctionError::Timeout(Duration::from_secs(5))));
        add("odd", Ok("{}"));
        for name in ["yes", "no", "slow", "odd"] {
            authority.authorizers.insert(authorizer(name, name), name == "no");
        }
    })
}

#[test]
fn a_function_decides_and_sees_what_the_client_shows() {
    let fixture = with_authorizers();
    let user_name = "u?k=v&x-amz-customauthorizer-name=yes";
    let http = HttpPart { headers: vec![("X-K".to_owned(), "v".to_owned())], query: "a=b".to_owned() };
    let arrived = Arrived { tls: Some(Some("gw.example".to_owned())), http: Some(http), ..Arrived::default() };
    let admitted =
        fixture.judge(Credentials { arrived: Box::new(arrived), ..shown(Some(user_name), Some("pass")) }).unwrap();
    assert_eq!(admitted.principal.subject.as_deref(), Some("dev1"));
    assert!(may_publish(&admitted, "anything"));
    let authorization = admitted.authorization.unwrap();
    let term = authorization.term.unwrap();
    assert_eq!(term.why, "CUSTOMAUTH_TTL_EXPIRATION");
    assert!(term.at > fixture.server.gateway.clock.now() + 3_500_000);
    assert_eq!(authorization.renewal.as_ref().unwrap().after_ms, 300_000);
    let event = fixture.events.lock()[0].clone();
    assert_eq!((event["token"].as_str(), event["signatureVerified"].as_bool()), (Some("v"), Some(false)));
    let mqtt = &event["protocolData"]["mqtt"];
    assert_eq!((mqtt["username"].as_str(), mqtt["password"].as_str()), (Some(user_name), Some("cGFzcw==")));
    assert_eq!(event["protocolData"]["tls"]["serverName"], "gw.example");
    assert_eq!(event["protocolData"]["http"]["queryString"], "?a=b");
    let debug = format!("{authorization:?}");
    assert!(!debug.contains("pass") && !debug.contains("cGFz"), "{debug}");

    // Asked again it is told the same.
    let again = renew(&fixture.door.hub, authorization.renewal.unwrap());
    fixture.server.gateway.tasks.block_on(again).unwrap();
    assert_eq!(fixture.events.lock()[1], event);
}

#[test]
fn whoever_is_not_granted_anything_is_refused() {
    let fixture = with_authorizers();
    let choosing = |name: &str| {
        let user_name = format!("u?x-amz-customauthorizer-name={name}");
        fixture.code(shown(Some(&user_name), None))
    };
    let not = |code| (ReasonCode::NotAuthorized, code);
    assert_eq!(choosing("no"), not("authorizer"));
    assert_eq!(choosing("slow"), not("authorizer_failed"));
    assert_eq!(choosing("odd"), not("authorizer_answer"));
    assert_eq!(choosing("missing"), not("authorizer_unknown"));
    assert_eq!(fixture.code(shown(None, None)), not("authorizer"), "the default one");
}

#[test]
fn nothing_is_called_without_the_signature_that_is_asked_for() {
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let fixture = start(closed(), |authority, add| {
        add("yes", Ok(GRANTED));
        let key = fanfare_aws::authorizer::TokenKey::from_pem(&key.public_key_pem()).unwrap();
        authority.authorizers.insert(Authorizer { token_keys: vec![key], ..authorizer("yes", "yes") }, true);
    });
    assert_eq!(fixture.code(shown(None, None)).1, "authorizer_token_missing");
    let user_name = "u?k=v&x-amz-customauthorizer-signature=AAAA";
    assert_eq!(fixture.code(shown(Some(user_name), None)).1, "authorizer_token");
    assert!(fixture.events.lock().is_empty());
}
