//! Agreeing on permessage-deflate (RFC 7692, section 7.1).

use std::fmt::Write as _;

/// The smallest window the compression library can keep to, as a power of two.
pub(crate) const WINDOW_BITS_MIN: u8 = 9;
/// The largest window of DEFLATE, as a power of two.
pub(crate) const WINDOW_BITS_MAX: u8 = 15;

const NAME: &str = "permessage-deflate";
const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// What this end wants of permessage-deflate.
///
/// Our own messages are always compressed without context takeover, see
/// [`Deflater`](crate::Deflater), so that is no setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeflateSettings {
    /// The window of the server's deflater, as a power of two, 9 to 15. A
    /// server declines offers that demand less, because its compressed
    /// messages are shared by many connections.
    pub server_window_bits: u8,
    /// The largest window for messages of the client, as a power of two, 9 to
    /// 15. A server can ask for less than 15 only of clients that offered
    /// `client_max_window_bits`.
    pub client_window_bits: u8,
    /// Whether the peer may compress a message with reference to its earlier
    /// ones. If so, a connection that received a compressed message owns an
    /// inflater of about 40 KiB for as long as it lives.
    pub peer_context_takeover: bool,
}

impl Default for DeflateSettings {
    /// Full windows, no context takeover in either direction.
    fn default() -> Self {
        Self { server_window_bits: WINDOW_BITS_MAX, client_window_bits: WINDOW_BITS_MAX, peer_context_takeover: false }
    }
}

impl DeflateSettings {
    /// The offer of a client, the value of its `Sec-WebSocket-Extensions`
    /// header (RFC 7692, section 7.1).
    #[must_use]
    pub fn offer(&self) -> String {
        let mut value = format!("{NAME}; {CLIENT_NO_TAKEOVER}");
        if !self.peer_context_takeover {
            put_flag(&mut value, SERVER_NO_TAKEOVER);
        }
        let server_bits = supported(self.server_window_bits);
        if server_bits < WINDOW_BITS_MAX {
            put_bits(&mut value, SERVER_BITS, server_bits);
        }
        let client_bits = supported(self.client_window_bits);
        if client_bits < WINDOW_BITS_MAX {
            put_bits(&mut value, CLIENT_BITS, client_bits);
        }
        value
    }
}

/// permessage-deflate as agreed for one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeflateAgreement {
    /// The server compresses each message on its own.
    pub server_no_context_takeover: bool,
    /// The client compresses each message on its own.
    pub client_no_context_takeover: bool,
    /// The largest window of the server, as a power of two, 8 to 15.
    pub server_max_window_bits: u8,
    /// The largest window of the client, as a power of two, 8 to 15.
    pub client_max_window_bits: u8,
    /// Whether the offer named the server's window, so that the response has
    /// to (RFC 7692, section 7.1.2.1).
    server_bits_named: bool,
}

impl DeflateAgreement {
    /// The response of the server, the value of its
    /// `Sec-WebSocket-Extensions` header (RFC 7692, section 7.1).
    #[must_use]
    pub fn response_value(&self) -> String {
        let mut value = NAME.to_owned();
        if self.server_no_context_takeover {
            put_flag(&mut value, SERVER_NO_TAKEOVER);
        }
        if self.client_no_context_takeover {
            put_flag(&mut value, CLIENT_NO_TAKEOVER);
        }
        if self.server_bits_named || self.server_max_window_bits < WINDOW_BITS_MAX {
            put_bits(&mut value, SERVER_BITS, self.server_max_window_bits);
        }
        if self.client_max_window_bits < WINDOW_BITS_MAX {
            put_bits(&mut value, CLIENT_BITS, self.client_max_window_bits);
        }
        value
    }
}

/// Answers a client's offers: takes the first acceptable one.
///
/// `offer_header` is the value of `Sec-WebSocket-Extensions`, several such
/// headers joined with commas. Other extensions, unknown or repeated
/// parameters, values out of range and windows smaller than the server's
/// deflater keeps to make an offer unacceptable (RFC 7692, section 7.1); a
/// value that is no list of extensions at all is an offer of nothing.
///
/// The agreement is always without context takeover by the server, and by the
/// client unless the settings allow it and the client did not forgo it. Both
/// may be answered whether or not they were offered (RFC 7692, sections
/// 7.1.1.1 and 7.1.1.2).
#[must_use]
pub fn negotiate_deflate(offer_header: &str, settings: &DeflateSettings) -> Option<DeflateAgreement> {
    let offers = parse_extensions(offer_header)?;
    offers.iter().find_map(|offer| accept_offer(offer, settings))
}

fn accept_offer(offer: &Extension<'_>, settings: &DeflateSettings) -> Option<DeflateAgreement> {
    let offered = Parameters::read(offer, true)?;
    let server_bits = supported(settings.server_window_bits);
    if offered.server_bits.is_some_and(|most| most < server_bits) {
        return None;
    }
    let client_bits = match offered.client_bits {
        // The server must not name it unless the client did.
        None => WINDOW_BITS_MAX,
        Some(most) => {
            let most = most.unwrap_or(WINDOW_BITS_MAX);
            supported(settings.client_window_bits).min(most)
        }
    };
    Some(DeflateAgreement {
        server_no_context_takeover: true,
        client_no_context_takeover: offered.client_no_takeover || !settings.peer_context_takeover,
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits,
        server_bits_named: offered.server_bits.is_some(),
    })
}

/// Reads a server's response to [`DeflateSettings::offer`]: the agreement, or
/// `None` when the response is not one the offer allows and the connection
/// has to fail (RFC 7692, section 7.1).
pub(crate) fn read_response(value: &str, settings: &DeflateSettings) -> Option<DeflateAgreement> {
    let extensions = parse_extensions(value)?;
    let [extension] = &extensions[..] else {
        return None;
    };
    let answered = Parameters::read(extension, false)?;
    let own_bits = supported(settings.client_window_bits);
    let client_bits = match answered.client_bits {
        None => own_bits,
        // Named though it was not offered.
        Some(_) if own_bits == WINDOW_BITS_MAX => return None,
        Some(most) => most?.min(own_bits),
    };
    // A window that our deflater cannot keep to.
    if client_bits < WINDOW_BITS_MIN {
        return None;
    }
    let most = supported(settings.server_window_bits);
    let server_bits = answered.server_bits.unwrap_or(WINDOW_BITS_MAX);
    let takeover = !answered.server_no_takeover;
    if server_bits > most || (takeover && !settings.peer_context_takeover) {
        return None;
    }
    Some(DeflateAgreement {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: true,
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits,
        server_bits_named: answered.server_bits.is_some(),
    })
}

fn supported(window_bits: u8) -> u8 {
    window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX)
}

fn put_flag(value: &mut String, name: &str) {
    value.push_str("; ");
    value.push_str(name);
}

fn put_bits(value: &mut String, name: &str, bits: u8) {
    // Writing to a string does not fail.
    let _ = write!(value, "; {name}={bits}");
}

/// The parameters of one offer or response.
#[derive(Default)]
struct Parameters {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// Offers may name it without a value.
    client_bits: Option<Option<u8>>,
}

impl Parameters {
    /// `None` unless this is a well-formed permessage-deflate.
    fn read(extension: &Extension<'_>, offer: bool) -> Option<Self> {
        if !extension.name.eq_ignore_ascii_case(NAME) {
            return None;
        }
        let mut read = Self::default();
        for (name, value) in &extension.parameters {
            let bits = value.as_deref().map(parse_bits);
            let repeated = if name.eq_ignore_ascii_case(SERVER_NO_TAKEOVER) && value.is_none() {
                std::mem::replace(&mut read.server_no_takeover, true)
            } else if name.eq_ignore_ascii_case(CLIENT_NO_TAKEOVER) && value.is_none() {
                std::mem::replace(&mut read.client_no_takeover, true)
            } else if name.eq_ignore_ascii_case(SERVER_BITS) {
                read.server_bits.replace(bits??).is_some()
            } else if name.eq_ignore_ascii_case(CLIENT_BITS) {
                let bits = match bits {
                    None if offer => None,
                    bits => Some(bits??),
                };
                read.client_bits.replace(bits).is_some()
            } else {
                return None;
            };
            if repeated {
                return None;
            }
        }
        Some(read)
    }
}

/// A decimal from 8 to 15 without leading zeros (RFC 7692, section 7.1.2).
fn parse_bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

/// One element of `Sec-WebSocket-Extensions`.
struct Extension<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<String>)>,
}

/// Reads a list of extensions (RFC 6455, section 9.1); `None` if it is none.
fn parse_extensions(value: &str) -> Option<Vec<Extension<'_>>> {
    let mut scan = Scan { rest: value };
    let mut extensions = Vec::new();
    loop {
        // Lists in headers may have empty elements (RFC 9110, 5.6.1).
        while scan.eat(',') {}
        if scan.rest.is_empty() {
            return Some(extensions);
        }
        let name = scan.token()?;
        let mut parameters = Vec::new();
        while scan.eat(';') {
            let name = scan.token()?;
            let value = if scan.eat('=') { Some(scan.value()?) } else { None };
            parameters.push((name, value));
        }
        extensions.push(Extension { name, parameters });
        if !scan.rest.is_empty() && !scan.eat(',') {
            return None;
        }
    }
}

/// A cursor over a header value that skips white space between elements.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn eat(&mut self, expected: char) -> bool {
        self.skip_space();
        let eaten = self.rest.strip_prefix(expected);
        self.rest = eaten.unwrap_or(self.rest);
        self.skip_space();
        eaten.is_some()
    }

    fn token(&mut self) -> Option<&'a str> {
        self.skip_space();
        let end = self.rest.find(|c: char| !is_token_char(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.skip_space();
        (!token.is_empty()).then_some(token)
    }

    /// A token or a quoted string whose content is one.
    fn value(&mut self) -> Option<String> {
        self.skip_space();
        let Some(quoted) = self.rest.strip_prefix('"') else {
            return self.token().map(str::to_owned);
        };
        let mut content = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &quoted[at + 1..];
                    return (!content.is_empty()).then_some(content);
                }
                '\\' => content.push(chars.next()?.1),
                c if is_token_char(c) => content.push(c),
                _ => return None,
            }
        }
        None
    }
}

/// The characters of tokens (RFC 9110, section 5.6.2).
pub(crate) fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offer: &str, settings: &DeflateSettings) -> Option<String> {
        negotiate_deflate(offer, settings).map(|agreement| agreement.response_value())
    }

    const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn offers_that_browsers_send() {
        let settings = DeflateSettings::default();
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits,x-webkit-deflate-frame",
            "Permessage-Deflate ; server_no_context_takeover",
            "x-unknown; a=\"b\"; c, permessage-deflate",
            "x-unknown, , permessage-deflate",
        ] {
            assert_eq!(answer(offer, &settings).as_deref(), Some(PLAIN), "{offer}");
        }
        // What is quoted has to be a token, so this is no list of extensions.
        let broken = "x-unknown; a=\"b, c\", permessage-deflate";
        assert_eq!(answer(broken, &settings), None);
    }

    #[test]
    fn unacceptable_offers_are_passed_over() {
        let settings = DeflateSettings::default();
        for offer in [
            "",
            ",",
            "permessage-bzip2",
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=99",
            "permessage-deflate; client_max_window_bits=\"10",
            "permessage-deflate;",
            "permessage-deflate foo",
            "=",
        ] {
            assert_eq!(answer(offer, &settings), None, "{offer}");
        }
        let second = "permessage-deflate; server_max_window_bits=10, permessage-deflate";
        assert_eq!(answer(second, &settings), Some(PLAIN.to_owned()));
    }

    #[test]
    fn windows() {
        let settings = DeflateSettings { server_window_bits: 12, client_window_bits: 11, peer_context_takeover: false };
        let full = DeflateSettings::default();
        let plain = |more: &str| Some(format!("{PLAIN}{more}"));
        let cases = [
            (&full, "; server_max_window_bits=15", plain("; server_max_window_bits=15")),
            (&full, "; client_max_window_bits=\"9\"", plain("; client_max_window_bits=9")),
            (&full, "; client_max_window_bits=8", plain("; client_max_window_bits=8")),
            (&settings, "", plain("; server_max_window_bits=12")),
            (&settings, "; server_max_window_bits=11", None),
            (&settings, "; server_max_window_bits=13", plain("; server_max_window_bits=12")),
            (&settings, "; client_max_window_bits", plain("; server_max_window_bits=12; client_max_window_bits=11")),
            (&settings, "; client_max_window_bits=10", plain("; server_max_window_bits=12; client_max_window_bits=10")),
        ];
        for (settings, offer, expected) in cases {
            let offer = format!("permessage-deflate{offer}");
            assert_eq!(answer(&offer, settings), expected, "{offer}");
        }
    }

    #[test]
    fn context_takeover_by_the_client_is_a_setting() {
        let settings = DeflateSettings { peer_context_takeover: true, ..DeflateSettings::default() };
        let value = answer("permessage-deflate", &settings);
        let expected = "permessage-deflate; server_no_context_takeover";
        assert_eq!(value.as_deref(), Some(expected));
        let value = answer("permessage-deflate; client_no_context_takeover", &settings);
        assert_eq!(value.as_deref(), Some(PLAIN));
    }

    #[test]
    fn our_client_and_our_server_agree() {
        for bits in 9..=15 {
            for peer_context_takeover in [false, true] {
                let settings =
                    DeflateSettings { server_window_bits: bits, client_window_bits: bits, peer_context_takeover };
                let server = negotiate_deflate(&settings.offer(), &settings).unwrap();
                let client = read_response(&server.response_value(), &settings).unwrap();
                assert_eq!(client, server);
            }
        }
    }

    #[test]
    fn responses_that_the_offer_does_not_allow() {
        let settings = DeflateSettings::default();
        for response in [
            "",
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover, permessage-deflate",
            "x-other",
        ] {
            assert_eq!(read_response(response, &settings), None, "{response}");
        }
    }
}
