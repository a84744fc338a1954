//! The SQL of AWS IoT rules: parsed once, run on every message.
//!
//! # Language
//!
//! `SELECT [VALUE] item, .. [FROM 'filter'] [WHERE condition]`. Keywords and
//! function names ignore case, names of fields do not. A string is written in
//! single or double quotes; the quote itself is doubled inside, a backslash is
//! an ordinary character. A field with an unusual name is `` `my field` ``,
//! or after a dot also `a."my field"`. After `SELECT`, `value` is a field if an
//! operator, a comma or a clause follows, except before `-`, `(`, `[` and `{`.
//!
//! `awsIotSqlVersion` may be `2015-10-08` or `2016-03-23` ([`VERSIONS`]); both
//! behave as `2016-03-23`.
//!
//! # Types
//!
//! | type      | here                                                              |
//! |-----------|-------------------------------------------------------------------|
//! | Int       | 64 bits signed; what overflows becomes Decimal                    |
//! | Decimal   | a 64-bit float (AWS: 34 digits); whole ones are written as Int    |
//! | Undefined | nothing: never written; whatever has no meaning yields it         |
//!
//! Boolean, String, Array, Object and Null are those of JSON. A number that is
//! neither finite nor representable is Undefined, never an error.
//!
//! # Bounds
//!
//! A statement has at most [`STATEMENT_CHARS_MAX`] characters, [`DEPTH_MAX`]
//! levels of nesting and [`ITEMS_MAX`] items in one list. A run may produce
//! and look at so many bytes (see [`EvalError::TooMuchWork`]). Regular
//! expressions run in linear time, without look-around, back-references and
//! `\p{..}`; one that stands in the statement is checked when that is parsed.

mod ast;
mod error;
mod eval;
mod functions;
mod input;
mod lexer;
mod operators;
mod parser;
mod select;
mod statement;
mod template;
pub(crate) mod value;

pub use error::{EvalError, SqlError, SqlProblem};
pub use input::{Input, Properties, ShadowLookup};
pub use statement::{Output, Statement};
pub use template::Template;

/// Most characters of a statement or of a template.
pub const STATEMENT_CHARS_MAX: usize = 4_096;

/// Most levels of nesting in an expression.
pub const DEPTH_MAX: usize = 64;

/// Most items of one list: selected items, arguments, elements, branches.
pub const ITEMS_MAX: usize = 256;

/// Names of the language's versions that rules may give; all behave as the last one.
pub const VERSIONS: [&str; 2] = ["2015-10-08", "2016-03-23"];
