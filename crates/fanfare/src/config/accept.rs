//! Holds a tree against the table of keys: collects every mistake and keeps what is right.

use super::mistake::{Mistake, Origin, Problem};
use super::nearest::nearest;
use super::schema::{Form, Key, Kind};
use super::tree::{Entry, Node, Tree, join};

/// The part of `node` that is as `keys` want it.
pub(super) fn accept(node: Node, keys: &[Key], mistakes: &mut Vec<Mistake>) -> Node {
    let mut acceptor = Acceptor { mistakes };
    let origin = node.origin.clone();
    acceptor.section(node, "", keys).unwrap_or_else(|| Node { origin, ..Node::empty() })
}

struct Acceptor<'a> {
    mistakes: &'a mut Vec<Mistake>,
}

impl Acceptor<'_> {
    fn value(&mut self, node: Node, path: &str, kind: Kind) -> Option<Node> {
        match kind {
            Kind::Switch => self.leaf(node, path, kind, |value| value.is_bool()),
            Kind::Count(min, max) => self.leaf(node, path, kind, |value| {
                let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
                number.is_some_and(|n| (min..=max).contains(&n))
            }),
            Kind::Number(min, max) => self.leaf(node, path, kind, |value| {
                let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
                number.is_some_and(|n| (min..=max).contains(&n))
            }),
            Kind::Text(form) => self.text(node, path, kind, form),
            Kind::Texts(form) => {
                self.list(node, path, kind, |this, item, path| this.text(item, path, Kind::Text(form), form))
            }
            Kind::Section(keys) => self.section(node, path, &keys()),
            Kind::Sections(keys) => {
                let keys = keys();
                self.list(node, path, kind, |this, item, path| this.section(item, path, &keys))
            }
            Kind::Named(keys) => self.named(node, path, &keys(), "/ "),
            Kind::Keyed(keys) => self.named(node, path, &keys(), ""),
            Kind::Map(of) => self.table(node, path, |this, entry, path| this.value(entry.node, path, *of)),
            Kind::Any => Some(node),
            Kind::Tables => self.list(node, path, kind, |this, item, path| {
                this.table(item, path, |_, entry, _| Some(entry.node)) //
            }),
        }
    }

    /// A section that lacks what it cannot be without is left out as a whole.
    fn section(&mut self, node: Node, path: &str, keys: &[Key]) -> Option<Node> {
        let (written, origin) = (names(&node.value), node.origin.clone());
        let kept =
            self.table(node, path, |this, entry, path| match keys.iter().find(|key| key.name == entry.name) {
                Some(key) => this.value(entry.node, path, key.kind),
                None => {
                    this.unknown(&entry.name, entry.origin, path, keys);
                    None
                }
            })?;
        let accepted = names(&kept.value);
        let mut is_whole = true;
        for key in keys.iter().filter(|key| key.is_required) {
            is_whole &= accepted.iter().any(|name| name == key.name);
            if !written.iter().any(|name| name == key.name) {
                let problem = Problem::Conflict(format!("`{}` is missing", key.name));
                self.mistakes.push(Mistake { origin: origin.clone(), key: path.to_owned(), problem });
            }
        }
        is_whole.then_some(kept)
    }

    fn named(&mut self, node: Node, path: &str, keys: &[Key], never: &str) -> Option<Node> {
        self.table(node, path, |this, entry, path| {
            let name = &entry.name;
            let is_name = (1..=128).contains(&name.len()) && !name.chars().any(|c| never.contains(c) || c.is_control());
            if !is_name {
                let found = format!("the name \"{}\"", name.escape_debug());
                let without = if never.is_empty() { "" } else { "'/', spaces and " };
                let allowed = format!("1 to 128 bytes without {without}control characters");
                this.refuse(entry.origin, path, found, allowed);
                return None;
            }
            this.section(entry.node, path, keys)
        })
    }

    fn table(
        &mut self,
        node: Node,
        path: &str,
        mut each: impl FnMut(&mut Self, Entry, &str) -> Option<Node>,
    ) -> Option<Node> {
        let Tree::Table(entries) = node.value else {
            let found = found(&node.value, Kind::Switch);
            self.refuse(node.origin, path, found, "a table".to_owned());
            return None;
        };
        let mut kept = Vec::new();
        for entry in entries {
            let (name, origin) = (entry.name.clone(), entry.origin.clone());
            let path = join(path, &name);
            if let Some(node) = each(self, entry, &path) {
                kept.push(Entry { name, origin, node });
            }
        }
        Some(Node { origin: node.origin, value: Tree::Table(kept) })
    }

    fn list(
        &mut self,
        node: Node,
        path: &str,
        kind: Kind,
        mut each: impl FnMut(&mut Self, Node, &str) -> Option<Node>,
    ) -> Option<Node> {
        // One text where a list of texts may stand is a list of one.
        let is_one = matches!(node.value, Tree::Leaf(toml::Value::String(_)));
        if is_one && matches!(kind, Kind::Texts(_)) {
            let origin = node.origin.clone();
            let item = each(self, node, path)?;
            return Some(Node { origin, value: Tree::List(vec![item]) });
        }
        let Tree::List(items) = node.value else {
            let found = found(&node.value, kind);
            self.refuse(node.origin, path, found, kind.allowed());
            return None;
        };
        let mut kept = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            kept.extend(each(self, item, &format!("{path}[{index}]")));
        }
        Some(Node { origin: node.origin, value: Tree::List(kept) })
    }

    fn text(&mut self, node: Node, path: &str, kind: Kind, form: Form) -> Option<Node> {
        let node = self.leaf(node, path, kind, |value| value.as_str().is_some_and(|text| form.accepts(text)))?;
        if let (Form::File, Tree::Leaf(toml::Value::String(file))) = (form, &node.value)
            && let Err(error) = readable(file)
        {
            self.mistakes.push(Mistake {
                origin: node.origin.clone(),
                key: path.to_owned(),
                problem: Problem::Unreadable { file: file.clone(), reason: error.to_string() },
            });
            return None;
        }
        Some(node)
    }

    fn leaf(&mut self, node: Node, path: &str, kind: Kind, is_right: impl Fn(&toml::Value) -> bool) -> Option<Node> {
        if let Tree::Leaf(value) = &node.value
            && is_right(value)
        {
            return Some(node);
        }
        let found = found(&node.value, kind);
        self.refuse(node.origin, path, found, kind.allowed());
        None
    }

    fn refuse(&mut self, origin: Origin, path: &str, found: String, allowed: String) {
        self.mistakes.push(Mistake { origin, key: path.to_owned(), problem: Problem::Value { found, allowed } });
    }

    fn unknown(&mut self, name: &str, origin: Origin, path: &str, keys: &[Key]) {
        let known: Vec<&'static str> = keys.iter().map(|key| key.name).collect();
        let nearest = nearest(name, known.iter().copied()).map(str::to_owned);
        self.mistakes.push(Mistake { origin, key: path.to_owned(), problem: Problem::UnknownKey { nearest, known } });
    }
}

/// The names in a table; none in anything else.
fn names(value: &Tree) -> Vec<String> {
    match value {
        Tree::Table(entries) => entries.iter().map(|entry| entry.name.clone()).collect(),
        _ => Vec::new(),
    }
}

fn readable(file: &str) -> std::io::Result<()> {
    let metadata = std::fs::File::open(file)?.metadata()?;
    match metadata.is_file() {
        true => Ok(()),
        false => Err(std::io::Error::other("it is not a file")),
    }
}

/// Describes a value for people; a secret only by its type.
fn found(value: &Tree, kind: Kind) -> String {
    match value {
        Tree::Table(_) => "a table".to_owned(),
        Tree::List(_) => "a list".to_owned(),
        Tree::Leaf(toml::Value::String(text)) if text.is_empty() => "an empty text".to_owned(),
        Tree::Leaf(toml::Value::String(_)) if kind.is_secret() => "a text".to_owned(),
        Tree::Leaf(_) if kind.is_secret() => "something else".to_owned(),
        Tree::Leaf(toml::Value::String(text)) => format!("the text \"{}\"", text.escape_debug()),
        Tree::Leaf(toml::Value::Boolean(switch)) => switch.to_string(),
        Tree::Leaf(toml::Value::Integer(number)) => number.to_string(),
        Tree::Leaf(toml::Value::Float(number)) => format!("the fraction {number}"),
        Tree::Leaf(_) => "a date".to_owned(),
    }
}
