//! From the JSON of a pattern to its tree.

use serde_json::{Map, Value};

use super::matcher::{Matcher, Network, Range, Scalar};
use super::text::{TextTest, folded};
use super::tree::{Field, Node};
use super::wildcard::Wildcard;
use super::{PatternError, Reason};
use crate::limits::{PATTERN_COMBINATIONS_MAX, PATTERN_DEPTH_MAX};
use crate::number::Canonical;

type Result<T> = std::result::Result<T, PatternError>;

/// Compiles a whole pattern.
pub(crate) fn pattern(value: &Value) -> Result<Node> {
    let Value::Object(map) = value else {
        return Err(PatternError::at(&[], Reason::NotAnObject));
    };
    let mut path = Vec::new();
    let node = object(map, &mut path)?;
    if node.combinations() > PATTERN_COMBINATIONS_MAX {
        return Err(PatternError::at(&[], Reason::Combinations));
    }
    Ok(node)
}

fn object<'a>(map: &'a Map<String, Value>, path: &mut Vec<&'a str>) -> Result<Node> {
    if map.is_empty() {
        return Err(PatternError::at(path, Reason::EmptyObject));
    }
    if path.len() >= PATTERN_DEPTH_MAX {
        return Err(PatternError::at(path, Reason::Depth));
    }
    let mut node = Node::default();
    for (key, value) in map {
        path.push(key);
        if key == "$or" {
            node.alternatives = alternatives(value, path)?;
        } else {
            let field = match value {
                Value::Object(inner) => Field::Inside(object(inner, path)?),
                Value::Array(elements) => Field::Leaf(leaf(elements, path)?),
                _ => return Err(PatternError::at(path, Reason::NeitherArrayNorObject)),
            };
            node.fields.push((key.clone(), field));
        }
        path.pop();
    }
    node.settle();
    Ok(node)
}

fn alternatives<'a>(value: &'a Value, path: &mut Vec<&'a str>) -> Result<Vec<Node>> {
    let Some(choices) = value.as_array().filter(|choices| choices.len() >= 2) else {
        return Err(PatternError::at(path, Reason::Or));
    };
    choices
        .iter()
        .map(|choice| match choice {
            Value::Object(map) => object(map, path),
            _ => Err(PatternError::at(path, Reason::Or)),
        })
        .collect()
}

fn leaf(elements: &[Value], path: &[&str]) -> Result<Vec<Matcher>> {
    if elements.is_empty() {
        return Err(PatternError::at(path, Reason::EmptyArray));
    }
    elements.iter().map(|element| matcher(element, path)).collect()
}

fn matcher(element: &Value, path: &[&str]) -> Result<Matcher> {
    let Value::Object(map) = element else {
        return scalar(element).ok_or_else(|| PatternError::at(path, Reason::ArrayInside));
    };
    let (name, operand) = single(map).ok_or_else(|| PatternError::at(path, Reason::OneMatcher))?;
    let found = match name {
        "exists" => operand.as_bool().map(Matcher::Exists),
        "numeric" => range(operand).map(Matcher::Numeric),
        "cidr" => operand.as_str().and_then(Network::parse).map(Matcher::Cidr),
        "anything-but" => anything_but(operand, path)?.map(Matcher::AnythingBut),
        "prefix" | "suffix" | "equals-ignore-case" | "wildcard" => text(name, operand, path)?.map(Matcher::Text),
        _ => return Err(PatternError::at(path, Reason::UnknownMatcher(name.to_owned()))),
    };
    found.ok_or_else(|| PatternError::at(path, Reason::Operand(name.to_owned())))
}

fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = map.iter();
    let (name, operand) = entries.next()?;
    entries.next().is_none().then_some((name.as_str(), operand))
}

fn scalar(value: &Value) -> Option<Matcher> {
    Some(match value {
        Value::Null => Matcher::Scalar(Scalar::Null),
        Value::Bool(flag) => Matcher::Scalar(Scalar::Bool(*flag)),
        Value::Number(number) => Matcher::Scalar(Scalar::Number(Canonical::of(number))),
        Value::String(text) => Matcher::Text(TextTest::Is(text.clone())),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

/// A test of strings by name; `None` when the operand does not fit.
fn text(name: &str, operand: &Value, path: &[&str]) -> Result<Option<TextTest>> {
    if let Some(wanted) = operand.as_str() {
        return Ok(Some(match name {
            "prefix" => TextTest::Prefix(wanted.to_owned()),
            "suffix" => TextTest::Suffix(wanted.to_owned()),
            "equals-ignore-case" => TextTest::IsFolded(folded(wanted).collect()),
            "wildcard" => TextTest::Wildcard(
                Wildcard::parse(wanted).map_err(|reason| PatternError::at(path, Reason::Wildcard(reason)))?,
            ),
            _ => return Ok(None),
        }));
    }
    let inner = operand.as_object().and_then(single);
    let Some(("equals-ignore-case", Value::String(wanted))) = inner else {
        return Ok(None);
    };
    let wanted = folded(wanted).collect();
    Ok(match name {
        "prefix" => Some(TextTest::PrefixFolded(wanted)),
        "suffix" => Some(TextTest::SuffixFolded(wanted)),
        _ => None,
    })
}

/// What `anything-but` denies; `None` when the operand does not fit.
fn anything_but(operand: &Value, path: &[&str]) -> Result<Option<Vec<Matcher>>> {
    match operand {
        Value::Object(map) => {
            let Some((name, wanted)) = single(map) else {
                return Ok(None);
            };
            let wanted = one_or_many(wanted);
            let empty = |value: &Value| matches!(value, Value::String(text) if text.is_empty());
            // Denying the empty prefix would deny every string: surely a slip.
            if wanted.is_empty() || (matches!(name, "prefix" | "suffix") && wanted.iter().any(empty)) {
                return Ok(None);
            }
            wanted.iter().map(|wanted| Ok(text(name, wanted, path)?.map(Matcher::Text))).collect()
        }
        other => {
            let wanted = one_or_many(other);
            let one_type = wanted.windows(2).all(|pair| same_type(&pair[0], &pair[1]));
            if wanted.is_empty() || !one_type {
                return Ok(None);
            }
            Ok(wanted.iter().map(scalar).collect())
        }
    }
}

fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        one => std::slice::from_ref(one),
    }
}

fn same_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// One comparison, or a lower bound followed by an upper one above it.
fn range(operand: &Value) -> Option<Range> {
    let parts = operand.as_array()?;
    let number = |value: &Value| value.as_number().map(Canonical::of);
    match parts.as_slice() {
        [operator, bound] => {
            let bound = number(bound)?;
            Some(match operator.as_str()? {
                "=" => Range { low: Some((bound, true)), high: Some((bound, true)) },
                ">" => Range { low: Some((bound, false)), high: None },
                ">=" => Range { low: Some((bound, true)), high: None },
                "<" => Range { low: None, high: Some((bound, false)) },
                "<=" => Range { low: None, high: Some((bound, true)) },
                _ => return None,
            })
        }
        [low_operator, low, high_operator, high] => {
            let (low, high) = (number(low)?, number(high)?);
            let (low_included, high_included) = match (low_operator.as_str()?, high_operator.as_str()?) {
                (">", "<") => (false, false),
                (">", "<=") => (false, true),
                (">=", "<") => (true, false),
                (">=", "<=") => (true, true),
                _ => return None,
            };
            let rising = low.order(high) == Some(std::cmp::Ordering::Less);
            rising.then_some(Range { low: Some((low, low_included)), high: Some((high, high_included)) })
        }
        _ => None,
    }
}
