//! Expressions, from the weakest operator to the strongest.

use serde_json::Value as Json;

use super::{Parser, RESERVED};
use crate::sql::ast::{Expr, Operator, Select, Step, Type};
use crate::sql::error::{SqlError, SqlProblem};
use crate::sql::functions::{self, Lookup};
use crate::sql::lexer::Token;

type Parsed = Result<Expr, SqlError>;

impl Parser {
    pub(super) fn expression(&mut self) -> Parsed {
        self.nested(|parser| parser.chain(Self::conjunction, |p| p.take_keyword("OR").then_some(Operator::Or)))
    }

    fn conjunction(&mut self) -> Parsed {
        self.chain(Self::negation, |p| p.take_keyword("AND").then_some(Operator::And))
    }

    fn negation(&mut self) -> Parsed {
        if self.take_keyword("NOT") {
            return self.nested(Self::negation).map(|inner| Expr::Not(Box::new(inner)));
        }
        self.chain(Self::sum, Self::comparison_operator)
    }

    fn sum(&mut self) -> Parsed {
        self.chain(Self::product, |p| p.operator(&[("+", Operator::Add), ("-", Operator::Subtract)]))
    }

    fn product(&mut self) -> Parsed {
        let operators = [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];
        self.chain(Self::signed, |p| p.operator(&operators))
    }

    /// Operands of `operand` with operators of one precedence between, as a flat list.
    fn chain(
        &mut self,
        operand: impl Fn(&mut Self) -> Parsed,
        operator: impl Fn(&mut Self) -> Option<Operator>,
    ) -> Parsed {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some(operator) = operator(self) {
            rest.push((operator, operand(self)?));
        }
        if rest.is_empty() { Ok(first) } else { Ok(Expr::Chain { first: Box::new(first), rest }) }
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        operators.iter().find(|(symbol, _)| self.take_symbol(symbol)).map(|(_, operator)| *operator)
    }

    fn comparison_operator(&mut self) -> Option<Operator> {
        if self.take_keyword("IN") {
            return Some(Operator::In);
        }
        self.operator(&[
            ("=", Operator::Equal),
            ("<>", Operator::NotEqual),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ])
    }

    fn signed(&mut self) -> Parsed {
        if self.take_symbol("-") {
            return self.nested(Self::signed).map(|inner| Expr::Negate(Box::new(inner)));
        }
        self.path()
    }

    /// An operand and the steps behind it: `.name`, `."a name"`, `[expr]`.
    fn path(&mut self) -> Parsed {
        let base = self.operand()?;
        let mut steps = Vec::new();
        loop {
            if self.take_symbol(".") {
                steps.push(Step::Name(self.name()?));
            } else if self.take_symbol("[") {
                steps.push(Step::Index(self.expression()?));
                self.expect_symbol("]")?;
            } else {
                break;
            }
        }
        if steps.is_empty() { Ok(base) } else { Ok(Expr::Path { base: Box::new(base), steps }) }
    }

    fn operand(&mut self) -> Parsed {
        let token = self.peek().clone();
        let literal = match token {
            Token::Int(number) => Json::from(number),
            Token::Decimal(number) => Json::from(number),
            Token::Text(text) => Json::String(text),
            Token::Quoted(name) => {
                self.advance();
                return Ok(Expr::Field(name));
            }
            Token::Symbol("(") => return self.bracket(),
            Token::Symbol("[") => return self.array(),
            Token::Symbol("{") => return self.object(),
            Token::Word(word) => return self.word(word),
            Token::Symbol(_) | Token::End => return Err(self.unexpected("an expression")),
        };
        self.advance();
        Ok(Expr::Literal(literal))
    }

    fn word(&mut self, word: String) -> Parsed {
        let lower = word.to_ascii_lowercase();
        let is_call = *self.ahead(1) == Token::Symbol("(");
        let literal = match lower.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            "null" => Json::Null,
            "case" => return self.case(),
            "cast" if is_call => return self.cast(),
            "value" => {
                self.advance();
                return Ok(Expr::Field(word));
            }
            _ if is_call && !RESERVED.contains(&lower.as_str()) => return self.call(&lower),
            _ if RESERVED.contains(&lower.as_str()) => return Err(self.unexpected("an expression")),
            _ => {
                self.advance();
                return Ok(Expr::Field(word));
            }
        };
        self.advance();
        Ok(Expr::Literal(literal))
    }

    fn bracket(&mut self) -> Parsed {
        self.advance();
        let inner = if self.take_keyword("SELECT") { self.nested(Self::subselect)? } else { self.expression()? };
        self.expect_symbol(")")?;
        Ok(inner)
    }

    fn subselect(&mut self) -> Parsed {
        let projection = self.projection()?;
        self.expect_keyword("FROM")?;
        let source = Box::new(self.path()?);
        let condition = self.condition()?;
        Ok(Expr::Nested { select: Box::new(Select { projection, condition }), source })
    }

    fn array(&mut self) -> Parsed {
        self.advance();
        if self.take_symbol("]") {
            return Ok(Expr::Array(Vec::new()));
        }
        let items = self.list(Self::expression)?;
        self.expect_symbol("]")?;
        Ok(Expr::Array(items))
    }

    fn object(&mut self) -> Parsed {
        self.advance();
        if self.take_symbol("}") {
            return Ok(Expr::Object(Vec::new()));
        }
        let fields = self.list(|parser| {
            let name = parser.name()?;
            parser.expect_symbol(":")?;
            Ok((name, parser.expression()?))
        })?;
        self.expect_symbol("}")?;
        Ok(Expr::Object(fields))
    }

    fn case(&mut self) -> Parsed {
        self.advance();
        let subject = Box::new(self.expression()?);
        let mut branches = Vec::new();
        while self.take_keyword("WHEN") {
            self.check_count(branches.len())?;
            let when = self.expression()?;
            self.expect_keyword("THEN")?;
            branches.push((when, self.expression()?));
        }
        if branches.is_empty() {
            return Err(self.unexpected("WHEN"));
        }
        let otherwise = if self.take_keyword("ELSE") { Some(Box::new(self.expression()?)) } else { None };
        self.expect_keyword("END")?;
        Ok(Expr::Case { subject, branches, otherwise })
    }

    fn cast(&mut self) -> Parsed {
        self.advance();
        self.expect_symbol("(")?;
        let value = self.expression()?;
        self.expect_keyword("AS")?;
        let column = self.column();
        let name = self.name()?;
        let to = Type::named(&name).ok_or_else(|| SqlError::new(column, SqlProblem::UnknownType(name)))?;
        self.expect_symbol(")")?;
        Ok(Expr::Cast(Box::new(value), to))
    }

    fn call(&mut self, name: &str) -> Parsed {
        let column = self.column();
        let function = match functions::lookup(name) {
            Lookup::Found(function) => function,
            Lookup::Unsupported => return Err(SqlError::new(column, SqlProblem::UnsupportedFunction(name.to_owned()))),
            Lookup::Unknown => return Err(SqlError::new(column, SqlProblem::UnknownFunction(name.to_owned()))),
        };
        self.advance();
        self.expect_symbol("(")?;
        let places = self.at;
        let arguments = if self.take_symbol(")") {
            Vec::new()
        } else {
            let arguments = self.list(Self::argument)?;
            self.expect_symbol(")")?;
            arguments
        };
        function.check_count(arguments.len()).map_err(|problem| SqlError::new(column, problem))?;
        let pattern = match arguments.get(1) {
            Some(Expr::Literal(Json::String(text))) if function.takes_pattern() => {
                let column = self.pattern_column(places, text);
                let compiled = functions::compile(text);
                Some(compiled.map_err(|reason| SqlError::new(column, SqlProblem::Pattern(reason)))?)
            }
            _ => None,
        };
        Ok(Expr::Call { function, arguments, pattern })
    }

    /// Where the literal pattern stands among the arguments that began at token `from`.
    fn pattern_column(&self, from: usize, pattern: &str) -> usize {
        let arguments = self.tokens.get(from..self.at).unwrap_or_default();
        let place = arguments.iter().rfind(|(token, _)| matches!(token, Token::Text(text) if text == pattern));
        place.map_or(1, |(_, column)| *column)
    }

    /// An expression, or `*` alone for the whole payload.
    fn argument(&mut self) -> Parsed {
        let is_star = *self.peek() == Token::Symbol("*") && matches!(self.ahead(1), Token::Symbol("," | ")"));
        if is_star {
            self.advance();
            return Ok(Expr::Star);
        }
        self.expression()
    }
}
