//! `FANFARE_*` variables as a tree: `FANFARE_LIMITS__SPACES` is `limits.spaces`.

use std::sync::Arc;

use super::mistake::{Mistake, Origin, Problem};
use super::schema::{Key, Kind};
use super::tree::{self, Node, Tree};

const PREFIX: &str = "FANFARE_";

/// Variables of ours that are no keys of the configuration: flags of other commands.
const OTHERS: [&str; 4] = ["FANFARE_CONFIG", "FANFARE_URL", "FANFARE_TOKEN", "FANFARE_CA"];

/// Kubernetes sets these in every pod beside a service named `fanfare`.
const SERVICE_LINKS: [&str; 3] = ["FANFARE_SERVICE_", "FANFARE_PORT_", "FANFARE_PORT"];

/// Reads the variables that are meant as configuration.
pub(super) fn read(
    variables: impl IntoIterator<Item = (String, String)>,
    keys: &[Key],
    mistakes: &mut Vec<Mistake>,
) -> Node {
    let mut ours: Vec<(String, String)> =
        variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX) && !is_other(name)).collect();
    ours.sort();
    let mut root = Node::empty();
    for (name, text) in ours {
        let origin = Origin::Variable(Arc::from(&*name));
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        match parse(&text, kind_at(&path, keys), &origin) {
            Ok(node) => root.insert(&path, node),
            Err(reason) => mistakes.push(Mistake { origin, key: path.join("."), problem: Problem::Syntax(reason) }),
        }
    }
    root
}

/// The variable that stands for the key at `path`.
#[cfg(test)]
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

fn is_other(name: &str) -> bool {
    let [service, port_, port] = SERVICE_LINKS;
    OTHERS.contains(&name) || name.starts_with(service) || name.starts_with(port_) || name == port
}

fn kind_at(path: &[String], keys: &[Key]) -> Option<Kind> {
    let (name, rest) = path.split_first()?;
    let kind = keys.iter().find(|key| key.name == *name)?.kind;
    match (kind, rest) {
        (kind, []) => Some(kind),
        (Kind::Section(keys), rest) => kind_at(rest, &keys()),
        // The first part is the name that the user chose.
        (Kind::Named(keys) | Kind::Keyed(keys), [_, rest @ ..]) if !rest.is_empty() => kind_at(rest, &keys()),
        (Kind::Map(of), [_]) => Some(*of),
        _ => None,
    }
}

fn parse(text: &str, kind: Option<Kind>, origin: &Origin) -> Result<Node, String> {
    let node = |value| Node { origin: origin.clone(), value };
    let leaf = |value: toml::Value| Ok(node(Tree::Leaf(value)));
    let is_toml = |open: char| text.trim_start().starts_with(open);
    match kind {
        Some(Kind::Switch) => match text {
            "true" | "1" => leaf(true.into()),
            "false" | "0" => leaf(false.into()),
            other => leaf(other.into()),
        },
        Some(Kind::Count(..)) => match text.replace('_', "").parse::<i64>() {
            Ok(number) => leaf(number.into()),
            Err(_) => leaf(text.into()),
        },
        Some(Kind::Number(..)) => match text.replace('_', "").parse::<f64>() {
            Ok(number) => leaf(number.into()),
            Err(_) => leaf(text.into()),
        },
        Some(Kind::Texts(_)) if !is_toml('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let items = items.map(|item| node(Tree::Leaf(item.into())));
            Ok(node(Tree::List(items.collect())))
        }
        Some(Kind::Texts(_)) => tree::read_value(text, origin),
        Some(Kind::Sections(_) | Kind::Tables) if is_toml('[') => tree::read_value(text, origin),
        Some(Kind::Section(_) | Kind::Named(_) | Kind::Keyed(_) | Kind::Map(_)) if is_toml('{') => {
            tree::read_value(text, origin)
        }
        _ => leaf(text.into()),
    }
}
