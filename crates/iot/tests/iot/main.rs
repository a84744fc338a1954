//! What the crate promises, asked from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod properties;
mod rules;
mod shadow;
mod shadow_properties;
mod sql_errors;
mod sql_functions;
mod sql_language;
mod sql_statements;
mod templates;
