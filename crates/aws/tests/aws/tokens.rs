//! Signed tokens of custom authorizers. Keys and signatures were made with openssl.

use fanfare_aws::authorizer::{
    AnswerError, Decision, Grant, TokenError, TokenKey, TokenKeyError, is_authorizer_name, verify_token,
};

const KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtJfn7nrSc2EO1icKEWyC
2FpgoV+SY3EtzvfvkrP3R2zZeZE6X73rMgD2jowghdAg9VPWGSUidxlOsPdr6Y6N
SdBeBDIqCH6bdetIMD84T7bl7lYWksEg9nWkqz6YB5Fo3rNPT9WQL0ZPVcGQUpIW
jboLOk3vVXnV53g6YHbHWad4/OLu+YU4GHaFVEwUD0rNXigoj4qswJp04mU9+rON
u8rHn35Psx5dI5DVeSy4p04jDQnIHCz2Sa+R86qTdom/NL5yoVVY/4RDCkXgZ6Mf
fh92jkMq0EHoP0OE1l7mf0ojf82YrFFp2mJIIo2bqsc0jpFmu5hm48y+vLMxezgj
jwIDAQAB
-----END PUBLIC KEY-----
";
const SHORT_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCifz3JyC7fhZ6ZxIcvRKE0HVKF
ZdrG2K+Fqa/HRnETUrOq3g9Ovwif2PUXByqTQpbs2Ca+D6GJQKbJGzCURWtY3tVN
MaH5Y5AeZjDPfYNeafcgsAm1/7/QkAbePNPQaI56odag7k4J2s5EHxkem0pe2AE7
Bacl8nxhC+Wy9rOcjwIDAQAB
-----END PUBLIC KEY-----
";
const EC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOE/7TjYNbidQK3ykCjzNlTexLPK1
zXZvD78ut0oEwaNRbm3yzPVx4pEh+L1jhjSVwl6Q7BQDTzO0dM/6Q7ssJQ==
-----END PUBLIC KEY-----
";
const PKCS1_KEY: &str = "-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAtJfn7nrSc2EO1icKEWyC2FpgoV+SY3EtzvfvkrP3R2zZeZE6X73r
MgD2jowghdAg9VPWGSUidxlOsPdr6Y6NSdBeBDIqCH6bdetIMD84T7bl7lYWksEg
9nWkqz6YB5Fo3rNPT9WQL0ZPVcGQUpIWjboLOk3vVXnV53g6YHbHWad4/OLu+YU4
GHaFVEwUD0rNXigoj4qswJp04mU9+rONu8rHn35Psx5dI5DVeSy4p04jDQnIHCz2
Sa+R86qTdom/NL5yoVVY/4RDCkXgZ6Mffh92jkMq0EHoP0OE1l7mf0ojf82YrFFp
2mJIIo2bqsc0jpFmu5hm48y+vLMxezgjjwIDAQAB
-----END RSA PUBLIC KEY-----
";
const SIGNATURE: &str = "VRoRo3TSmo7L2ATFluuOU0u0AgU3JdLflDayp7TxifvFKAPx/5K/8w/ogQlODBNNebWpZ8prdJnZsldbH4NuUMibEXJkgbyZFNfrP+WEtPnZAhjICY+3I9wPbTIGKQtWkOH3R8ccgmPsK6o1h8fJWEWYGXwZwd4X5LkkupOhpZlWgn6G2+nImJewx1q1l0dMnzpjJowG5pDa89SpbEGkn/BLhXexdYxT7+2Lj2uZE4IZ2LKxP/U0SeNOJtyK1KsLYOTPYUq33rc1NfNgK5i8Q+bUNdaCHcSfs8ZHUpRk0IpvlJvGpiAa7tjykyaLNLyu2mK46W9g4EvRGsSOS7wDaw==";

#[test]
fn a_signed_token_is_accepted_escaped_or_not() {
    let keys = [TokenKey::from_pem(KEY).unwrap()];
    assert_eq!(verify_token(&keys, "token-1", SIGNATURE), Ok(()));
    let escaped = SIGNATURE.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    assert_eq!(verify_token(&keys, "token-1", &escaped), Ok(()));
    assert_eq!(verify_token(&keys, "token-2", SIGNATURE), Err(TokenError::Mismatch));
    assert_eq!(verify_token(&[], "token-1", SIGNATURE), Err(TokenError::Mismatch));
    assert_eq!(verify_token(&keys, "token-1", "AAAA"), Err(TokenError::Mismatch));
    for broken in ["not base64!", "%ff", &"A".repeat(5000)] {
        assert_eq!(verify_token(&keys, "token-1", broken), Err(TokenError::Encoding), "{broken}");
    }
}

#[test]
fn only_long_rsa_keys_are_taken() {
    assert_eq!(TokenKey::from_pem(SHORT_KEY).unwrap_err(), TokenKeyError::Kind);
    assert_eq!(TokenKey::from_pem(EC_KEY).unwrap_err(), TokenKeyError::Kind);
    assert_eq!(TokenKey::from_pem(PKCS1_KEY).unwrap_err(), TokenKeyError::Pem);
    assert_eq!(TokenKey::from_pem("").unwrap_err(), TokenKeyError::Pem);
    assert_eq!(TokenKey::from_pem(&KEY.replace("MII", "M!!")).unwrap_err(), TokenKeyError::Base64);
    assert_eq!(TokenKey::from_pem(&KEY.replace("MII", "AAA")).unwrap_err(), TokenKeyError::Kind);
    assert!(TokenKey::from_pem(&KEY.replace('\n', "\r\n")).is_ok());
}

#[test]
fn names_of_authorizers_have_a_pattern() {
    for name in ["a", "My_Auth=,@-9", &"x".repeat(128)] {
        assert!(is_authorizer_name(name), "{name}");
    }
    for name in ["", "a b", "a/b", "ü", &"x".repeat(129)] {
        assert!(!is_authorizer_name(name), "{name}");
    }
}

fn answer(principal: &str, documents: &str, disconnect: &str, refresh: &str) -> Result<Decision, AnswerError> {
    let text = format!(
        r#"{{"isAuthenticated":true,"principalId":"{principal}","policyDocuments":{documents},"disconnectAfterInSeconds":{disconnect},"refreshAfterInSeconds":{refresh},"more":1}}"#
    );
    Decision::parse(text.as_bytes())
}

#[test]
fn documents_come_as_objects_or_as_strings() {
    let documents = r#"[{"Version": "2012-10-17"}, "{\"Version\": \"2012-10-17\"}"]"#;
    let document = r#"{"Version":"2012-10-17"}"#.to_owned();
    let grant = Grant {
        principal_id: "dev1".to_owned(),
        policy_documents: vec![document.clone(), document],
        disconnect_after_s: 86_400,
        refresh_after_s: 300,
    };
    assert_eq!(answer("dev1", documents, "86400", "300"), Ok(Decision::Granted(grant)));
    assert_eq!(Decision::parse(br#"{"isAuthenticated":false,"principalId":""}"#), Ok(Decision::Refused));
}

#[test]
fn answers_beyond_the_limits_say_what_is_wrong() {
    let wrong = |principal: &str, documents: &str, disconnect: &str, refresh: &str| {
        answer(principal, documents, disconnect, refresh).unwrap_err()
    };
    for principal in ["", "dev-1", "ü", &"x".repeat(129)] {
        assert_eq!(wrong(principal, "[]", "300", "300"), AnswerError::Principal, "{principal}");
    }
    assert!(answer(&"x".repeat(128), "[]", "300", "300").is_ok());
    let list = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    assert!(answer("d", &list(10), "300", "300").is_ok());
    assert_eq!(wrong("d", &list(11), "300", "300"), AnswerError::PolicyCount(11));
    assert_eq!(wrong("d", r#"[{},"[]"]"#, "300", "300"), AnswerError::PolicyForm(1));
    assert_eq!(wrong("d", "[1]", "300", "300"), AnswerError::PolicyForm(0));
    let sized = |chars: usize| format!(r#"[{{"a":"{}"}}]"#, "ü".repeat(chars - 8));
    assert!(answer("d", &sized(2048), "300", "300").is_ok());
    assert_eq!(wrong("d", &sized(2049), "300", "300"), AnswerError::PolicyTooLong { at: 0, chars: 2049 });
    for value in [299, 86_401, -300, i64::MAX] {
        let text = value.to_string();
        let timer = |name| AnswerError::Timer { name, value };
        assert_eq!(wrong("d", "[]", &text, "300"), timer("disconnectAfterInSeconds"));
        assert_eq!(wrong("d", "[]", "300", &text), timer("refreshAfterInSeconds"));
    }
    assert_eq!(wrong("d", "[]", "null", "300"), AnswerError::FieldMissing("disconnectAfterInSeconds"));
    assert!(matches!(wrong("d", "[]", "300.5", "300"), AnswerError::Json(_)));
    assert_eq!(Decision::parse(b"{}"), Err(AnswerError::FieldMissing("isAuthenticated")));
    assert!(matches!(Decision::parse(b"no"), Err(AnswerError::Json(_))));
    assert_eq!(Decision::parse(&vec![b' '; 262_145]), Err(AnswerError::TooLong(262_145)));
    let deep = format!("[{}{}]", "[".repeat(1000), "]".repeat(1000));
    assert!(matches!(wrong("d", &deep, "300", "300"), AnswerError::Json(_)));
}
