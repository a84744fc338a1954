//! Calls of CloudFormation: `Ref`, `Fn::Sub` and so on.

use crate::nearest::hint;
use crate::node::{Node, Place, Value};
use crate::scope::Scope;

const CALLS: [&str; 18] = [
    "Ref",
    "Fn::GetAtt",
    "Fn::Sub",
    "Fn::Join",
    "Fn::Split",
    "Fn::Select",
    "Fn::If",
    "Fn::FindInMap",
    "Fn::ImportValue",
    "Fn::Base64",
    "Fn::GetAZs",
    "Fn::ToJsonString",
    "Fn::Length",
    "Fn::Equals",
    "Fn::And",
    "Fn::Or",
    "Fn::Not",
    "Condition",
];

/// What a call stands for. Its arguments are worked out on the way.
pub(crate) fn evaluate(scope: &Scope<'_>, name: &str, argument: &Node, place: &Place) -> Node {
    let broken = || Node::broken(place);
    let made = |text: Option<String>| text.map_or_else(broken, |text| Node::text(text, place));
    match name {
        "Ref" => {
            let Some(target) = scope.text(argument) else { return broken() };
            scope.reference(&target, place)
        }
        "Fn::GetAtt" => made(attribute(scope, argument)),
        "Fn::Sub" => made(substitute(scope, argument)),
        "Fn::Join" => made(join(scope, argument)),
        "Fn::Split" => split(scope, argument).unwrap_or_else(broken),
        "Fn::Select" => select(scope, argument).unwrap_or_else(broken),
        "Fn::If" => choose(scope, argument).unwrap_or_else(broken),
        "Fn::FindInMap" => find_in_map(scope, argument).unwrap_or_else(broken),
        "Fn::ImportValue" => made(scope.text(argument).and_then(|name| scope.given(&format!("import:{name}"), place))),
        "Fn::GetAZs" => {
            let zones = ["a", "b", "c"].map(|zone| Node::text(format!("{}{zone}", scope.region), place));
            Node::list(zones.to_vec(), place)
        }
        "Fn::Base64" => made(scope.text(argument).map(|text| base64(text.as_bytes()))),
        "Fn::ToJsonString" => made(scope.json(argument, str::to_owned).map(|json| json.to_string())),
        "Fn::Length" => Node::plain(scope.items(argument, false).len().to_string(), place),
        "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" => match test(scope, name, argument, place) {
            Some(truth) => Node::plain(truth.to_string(), place),
            None => broken(),
        },
        _ => {
            let near = hint(name, CALLS);
            scope.mistake(place, format!("{name} cannot be worked out here{near}; write its result"));
            broken()
        }
    }
}

/// Exactly `N` arguments.
fn arguments<const N: usize>(scope: &Scope<'_>, argument: &Node, usage: &str) -> Option<[Node; N]> {
    let wrong = || {
        scope.mistake(&argument.place, format!("the arguments must be {usage}"));
        None
    };
    match &scope.resolve(argument).value {
        Value::List(items) => items.to_vec().try_into().ok().or_else(wrong),
        Value::Absent | Value::Broken => None,
        _ => wrong(),
    }
}

fn attribute(scope: &Scope<'_>, argument: &Node) -> Option<String> {
    let argument = scope.resolve(argument);
    let (resource, attribute) = match &argument.value {
        Value::Text(scalar) => scalar.text.split_once('.').map(|(one, other)| (one.to_owned(), other.to_owned()))?,
        _ => {
            let [resource, attribute] = arguments(scope, &argument, "[resource, attribute]")?;
            (scope.text(&resource)?, scope.text(&attribute)?)
        }
    };
    scope.attribute(&resource, &attribute, &argument.place)
}

fn substitute(scope: &Scope<'_>, argument: &Node) -> Option<String> {
    let argument = scope.resolve(argument);
    let place = &argument.place;
    let (text, own) = match &argument.value {
        Value::Text(scalar) => (scalar.text.to_string(), None),
        _ => {
            let [text, own] = arguments(scope, &argument, "a text, or [text, map]")?;
            (scope.text(&text)?, Some(scope.resolve(&own)))
        }
    };
    let mut out = String::new();
    let mut rest = text.as_str();
    let mut is_whole = true;
    while let Some((before, tail)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, after)) = tail.split_once('}') else {
            scope.mistake(place, "`${` has no closing brace; `${!` writes it as it is");
            return None;
        };
        rest = after;
        let value = match (name.strip_prefix('!'), own.as_ref().and_then(|own| own.get(name.trim()))) {
            (Some(literal), _) => Some(format!("${{{literal}}}")),
            (None, Some(node)) => scope.text(node),
            (None, None) => named(scope, name.trim(), place),
        };
        is_whole &= value.is_some();
        out.push_str(&value.unwrap_or_default());
        if !scope.spend(out.len(), place) {
            return None;
        }
    }
    out.push_str(rest);
    is_whole.then_some(out)
}

/// `${Name}` as `Ref`, `${Name.Attribute}` as `Fn::GetAtt`.
fn named(scope: &Scope<'_>, name: &str, place: &Place) -> Option<String> {
    match name.split_once('.') {
        Some((resource, attribute)) => scope.attribute(resource, attribute, place),
        None => scope.text(&scope.deeper(place, || scope.reference(name, place))?),
    }
}

fn join(scope: &Scope<'_>, argument: &Node) -> Option<String> {
    let [between, list] = arguments(scope, argument, "[text between, list]")?;
    // The text between is often empty, which YAML may write as nothing at all.
    let between = if matches!(between.value, Value::Null) { String::new() } else { scope.text(&between)? };
    let list = scope.resolve(&list);
    if matches!(list.value, Value::Broken) {
        return None;
    }
    let texts: Vec<Option<String>> = scope.items(&list, true).iter().map(|item| scope.text(item)).collect();
    let texts: Vec<String> = texts.into_iter().collect::<Option<_>>()?;
    let length = texts.iter().map(|text| text.len() + between.len()).sum();
    scope.spend(length, &argument.place).then(|| texts.join(&between))
}

fn split(scope: &Scope<'_>, argument: &Node) -> Option<Node> {
    let [at, text] = arguments(scope, argument, "[text between, text]")?;
    let (at, text) = (scope.text(&at)?, scope.text(&text)?);
    if at.is_empty() || !scope.spend(text.len(), &argument.place) {
        return None;
    }
    Some(Node::list(text.split(&at).map(|part| Node::text(part, &argument.place)).collect(), &argument.place))
}

fn select(scope: &Scope<'_>, argument: &Node) -> Option<Node> {
    let [index, list] = arguments(scope, argument, "[index, list]")?;
    let index = scope.text(&index)?;
    let list = scope.resolve(&list);
    if list.is_void() {
        return None;
    }
    let items = scope.items(&list, true);
    let found = index.parse::<usize>().ok().and_then(|index| items.get(index).cloned());
    if found.is_none() {
        scope.mistake(&argument.place, format!("there is no item {index} in a list of {}", items.len()));
    }
    found
}

fn choose(scope: &Scope<'_>, argument: &Node) -> Option<Node> {
    let [condition, then, otherwise] = arguments(scope, argument, "[condition, then, otherwise]")?;
    let name = scope.text(&condition)?;
    let is_met = scope.condition(&name, &condition.place)?;
    Some(scope.resolve(if is_met { &then } else { &otherwise }))
}

fn find_in_map(scope: &Scope<'_>, argument: &Node) -> Option<Node> {
    let items = scope.items(argument, false);
    let [map, first, second, rest @ ..] = items.as_slice() else {
        scope.mistake(&argument.place, "the arguments must be [map, first key, second key]");
        return None;
    };
    let (map, first, second) = (scope.text(map)?, scope.text(first)?, scope.text(second)?);
    let found = scope.template.mappings.as_ref().and_then(|maps| maps.get(&map)?.get(&first)?.get(&second));
    let fallback = rest.first().and_then(|options| options.get("DefaultValue"));
    if found.is_none() && fallback.is_none() {
        scope.mistake(&argument.place, format!("Mappings have no {map}.{first}.{second}; add it"));
    }
    Some(scope.resolve(found.or(fallback)?))
}

/// Whether a condition is met. `None` when that could not be found out.
pub(crate) fn is_met(scope: &Scope<'_>, node: &Node) -> Option<bool> {
    let [only] = node.entries() else {
        let node = scope.resolve(node);
        let truth = match &node.value {
            Value::Text(scalar) => scalar.truth(),
            Value::Broken => return None,
            _ => None,
        };
        if truth.is_none() {
            scope.mistake(&node.place, "a condition is expected here, such as Fn::Equals");
        }
        return truth;
    };
    if &*only.key == "Condition" {
        return scope.condition(&scope.text(&only.value)?, &only.place);
    }
    scope.deeper(&node.place, || test(scope, &only.key, &only.value, &node.place)).flatten()
}

fn test(scope: &Scope<'_>, name: &str, argument: &Node, place: &Place) -> Option<bool> {
    let all = || -> Option<Vec<bool>> {
        let Value::List(items) = &argument.value else {
            scope.mistake(place, format!("{name} takes a list"));
            return None;
        };
        items.iter().map(|item| is_met(scope, item)).collect()
    };
    match name {
        "Fn::Equals" => {
            let [one, other] = arguments(scope, argument, "[one value, another]")?;
            Some(scope.text(&one)? == scope.text(&other)?)
        }
        "Fn::And" => Some(all()?.into_iter().all(|truth| truth)),
        "Fn::Or" => Some(all()?.into_iter().any(|truth| truth)),
        "Fn::Not" => Some(!all()?.into_iter().any(|truth| truth)),
        _ => {
            let near = hint(name, ["Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not", "Condition"]);
            scope.mistake(place, format!("{name} is no condition{near}"));
            None
        }
    }
}

/// Standard base64 with padding; not worth a dependency.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, made) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), made);
        }
    }
}
