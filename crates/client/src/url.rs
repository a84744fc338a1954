//! Where a server is.

use std::str::FromStr;

/// A server's address: `http://`, `https://`, `ws://` or `wss://`, host, port and a path under
/// which a proxy may have put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// Whether to speak TLS.
    pub is_tls: bool,
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// 80 or 443 where the URL says nothing.
    pub port: u16,
    /// Starts with `/` unless it is empty; never ends with one.
    pub prefix: String,
}

/// A text that is no address of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("expected a URL that starts with http://, https://, ws:// or wss://")]
    Scheme,
    /// No host, or characters that no host has.
    #[error("expected a host after the scheme, such as http://127.0.0.1:8080")]
    Host,
    /// A port that is none.
    #[error("expected a port from 1 to 65535")]
    Port,
    /// Credentials, a query or a fragment.
    #[error("user names, '?' and '#' have no place in a server's URL; a token has its own option")]
    Surplus,
}

impl ServerUrl {
    /// The value of the `Host` header.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.is_tls, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// `path` on this server.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(UrlError::Scheme),
        };
        if rest.contains(['?', '#', '@']) {
            return Err(UrlError::Surplus);
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (host, port) = split_port(authority)?;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || !is_plain(host) || !is_plain(path) {
            return Err(UrlError::Host);
        }
        let port = match port {
            None if is_tls => 443,
            None => 80,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(UrlError::Port),
                Ok(port) => port,
            },
        };
        Ok(Self { is_tls, host: host.to_owned(), port, prefix: path.trim_end_matches('/').to_owned() })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((host, None)),
            None => Err(UrlError::Host),
            port => Ok((host, port)),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(UrlError::Host),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> (bool, String, u16, String) {
        let url: ServerUrl = text.parse().unwrap();
        (url.is_tls, url.host, url.port, url.prefix)
    }

    fn expected(is_tls: bool, host: &str, port: u16, prefix: &str) -> (bool, String, u16, String) {
        (is_tls, host.to_owned(), port, prefix.to_owned())
    }

    #[test]
    fn urls_of_servers() {
        assert_eq!(url("http://127.0.0.1:8080"), expected(false, "127.0.0.1", 8080, ""));
        assert_eq!(url("ws://a.example/"), expected(false, "a.example", 80, ""));
        assert_eq!(url("https://a.example/rt/"), expected(true, "a.example", 443, "/rt"));
        assert_eq!(url("WSS://[::1]:9/a/b"), expected(true, "::1", 9, "/a/b"));
    }

    #[test]
    fn what_goes_into_requests() {
        let url: ServerUrl = "https://[::1]:9/rt".parse().unwrap();
        assert_eq!(url.authority(), "[::1]:9");
        assert_eq!(url.path("/v1/connect"), "/rt/v1/connect");
        let url: ServerUrl = "wss://a.example:443".parse().unwrap();
        assert_eq!(url.authority(), "a.example");
    }

    #[test]
    fn other_texts_are_none() {
        for (text, error) in [
            ("127.0.0.1:8080", UrlError::Scheme),
            ("ftp://a", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http:///v1", UrlError::Host),
            ("http://a b", UrlError::Host),
            ("http://::1", UrlError::Host),
            ("http://[::1", UrlError::Host),
            ("http://a:0", UrlError::Port),
            ("http://a:x", UrlError::Port),
            ("http://a:65536", UrlError::Port),
            ("http://me@a", UrlError::Surplus),
            ("http://a/?token=t", UrlError::Surplus),
        ] {
            assert_eq!(text.parse::<ServerUrl>(), Err(error), "{text}");
        }
    }
}
