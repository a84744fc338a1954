//! References and expressions of templates.

use std::sync::Arc;

use super::ast::{Access, Expression, Operator, Reference};
use super::error::Outcome;
use super::functions::{OF_INPUT, OF_UTIL};
use super::parser::Parser;
use super::scanner::Scanner;
use crate::json_path::JsonPath;

/// Operators in one row without brackets, such as `a + b + c`.
const ROW_MAX: usize = 64;

/// Signs and words of operators, and how tightly they bind. Longer signs stand first.
const OPERATORS: [(&str, Operator, u8); 21] = [
    ("||", Operator::Or, 1),
    ("or", Operator::Or, 1),
    ("&&", Operator::And, 2),
    ("and", Operator::And, 2),
    ("==", Operator::Equal, 3),
    ("eq", Operator::Equal, 3),
    ("!=", Operator::Unequal, 3),
    ("ne", Operator::Unequal, 3),
    ("<=", Operator::AtMost, 4),
    ("le", Operator::AtMost, 4),
    ("<", Operator::Less, 4),
    ("lt", Operator::Less, 4),
    (">=", Operator::AtLeast, 4),
    ("ge", Operator::AtLeast, 4),
    (">", Operator::Greater, 4),
    ("gt", Operator::Greater, 4),
    ("+", Operator::Add, 5),
    ("-", Operator::Subtract, 5),
    ("*", Operator::Multiply, 6),
    ("/", Operator::Divide, 6),
    ("%", Operator::Remainder, 6),
];

/// What `$input` and `$util` do not have, and paths that cannot be read, are found before they are used.
fn check_known(reference: &Reference) -> Outcome<()> {
    let has: &[&str] = match &*reference.name {
        "input" => &OF_INPUT,
        "util" => &OF_UTIL,
        _ => return Ok(()),
    };
    let name: &str = match reference.accesses.first() {
        None | Some(Access::Index(_)) => return Ok(()),
        Some(Access::Property(name)) => name,
        Some(Access::Call(name, _)) => name,
    };
    if !has.contains(&name) {
        let problem = format!("${} has no {name}; it has {}", reference.name, has.join(", "));
        return Err(reference.place.error(problem));
    }
    if let ("json" | "path", Some(Access::Call(_, arguments))) = (name, reference.accesses.first())
        && let [Expression::Text(path)] = arguments.as_slice()
    {
        JsonPath::parse(path).map_err(|error| reference.place.error(error.to_string()))?;
    }
    Ok(())
}

impl Parser<'_> {
    /// A reference, or `None` where a `$` is only a dollar sign.
    pub(super) fn reference(&mut self) -> Outcome<Option<Reference>> {
        let from = self.scanner.at;
        let place = self.scanner.here();
        self.scanner.take("$");
        let is_quiet = self.scanner.take("!");
        let is_braced = self.scanner.take("{");
        let Some(name) = self.scanner.take_name().map(Box::from) else {
            self.scanner.at = from;
            return Ok(None);
        };
        let accesses = self.accesses()?;
        if is_braced && !self.scanner.take("}") {
            self.scanner.at = from;
            return Ok(None);
        }
        let reference = Reference { source: self.scanner.slice(from).into(), is_quiet, name, accesses, place };
        check_known(&reference)?;
        Ok(Some(reference))
    }

    fn accesses(&mut self) -> Outcome<Vec<Access>> {
        let mut accesses = Vec::new();
        loop {
            let from = self.scanner.at;
            if self.scanner.take("[") {
                self.enter()?;
                let index = self.expression()?;
                self.scanner.expect("]")?;
                self.nesting -= 1;
                accesses.push(Access::Index(index));
                continue;
            }
            if !self.scanner.take(".") {
                return Ok(accesses);
            }
            let Some(name) = self.scanner.take_name() else {
                self.scanner.at = from;
                return Ok(accesses);
            };
            let name: Box<str> = name.into();
            if self.scanner.take("(") {
                let arguments = self.items(")")?;
                accesses.push(Access::Call(name, arguments));
            } else {
                accesses.push(Access::Property(Arc::from(name)));
            }
        }
    }

    pub(super) fn expression(&mut self) -> Outcome<Expression> {
        self.enter()?;
        let expression = self.operators(1)?;
        self.nesting -= 1;
        Ok(expression)
    }

    /// Operands and operators that bind at least as tightly as `least`.
    fn operators(&mut self, least: u8) -> Outcome<Expression> {
        let mut left = self.operand()?;
        for _ in 0..ROW_MAX {
            self.scanner.skip_space();
            let Some((sign, operator, tightness)) = self.operator().filter(|found| found.2 >= least) else {
                return Ok(left);
            };
            self.scanner.at += sign.len();
            let right = self.operators(tightness + 1)?;
            left = Expression::Binary(operator, Box::new((left, right)));
        }
        Err(self.scanner.here().error(format!("more than {ROW_MAX} operators in a row; use #set for parts of it")))
    }

    fn operator(&self) -> Option<(&'static str, Operator, u8)> {
        let rest = self.scanner.rest();
        let (sign, operator, tightness) = OPERATORS.into_iter().find(|(sign, ..)| rest.starts_with(sign))?;
        let is_word = sign.starts_with(|c: char| c.is_ascii_alphabetic());
        let goes_on = rest[sign.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        (!(is_word && goes_on)).then_some((sign, operator, tightness))
    }

    fn operand(&mut self) -> Outcome<Expression> {
        self.scanner.skip_space();
        let place = self.scanner.here();
        match self.scanner.peek() {
            Some(b'!') => {
                self.scanner.at += 1;
                self.prefixed(Expression::Not)
            }
            Some(b'-') if !self.scanner.peek_after(1).is_some_and(|byte| byte.is_ascii_digit()) => {
                self.scanner.at += 1;
                self.prefixed(Expression::Negative)
            }
            Some(b'(') => {
                self.scanner.at += 1;
                let inner = self.expression()?;
                self.scanner.expect(")")?;
                Ok(inner)
            }
            Some(b'[') => self.list(),
            Some(b'{') => self.map(),
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'$') => match self.reference()? {
                Some(reference) => Ok(Expression::Reference(Box::new(reference))),
                None => Err(place.error("a $ without a name; write '$' for a dollar sign")),
            },
            _ => self.word(),
        }
    }

    fn prefixed(&mut self, make: fn(Box<Expression>) -> Expression) -> Outcome<Expression> {
        self.enter()?;
        let operand = self.operand()?;
        self.nesting -= 1;
        Ok(make(Box::new(operand)))
    }

    fn word(&mut self) -> Outcome<Expression> {
        let place = self.scanner.here();
        let found = self.scanner.found();
        match self.scanner.take_name() {
            Some("true") => Ok(Expression::Bool(true)),
            Some("false") => Ok(Expression::Bool(false)),
            Some("null") => Ok(Expression::Null),
            Some("not") => self.prefixed(Expression::Not),
            Some(name) => Err(place.error(format!("{name:?} is no value; write ${name} or '{name}'"))),
            None => Err(place.error(format!("a value is needed {found}"))),
        }
    }

    fn number(&mut self) -> Outcome<Expression> {
        let place = self.scanner.here();
        let from = self.scanner.at;
        self.scanner.take("-");
        self.scanner.take_while(|byte| byte.is_ascii_digit());
        let mut is_float = false;
        if self.scanner.peek() == Some(b'.') && self.scanner.peek_after(1).is_some_and(|byte| byte.is_ascii_digit()) {
            is_float = true;
            self.scanner.at += 1;
            self.scanner.take_while(|byte| byte.is_ascii_digit());
        }
        if matches!(self.scanner.peek(), Some(b'e' | b'E')) && self.takes_exponent() {
            is_float = true;
        }
        let text = self.scanner.slice(from);
        let int = if is_float { None } else { text.parse().ok().map(Expression::Int) };
        int.or_else(|| text.parse().ok().map(Expression::Float)).ok_or_else(|| place.error("not a number"))
    }

    fn takes_exponent(&mut self) -> bool {
        let from = self.scanner.at;
        self.scanner.at += 1;
        let _ = self.scanner.take("-") || self.scanner.take("+");
        if self.scanner.take_while(|byte| byte.is_ascii_digit()).is_empty() {
            self.scanner.at = from;
            return false;
        }
        true
    }

    /// `[a, b]` or `[a..b]`.
    fn list(&mut self) -> Outcome<Expression> {
        let place = self.scanner.here();
        self.scanner.at += 1;
        self.scanner.skip_space();
        if self.scanner.take("]") {
            return Ok(Expression::List(Vec::new()));
        }
        let first = self.expression()?;
        self.scanner.skip_space();
        if self.scanner.take("..") {
            let last = self.expression()?;
            self.scanner.expect("]")?;
            return Ok(Expression::Range(Box::new((first, last)), place));
        }
        let mut items = vec![first];
        while !self.ends("]")? {
            items.push(self.expression()?);
        }
        Ok(Expression::List(items))
    }

    /// What stands up to `end`, with commas between.
    fn items(&mut self, end: &str) -> Outcome<Vec<Expression>> {
        let mut items = Vec::new();
        self.scanner.skip_space();
        if self.scanner.take(end) {
            return Ok(items);
        }
        items.push(self.expression()?);
        while !self.ends(end)? {
            items.push(self.expression()?);
        }
        Ok(items)
    }

    /// Whether the list ends here; otherwise a comma is needed, and skipped.
    fn ends(&mut self, end: &str) -> Outcome<bool> {
        self.scanner.skip_space();
        if self.scanner.take(end) {
            return Ok(true);
        }
        if self.scanner.take(",") {
            return Ok(false);
        }
        let found = self.scanner.found();
        Err(self.scanner.here().error(format!("expected \",\" or {end:?} {found}")))
    }

    fn map(&mut self) -> Outcome<Expression> {
        self.scanner.at += 1;
        let mut entries = Vec::new();
        self.scanner.skip_space();
        if self.scanner.take("}") {
            return Ok(Expression::Map(entries));
        }
        loop {
            let key = self.expression()?;
            self.scanner.expect(":")?;
            entries.push((key, self.expression()?));
            if self.ends("}")? {
                return Ok(Expression::Map(entries));
            }
        }
    }

    /// A text in quotes. A doubled quote is a quote; in double quotes references have their values.
    fn quoted(&mut self, quote: u8) -> Outcome<Expression> {
        let opened = self.scanner.here();
        self.scanner.at += 1;
        let inside = self.scanner.here();
        let mut text = String::new();
        loop {
            text.push_str(self.scanner.take_while(|byte| byte != quote));
            if self.scanner.is_done() {
                return Err(opened.error("the text that begins here has no closing quote"));
            }
            self.scanner.at += 1;
            if self.scanner.peek() != Some(quote) {
                break;
            }
            text.push(char::from(quote));
            self.scanner.at += 1;
        }
        if quote == b'\'' || !text.contains(['$', '#']) {
            return Ok(Expression::Text(text.into()));
        }
        let inner = Parser { scanner: Scanner::new(&text, inside), nesting: self.nesting };
        Ok(Expression::Interpolated(inner.whole()?))
    }
}
