//! Finds the signature in a request and takes it apart.

use percent_encoding::percent_decode_str;

use super::canonical::{Scope, header_value, unhex};
use super::clock::{format_basic, parse_basic, parse_date_header};
use super::encoding::query_pairs;
use super::{ALGORITHM, Request, SignatureError};

/// The longest `Authorization` header that is read, in bytes.
pub const AUTHORIZATION_BYTES_MAX: usize = 8 * 1024;

/// The longest query and the longest path that are read, in bytes each.
pub const QUERY_BYTES_MAX: usize = 64 * 1024;

/// The most headers that one signature may cover.
pub const SIGNED_HEADERS_MAX: usize = 100;

/// The names of query parameters which have a meaning.
pub(crate) mod parameter {
    pub(crate) const ALGORITHM: &str = "X-Amz-Algorithm";
    pub(crate) const CREDENTIAL: &str = "X-Amz-Credential";
    pub(crate) const DATE: &str = "X-Amz-Date";
    pub(crate) const EXPIRES: &str = "X-Amz-Expires";
    pub(crate) const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";
    pub(crate) const SIGNATURE: &str = "X-Amz-Signature";
    pub(crate) const TOKEN: &str = "X-Amz-Security-Token";
    pub(crate) const CONTENT_HASH: &str = "X-Amz-Content-Sha256";
}

const AUTHORIZATION: &str = "the Authorization header";

/// A signature as the caller presents it; nothing of it is proved yet.
pub(crate) struct Presented {
    pub(crate) access_key: String,
    pub(crate) scope: Scope,
    /// Lower-case names joined by `;`, `host` among them.
    pub(crate) signed_headers: String,
    pub(crate) signature: [u8; 32],
    pub(crate) signed_at_ms: u64,
    /// The time as it is signed.
    pub(crate) timestamp: String,
    /// `X-Amz-Expires`, in seconds; never in headers.
    pub(crate) expires_s: Option<u64>,
    /// Not empty.
    pub(crate) session_token: Option<String>,
    /// The hash of the body that the signer declares, if it is covered by the signature.
    pub(crate) declared_hash: Option<String>,
    /// The query in its signed spelling, with the signature and the token if they are there.
    pub(crate) query: Vec<(String, String)>,
    /// The signature is a query parameter, and so left out of the query that is signed.
    pub(crate) is_in_query: bool,
    /// The token is a query parameter, which some signers add after signing.
    pub(crate) has_token_parameter: bool,
}

impl Presented {
    /// Finds the signature in the headers or in the query.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Missing`] and [`SignatureError::Malformed`].
    pub(crate) fn find(request: &Request<'_>) -> Result<Self, SignatureError> {
        if request.raw_query.len() > QUERY_BYTES_MAX || request.raw_path.len() > QUERY_BYTES_MAX {
            return Err(SignatureError::malformed("the path or the query", "is too long"));
        }
        let query = query_pairs(request.raw_query);
        let mut authorizations = request.headers.iter().filter(|(name, value)| {
            name.eq_ignore_ascii_case("authorization") && value.trim_start().starts_with("AWS4-")
        });
        let is_in_query = query.iter().any(|(name, _)| name == parameter::ALGORITHM);
        match (authorizations.next(), authorizations.next(), is_in_query) {
            (None, _, false) => Err(SignatureError::Missing),
            (Some((_, value)), None, false) => Self::from_header(request, value, query),
            (None, _, true) => Self::from_query(request, query),
            _ => Err(SignatureError::malformed("the request", "carries more than one signature")),
        }
    }

    fn from_header(request: &Request<'_>, value: &str, query: Vec<(String, String)>) -> Result<Self, SignatureError> {
        let elements = Elements::read(value)?;
        let signed_at_ms = header_time(request)?;
        let signed_headers = checked_names(elements.signed_headers, AUTHORIZATION)?;
        let (access_key, scope) = credential(elements.credential, AUTHORIZATION)?;
        Self {
            access_key,
            scope,
            declared_hash: signed_hash(request, &signed_headers),
            signed_headers,
            signature: digits(elements.signature, AUTHORIZATION)?,
            signed_at_ms,
            timestamp: String::new(),
            expires_s: None,
            session_token: header_value(request.headers, "x-amz-security-token").filter(|token| !token.is_empty()),
            query,
            is_in_query: false,
            has_token_parameter: false,
        }
        .dated()
    }

    fn from_query(request: &Request<'_>, query: Vec<(String, String)>) -> Result<Self, SignatureError> {
        let needed = |name| parameter_value(&query, name)?.ok_or(SignatureError::malformed(name, "is missing"));
        if needed(parameter::ALGORITHM)? != ALGORITHM {
            return Err(SignatureError::malformed(parameter::ALGORITHM, "is not AWS4-HMAC-SHA256"));
        }
        let (access_key, scope) = credential(&needed(parameter::CREDENTIAL)?, parameter::CREDENTIAL)?;
        let signed_at_ms = parse_basic(&needed(parameter::DATE)?)
            .ok_or(SignatureError::malformed(parameter::DATE, "is not of the form 20260102T030405Z"))?;
        let expires_s = parameter_value(&query, parameter::EXPIRES)?
            .map(|text| text.parse().ok().filter(|seconds| *seconds > 0))
            .map(|seconds| seconds.ok_or(SignatureError::malformed(parameter::EXPIRES, "is not a number of seconds")))
            .transpose()?;
        let signed_headers = checked_names(&needed(parameter::SIGNED_HEADERS)?, parameter::SIGNED_HEADERS)?;
        let signature = digits(&needed(parameter::SIGNATURE)?, parameter::SIGNATURE)?;
        let token = parameter_value(&query, parameter::TOKEN)?;
        let declared = parameter_value(&query, parameter::CONTENT_HASH)?;
        Self {
            access_key,
            scope,
            declared_hash: declared.or_else(|| signed_hash(request, &signed_headers)),
            signed_headers,
            signature,
            signed_at_ms,
            timestamp: String::new(),
            expires_s,
            is_in_query: true,
            has_token_parameter: token.is_some(),
            session_token: token.filter(|token| !token.is_empty()),
            query,
        }
        .dated()
    }

    /// Fills in the time as it is signed; the scope must be of the same day.
    fn dated(mut self) -> Result<Self, SignatureError> {
        self.timestamp = format_basic(self.signed_at_ms)
            .filter(|text| text.starts_with(&self.scope.day))
            .ok_or(SignatureError::malformed("the date in the credential scope", "is not the day of the signature"))?;
        Ok(self)
    }
}

/// What the header holds besides its algorithm.
struct Elements<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Elements<'a> {
    fn read(value: &'a str) -> Result<Self, SignatureError> {
        let malformed = |problem| SignatureError::malformed(AUTHORIZATION, problem);
        if value.len() > AUTHORIZATION_BYTES_MAX {
            return Err(malformed("is too long"));
        }
        let rest = value.trim().strip_prefix(ALGORITHM).filter(|rest| rest.starts_with(' '));
        let rest = rest.ok_or(malformed("names an algorithm other than AWS4-HMAC-SHA256"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for element in rest.split(',') {
            let (name, value) = element.trim().split_once('=').ok_or(malformed("has an element without a value"))?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(malformed("has an unknown element")),
            };
            if place.replace(value).is_some() {
                return Err(malformed("has an element twice"));
            }
        }
        Ok(Self {
            credential: credential.ok_or(malformed("lacks Credential"))?,
            signed_headers: signed_headers.ok_or(malformed("lacks SignedHeaders"))?,
            signature: signature.ok_or(malformed("lacks Signature"))?,
        })
    }
}

/// Access key and scope from `KEY/day/region/service/aws4_request`.
fn credential(text: &str, part: &'static str) -> Result<(String, Scope), SignatureError> {
    let pieces: Vec<&str> = text.splitn(6, '/').collect();
    let [key, day, region, service, "aws4_request"] = pieces[..] else {
        return Err(SignatureError::malformed(
            part,
            "has no credential of the form key/day/region/service/aws4_request",
        ));
    };
    let is_plain = |piece: &str| !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_graphic());
    let is_day = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
    if !(is_day && [key, region, service].into_iter().all(is_plain)) {
        return Err(SignatureError::malformed(part, "has a credential with an empty or unreadable piece"));
    }
    Ok((key.to_owned(), Scope { day: day.to_owned(), region: region.to_owned(), service: service.to_owned() }))
}

fn checked_names(text: &str, part: &'static str) -> Result<String, SignatureError> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase());
    if text.split(';').count() > SIGNED_HEADERS_MAX {
        return Err(SignatureError::malformed(part, "signs too many headers"));
    }
    if !text.split(';').all(is_name) {
        return Err(SignatureError::malformed(part, "has a signed header that is not a lower-case name"));
    }
    if !text.split(';').any(|name| name == "host") {
        return Err(SignatureError::malformed(part, "does not sign the header host"));
    }
    Ok(text.to_owned())
}

fn digits(text: &str, part: &'static str) -> Result<[u8; 32], SignatureError> {
    unhex(text).ok_or(SignatureError::malformed(part, "has a signature that is not 64 lower-case hexadecimal digits"))
}

fn header_time(request: &Request<'_>) -> Result<u64, SignatureError> {
    if let Some(text) = header_value(request.headers, "x-amz-date") {
        return parse_basic(&text)
            .ok_or(SignatureError::malformed("the X-Amz-Date header", "is not of the form 20260102T030405Z"));
    }
    let text = header_value(request.headers, "date").ok_or(SignatureError::malformed("X-Amz-Date", "is missing"))?;
    parse_date_header(&text).ok_or(SignatureError::malformed("the Date header", "is not a date"))
}

/// The declared hash of the body, if the signature covers that header.
fn signed_hash(request: &Request<'_>, signed_headers: &str) -> Option<String> {
    const NAME: &str = "x-amz-content-sha256";
    signed_headers.split(';').any(|name| name == NAME).then(|| header_value(request.headers, NAME)).flatten()
}

/// The only value of a parameter, unescaped.
fn parameter_value(query: &[(String, String)], name: &'static str) -> Result<Option<String>, SignatureError> {
    let mut values = query.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(SignatureError::malformed(name, "is given twice"));
    }
    let text = percent_decode_str(value).decode_utf8();
    text.map(|text| Some(text.into_owned())).map_err(|_| SignatureError::malformed(name, "is not UTF-8"))
}
