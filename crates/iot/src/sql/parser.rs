//! Tokens to a tree: the statement, its items and its clauses.

mod expression;

use super::ast::{Expr, Item, Projection, Select, Step};
use super::error::{SqlError, SqlProblem};
use super::lexer::{Placed, Token, tokens};
use super::{DEPTH_MAX, ITEMS_MAX, STATEMENT_CHARS_MAX};
use crate::rules::filter;

/// Words that end an expression or an item, and so cannot be fields without backquotes.
const RESERVED: [&str; 14] =
    ["select", "from", "where", "as", "and", "or", "not", "in", "case", "when", "then", "else", "end", "value"];

/// A whole statement: what to select, and the filter.
pub(super) fn statement(text: &str) -> Result<(Select, Option<String>), SqlError> {
    check_length(text)?;
    let mut parser = Parser::new(text, 1)?;
    parser.expect_keyword("SELECT")?;
    let projection = parser.projection()?;
    let filter = if parser.take_keyword("FROM") { Some(parser.filter()?) } else { None };
    let condition = parser.condition()?;
    parser.expect_end("FROM, WHERE, ',' or the end")?;
    Ok((Select { projection, condition }, filter))
}

/// One expression and nothing else; its first character is column `first_column`.
pub(super) fn expression(text: &str, first_column: usize) -> Result<Expr, SqlError> {
    let mut parser = Parser::new(text, first_column)?;
    let expr = parser.expression()?;
    parser.expect_end("an operator or '}'")?;
    Ok(expr)
}

/// Refuses texts longer than [`STATEMENT_CHARS_MAX`].
pub(super) fn check_length(text: &str) -> Result<(), SqlError> {
    match text.chars().count() {
        0..=STATEMENT_CHARS_MAX => Ok(()),
        count => Err(SqlError::new(STATEMENT_CHARS_MAX + 1, SqlProblem::TooLong(count))),
    }
}

struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn new(text: &str, first_column: usize) -> Result<Self, SqlError> {
        Ok(Self { tokens: tokens(text, first_column)?, at: 0, depth: 0 })
    }

    fn ahead(&self, distance: usize) -> &Token {
        self.tokens.get(self.at + distance).map_or(&Token::End, |(token, _)| token)
    }

    fn peek(&self) -> &Token {
        self.ahead(0)
    }

    fn column(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, column)| *column)
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(found) if *found == symbol);
        self.at += usize::from(found);
        found
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_keyword(keyword);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, expected: impl Into<std::borrow::Cow<'static, str>>) -> SqlError {
        let found = self.peek().describe();
        SqlError::new(self.column(), SqlProblem::Unexpected { expected: expected.into(), found })
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), SqlError> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.unexpected(format!("'{symbol}'"))) }
    }

    fn expect_keyword(&mut self, keyword: &'static str) -> Result<(), SqlError> {
        if self.take_keyword(keyword) { Ok(()) } else { Err(self.unexpected(keyword)) }
    }

    fn expect_end(&self, expected: &'static str) -> Result<(), SqlError> {
        if *self.peek() == Token::End { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        if self.depth == DEPTH_MAX {
            return Err(SqlError::new(self.column(), SqlProblem::TooDeep));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Items of `parse` with commas between, at least one.
    fn list<T>(&mut self, parse: impl Fn(&mut Self) -> Result<T, SqlError>) -> Result<Vec<T>, SqlError> {
        let mut items = vec![parse(self)?];
        while self.take_symbol(",") {
            self.check_count(items.len())?;
            items.push(parse(self)?);
        }
        Ok(items)
    }

    fn check_count(&self, count: usize) -> Result<(), SqlError> {
        if count < ITEMS_MAX { Ok(()) } else { Err(SqlError::new(self.column(), SqlProblem::TooManyItems)) }
    }

    fn projection(&mut self) -> Result<Projection, SqlError> {
        if self.peek().is_keyword("VALUE") && !self.value_is_a_field() {
            self.advance();
            let value = if self.take_symbol("*") { Expr::Star } else { self.expression()? };
            return Ok(Projection::Value(value));
        }
        self.list(Self::item).map(Projection::Items)
    }

    /// `value` is also a popular name of a field: it is one if no expression follows.
    fn value_is_a_field(&self) -> bool {
        match self.ahead(1) {
            Token::End => true,
            Token::Symbol("*") => {
                let after = self.ahead(2);
                let ends = matches!(after, Token::End | Token::Symbol(")"));
                !(ends || after.is_keyword("FROM") || after.is_keyword("WHERE"))
            }
            Token::Symbol(symbol) => !matches!(*symbol, "(" | "[" | "{" | "-"),
            next => ["FROM", "WHERE", "AS", "AND", "OR", "IN"].iter().any(|word| next.is_keyword(word)),
        }
    }

    fn item(&mut self) -> Result<Item, SqlError> {
        if self.take_symbol("*") {
            return Ok(Item::All);
        }
        let column = self.column();
        let value = self.expression()?;
        let name = if self.take_keyword("AS") { self.alias()? } else { own_name(&value, column)? };
        Ok(Item::Named { value, name })
    }

    /// `a.b.c`: any words, also keywords and quoted ones.
    fn alias(&mut self) -> Result<Vec<String>, SqlError> {
        let mut names = vec![self.name()?];
        while self.take_symbol(".") {
            if names.len() == DEPTH_MAX {
                return Err(SqlError::new(self.column(), SqlProblem::TooDeep));
            }
            names.push(self.name()?);
        }
        Ok(names)
    }

    fn name(&mut self) -> Result<String, SqlError> {
        match self.peek().clone() {
            Token::Word(name) | Token::Quoted(name) | Token::Text(name) => {
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn filter(&mut self) -> Result<String, SqlError> {
        let Token::Text(text) = self.peek().clone() else { return Err(self.unexpected("a topic filter in quotes")) };
        filter::check(&text).map_err(|reason| SqlError::new(self.column(), SqlProblem::Filter(reason)))?;
        self.advance();
        Ok(text)
    }

    fn condition(&mut self) -> Result<Option<Expr>, SqlError> {
        if self.take_keyword("WHERE") { self.expression().map(Some) } else { Ok(None) }
    }
}

/// The name of an item without `AS`: the last name of its path, or the function.
fn own_name(value: &Expr, column: usize) -> Result<Vec<String>, SqlError> {
    let name = match value {
        Expr::Field(name) => Some(name.as_str()),
        Expr::Call { function, .. } => Some(function.name),
        Expr::Cast(..) => Some("cast"),
        Expr::Path { base, steps } => {
            let last = steps.iter().rev().find_map(|step| match step {
                Step::Name(name) => Some(name.as_str()),
                Step::Index(_) => None,
            });
            return match last {
                Some(name) => Ok(vec![name.to_owned()]),
                None => own_name(base, column),
            };
        }
        _ => None,
    };
    let missing = || SqlProblem::Unexpected {
        expected: "a field, or AS and a name behind the expression".into(),
        found: "an expression without a name".to_owned(),
    };
    name.map(|name| vec![name.to_owned()]).ok_or_else(|| SqlError::new(column, missing()))
}
