//! Custom authorizers: a function of the operator's decides who may connect.
//!
//! The caller sends a token and, unless signing is off, a signature over it which [`verify_token`]
//! checks before anything is called. Then the function gets an [`Event`] and its answer is read by
//! [`Decision::parse`].

mod answer;
mod event;
mod token;

pub use answer::{
    ANSWER_BYTES_MAX, AnswerError, Decision, Grant, POLICY_CHARS_MAX, POLICY_DOCUMENTS_MAX, PRINCIPAL_CHARS_MAX,
    TIMER_SECONDS,
};
pub use event::{Event, HttpPart, MqttPart, TlsPart};
pub use token::{TokenError, TokenKey, TokenKeyError, is_authorizer_name, verify_token};
