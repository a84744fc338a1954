//! The head of an HTTP/1.1 request, as the client wrote it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Request line and headers; header names keep the client's own case, and their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `GET` and so on.
    pub method: String,
    /// Path without the query, as sent.
    pub path: String,
    /// Query without `?`, as sent; empty when there is none.
    pub query: String,
    /// Header lines. Values that are not UTF-8 are taken byte by byte as Latin-1.
    pub headers: Vec<(String, String)>,
}

/// What became of reading a head.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// More bytes are needed.
    Partial,
    /// A head and its length in bytes.
    Complete(Head, usize),
    /// Not HTTP.
    Malformed,
}

const HEADERS_MAX: usize = 128;

impl Head {
    pub(crate) fn parse(bytes: &[u8]) -> Parsed {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Parsed::Partial,
            Err(_) => return Parsed::Malformed,
        };
        let target = request.path.unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = |value: &[u8]| match std::str::from_utf8(value) {
            Ok(text) => text.to_owned(),
            Err(_) => value.iter().map(|b| *b as char).collect(),
        };
        let head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: request.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect(),
        };
        Parsed::Complete(head, length)
    }

    /// Value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// All values of a header that may be given in several lines, joined by commas.
    pub fn header_list(&self, name: &str) -> Option<String> {
        let values = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        values.map(str::to_owned).reduce(|a, b| a + ", " + &b)
    }

    /// Whether a header that is a list of tokens holds this one.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.header_list(name).is_some_and(|list| list.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
    }

    /// Value of the first query parameter of this name, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        query_pairs(&self.query).find(|(n, _)| n == name).map(|(_, v)| v.into_owned())
    }

    /// The bearer token of the `Authorization` header.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Asks for WebSocket (RFC 6455, 4.2.1).
    pub(crate) fn is_websocket_upgrade(&self) -> bool {
        self.method == "GET" && self.lists("connection", "upgrade") && self.lists("upgrade", "websocket")
    }
}

/// Name and value of each query parameter, decoded; `+` stands for a space.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let decode = |text: &str| -> Cow<'static, str> {
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_what_the_client_wrote() {
        let bytes = b"GET /v1/connect?a=1&b=x%20y+z HTTP/1.1\r\nHost: h\r\nuPGRADE: WebSocket\r\nConnection: keep-alive, Upgrade\r\nAuthorization: bearer abc\r\n\r\nrest";
        let Parsed::Complete(head, length) = Head::parse(bytes) else { panic!("complete") };
        assert_eq!(&bytes[length..], b"rest");
        assert_eq!(head.headers[1].0, "uPGRADE");
        assert!(head.is_websocket_upgrade());
        assert_eq!(head.bearer(), Some("abc"));
        assert_eq!(head.query_value("b").as_deref(), Some("x y z"));
    }

    #[test]
    fn an_unfinished_head_waits_and_garbage_is_refused() {
        assert!(matches!(Head::parse(b"GET / HTTP/1.1\r\nHost"), Parsed::Partial));
        assert!(matches!(Head::parse(b"\x01\x02\x03"), Parsed::Malformed));
    }
}
