//! Variables of a serverless.yml: `${self:..}`, `${env:..}`, `${file(..):..}` and so on.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::nearest::hint;
use crate::node::{Node, Place, Value};
use crate::scope::Scope;

/// What variables refer to.
pub(crate) struct Variables {
    /// The whole serverless.yml.
    pub(crate) root: Node,
    pub(crate) stage: String,
    /// The same at each reading of one file, other than the original's.
    pub(crate) instance: String,
    pub(crate) dotenv: BTreeMap<String, String>,
    /// What is being worked out at this moment.
    active: RefCell<Vec<String>>,
}

impl Variables {
    pub(crate) fn new(root: Node, stage: String, instance: String) -> Self {
        Self { root, stage, instance, dotenv: BTreeMap::new(), active: RefCell::default() }
    }
}

/// What asking one source came to.
enum Found {
    Value(Node),
    /// There is none, so that the next source is asked. Says why, should it be the last.
    None(Why),
    /// A mistake was written down.
    Broken,
}

enum Why {
    Text(String),
    /// The user should give the value of this key.
    Missing(String),
}

/// Works out all variables of a text. A text that is one variable becomes whatever that stands for.
pub(crate) fn expand(scope: &Scope<'_>, text: &str, place: &Place) -> Node {
    let mut out = String::new();
    let mut rest = text;
    let mut is_broken = false;
    while let Some(at) = rest.find("${") {
        let (before, tail) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('\\') {
            out.push_str(before);
            out.push_str("${");
            rest = &tail[2..];
            continue;
        }
        out.push_str(before);
        if !is_variable(&tail[2..]) {
            out.push_str("${");
            rest = &tail[2..];
            continue;
        }
        let Some(end) = end_of(tail) else {
            scope.mistake(place, format!("`{}` has no closing brace", shorten(tail)));
            return Node::broken(place);
        };
        let made = variable(scope, &tail[2..end], place);
        rest = &tail[end + 1..];
        if text.len() == end + 1 {
            return at_use(made, place);
        }
        match text_of(scope, &made, &tail[..=end], place) {
            Some(text) => out.push_str(&text),
            None => is_broken = true,
        }
        if !scope.spend(out.len(), place) {
            return Node::broken(place);
        }
    }
    out.push_str(rest);
    if is_broken { Node::broken(place) } else { Node::text(out, place) }
}

/// A text stands where it is used; a list or a map keeps its own lines.
fn at_use(mut node: Node, place: &Place) -> Node {
    if !matches!(node.value, Value::List(_) | Value::Map(_)) {
        node.place = place.clone();
    }
    node
}

/// The text of a variable within a longer text.
fn text_of(scope: &Scope<'_>, made: &Node, shown: &str, place: &Place) -> Option<String> {
    match &made.value {
        Value::Text(scalar) => Some(scalar.text.to_string()),
        Value::Null => Some(String::new()),
        Value::Absent | Value::Broken => None,
        Value::List(_) | Value::Map(_) => {
            let text = format!("`{}` is {} and cannot be put into a text", shorten(shown), made.kind());
            scope.mistake(place, text);
            None
        }
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(57).chain("...".chars()).collect() }
}

/// Whether what follows `${` is a variable: `type:..` or `type(..`. `${AWS::Region}` and `${Name}` are CloudFormation's.
fn is_variable(inner: &str) -> bool {
    let name =
        inner.len() - inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_').len();
    let rest = &inner[name..];
    name > 0 && (rest.starts_with('(') || (rest.starts_with(':') && !rest.starts_with("::")))
}

/// Where the brace stands that closes the one at the beginning.
fn end_of(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut last = ' ';
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            // A quote elsewhere is a part of a name.
            (None, '\'' | '"') if matches!(last, ',' | '(') => quote = Some(letter),
            (None, '{') if before == '$' => depth += 1,
            (None, '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        before = letter;
        if !letter.is_whitespace() {
            last = letter;
        }
    }
    None
}

/// Works out `self:a.b, env:C, 'd'`, and says what is wrong when none of them has something.
fn variable(scope: &Scope<'_>, inner: &str, place: &Place) -> Node {
    match choose(scope, inner, place) {
        Found::Value(node) => node,
        Found::Broken => Node::broken(place),
        Found::None(Why::Missing(key)) => {
            scope.given(&key, place);
            Node::broken(place)
        }
        Found::None(Why::Text(why)) => {
            scope.mistake(place, format!("`${{{}}}` has no value: {why}", shorten(inner)));
            Node::broken(place)
        }
    }
}

/// The first source that has something. When none has, the first one says why.
fn choose(scope: &Scope<'_>, inner: &str, place: &Place) -> Found {
    let mut first = None;
    let mut is_null = false;
    for source in split(inner) {
        let source = source.trim();
        let found = if source.contains("${") {
            scope.deeper(place, || nested(scope, source, place)).unwrap_or(Found::Broken)
        } else {
            ask(scope, source, place)
        };
        match found {
            Found::Value(node) if matches!(node.value, Value::Null) => is_null = true,
            Found::None(why) => {
                first.get_or_insert(why);
            }
            done => return done,
        }
    }
    match first {
        Some(why) if !is_null => Found::None(why),
        _ => Found::Value(Node { value: Value::Null, place: place.clone() }),
    }
}

/// A source that holds variables itself: one as a whole, or one that others are a part of.
fn nested(scope: &Scope<'_>, source: &str, place: &Place) -> Found {
    if source.starts_with("${") && end_of(source) == Some(source.len() - 1) {
        return choose(scope, &source[2..source.len() - 1], place);
    }
    match &expand(scope, source, place).value {
        Value::Text(scalar) => ask(scope, &scalar.text, place),
        _ => Found::Broken,
    }
}

/// Splits at commas that are neither quoted nor within braces or parentheses.
fn split(inner: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start, mut quote, mut last) = (0_usize, 0, None, ',');
    for (at, letter) in inner.char_indices() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if matches!(last, ',' | '(') => quote = Some(letter),
            (None, '{' | '(') => depth += 1,
            (None, '}' | ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        if !letter.is_whitespace() {
            last = letter;
        }
    }
    parts.push(&inner[start..]);
    parts
}

/// `'text'`, `"text"`, numbers, `true`, `false`, `null`.
fn literal(source: &str) -> Option<(&str, bool)> {
    for quote in ['\'', '"'] {
        if let Some(text) = source.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Some((text, false));
        }
    }
    let is_plain = matches!(source, "true" | "false" | "null") || source.parse::<f64>().is_ok();
    is_plain.then_some((source, true))
}

fn ask(scope: &Scope<'_>, source: &str, place: &Place) -> Found {
    if let Some((text, is_plain)) = literal(source) {
        return Found::Value(match (text, is_plain) {
            ("null", true) => Node { value: Value::Null, place: place.clone() },
            (_, true) => Node::plain(text, place),
            (_, false) => Node::text(text, place),
        });
    }
    let Some(variables) = &scope.variables else { return Found::Broken };
    let name_end = source.find([':', '(']).unwrap_or(source.len());
    let (name, rest) = source.split_at(name_end);
    let (argument, address) = match rest.strip_prefix('(').and_then(|rest| rest.rsplit_once(')')) {
        Some((argument, after)) => (argument.trim(), after.strip_prefix(':').unwrap_or(after)),
        None => ("", rest.strip_prefix(':').unwrap_or(rest)),
    };
    let said = |value: Option<&str>, why: &str| match value {
        Some(value) => Found::Value(Node::text(value, place)),
        None => Found::None(Why::Text(why.to_owned())),
    };
    match name {
        "self" => one_at_a_time(scope, variables, source, place, || walk(scope, &variables.root, address.split('.'))),
        "file" => one_at_a_time(scope, variables, source, place, || file(scope, argument, address, place)),
        "env" => {
            let value = (scope.options.env)(address).or_else(|| variables.dotenv.get(address).cloned());
            said(value.as_deref(), "no such environment variable; set it, or write a default behind a comma")
        }
        "opt" => option(scope, variables, source, address, place),
        "param" => param(scope, variables, address, place),
        "sls" if address == "stage" => said(Some(&variables.stage), ""),
        "sls" if address == "instanceId" => said(Some(&variables.instance), ""),
        "sls" => said(None, "there are `sls:stage` and `sls:instanceId`"),
        "aws" if address == "region" => said(Some(&scope.region), ""),
        "aws" if address == "accountId" => said(Some(&scope.options.account), ""),
        "strToBool" => truth(argument, place),
        "ssm" | "cf" | "s3" | "git" | "terraform" | "vault" | "doppler" | "output" | "aws" | "gcs" => {
            given(scope, source, place)
        }
        _ => {
            let known = ["self", "file", "env", "opt", "param", "sls", "aws", "ssm", "cf", "s3", "git", "strToBool"];
            Found::None(Why::Text(format!("there are no variables {name:?}{}", hint(name, known))))
        }
    }
}

/// Values of others: the user gives them under the name of the source, with or without what stands in parentheses.
fn given(scope: &Scope<'_>, source: &str, place: &Place) -> Found {
    let short = source.find('(').and_then(|open| Some(format!("{}{}", &source[..open], source.split_once(')')?.1)));
    let values = &scope.options.values;
    match values.get(source).or_else(|| values.get(&short?)) {
        Some(value) => Found::Value(Node::text(value.as_str(), place)),
        None => Found::None(Why::Missing(source.to_owned())),
    }
}

fn option(scope: &Scope<'_>, variables: &Variables, source: &str, address: &str, place: &Place) -> Found {
    let value = match address {
        "stage" => scope.options.stage.as_ref().map(|_| variables.stage.as_str()),
        "region" => scope.options.region.as_deref(),
        _ => scope.options.values.get(source).map(String::as_str),
    };
    let why = format!("the option was not given; give it, or {source:?} under `values`, or write a default");
    value.map_or(Found::None(Why::Text(why)), |value| Found::Value(Node::text(value, place)))
}

/// What the user gave, or what `params` has for the stage, or for `default`; in version 4, what `stages` has.
fn param(scope: &Scope<'_>, variables: &Variables, address: &str, place: &Place) -> Found {
    if let Some(value) = scope.options.params.get(address) {
        return Found::Value(Node::text(value.as_str(), place));
    }
    for stage in [variables.stage.as_str(), "default"] {
        for keys in [vec!["params", stage, address], vec!["stages", stage, "params", address]] {
            let source = format!("self:{}", keys.join("."));
            let found = one_at_a_time(scope, variables, &source, place, || walk(scope, &variables.root, keys));
            if !matches!(found, Found::None(_)) {
                return found;
            }
        }
    }
    let why = format!("no such parameter; give {address:?} as a parameter, or write a default behind a comma");
    Found::None(Why::Text(why))
}

fn truth(argument: &str, place: &Place) -> Found {
    let argument = literal(argument).map_or(argument, |(text, _)| text);
    match argument.to_ascii_lowercase().as_str() {
        "true" | "1" => Found::Value(Node::plain("true", place)),
        "false" | "0" | "" | "null" | "undefined" => Found::Value(Node::plain("false", place)),
        _ => Found::None(Why::Text(format!("{argument:?} is neither true nor false"))),
    }
}

/// Works a source out, unless that is what is being done already.
fn one_at_a_time(
    scope: &Scope<'_>,
    variables: &Variables,
    source: &str,
    place: &Place,
    work: impl FnOnce() -> Option<Node>,
) -> Found {
    if variables.active.borrow().iter().any(|active| active == source) {
        let way = variables.active.borrow().join(" -> ");
        scope.mistake(place, format!("goes in a circle: {way} -> {source}; write the value itself"));
        return Found::Broken;
    }
    variables.active.borrow_mut().push(source.to_owned());
    let node = work();
    variables.active.borrow_mut().pop();
    match node {
        Some(node) if matches!(node.value, Value::Broken) => Found::Broken,
        Some(node) => Found::Value(node),
        None => Found::None(Why::Text(format!("there is no `{}`", shorten(source)))),
    }
}

fn file(scope: &Scope<'_>, name: &str, address: &str, place: &Place) -> Option<Node> {
    let name = literal(name).map_or(name, |(text, _)| text);
    match scope.files.include(name) {
        Ok(node) => walk(scope, &node, address.split('.')),
        Err(_) if !scope.files.exists(name) => None,
        Err(error) => {
            scope.mistake(place, error);
            Some(Node::broken(place))
        }
    }
}

/// Follows keys and indices from a node, working out what lies on the way.
fn walk<'k>(scope: &Scope<'_>, from: &Node, keys: impl IntoIterator<Item = &'k str>) -> Option<Node> {
    let mut node = from.clone();
    for key in keys.into_iter().filter(|key| !key.is_empty()) {
        node = step(scope, &node, key)?;
    }
    Some(scope.resolve(&node))
}

/// One step down. What is broken stays broken.
fn step(scope: &Scope<'_>, node: &Node, part: &str) -> Option<Node> {
    let node = scope.resolve(node);
    match &node.value {
        Value::Broken => Some(node),
        Value::List(items) => items.get(part.parse::<usize>().ok()?).cloned(),
        _ => node.get(part).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_from_what_is_of_cloudformation() {
        for text in ["self:a", "file(a.yml)", "opt:stage, 'dev'", "aws:region"] {
            assert!(is_variable(text), "{text}");
        }
        for text in ["AWS::Region}", "Name}", "Name.Arn}", "!Literal}", ""] {
            assert!(!is_variable(text), "{text}");
        }
    }

    #[test]
    fn ends_and_commas_respect_quotes_and_braces() {
        assert_eq!(end_of("${opt:a, '}'}x"), Some(12));
        assert_eq!(end_of("${self:a.${opt:b}}"), Some(17));
        assert_eq!(end_of("${self:a"), None);
        assert_eq!(split("opt:a, 'x,y', file(a,b):c, ${self:d, 'e'}").len(), 4);
    }
}
