//! Text to tokens.

use super::error::{SqlError, SqlProblem};

/// A piece of the statement.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    /// A bare word: keyword, function or field.
    Word(String),
    /// A field's name in backquotes; never a keyword.
    Quoted(String),
    /// A string in single or double quotes.
    Text(String),
    Int(i64),
    Decimal(f64),
    /// Punctuation and operators.
    Symbol(&'static str),
    End,
}

impl Token {
    /// How an error message calls this token.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Word(word) | Self::Quoted(word) => word.clone(),
            Self::Text(text) => format!("the string '{text}'"),
            Self::Int(number) => number.to_string(),
            Self::Decimal(number) => number.to_string(),
            Self::Symbol(symbol) => format!("'{symbol}'"),
            Self::End => "the end".to_owned(),
        }
    }

    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// A token and its column (from 1).
pub(super) type Placed = (Token, usize);

// Longer symbols first, so that "<=" is not read as "<".
const SYMBOLS: [&str; 21] =
    ["<>", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ",", ".", ":", "*", "/", "%", "+", "-", "=", "<", ">"];

/// Splits `text`; the first character is column `first_column`. The last token is [`Token::End`].
pub(super) fn tokens(text: &str, first_column: usize) -> Result<Vec<Placed>, SqlError> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let column = first_column + at;
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let (token, next) = match c {
            '\'' | '"' | '`' => quoted(&chars, at).ok_or_else(|| SqlError::new(column, SqlProblem::Unclosed(c)))?,
            '0'..='9' => number(&chars, at),
            _ if c.is_alphabetic() || c == '_' => word(&chars, at),
            _ => symbol(&chars, at).ok_or_else(|| SqlError::new(column, SqlProblem::Character(c)))?,
        };
        found.push((token, column));
        at = next;
    }
    found.push((Token::End, first_column + chars.len()));
    Ok(found)
}

/// The quoted text at `at`; a doubled quote stands for itself. `None` if it never ends.
fn quoted(chars: &[char], at: usize) -> Option<(Token, usize)> {
    let quote = chars[at];
    let mut text = String::new();
    let mut at = at + 1;
    loop {
        let c = *chars.get(at)?;
        if c == quote && chars.get(at + 1) == Some(&quote) {
            at += 1;
        } else if c == quote {
            let token = if quote == '`' { Token::Quoted(text) } else { Token::Text(text) };
            return Some((token, at + 1));
        }
        text.push(c);
        at += 1;
    }
}

fn word(chars: &[char], at: usize) -> (Token, usize) {
    let word: String = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
    let next = at + word.chars().count();
    (Token::Word(word), next)
}

/// Digits, a fraction and an exponent; without the latter two, and if it fits, an Int.
fn number(chars: &[char], at: usize) -> (Token, usize) {
    let digits =
        |from: usize| from + chars.get(from..).unwrap_or_default().iter().take_while(|c| c.is_ascii_digit()).count();
    let mut end = digits(at);
    let whole = end;
    if chars.get(end) == Some(&'.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    if matches!(chars.get(end), Some('e' | 'E')) {
        let sign = usize::from(matches!(chars.get(end + 1), Some('+' | '-')));
        let exponent = end + 1 + sign;
        if digits(exponent) > exponent {
            end = digits(exponent);
        }
    }
    let text: String = chars[at..end].iter().collect();
    let token = match text.parse() {
        Ok(number) if end == whole => Token::Int(number),
        _ => Token::Decimal(text.parse().unwrap_or(f64::INFINITY)),
    };
    (token, end)
}

fn symbol(chars: &[char], at: usize) -> Option<(Token, usize)> {
    let rest = &chars[at..];
    let symbol = SYMBOLS.iter().find(|symbol| symbol.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&c)))?;
    Some((Token::Symbol(symbol), at + symbol.len()))
}
