//! A document as it stands in its file: every node knows its line.

use std::fmt;
use std::sync::Arc;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// As people call the file: relative to the folder of the descriptor.
    pub(crate) file: Arc<str>,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
}

impl Place {
    /// File and line, for logs.
    pub(crate) fn origin(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A node. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `AWS::NoValue`: as if it were not written.
    Absent,
    /// Could not be found out. The mistake is written down, so that nobody complains again.
    Broken,
    Null,
    Text(Scalar),
    List(Arc<[Node]>),
    Map(Arc<[Entry]>),
}

/// Text as written. What it means is up to whoever reads it, so that `012` and `1.10` stay what they are.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: Arc<str>,
    /// Without quotes: it may be a number or a truth value.
    pub(crate) is_plain: bool,
}

/// One key of a map.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Arc<str>,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn text(text: impl Into<Arc<str>>, place: &Place) -> Self {
        Self { value: Value::Text(Scalar { text: text.into(), is_plain: false }), place: place.clone() }
    }

    pub(crate) fn plain(text: impl Into<Arc<str>>, place: &Place) -> Self {
        Self { value: Value::Text(Scalar { text: text.into(), is_plain: true }), place: place.clone() }
    }

    pub(crate) fn list(items: Vec<Self>, place: &Place) -> Self {
        Self { value: Value::List(items.into()), place: place.clone() }
    }

    pub(crate) fn map(entries: Vec<Entry>, place: &Place) -> Self {
        Self { value: Value::Map(entries.into()), place: place.clone() }
    }

    pub(crate) fn broken(place: &Place) -> Self {
        Self { value: Value::Broken, place: place.clone() }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What a map holds under a key, as it stands.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| *entry.key == *key).map(|entry| &entry.value)
    }

    /// Whether there is nothing to read, or nothing to complain about any more.
    pub(crate) fn is_void(&self) -> bool {
        matches!(self.value, Value::Absent | Value::Broken | Value::Null)
    }

    /// For errors: what was found.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Absent | Value::Broken | Value::Null => "nothing",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

impl Scalar {
    /// The truth value, in the spellings of YAML 1.1, quoted or not, as CloudFormation takes them.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// As JSON: plain text may be a number or a truth value.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let text = &*self.text;
        let word = || serde_json::Value::String(text.to_owned());
        if !self.is_plain {
            return word();
        }
        match text {
            "true" | "True" | "TRUE" => true.into(),
            "false" | "False" | "FALSE" => false.into(),
            _ => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) if text.contains(|c: char| c.is_ascii_digit()) => {
                    serde_json::Number::from_f64(number).map_or_else(word, Into::into)
                }
                _ => word(),
            },
        }
    }
}

/// Puts `local` over `base`: maps key by key, lists one after the other, everything else replaced.
/// Recurses as deep as the documents are, which the reader bounds.
pub(crate) fn merge(base: &Node, local: &Node) -> Node {
    match (&base.value, &local.value) {
        (Value::Map(old), Value::Map(new)) if !is_call(base) && !is_call(local) => {
            let mut entries: Vec<Entry> = old.iter().filter(|entry| local.get(&entry.key).is_none()).cloned().collect();
            entries.extend(new.iter().map(|entry| {
                let value = base.get(&entry.key).map_or_else(|| entry.value.clone(), |old| merge(old, &entry.value));
                Entry { value, ..entry.clone() }
            }));
            Node::map(entries, &local.place)
        }
        (Value::List(old), Value::List(new)) => {
            Node::list(old.iter().chain(new.iter()).cloned().collect(), &local.place)
        }
        _ => local.clone(),
    }
}

/// Whether a map is a call of CloudFormation: `{"Ref": ..}`, `{"Fn::Sub": ..}`.
pub(crate) fn is_call(node: &Node) -> bool {
    call(node).is_some()
}

/// Name and argument of a call of CloudFormation.
pub(crate) fn call(node: &Node) -> Option<(&str, &Node)> {
    match node.entries() {
        [only] if &*only.key == "Ref" || only.key.starts_with("Fn::") => Some((&only.key, &only.value)),
        _ => None,
    }
}
