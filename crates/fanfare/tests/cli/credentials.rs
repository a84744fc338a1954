//! `fanfare credentials`, and by which certificate a server is trusted.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::fanfare::Fanfare;
use crate::server::Server;

fn mode(fanfare: &Fanfare, file: &str) -> u32 {
    std::fs::metadata(fanfare.folder().join(file)).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_made_shown_once_listed_and_revoked() {
    let fanfare = Fanfare::new();
    let done = fanfare.run(&["credentials", "create", "sender"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let lines: Vec<&str> = done.out.lines().collect();
    let [id, secret, region] = lines[..] else { panic!("{done:?}") };
    assert!(id.starts_with("AWS_ACCESS_KEY_ID=AKIA") && region == "AWS_DEFAULT_REGION=local", "{done:?}");
    let secret = secret.strip_prefix("AWS_SECRET_ACCESS_KEY=").unwrap();
    assert!(secret.len() == 40 && !done.err.contains(secret), "{done:?}");
    assert_eq!((mode(&fanfare, ".fanfare/credentials.toml"), mode(&fanfare, ".fanfare")), (0o600, 0o700));

    let done = fanfare.run(&[
        "credentials",
        "create",
        "caller",
        "--policy",
        "invoke",
        "--policy",
        "events",
        "--format",
        "json",
    ]);
    let made: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&made["Version"], &made["Region"]), (&1.into(), &"local".into()));
    let done = fanfare.run(&["credentials", "list"]);
    assert!(done.out.contains("sender") && done.out.contains("manage-connections"), "{done:?}");
    assert!(done.out.contains("invoke, events") && !done.out.contains(secret), "{done:?}");

    let done = fanfare.run(&["credentials", "create", "sender"]);
    assert!(done.code == Some(2) && done.err.contains("revoke it first"), "{done:?}");
    assert_eq!(fanfare.run(&["credentials", "revoke", "sender"]).code, Some(0));
    assert_eq!(fanfare.run(&["credentials", "revoke", "sender"]).code, Some(2));
    assert!(!fanfare.run(&["credentials", "list"]).out.contains("sender"));
}

#[test]
fn a_policy_of_its_own_is_read_before_a_key_is_made() {
    let fanfare = Fanfare::new();
    let statement = r#"{"Effect": "Allow", "Action": "execute-api:ManageConnections", "Resource": "*"}"#;
    fanfare.write("right.json", &format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#));
    fanfare.write("wrong.json", r#"{"Statement": 5}"#);
    let create = |name: &str, file: &str| {
        fanfare.run(&["credentials", "create", name, "--policy-file", file, "--format", "toml", "--data", "elsewhere"])
    };
    let done = create("right", "right.json");
    assert!(done.code == Some(0) && done.out.contains("secret_access_key = \""), "{done:?}");
    let done = create("wrong", "wrong.json");
    assert!(done.code == Some(2) && done.err.contains("wrong.json"), "{done:?}");
    assert_eq!(create("none", "none.json").code, Some(1));
    let done = fanfare.run(&["credentials", "list", "--data", "elsewhere"]);
    assert!(done.out.lines().count() == 1 && done.out.contains("a policy of its own"), "{done:?}");
}

#[test]
fn a_server_without_a_certificate_is_trusted_by_its_authority() {
    let fanfare = Fanfare::new();
    fanfare.write("fanfare.toml", "[tls]\nlocal_names = ['build.example']\n");
    let server = Server::start(&fanfare, &[]);
    let file = server.authority(&fanfare);
    assert!(file.ends_with(".fanfare/ca/ca.pem"), "{}", server.page);
    let authority = std::fs::read(&file).unwrap();
    for name in ["localhost", "127.0.0.1", "build.example", "abc.execute-api.local.localhost"] {
        assert_eq!(server.post_securely(&authority, name), Ok(404), "{name}");
    }
    assert!(server.post_securely(&authority, "other.example").is_err());
    // The same port speaks plain text.
    assert_eq!(server.post("/nowhere", "", &[]).0, 404);
    for (file, expected) in
        [("ca.pem", 0o644), ("ca-key.pem", 0o600), ("server-key.pem", 0o600), ("ca-bundle.pem", 0o644)]
    {
        assert_eq!(mode(&fanfare, &format!(".fanfare/ca/{file}")), expected, "{file}");
    }
    let bundle = std::fs::read(fanfare.folder().join(".fanfare/ca/ca-bundle.pem")).unwrap();
    assert!(bundle.ends_with(&authority));
    assert_eq!(server.stop(), Some(0));

    // It is trusted after a restart, too.
    let server = Server::start(&fanfare, &[]);
    assert_eq!(server.post_securely(&authority, "localhost"), Ok(404));
    // And not by strangers.
    let other = Fanfare::new();
    let stranger = Server::start(&other, &["--in-memory"]);
    assert!(stranger.post_securely(&authority, "localhost").is_err());
}
