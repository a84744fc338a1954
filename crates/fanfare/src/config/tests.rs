//! Layers, mistakes and the agreement of table and structs.

mod hosting;

use std::collections::BTreeSet;

use super::layers::Layers;
use super::schema::{Form, Key, Kind};
use super::*;

fn layered(file: &str, variables: &[(&str, &str)], flags: Vec<Flag>) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    layers.add_text("fanfare.toml", file);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    layers.add_variables(variables.iter().map(owned).collect());
    layers.add_flags(flags);
    layers.finish()
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    layered(text, &[], Vec::new())
}

fn mistakes(text: &str) -> Vec<String> {
    let error = from_file(text).unwrap_err();
    error.mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_gives_the_defaults() {
    let config = from_file("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert!(config.is_development());
    assert_eq!(config.space_settings("default"), SpaceSettings::default());
    assert_eq!(config.core_limits(), CoreLimits::default());
}

#[test]
fn later_layers_replace_single_values() {
    let file = "listen = ['0.0.0.0:1']\ndata = 'file'\n[limits]\nspaces = 5\nsubscriptions = 6\n";
    let variables = [("FANFARE_DATA", "variable"), ("FANFARE_LIMITS__SPACES", "1_000")];
    let flag = Flag { name: "--data", key: "data", value: "flag".into() };
    let config = layered(file, &variables, vec![flag]).unwrap();
    assert_eq!(config.listen, ["0.0.0.0:1".parse().unwrap()]);
    assert_eq!(config.data, PathBuf::from("flag"));
    assert_eq!(config.limits.spaces, 1_000);
    assert_eq!(config.limits.subscriptions, 6);
    assert_eq!(config.limits.topic_bytes, 1_024);
}

#[test]
fn variables_hold_lists_tables_and_deep_keys() {
    let variables = [
        ("FANFARE_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("FANFARE_MQTT_LISTEN", ""),
        ("FANFARE_IN_MEMORY", "true"),
        ("FANFARE_AUTH__ALLOWED_ORIGINS", r#"["https://a.example"]"#),
        ("FANFARE_AUTH__KEYS", r#"[{id = "a", secret = "0123456789abcdef0123456789abcdef"}]"#),
        ("FANFARE_SPACES__DEFAULT__HISTORY__COUNT", "7"),
        ("FANFARE_SPACES__CHAT__SLOW_CONSUMER", "keep-latest"),
        ("FANFARE_TOKEN", "of another command"),
        ("FANFARE_PORT", "tcp://10.0.0.1:8080"),
        ("FANFARE_SERVICE_HOST", "10.0.0.1"),
        ("OTHER", "x"),
    ];
    let config = layered("", &variables, Vec::new()).unwrap();
    assert_eq!(config.listen.len(), 2);
    assert!(config.mqtt_listen.is_empty());
    assert!(config.in_memory);
    assert_eq!(config.auth.allowed_origins, ["https://a.example"]);
    assert_eq!(config.auth.keys[0].id, "a");
    assert_eq!(config.spaces["default"].history.count, 7);
    assert_eq!(config.space_settings("default").history.count, 7);
    assert_eq!(config.space_settings("chat").slow_consumer, fanfare_core::SlowConsumer::KeepLatest);
    assert!(!config.is_development());
}

#[test]
fn mistakes_in_variables_and_flags_name_them() {
    let variables = [("FANFARE_LISTN", "x"), ("FANFARE_SHARDS", "many")];
    let flag = Flag { name: "--listen", key: "listen", value: vec!["nowhere"].into() };
    let error = layered("", &variables, vec![flag]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "FANFARE_LISTN: listn: unknown key; did you mean `listen`?\n\
         FANFARE_SHARDS: shards: found the text \"many\", expected a whole number from 0 to 1024\n\
         --listen: listen[0]: found the text \"nowhere\", expected address:port, such as \
         127.0.0.1:8080 or [::]:8080"
    );
}

#[test]
fn a_file_tells_all_its_mistakes_with_their_places() {
    let text = "lisen = []\n\
                shards = -1\n\
                [limits]\n\
                \x20 connections_per_adress = 5\n\
                topic_bytes = 'long'\n\
                [spaces.chat.history]\n\
                cuont = 3\n\
                age_ms = 1.5\n\
                [log]\n\
                format = \"xml\"\n\
                [workers]\n";
    let known: Vec<_> = Config::keys().iter().map(|key| key.name).collect();
    assert!(known.starts_with(&["listen", "mqtt_listen"]) && known.ends_with(&["spaces"]), "{known:?}");
    assert_eq!(
        mistakes(text),
        [
            "fanfare.toml:1:1: lisen: unknown key; did you mean `listen`?",
            "fanfare.toml:2:10: shards: found -1, expected a whole number from 0 to 1024",
            "fanfare.toml:4:3: limits.connections_per_adress: unknown key; \
             did you mean `connections_per_address`?",
            "fanfare.toml:5:15: limits.topic_bytes: found the text \"long\", \
             expected a whole number from 1 to 1024",
            "fanfare.toml:7:1: spaces.chat.history.cuont: unknown key; did you mean `count`?",
            "fanfare.toml:8:10: spaces.chat.history.age_ms: found the fraction 1.5, \
             expected a whole number from 1 to 316224000000",
            "fanfare.toml:10:10: log.format: found the text \"xml\", \
             expected \"text\" or \"json\"",
            &format!("fanfare.toml:11:2: workers: unknown key; known here: {}", known.join(", ")),
        ]
    );
}

#[test]
fn broken_toml_is_told_beside_the_rest() {
    let found = mistakes("shards = \nlisten = 5\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("fanfare.toml:1:"), "{found:?}");
    assert!(found[0].contains("not valid TOML"), "{found:?}");
    assert!(found[1].starts_with("fanfare.toml:2:10: listen: found 5"), "{found:?}");
}

#[test]
fn keys_that_contradict_one_another_are_told() {
    let text = "tls.cert = '/nowhere/cert.pem'\n\
                [limits]\n\
                frame_bytes = 2048\n\
                [[auth.keys]]\n\
                id = 'a'\n\
                algorithm = 'EdDSA'\n\
                secret = '0123456789abcdef0123456789abcdef'\n\
                [[auth.keys]]\n\
                id = 'a'\n\
                secret = 'short'\n\
                [[auth.keys]]\n\
                algorithm = 'RS256'\n";
    assert_eq!(
        mistakes(text),
        [
            "fanfare.toml:1:12: tls.cert: cannot read /nowhere/cert.pem: No such file or directory (os error 2)",
            "fanfare.toml:3:15: limits.frame_bytes: a frame must hold a message: `frame_bytes` \
             is below `message_bytes`",
            "fanfare.toml:7:10: auth.keys[0].secret: EdDSA takes `public_key` or `public_key_file`",
            "fanfare.toml:10:10: auth.keys[1].secret: key \"a\": the HS256 secret has 5 bytes; \
             at least 32 are needed (openssl rand -base64 32)",
            "fanfare.toml:11:1: auth.keys[2]: `id` is missing; tokens carry it as `kid`",
            "fanfare.toml:11:1: auth.keys[2]: RS256 takes `public_key` or `public_key_file`; \
             neither is set",
            "fanfare.toml:9:6: auth.keys[1].id: \"a\" names another key already",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_once() {
    let found = mistakes("[tls]\ncert = '/nowhere/cert.pem'\nkey = '/'\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("fanfare.toml:2:8: tls.cert: cannot read /nowhere/cert.pem: No such file"));
    assert_eq!(found[1], "fanfare.toml:3:7: tls.key: cannot read /: it is not a file");
}

#[test]
fn secrets_show_up_nowhere() {
    let text = "[auth]\nadmin_keys = ['operator-hush-hush']\n\
                keys = [{id = 'a', secret = 'hush-hush-hush-hush-hush-hush-hush'}]\n";
    let config = from_file(text).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    let found = mistakes("[auth]\nadmin_keys = 'hush'\nkeys = [{id = 'a', secret = ['hush']}]\n");
    assert!(!found.concat().contains("hush"), "{found:?}");
}

/// Serde's own list of a struct's fields, from the error that an unknown field gives.
fn fields_at(path: &[&str]) -> BTreeSet<String> {
    let mut value = toml::Value::Table([("?".to_owned(), true.into())].into_iter().collect());
    for name in path.iter().rev() {
        value = match *name {
            "[]" => vec![value].into(),
            name => toml::Value::Table([(name.to_owned(), value)].into_iter().collect()),
        };
    }
    let error = <Config as serde::Deserialize>::deserialize(value).unwrap_err();
    let (_, fields) = error.message().split_once("expected ").unwrap();
    let quoted = fields.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

fn assert_agreement(path: &[&str], keys: &[Key]) {
    let names: BTreeSet<String> = keys.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(fields_at(path), names, "{path:?}");
    for key in keys {
        assert!(!key.doc.trim().is_empty(), "{path:?} {}", key.name);
        let below: Vec<&str> = match key.kind {
            Kind::Sections(_) => path.iter().copied().chain([key.name, "[]"]).collect(),
            Kind::Named(_) | Kind::Keyed(_) => path.iter().copied().chain([key.name, "any"]).collect(),
            _ => path.iter().copied().chain([key.name]).collect(),
        };
        match key.kind {
            Kind::Section(keys) | Kind::Sections(keys) | Kind::Named(keys) | Kind::Keyed(keys) => {
                assert_agreement(&below, &keys());
            }
            // Units are said where the name says them.
            Kind::Count(..) if key.name.ends_with("_ms") => {
                assert!(key.doc.contains("milliseconds"), "{below:?}");
            }
            Kind::Count(..) if key.name.ends_with("bytes") => {
                assert!(key.doc.contains("bytes"), "{below:?}");
            }
            _ => {}
        }
    }
}

#[test]
fn rules_functions_and_buses_are_read_before_the_server_starts() {
    let text = "[[iot.rules]]\nname = 'a'\nsql = 'SELECT'\n\
                [[iot.rules]]\nname = 'b'\nsql = \"SELECT * FROM 't'\"\ndurable = 1\n\
                [[iot.rules]]\nname = 'c'\nsql = \"SELECT * FROM 't'\"\nactions = [{ kind = 'nothing' }]\n\
                [[events.rules]]\nname = 'd'\npattern = { source = 's' }\ntargets = [{ topic = 't' }]\n\
                [events.destinations.e]\nurl = 'http://h/'\nheaders = ['hush']\n\
                [functions.f]\ntimeout_ms = 5\n\
                [functions.g]\nendpoint = 'http://h'\naccess_key_id = 'A'\n\
                [aws]\naccount = '12'\n";
    let found = mistakes(text);
    let starts = [
        "fanfare.toml:1:1: iot.rules[0]: the statement is not valid",
        "fanfare.toml:4:1: iot.rules[1]: durable: expected true or false",
        "fanfare.toml:8:1: iot.rules[2]: unknown variant `nothing`",
        "fanfare.toml:12:1: events.rules[0]: pattern: ",
        "fanfare.toml:16:1: events.destinations.e: a header is written",
        "fanfare.toml:19:1: functions.f: `handler`, `url` or `endpoint` is missing",
        "fanfare.toml:21:1: functions.g: `access_key_id` and `secret_access_key` go together",
        "fanfare.toml:25:11: aws.account: an account has twelve digits",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start) && !found.contains("hush"), "{found} / {start}");
    }
}

#[test]
fn the_table_and_the_structs_have_the_same_keys() {
    assert_agreement(&[], &Config::keys());
}

#[test]
fn the_printed_reference_is_a_configuration_with_the_defaults() {
    let reference = reference();
    assert_eq!(from_file(&reference).unwrap(), Config::default());
    // With its defaults uncommented it says the same.
    let mut is_in_list = false;
    let uncommented: Vec<&str> = reference
        .lines()
        .map(|line| {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            if bare.starts_with('[') {
                // What has to have an address is not there without one.
                let needs_more =
                    ["[[", "[functions.", "[events.destinations.", "[apigateway.apis.", "[apigateway.endpoints."];
                is_in_list = needs_more.iter().any(|start| bare.starts_with(start));
            }
            let name = bare.split(" = ").next().unwrap_or_default();
            let is_name = bare != name && !name.contains(|c: char| !c.is_ascii_lowercase() && c != '_');
            let has_default = is_name && !bare.ends_with("= ...");
            match !is_in_list && (bare.starts_with('[') || has_default) {
                true => bare,
                false => line,
            }
        })
        .collect();
    let config = from_file(&uncommented.join("\n")).unwrap();
    let spaces = [("default".to_owned(), Space::default())].into_iter().collect();
    let expected = Config { spaces, ..Config::default() };
    assert_eq!(config, expected);
    assert!(uncommented.contains(&"slow_consumer = \"disconnect\""));
}

#[test]
fn every_single_value_can_be_set_by_its_variable() {
    for (path, kind) in leaves("", &Config::keys()) {
        let text = match kind {
            Kind::Switch => "true".to_owned(),
            Kind::Count(min, _) => min.to_string(),
            Kind::Number(min, _) => min.to_string(),
            Kind::Text(form) | Kind::Texts(form) => match form {
                Form::OneOf(words) => words[0].to_owned(),
                Form::Address => "127.0.0.1:9".to_owned(),
                Form::Url | Form::WebOrigin => "http://a.example".to_owned(),
                Form::Rule => "publish:default/a".to_owned(),
                Form::File => "Cargo.toml".to_owned(),
                Form::Plain | Form::Free | Form::Secret | Form::Path => "text".to_owned(),
            },
            _ => continue,
        };
        let name = environment::variable(&path);
        // Contradictions with other keys do not matter here, mistakes in this one do.
        if let Err(error) = layered("", &[(&name, &text)], Vec::new()) {
            let is_other = |m: &Mistake| matches!(m.problem, Problem::Conflict(_));
            assert!(error.mistakes.iter().all(is_other), "{name}={text}: {error}");
        }
    }
}

fn leaves(path: &str, keys: &[Key]) -> Vec<(String, Kind)> {
    let below = |key: &Key| {
        let path = tree::join(path, key.name);
        match key.kind {
            Kind::Section(keys) => leaves(&path, &keys()),
            Kind::Named(keys) | Kind::Keyed(keys) => leaves(&tree::join(&path, "any"), &keys()),
            Kind::Map(of) => vec![(tree::join(&path, "any"), *of)],
            kind => vec![(path, kind)],
        }
    };
    keys.iter().flat_map(below).collect()
}

const OPEN: &str =
    r#"document = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}'"#;

#[test]
fn whoever_is_named_ends_development_mode() {
    let key = "[[aws.credentials]]\naccess_key_id = 'AK'\nsecret = 's'\n";
    let certificate = "[[mqtt.certificates]]\nany = true\n";
    for text in [key, certificate] {
        let config = from_file(text).unwrap();
        assert!(!config.is_development(), "{text}");
        assert!(!config.access().unwrap().is_development());
    }
    assert!(from_file("").unwrap().access().unwrap().is_development());
}

#[test]
fn access_that_cannot_be_is_told_with_its_key() {
    let policy = format!("[[iot.policies]]\nname = 'open'\n{OPEN}\n");
    assert!(from_file(&policy).is_ok());
    let told = |text: &str, key: &str, part: &str| {
        let found = mistakes(text);
        assert!(found.iter().any(|line| line.contains(key) && line.contains(part)), "{found:?}");
    };
    told(&format!("{policy}{policy}"), "iot.policies[1]", "twice");
    told("[[iot.policies]]\nname = 'open'\ndocument = '{}'\n", "iot.policies[0]", "open");
    told("[[aws.credentials]]\naccess_key_id = 'AK'\n", "aws.credentials[0]", "secret_file");
    let unknown = "[[aws.credentials]]\naccess_key_id = 'AK'\nsecret = 'hush'\npolicies = ['open']\n";
    told(unknown, "aws.credentials[0]", "no policy `open`");
    assert!(!mistakes(unknown).concat().contains("hush"));
    let mixed = format!("{policy}{unknown}allow = ['publish:default/a']\n");
    told(&mixed, "aws.credentials[0]", "cannot go together");
    told("[[mqtt.certificates]]\nallow = []\n", "mqtt.certificates[0]", "exactly one of");
    told("[[mqtt.certificates]]\nfingerprint = 'ab'\n", "mqtt.certificates[0]", "64 hexadecimal digits");
    told("[[iot.authorizers]]\nname = 'a'\nfunction = 'f'\n", "iot.authorizers[0]", "[functions.f]");
    let authorizer = "[functions.f]\nurl = 'http://a.example'\n[[iot.authorizers]]\nname = 'a'\nfunction = 'f'\n";
    told(authorizer, "iot.authorizers[0]", "signing = false");
    assert!(from_file(&format!("{authorizer}signing = false\n")).is_ok());
    told("[tls]\nclient_certificates = 'required'\n", "tls.client_certificates", "client_ca");
}

#[test]
fn users_are_read_from_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.toml");
    let config = format!("[mqtt]\nusers_file = {:?}\n", file.to_str().unwrap());
    let hash = fanfare_identity::hash_password("sesame").unwrap();
    let entry = format!("[[users]]\nname = 'ann'\npassword_hash = '{hash}'\n");
    let passwords = std::sync::Arc::new(fanfare_identity::Passwords::new().unwrap());
    std::fs::write(&file, format!("{entry}allow = ['publish:default/a']\n")).unwrap();
    let read = from_file(&config).unwrap();
    assert!(!read.is_development());
    assert!(read.authority(&passwords, &fanfare_functions::Functions::new()).unwrap().users.is_some());
    for (text, part) in [
        (format!("{entry}{entry}"), "is there twice"),
        ("[[users]]\nname = 'ann'\npassword_hash = 'sesame'\n".to_owned(), "fanfare passwd"),
        (entry.replace("'ann'", "'a?b'"), "no '?'"),
        (format!("{entry}polices = []\n"), "polices"),
    ] {
        std::fs::write(&file, text).unwrap();
        let found = mistakes(&config).concat();
        assert!(found.contains("mqtt.users_file") && found.contains(part), "{found}");
        assert!(!found.contains("sesame") && !found.contains("argon2id$v"), "{found}");
    }
}

#[test]
fn the_page_about_mqtt_explains_every_key() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mqtt.md");
    let page = std::fs::read_to_string(page).unwrap();
    for key in keys::Mqtt::keys() {
        assert!(page.contains(&format!("\n| `{}` |", key.name)), "docs/mqtt.md has no row for mqtt.{}", key.name);
    }
}
