//! What callers of AWS services sign and expect: Signature Version 4, credentials, error shapes.
//!
//! Nothing here reads a socket, a clock or a source of randomness: times are milliseconds since the
//! Unix epoch and come from the caller, as do random bytes.
//!
//! | module         | story                                                                        |
//! |----------------|------------------------------------------------------------------------------|
//! | [`sigv4`]      | checks and makes signatures, in headers and in the query                       |
//! | [`credentials`]| access keys, their secrets and whom they speak for                             |
//! | [`errors`]     | error bodies and headers which the SDKs turn into their typed exceptions       |
//! | [`authorizer`] | custom authorizers: signed tokens, the event for the function, its answer      |
//! | [`username`]   | the MQTT user name, which carries a query string                              |
//! | [`arn`]        | names of resources                                                           |

pub mod arn;
pub mod authorizer;
pub mod credentials;
pub mod errors;
pub mod sigv4;
pub mod username;
