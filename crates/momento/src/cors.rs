//! What browsers want to hear before they send, and let scripts read.

/// What scripts may read of answers to gRPC.
const EXPOSED: &str = "grpc-status, grpc-message, err";

/// What the Web SDK sends, for a preflight that does not say.
const HEADERS: &str =
    "authorization, agent, runtime-version, cache, content-type, x-user-agent, x-grpc-web, grpc-timeout";

/// Longest list of headers that is repeated, in bytes.
const REQUESTED_BYTES_MAX: usize = 1_024;

/// How long a browser may remember the answer, in seconds. None remembers longer than a day.
const MAX_AGE: &str = "86400";

/// Headers of the answer to a preflight. `origin` is the one that is let in, or `*`: there are no
/// cookies. `requested` is the value of `access-control-request-headers`, which is repeated if it is
/// a list of header names.
#[must_use]
pub fn preflight(origin: &str, requested: Option<&str>) -> Vec<(&'static str, String)> {
    let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-_, ".contains(&byte);
    let is_list = |list: &&str| list.len() <= REQUESTED_BYTES_MAX && list.bytes().all(is_name_char);
    let headers = requested.filter(is_list).unwrap_or(HEADERS);
    let mut answer = vec![
        ("access-control-allow-origin", origin.to_owned()),
        ("access-control-allow-methods", "GET, POST".to_owned()),
        ("access-control-allow-headers", headers.to_owned()),
        ("access-control-max-age", MAX_AGE.to_owned()),
    ];
    vary(origin, &mut answer);
    answer
}

/// Headers of every other answer to a browser.
#[must_use]
pub fn answer(origin: &str) -> Vec<(&'static str, String)> {
    let mut answer =
        vec![("access-control-allow-origin", origin.to_owned()), ("access-control-expose-headers", EXPOSED.to_owned())];
    vary(origin, &mut answer);
    answer
}

/// An answer that is for one origin must not be given to another from a cache.
fn vary(origin: &str, answer: &mut Vec<(&'static str, String)>) {
    if origin != "*" {
        answer.push(("vary", "origin".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(headers: &'a [(&str, String)], name: &str) -> Option<&'a str> {
        headers.iter().find(|(own, _)| *own == name).map(|(_, value)| &**value)
    }

    #[test]
    fn a_preflight_of_the_web_sdk() {
        let requested = "authorization, agent, runtime-version, cache, X-User-Agent, X-Grpc-Web, grpc-timeout";
        let headers = preflight("*", Some(requested));
        assert_eq!(value(&headers, "access-control-allow-headers"), Some(requested));
        assert_eq!(value(&headers, "access-control-allow-origin"), Some("*"));
        assert!(value(&headers, "access-control-allow-methods").unwrap().contains("POST"));
        assert_eq!(value(&headers, "vary"), None);
    }

    #[test]
    fn what_is_no_list_of_names_is_not_repeated() {
        for odd in ["a\r\nset-cookie: b", "\u{e9}", "*;", &"a".repeat(1_025)] {
            let headers = preflight("https://a.example", Some(odd));
            assert_eq!(value(&headers, "access-control-allow-headers"), Some(HEADERS), "{odd}");
            assert_eq!(value(&headers, "vary"), Some("origin"));
        }
    }

    #[test]
    fn answers_show_the_status() {
        let headers = answer("https://a.example");
        assert_eq!(value(&headers, "access-control-expose-headers"), Some("grpc-status, grpc-message, err"));
        assert_eq!(value(&headers, "vary"), Some("origin"));
    }
}
