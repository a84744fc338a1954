//! Which API and stage a URL means, and the ARNs of what is behind it.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use crate::model::Api;

/// Characters of a URL at most; longer ones are refused with 414.
pub const URL_CHARS_MAX: usize = 4_096;

/// What a URL means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located<'a> {
    /// Position among the APIs.
    pub api: usize,
    /// The stage, by its configured name.
    pub stage: &'a str,
    /// What follows the stage, as it came on the wire: nothing, or text beginning with `/`.
    pub rest: &'a str,
}

/// Finds what `raw_path` means: the path as it came on the wire, without the query. `host` is the
/// `Host` header, with or without a port. These forms are understood:
///
/// - `{api}.execute-api.{anything}` as host, and `/{stage}`;
/// - a custom domain as host, and the key of one of its mappings, or nothing where the key is empty;
/// - any other host, and `/apis/{api}/{stage}`, `/{api}/{stage}`, or `/{stage}` if there is but one API.
///
/// A domain that is configured reaches its mappings only. An API with `disable_execute_api_endpoint`
/// is reached by its domains only.
#[must_use]
pub fn locate<'a>(apis: &[&'a Api], host: Option<&str>, raw_path: &'a str) -> Option<Located<'a>> {
    if !(raw_path.is_empty() || raw_path.starts_with('/')) {
        return None;
    }
    let host = host.map(name_of).unwrap_or_default();
    if let Some(id) = execute_api_id(host) {
        let api = apis.iter().position(|api| api.id.eq_ignore_ascii_case(id))?;
        return by_stage(apis, api, raw_path);
    }
    if apis.iter().flat_map(|api| &api.domains).any(|domain| domain.name.eq_ignore_ascii_case(host)) {
        return by_domain(apis, host, raw_path);
    }
    by_path(apis, raw_path)
}

/// The ARN of a route, which authorizers and policies see:
/// `arn:aws:execute-api:{region}:{account}:{api}/{stage}/{route}`.
#[must_use]
pub fn route_arn(region: &str, account: &str, api: &str, stage: &str, route_key: &str) -> String {
    format!("arn:aws:execute-api:{region}:{account}:{api}/{stage}/{route_key}")
}

/// Whether a `Host` header names a server that clients reach at `own`, whose APIs have these `domains`: one of them, the
/// host of an API before `own`, or this machine.
#[must_use]
pub fn is_ours<'a>(host: &str, own: &str, mut domains: impl Iterator<Item = &'a str>) -> bool {
    let name = name_of(host);
    let is_local = |name: &str| {
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_below = name.len() > 10 && name.is_char_boundary(name.len() - 10);
        let is_below = is_below && name[name.len() - 10..].eq_ignore_ascii_case(".localhost");
        name.eq_ignore_ascii_case("localhost") || is_below || address.is_ok_and(|address| address.is_loopback())
    };
    let own = name_of(own);
    let of_api = || {
        let before = name.len().checked_sub(own.len() + 1).filter(|&at| name.is_char_boundary(at))?;
        let (front, end) = name.split_at(before);
        let is_own = end.strip_prefix('.').is_some_and(|end| end.eq_ignore_ascii_case(own));
        Some(is_own && execute_api_id(name).is_some() && front.contains('.'))
    };
    name.eq_ignore_ascii_case(own)
        || is_local(name)
        || domains.any(|domain| domain.eq_ignore_ascii_case(name))
        || of_api().unwrap_or(false)
}

/// A host without its port and without the dot of the root.
fn name_of(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn execute_api_id(host: &str) -> Option<&str> {
    let (id, rest) = host.split_once('.')?;
    let (service, _) = rest.split_once('.')?;
    service.eq_ignore_ascii_case("execute-api").then_some(id)
}

/// First segment and what follows it.
fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    let end = path.find('/').unwrap_or(path.len());
    Some(path.split_at(end))
}

fn means(segment: &str, name: &str) -> bool {
    percent_decode_str(segment).eq(name.bytes())
}

fn by_stage<'a>(apis: &[&'a Api], index: usize, path: &'a str) -> Option<Located<'a>> {
    let api: &'a Api = apis.get(index)?;
    if api.disable_execute_api_endpoint {
        return None;
    }
    let (segment, rest) = split(path)?;
    let stage = api.stages.keys().find(|stage| means(segment, stage))?;
    Some(Located { api: index, stage, rest })
}

fn by_domain<'a>(apis: &[&'a Api], host: &str, path: &'a str) -> Option<Located<'a>> {
    let mappings = apis.iter().copied().enumerate().flat_map(|(index, api)| {
        let own = api.domains.iter().filter(|domain| domain.name.eq_ignore_ascii_case(host));
        own.map(move |domain| (index, domain))
    });
    let mut whole = None;
    for (index, domain) in mappings {
        let found = |rest| Located { api: index, stage: &domain.stage, rest: behind_stage(rest, &domain.stage) };
        if domain.mapping_key.is_empty() {
            whole = whole.or(Some(found(path)));
        } else if let Some((_, rest)) = split(path).filter(|(segment, _)| means(segment, &domain.mapping_key)) {
            return Some(found(rest));
        }
    }
    whole
}

/// Handlers put `https://{domainName}/{stage}` before `/@connections` also where a mapping stands
/// for the stage already. Such a stage is skipped.
fn behind_stage<'a>(rest: &'a str, stage: &str) -> &'a str {
    match split(rest) {
        Some((segment, after)) if means(segment, stage) && (after.starts_with("/@") || after.starts_with("/%40")) => {
            after
        }
        _ => rest,
    }
}

/// The longest form first, since it is the least likely to be meant otherwise.
fn by_path<'a>(apis: &[&'a Api], path: &'a str) -> Option<Located<'a>> {
    let (first, after_first) = split(path)?;
    let by_id = |segment: &str, rest| {
        let api = apis.iter().position(|api| means(segment, &api.id))?;
        by_stage(apis, api, rest)
    };
    let prefixed = || {
        let (second, rest) = split(after_first).filter(|_| means(first, "apis"))?;
        by_id(second, rest)
    };
    prefixed()
        .or_else(|| by_id(first, after_first))
        .or_else(|| if apis.len() == 1 { by_stage(apis, 0, path) } else { None })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chat() -> Api {
        let text = r#"{
            "id": "chat1", "stages": {"dev": {}, "a b": {}},
            "domains": [
                {"name": "ws.example.test", "mapping_key": "", "stage": "dev"},
                {"name": "ws.example.test", "mapping_key": "beta", "stage": "a b"}]}"#;
        serde_json::from_str(text).unwrap()
    }

    fn bids() -> Api {
        let text = r#"{"id": "bids2", "stages": {"prod": {}},
            "domains": [{"name": "WS.example.test", "mapping_key": "bids", "stage": "prod"},
                        {"name": "bids.test", "mapping_key": "v1", "stage": "prod"}]}"#;
        serde_json::from_str(text).unwrap()
    }

    fn found(apis: &[&Api], host: &str, path: &str) -> Option<(usize, String, String)> {
        let located = locate(apis, (!host.is_empty()).then_some(host), path)?;
        Some((located.api, located.stage.to_owned(), located.rest.to_owned()))
    }

    #[track_caller]
    fn check(apis: &[&Api], host: &str, path: &str, expected: Option<(usize, &str, &str)>) {
        let expected = expected.map(|(api, stage, rest)| (api, stage.to_owned(), rest.to_owned()));
        assert_eq!(found(apis, host, path), expected, "{host} {path}");
    }

    #[test]
    fn by_the_host_of_an_api() {
        let (chat, bids) = (chat(), bids());
        let apis = [&chat, &bids];
        check(&apis, "chat1.execute-api.eu-west-1.amazonaws.com", "/dev", Some((0, "dev", "")));
        check(&apis, "BIDS2.Execute-API.localhost:9443", "/prod/", Some((1, "prod", "/")));
        check(&apis, "chat1.execute-api.localhost.", "/dev/@connections/x%3D", Some((0, "dev", "/@connections/x%3D")));
        check(&apis, "chat1.execute-api.localhost", "/a%20b", Some((0, "a b", "")));
        check(&apis, "chat1.execute-api.localhost", "/prod", None);
        check(&apis, "chat1.execute-api.localhost", "/Dev", None);
        check(&apis, "chat1.execute-api.localhost", "/", None);
        check(&apis, "chat1.execute-api.localhost", "", None);
        check(&apis, "other.execute-api.localhost", "/chat1/dev", None);
    }

    #[test]
    fn by_a_custom_domain() {
        let (chat, bids) = (chat(), bids());
        let apis = [&chat, &bids];
        check(&apis, "ws.example.test", "", Some((0, "dev", "")));
        check(&apis, "WS.Example.Test:443", "/", Some((0, "dev", "/")));
        check(&apis, "ws.example.test", "/beta/x", Some((0, "a b", "/x")));
        check(&apis, "ws.example.test", "/bids", Some((1, "prod", "")));
        check(&apis, "bids.test", "/v1", Some((1, "prod", "")));
        check(&apis, "bids.test", "/v2", None);
        check(&apis, "bids.test", "/bids2/prod", None);
    }

    #[test]
    fn a_stage_before_connections_is_skipped_on_a_domain() {
        let (chat, bids) = (chat(), bids());
        let apis = [&chat, &bids];
        check(&apis, "ws.example.test", "/dev/@connections/x", Some((0, "dev", "/@connections/x")));
        check(&apis, "bids.test", "/v1/prod/%40connections/x", Some((1, "prod", "/%40connections/x")));
        check(&apis, "ws.example.test", "/dev", Some((0, "dev", "/dev")));
        check(&apis, "ws.example.test", "/@connections/x", Some((0, "dev", "/@connections/x")));
    }

    #[test]
    fn by_path_on_any_other_host() {
        let (chat, bids) = (chat(), bids());
        for host in ["", "localhost:8080", "[::1]:8080", "203.0.113.9"] {
            check(&[&chat], host, "/dev", Some((0, "dev", "")));
            check(&[&chat], host, "/chat1/dev/", Some((0, "dev", "/")));
            check(&[&chat], host, "/apis/chat1/dev/x", Some((0, "dev", "/x")));
            check(&[&chat, &bids], host, "/dev", None);
            check(&[&chat, &bids], host, "/bids2/prod", Some((1, "prod", "")));
            check(&[&chat, &bids], host, "/%62ids2/%70rod", Some((1, "prod", "")));
            check(&[&chat, &bids], host, "/apis/bids2/prod", Some((1, "prod", "")));
            check(&[], host, "/dev", None);
        }
        check(&[&chat], "localhost", "dev", None);
        check(&[&chat], "localhost", "//dev", None);
    }

    #[test]
    fn an_api_may_be_reached_by_its_domains_only() {
        let chat = Api { disable_execute_api_endpoint: true, ..chat() };
        check(&[&chat], "chat1.execute-api.localhost", "/dev", None);
        check(&[&chat], "localhost", "/dev", None);
        check(&[&chat], "localhost", "/chat1/dev", None);
        check(&[&chat], "ws.example.test", "/", Some((0, "dev", "/")));
    }

    #[test]
    fn nobody_is_sent_to_a_host_of_a_strangers_choice() {
        let is_ours = |host| is_ours(host, "gw.example:8443", ["ws.example.test"].into_iter());
        for host in [
            "gw.example:8443",
            "GW.example",
            "ws.example.test",
            "chat1.execute-api.gw.example",
            "localhost:8080",
            "chat1.execute-api.us-east-1.localhost",
            "127.0.0.1:8080",
            "[::1]:8080",
        ] {
            assert!(is_ours(host), "{host}");
        }
        for host in [
            "",
            "evil.test",
            "chat1.execute-api.evil.test",
            "xgw.example",
            "a.gw.example",
            "xlocalhost",
            "10.1.2.3",
            "é",
        ] {
            assert!(!is_ours(host), "{host}");
        }
    }

    #[test]
    fn arns() {
        let arn = route_arn("us-east-1", "000000000000", "wsapi12345", "dev", "$connect");
        assert_eq!(arn, "arn:aws:execute-api:us-east-1:000000000000:wsapi12345/dev/$connect");
    }

    proptest! {
        #[test]
        fn the_rest_is_the_end_of_the_path(host in "[a-z.:0-9]{0,12}", path in "(/(dev|chat1|apis|%4|@connections|é)){0,5}/?") {
            let chat = chat();
            if let Some(located) = locate(&[&chat], Some(&host), &path) {
                prop_assert!(path.ends_with(located.rest));
                prop_assert!(located.rest.is_empty() || located.rest.starts_with('/'));
                prop_assert_eq!(located.stage, "dev");
            }
        }
    }
}
