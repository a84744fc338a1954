//! What the parser found.
//!
//! Chains of operators and of path steps are flat lists, so only brackets,
//! and not the length of a statement, make the tree deep.

use regex::Regex;
use serde_json::Value as Json;

use super::functions::Function;

/// `SELECT`, at the top or inside brackets.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) projection: Projection,
    pub(super) condition: Option<Expr>,
}

/// What a `SELECT` makes of one object.
#[derive(Debug)]
pub(super) enum Projection {
    /// `SELECT VALUE expr`: the value itself.
    Value(Expr),
    /// An object of items, in order; later ones win.
    Items(Vec<Item>),
}

#[derive(Debug)]
pub(super) enum Item {
    /// `*`: all fields.
    All,
    /// A value and the path of names under which it is put.
    Named { value: Expr, name: Vec<String> },
}

#[derive(Debug)]
pub(super) enum Expr {
    Literal(Json),
    /// `*` as an argument: the whole payload.
    Star,
    /// A field of the present object.
    Field(String),
    Path {
        base: Box<Expr>,
        steps: Vec<Step>,
    },
    Array(Vec<Expr>),
    Object(Vec<(String, Expr)>),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    /// Operators of one precedence, from left to right.
    Chain {
        first: Box<Expr>,
        rest: Vec<(Operator, Expr)>,
    },
    Case {
        subject: Box<Expr>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast(Box<Expr>, Type),
    Call {
        function: &'static Function,
        arguments: Vec<Expr>,
        /// The second argument of a regular expression function, if it is a literal.
        pattern: Option<Regex>,
    },
    /// `(SELECT .. FROM source ..)`
    Nested {
        select: Box<Select>,
        source: Box<Expr>,
    },
}

#[derive(Debug)]
pub(super) enum Step {
    Name(String),
    Index(Expr),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What `cast` can make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Text,
    Int,
    Decimal,
    Boolean,
}

impl Type {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "string" | "nvarchar" | "text" | "ntext" | "varchar" => Some(Self::Text),
            "int" | "integer" => Some(Self::Int),
            "decimal" | "double" => Some(Self::Decimal),
            "bool" | "boolean" => Some(Self::Boolean),
            _ => None,
        }
    }
}
