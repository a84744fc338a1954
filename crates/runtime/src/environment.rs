//! The variables of a child: what Lambda sets, what the function brings, and nothing of the server's own secrets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use time::OffsetDateTime;

use crate::config::{HandlerConfig, RuntimeKind};

/// Keys that a child signs its requests with. Nothing secret is in its `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ChildCredential {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`; empty for none.
    pub session_token: String,
}

impl fmt::Debug for ChildCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildCredential").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// What a function cannot set. `AWS_LAMBDA_MAX_CONCURRENCY` would switch runtime clients to
/// many calls at once, and `snap-start` would have them wait for a restore.
const RESERVED: [&str; 18] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_TASK_ROOT",
];

/// What is inherited: where programs, homes and temporary files are, and the language.
const INHERITED: [&str; 7] = ["PATH", "LANG", "LC_ALL", "HOME", "USER", "TMPDIR", "LD_LIBRARY_PATH"];

/// Whether a function may not set this variable.
pub(crate) fn is_reserved(name: &str) -> bool {
    name == "LAMBDA_RUNTIME_DIR" || RESERVED.contains(&name)
}

/// What a child's environment is made of.
pub(crate) struct Child<'a> {
    pub(crate) config: &'a HandlerConfig,
    pub(crate) region: &'a str,
    pub(crate) api: SocketAddr,
    pub(crate) runtime_dir: &'a Path,
    pub(crate) credential: ChildCredential,
    pub(crate) is_provisioned: bool,
    pub(crate) ca_bundle: Option<&'a Path>,
    /// Of the host, for all functions.
    pub(crate) common: &'a BTreeMap<String, String>,
    /// Of the runtime, such as `NODE_PATH`; lists are appended to the function's own.
    pub(crate) runtime: &'a [(&'static str, OsString)],
}

/// All variables of a child. Later ones win: the server's few, the host's, the function's, Lambda's.
pub(crate) fn variables(child: &Child<'_>) -> BTreeMap<OsString, OsString> {
    let mut all = BTreeMap::new();
    let mut set = |name: &str, value: OsString| all.insert(OsString::from(name), value);
    set("LANG", "en_US.UTF-8".into());
    set("TZ", ":UTC".into());
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            set(name, value);
        }
    }
    if let Some(bundle) = child.ca_bundle {
        for name in ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"] {
            set(name, bundle.into());
        }
    }
    let own = child.config.environment.iter().filter(|(name, _)| !is_reserved(name));
    for (name, value) in child.common.iter().chain(own) {
        set(name, value.into());
    }
    for (name, value) in child.runtime {
        let joined = match child.config.environment.get(*name).filter(|own| !own.is_empty()) {
            Some(own) => [own.as_ref(), ":".as_ref(), value.as_os_str()].into_iter().collect(),
            None => value.clone(),
        };
        set(name, joined);
    }
    for (name, value) in of_lambda(child) {
        set(name, value);
    }
    all
}

fn of_lambda(child: &Child<'_>) -> Vec<(&'static str, OsString)> {
    let config = child.config;
    let initialization = if child.is_provisioned { "provisioned-concurrency" } else { "on-demand" };
    let mut all: Vec<(&'static str, OsString)> = vec![
        ("AWS_LAMBDA_RUNTIME_API", child.api.to_string().into()),
        ("_HANDLER", config.handler.clone().into()),
        ("LAMBDA_TASK_ROOT", config.root.clone().into()),
        ("LAMBDA_RUNTIME_DIR", child.runtime_dir.into()),
        ("AWS_LAMBDA_FUNCTION_NAME", config.name.clone().into()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", config.memory_mb.to_string().into()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", initialization.into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", config.name).into()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream(OffsetDateTime::now_utc()).into()),
        ("AWS_REGION", child.region.into()),
        ("AWS_DEFAULT_REGION", child.region.into()),
        ("AWS_ACCESS_KEY_ID", child.credential.access_key_id.clone().into()),
        ("AWS_SECRET_ACCESS_KEY", child.credential.secret_access_key.clone().into()),
    ];
    if !child.credential.session_token.is_empty() {
        all.push(("AWS_SESSION_TOKEN", child.credential.session_token.clone().into()));
    }
    match &config.runtime {
        RuntimeKind::Python(version) => all.push(("AWS_EXECUTION_ENV", format!("AWS_Lambda_python{version}").into())),
        RuntimeKind::Node(version) => all.push(("AWS_EXECUTION_ENV", format!("AWS_Lambda_nodejs{version}.x").into())),
        RuntimeKind::Provided => {}
    }
    all
}

fn log_stream(now: OffsetDateTime) -> String {
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    format!("{year:04}/{month:02}/{day:02}/[$LATEST]{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::config;

    fn of(
        config: &HandlerConfig,
        common: &[(&str, &str)],
        runtime: &[(&'static str, OsString)],
    ) -> Vec<(String, String)> {
        let common = common.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let child = Child {
            config,
            region: "eu-central-1",
            api: "127.0.0.1:9000".parse().unwrap(),
            runtime_dir: Path::new("/runtimes"),
            credential: ChildCredential { access_key_id: "AKIA".into(), ..ChildCredential::default() },
            is_provisioned: false,
            ca_bundle: Some(Path::new("/ca.pem")),
            common: &common,
            runtime,
        };
        let text = |text: OsString| text.into_string().unwrap();
        variables(&child).into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn get<'a>(all: &'a [(String, String)], name: &str) -> Option<&'a str> {
        all.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn reserved_names_are_not_the_functions_to_set() {
        let mut config = config("f", "/srv/f".as_ref());
        config.runtime = RuntimeKind::Node("20".into());
        for name in ["_HANDLER", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_LAMBDA_MAX_CONCURRENCY", "LAMBDA_RUNTIME_DIR"]
        {
            config.environment.insert(name.to_owned(), "mine".to_owned());
        }
        config.environment.insert("TABLE".to_owned(), "rooms".to_owned());
        let all = of(&config, &[("TABLE", "common"), ("AWS_ENDPOINT_URL_LAMBDA", "http://here")], &[]);
        assert!(all.iter().all(|(_, value)| value != "mine"), "{all:?}");
        assert_eq!(get(&all, "TABLE"), Some("rooms"));
        assert_eq!(get(&all, "AWS_ENDPOINT_URL_LAMBDA"), Some("http://here"));
        assert_eq!(get(&all, "AWS_LAMBDA_RUNTIME_API"), Some("127.0.0.1:9000"));
        assert_eq!(get(&all, "AWS_EXECUTION_ENV"), Some("AWS_Lambda_nodejs20.x"));
        assert_eq!(get(&all, "REQUESTS_CA_BUNDLE"), Some("/ca.pem"));
        assert_eq!(get(&all, "AWS_SESSION_TOKEN"), None);
        assert_eq!(get(&all, "AWS_LAMBDA_MAX_CONCURRENCY"), None);
    }

    #[test]
    fn the_servers_variables_stay_with_the_server() {
        let all = of(&config("f", "/srv/f".as_ref()), &[], &[]);
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert_eq!(get(&all, "CARGO_MANIFEST_DIR"), None);
        assert!(get(&all, "PATH").is_some());
    }

    #[test]
    fn paths_of_the_runtime_come_after_the_functions_own() {
        let mut config = config("f", "/srv/f".as_ref());
        let runtime = [("NODE_PATH", OsString::from("/ours"))];
        assert_eq!(get(&of(&config, &[], &runtime), "NODE_PATH"), Some("/ours"));
        config.environment.insert("NODE_PATH".to_owned(), "/theirs".to_owned());
        assert_eq!(get(&of(&config, &[], &runtime), "NODE_PATH"), Some("/theirs:/ours"));
    }

    #[test]
    fn keys_are_not_shown() {
        let key = ChildCredential {
            access_key_id: "AKIA".into(),
            secret_access_key: "hush".into(),
            session_token: "quiet".into(),
        };
        assert_eq!(format!("{key:?}"), "ChildCredential { access_key_id: \"AKIA\", .. }");
    }

    #[test]
    fn log_streams_are_named_by_day() {
        let stream = log_stream(OffsetDateTime::UNIX_EPOCH);
        assert!(stream.starts_with("1970/01/01/[$LATEST]") && stream.len() == 52, "{stream}");
    }
}
