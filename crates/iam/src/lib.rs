//! Who calls the AWS-style interfaces, and what policies let them do.
//!
//! [`Access`] holds access keys and policies. It never changes; its owner replaces it as a whole when
//! the configuration is read again. [`Access::verify`] turns a signed request into a [`Caller`], and
//! [`Caller::may`] says what that one may do.
//!
//! What somebody may do is stated in one of two ways, never in both, because the two read wildcards
//! of filters differently ([`Permissions`]):
//!
//! - **policies**, documents in the language of AWS IoT. They decide about operations over HTTP, and
//!   [`admit`] turns them into an ordinary grant for a connection;
//! - **rules**, the allow and deny texts that tokens carry as well, such as `publish:default/a/#`.
//!
//! A credential with neither may do nothing. In development mode, that is without configured keys,
//! it may do everything; there also requests without a signature are let in, and requests signed
//! with an unknown key, since SDKs cannot send unsigned ones.
//!
//! ```
//! use fanfare_aws::credentials::Credential;
//! use fanfare_aws::sigv4::{PayloadHash, Request, Signing, presign_url};
//! use fanfare_iam::{Access, Attached, Policies, Realm};
//! use fanfare_policy::Operation;
//!
//! let mut policies = Policies::default();
//! policies.add("lamps", r#"{"Version": "2012-10-17", "Statement": [
//!     {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/lamps/*"}]}"#)?;
//! let mut access = Access::new(Realm::new("local", "000000000000", "default"), policies);
//! let credential = Credential::new("AKIDEXAMPLE", "a-secret", "someone");
//! access.add(credential.clone(), &Attached { policies: vec!["lamps".to_owned()], ..Attached::default() })?;
//!
//! let (now, headers, payload) = (1_767_323_045_000, [("host", "gw.example")], PayloadHash::Bytes(b""));
//! let mut request = Request { method: "POST", raw_path: "/topics/lamps", raw_query: "", headers: &headers, payload };
//! let url = presign_url(&request, &Signing::new(&credential, "local", "iotdata", now), None)?;
//! request.raw_query = url.split_once('?').map_or("", |(_, query)| query);
//!
//! let caller = access.verify(&request, &["iotdata"], now)?;
//! assert!(caller.may(Operation::Publish("lamps/1")).is_allowed());
//! assert!(!caller.may(Operation::Publish("doors/1")).is_allowed());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod admit;
mod caller;
mod certificate;
mod der;
mod error;
mod permissions;
mod realm;

pub use access::Access;
pub use admit::admit;
pub use caller::Caller;
pub use certificate::{Certificate, CertificateUnreadable};
pub use error::AccessError;
pub use fanfare_policy::{Decision, Operation};
pub use permissions::{Attached, POLICIES_MAX, Permissions, Policies};
pub use realm::Realm;
