//! Policy documents of AWS IoT and IAM: read strictly, evaluated, and compiled for a connection.
//!
//! The crate has no clock, no socket and no settings; what is known about a request arrives as a
//! [`Context`].
//!
//! ```
//! use std::sync::Arc;
//! use fanfare_policy::{Context, Document, Operation, PolicySet, Scope, compile};
//!
//! let document = Document::parse(r#"{"Version": "2012-10-17", "Statement": [
//!     {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"],
//!      "Resource": "arn:aws:iot:*:*:topic/lamps/${iot:ClientId}/*"},
//!     {"Sid": "NoKeys", "Effect": "Deny", "Action": "iot:*",
//!      "Resource": "arn:aws:iot:*:*:topic/lamps/*/key"}]}"#)?;
//! let mut policies = PolicySet::new();
//! policies.attach("lamps", Arc::new(document))?;
//!
//! let scope = Scope { region: "eu-west-1", account: "000000000000", space: "default" };
//! let context = Context::new().client_id("lamp1");
//! let denied = policies.decide_operation(Operation::Publish("lamps/lamp1/key"), &scope, &context);
//! assert_eq!(denied.to_string(), r#"denied by lamps Statement[1] ("NoKeys")"#);
//!
//! let connection = compile(&policies, &context, &scope);
//! assert!(connection.publish("lamps/lamp1/on").is_allowed());
//! assert!(!connection.publish("lamps/lamp2/on").is_allowed());
//! # Ok::<(), fanfare_policy::PolicyError>(())
//! ```
//!
//! # What is understood
//!
//! - **Document**: `Version` 2012-10-17, `Id`, `Statement`; in a statement `Sid`, `Effect`, `Action`,
//!   `Resource`, `Condition`. Anything else is an error, also the same key twice.
//! - **Actions** without regard to case, **resources** with it: `*` is any run of characters, also
//!   across `/`, `?` one character, `+` and `#` themselves. In a complete ARN a `*` in the region or
//!   account does not go beyond it. The partitions `aws`, `aws-cn` and `aws-us-gov` are the same.
//! - **Variables** `${name}` in resources and in values of text conditions, `${*}`, `${?}`, `${$}` as
//!   escapes. Values are plain text: a `*` in a client id is no wildcard. What has no value matches
//!   nothing, which goes for a Deny, too: do not rest a Deny on a variable that may be missing.
//! - **Conditions**: see [`PolicyError::Operator`] for the list. A missing key fails a comparison and
//!   passes a negated one; `ForAllValues:` is true of the empty set, `ForAnyValue:` is not.
//!
//! # What is where
//!
//! | module       | story                                                |
//! |--------------|------------------------------------------------------|
//! | `document`   | JSON to statements                                   |
//! | `json`       | keys that occur twice                                |
//! | `resource`   | patterns over ARNs                                   |
//! | `template`   | texts with wildcards and variables                   |
//! | `glob`       | matching                                             |
//! | `context`    | values of keys and variables                         |
//! | `condition`  | operators                                            |
//! | `date`       | moments in time                                      |
//! | `set`        | the policies of a principal, and their decision      |
//! | `operation`  | what can be asked of a broker, as action and ARN     |
//! | `connection` | the same policies, made ready for one connection     |

mod condition;
mod connection;
mod context;
mod date;
mod document;
mod error;
mod glob;
mod json;
mod operation;
mod resource;
mod set;
mod template;

pub use connection::{ConnectRequest, ConnectionPolicy, RuleAction, TextRule, Will, compile};
pub use context::Context;
pub use document::{Document, Limits};
pub use error::{Place, PolicyError};
pub use fanfare_core::Effect;
pub use glob::{Glob, GlobToken};
pub use operation::{Operation, Scope};
pub use set::{DOCUMENTS_MAX, Decision, NAME_CHARS_MAX, PolicySet, StatementRef};
