//! Signature Version 4: checking what SDKs signed, and signing what we send.
//!
//! A signature covers a canonical form of the request. The SDKs do not agree on that form: some
//! sign the session token and some append it afterwards, some leave the port out of `host`, most
//! percent-encode the path a second time and a few do not. [`verify`] therefore tries a short list
//! of forms, the likeliest first and never more than [`ATTEMPTS_MAX`].
//!
//! ```
//! use fanfare_aws::credentials::Credential;
//! use fanfare_aws::sigv4::{PayloadHash, Request, Rules, Signing, presign_url, verify};
//!
//! let credential = Credential::new("AKIDEXAMPLE", "a-secret", "someone");
//! let now_ms = 1_767_323_045_000;
//! let headers = [("host", "gw.example")];
//! let payload = PayloadHash::Bytes(b"");
//! let mut request = Request { method: "GET", raw_path: "/mqtt", raw_query: "", headers: &headers, payload };
//! let url = presign_url(&request, &Signing::new(&credential, "local", "iotdevicegateway", now_ms), None)?;
//!
//! request.raw_query = url.split_once('?').map_or("", |(_, query)| query);
//! let find = |key: &str| (key == "AKIDEXAMPLE").then(|| credential.clone());
//! let verified = verify(&request, &find, &Rules::new(&["iotdevicegateway"], now_ms))?;
//! assert_eq!(verified.credential.principal, "someone");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod canonical;
mod clock;
mod encoding;
mod error;
mod presented;
mod sign;
mod verify;

pub use encoding::PathForm;
pub use error::SignatureError;
pub use presented::{AUTHORIZATION_BYTES_MAX, QUERY_BYTES_MAX, SIGNED_HEADERS_MAX};
pub use sign::{Signing, SigningError, Style, presign_url, sign_headers};
pub use verify::{ATTEMPTS_MAX, Rules, Verified, verify};

/// The name of the only algorithm that is spoken here.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The payload's hash when the signer did not want to read the payload.
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// A request as it is on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path before the `?`, with its escapes as they were sent. Empty means `/`.
    pub raw_path: &'a str,
    /// What follows the `?`, with its escapes, or nothing.
    pub raw_query: &'a str,
    /// Names in any case. With HTTP/2, `:authority` is given as `host`.
    pub headers: &'a [(&'a str, &'a str)],
    /// What the body holds.
    pub payload: PayloadHash<'a>,
}

/// The body of a request, or what is known of it.
#[derive(Clone, Copy)]
pub enum PayloadHash<'a> {
    /// The body itself; empty for an upgrade.
    Bytes(&'a [u8]),
    /// The SHA-256 of the body in lower-case hexadecimal.
    Hex(&'a str),
    /// The body is not covered: signs and expects `UNSIGNED-PAYLOAD`. When checking, a hash that
    /// the caller declared cannot be compared and is refused.
    Unsigned,
}

impl std::fmt::Debug for PayloadHash<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(out, "Bytes({} bytes)", bytes.len()),
            Self::Hex(hash) => write!(out, "Hex({hash})"),
            Self::Unsigned => out.write_str("Unsigned"),
        }
    }
}
