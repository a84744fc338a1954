//! What a template is made of.

use std::sync::Arc;

use super::error::Place;

#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug)]
pub(super) enum Node {
    Text(Box<str>),
    Reference(Reference),
    Set { target: Reference, value: Expression },
    If { arms: Vec<(Expression, Block)>, otherwise: Option<Block> },
    Foreach { name: Box<str>, items: Expression, body: Block },
    Define { name: Box<str>, body: Block },
    Break,
    Stop,
}

/// `$name` and what follows it.
#[derive(Debug)]
pub(super) struct Reference {
    /// As it is written.
    pub(super) source: Box<str>,
    /// Written with `$!`.
    pub(super) is_quiet: bool,
    pub(super) name: Box<str>,
    pub(super) accesses: Vec<Access>,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) enum Access {
    Property(Arc<str>),
    Index(Expression),
    Call(Box<str>, Vec<Expression>),
}

#[derive(Debug)]
pub(super) enum Expression {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    Interpolated(Block),
    List(Vec<Expression>),
    Range(Box<(Expression, Expression)>, Place),
    Map(Vec<(Expression, Expression)>),
    Reference(Box<Reference>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    Binary(Operator, Box<(Expression, Expression)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    Greater,
    AtMost,
    AtLeast,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}
