//! The functions of the language: one table, and one file for each kind.

mod clock;
mod codec;
mod message;
mod numbers;
mod patterns;
mod text;

use regex::Regex;

use super::error::{EvalError, SqlProblem};
use super::eval::Run;
use super::value::Value;

pub(super) use patterns::compile;

/// A function: its name as AWS writes it, how many arguments it takes, and what it does.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    arguments: (usize, usize),
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Depends on its arguments only; its result is hardly longer than they are.
    Plain(fn(&[Value]) -> Value),
    /// Reads the message, or pays for a long result.
    Message(fn(&Run<'_>, &[Value]) -> Result<Value, EvalError>),
    /// Takes a regular expression as its second argument.
    Pattern(fn(&Run<'_>, &[Value], &Regex) -> Result<Value, EvalError>),
}

/// What a name stands for.
pub(super) enum Lookup {
    Found(&'static Function),
    /// A function of AWS that is missing here on purpose.
    Unsupported,
    Unknown,
}

pub(super) fn lookup(name: &str) -> Lookup {
    match FUNCTIONS.iter().find(|function| function.name.eq_ignore_ascii_case(name)) {
        Some(function) => Lookup::Found(function),
        None if UNSUPPORTED.contains(&name) => Lookup::Unsupported,
        None => Lookup::Unknown,
    }
}

/// Functions of AWS, in small letters, that call other services or that nothing should use any more.
const UNSUPPORTED: [&str; 7] =
    ["aws_lambda", "get_dynamodb", "get_registry_data", "get_secret", "machinelearning_predict", "md2", "sourceip"];

const MANY: usize = super::ITEMS_MAX;

use Body::{Message, Pattern, Plain};

const fn function(name: &'static str, least: usize, most: usize, body: Body) -> Function {
    Function { name, arguments: (least, most), body }
}

static FUNCTIONS: [Function; 62] = [
    function("topic", 0, 1, Message(message::topic)),
    function("clientid", 0, 0, Message(message::clientid)),
    function("timestamp", 0, 0, Message(message::timestamp)),
    function("newuuid", 0, 0, Plain(message::newuuid)),
    function("traceid", 0, 0, Message(message::traceid)),
    function("accountid", 0, 0, Message(message::accountid)),
    function("principal", 0, 0, Message(message::principal)),
    function("get_mqtt_property", 1, 1, Message(message::get_mqtt_property)),
    function("get_user_properties", 0, 1, Message(message::get_user_properties)),
    function("get_thing_shadow", 1, 3, Message(message::get_thing_shadow)),
    function("sql_version", 0, 0, Plain(message::sql_version)),
    function("get", 2, 2, Plain(text::get)),
    function("length", 1, 1, Plain(text::length)),
    function("numbytes", 1, 1, Plain(text::numbytes)),
    function("upper", 1, 1, Plain(text::upper)),
    function("lower", 1, 1, Plain(text::lower)),
    function("trim", 1, 1, Plain(text::trim)),
    function("ltrim", 1, 1, Plain(text::ltrim)),
    function("rtrim", 1, 1, Plain(text::rtrim)),
    function("lpad", 2, 2, Plain(text::lpad)),
    function("rpad", 2, 2, Plain(text::rpad)),
    function("chr", 1, 1, Plain(text::chr)),
    function("concat", 0, MANY, Plain(text::concat)),
    function("substring", 2, 3, Plain(text::substring)),
    function("startswith", 2, 2, Plain(text::startswith)),
    function("endswith", 2, 2, Plain(text::endswith)),
    function("indexof", 2, 2, Plain(text::indexof)),
    function("replace", 3, 3, Message(text::replace)),
    function("regexp_matches", 2, 2, Pattern(patterns::matches)),
    function("regexp_substr", 2, 2, Pattern(patterns::substr)),
    function("regexp_replace", 3, 3, Pattern(patterns::replace)),
    function("abs", 1, 1, Plain(numbers::abs)),
    function("sign", 1, 1, Plain(numbers::sign)),
    function("floor", 1, 1, Plain(numbers::floor)),
    function("ceil", 1, 1, Plain(numbers::ceil)),
    function("round", 1, 1, Plain(numbers::round)),
    function("trunc", 2, 2, Plain(numbers::trunc)),
    function("mod", 2, 2, Plain(numbers::remainder)),
    function("remainder", 2, 2, Plain(numbers::remainder)),
    function("power", 2, 2, Plain(numbers::power)),
    function("sqrt", 1, 1, Plain(|v| numbers::float(v, f64::sqrt))),
    function("exp", 1, 1, Plain(|v| numbers::float(v, f64::exp))),
    function("ln", 1, 1, Plain(|v| numbers::float(v, f64::ln))),
    function("log", 1, 1, Plain(|v| numbers::float(v, f64::log10))),
    function("sin", 1, 1, Plain(|v| numbers::float(v, f64::sin))),
    function("cos", 1, 1, Plain(|v| numbers::float(v, f64::cos))),
    function("tan", 1, 1, Plain(|v| numbers::float(v, f64::tan))),
    function("rand", 0, 0, Plain(numbers::rand)),
    function("nanvl", 2, 2, Plain(numbers::nanvl)),
    function("isNull", 1, 1, Plain(numbers::is_null)),
    function("isUndefined", 1, 1, Plain(numbers::is_undefined)),
    function("bitand", 2, 2, Plain(|v| numbers::bits(v, |left, right| left & right))),
    function("bitor", 2, 2, Plain(|v| numbers::bits(v, |left, right| left | right))),
    function("bitxor", 2, 2, Plain(|v| numbers::bits(v, |left, right| left ^ right))),
    function("encode", 2, 2, Plain(codec::encode)),
    function("decode", 2, 2, Plain(codec::decode)),
    function("md5", 1, 1, Plain(codec::md5)),
    function("sha1", 1, 1, Plain(codec::sha1)),
    function("sha256", 1, 1, Plain(codec::sha256)),
    function("sha512", 1, 1, Plain(codec::sha512)),
    function("parse_time", 2, 3, Plain(clock::parse_time)),
    function("time_to_epoch", 2, 2, Plain(clock::time_to_epoch)),
];

impl Function {
    pub(super) fn takes_pattern(&self) -> bool {
        matches!(self.body, Pattern(_))
    }

    pub(super) fn check_count(&self, found: usize) -> Result<(), SqlProblem> {
        let (least, most) = self.arguments;
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let expected = if least == most { least.to_string() } else { format!("{least} to {most}") };
        Err(SqlProblem::ArgumentCount { name: self.name, expected, found })
    }

    /// Calls it; `pattern` is the compiled second argument, if that was a literal.
    pub(super) fn call(&self, run: &Run<'_>, values: &[Value], pattern: Option<&Regex>) -> Result<Value, EvalError> {
        run.charge(values.iter().map(Value::bytes).sum())?;
        let result = match self.body {
            Plain(body) => body(values),
            Message(body) => body(run, values)?,
            Pattern(body) => match pattern {
                Some(pattern) => body(run, values, pattern)?,
                None => match patterns::dynamic(run, values)? {
                    Some(pattern) => body(run, values, &pattern)?,
                    None => Value::Undefined,
                },
            },
        };
        run.charge(result.bytes())?;
        Ok(result)
    }
}

/// The text of argument `index`; `None` for Null and Undefined.
fn text_of(values: &[Value], index: usize) -> Option<String> {
    values.get(index).and_then(Value::to_text)
}

/// `Some` as a value, `None` as Undefined.
fn or_undefined(value: Option<Value>) -> Value {
    value.unwrap_or(Value::Undefined)
}
