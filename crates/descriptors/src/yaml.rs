//! Text to nodes. JSON is read as the YAML it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::node::{Entry, Node, Place, Value};

/// A file may be this large, in bytes.
pub(crate) const FILE_BYTES_MAX: usize = 1 << 20;

/// Lists and maps may lie this deep in each other.
pub(crate) const DEPTH_MAX: usize = 64;

/// A file may have this many nodes, each use of an anchor counted with all it holds.
pub(crate) const NODES_MAX: usize = 100_000;

/// A file that cannot be read, and where.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// Reads the one document of a file.
pub(crate) fn parse(file: &Arc<str>, text: &str) -> Result<Node, Unreadable> {
    let mut builder = Builder::new(file);
    if text.len() > FILE_BYTES_MAX {
        return Err(builder.fault(1, 1, format!("{} bytes; at most {FILE_BYTES_MAX} are read; split it", text.len())));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = json_in_yaml(text);
    for step in Parser::new_from_str(&text) {
        match step {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                let mark = error.marker();
                let text = format!("not readable as YAML or JSON: {}", error.info());
                return Err(builder.fault(mark.line(), mark.col() + 1, text));
            }
        }
    }
    let nothing = builder.fault(1, 1, "the file is empty".to_owned());
    builder.root.ok_or(nothing)
}

/// JSON may be indented with tabs and writes wide characters as two escapes; YAML wants neither.
fn json_in_yaml(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.trim_start().starts_with('{') || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\t', '\\']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        let (made, taken) = match wide(tail) {
            Some(letter) => (letter.to_string(), 12),
            // In valid JSON a tab never stands within text.
            None if tail.starts_with('\t') => (" ".to_owned(), 1),
            None => {
                let taken = tail.char_indices().nth(2).map_or(tail.len(), |(end, _)| end);
                (tail[..taken].to_owned(), taken)
            }
        };
        out.push_str(&made);
        rest = &tail[taken..];
    }
    out.push_str(rest);
    out.into()
}

/// `\ud83d\ude00` as the one character it stands for.
fn wide(text: &str) -> Option<char> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    char::decode_utf16([unit(0)?, unit(6)?]).next()?.ok()
}

/// Something that is not finished yet.
struct Open {
    place: Place,
    anchor: usize,
    tag: Option<String>,
    content: Content,
    nodes: usize,
}

enum Content {
    List(Vec<Node>),
    /// The key whose value comes next stands beside.
    Map(Vec<Entry>, Option<(Arc<str>, Place)>),
}

struct Builder<'f> {
    file: &'f Arc<str>,
    open: Vec<Open>,
    /// What an anchor stands for, and how many nodes that are.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

impl<'f> Builder<'f> {
    fn new(file: &'f Arc<str>) -> Self {
        Self { file, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, root: None }
    }

    fn place(&self, line: usize, column: usize) -> Place {
        Place { file: self.file.clone(), line: line.max(1), column: column.max(1) }
    }

    fn fault(&self, line: usize, column: usize, text: String) -> Unreadable {
        Unreadable { place: self.place(line, column), text }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Unreadable> {
        let place = self.place(span.start.line(), span.start.col() + 1);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Unreadable { place, text: "a second document; one file holds one descriptor".to_owned() })
            }
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    let text = "the anchor is used before it is complete; write out what is meant".to_owned();
                    return Err(Unreadable { place, text });
                };
                self.put(node, size, &place)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().and_then(name_of);
                let node = scalar(&text, style, tag.as_deref(), &place);
                let node = called(node, tag.as_deref());
                if anchor > 0 {
                    self.anchors.insert(anchor, (node.clone(), 1));
                }
                self.put(node, 1, &place)
            }
            Event::SequenceStart(anchor, tag) => self.enter(place, anchor, tag.as_deref(), Content::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                self.enter(place, anchor, tag.as_deref(), Content::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
        }
    }

    fn enter(&mut self, place: Place, anchor: usize, tag: Option<&Tag>, content: Content) -> Result<(), Unreadable> {
        if self.open.len() >= DEPTH_MAX {
            let text = format!("lists and maps lie more than {DEPTH_MAX} deep in each other; flatten them");
            return Err(Unreadable { place, text });
        }
        if let Some(Open { content: Content::Map(_, None), .. }) = self.open.last() {
            return Err(Unreadable { place, text: "a key must be text".to_owned() });
        }
        let tag = tag.and_then(name_of);
        self.open.push(Open { place, anchor, tag, content, nodes: 1 });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Unreadable> {
        let Some(done) = self.open.pop() else { return Ok(()) };
        let Open { place, anchor, tag, content, nodes } = done;
        let node = match content {
            Content::List(items) => Node::list(items, &place),
            Content::Map(entries, _) => Node::map(merged(entries)?, &place),
        };
        let node = called(node, tag.as_deref());
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        self.put(node, nodes, &place)
    }

    /// Gives a node to what is open around it.
    fn put(&mut self, node: Node, size: usize, place: &Place) -> Result<(), Unreadable> {
        self.nodes = self.nodes.saturating_add(size);
        if self.nodes > NODES_MAX {
            let text = format!("more than {NODES_MAX} nodes, anchors counted each time they are used; use fewer");
            return Err(Unreadable { place: place.clone(), text });
        }
        let Some(around) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        around.nodes = around.nodes.saturating_add(size);
        match &mut around.content {
            Content::List(items) => items.push(node),
            Content::Map(entries, waiting) => match (waiting.take(), &node.value) {
                (Some((key, place)), _) => entries.push(Entry { key, place, value: node }),
                (None, Value::Text(key)) => *waiting = Some((key.text.clone(), place.clone())),
                (None, Value::Null) => *waiting = Some(("null".into(), place.clone())),
                (None, _) => return Err(Unreadable { place: place.clone(), text: "a key must be text".to_owned() }),
            },
        }
        Ok(())
    }
}

/// `!Ref` is `Ref`; tags of YAML itself keep their `!!`.
fn name_of(tag: &Tag) -> Option<String> {
    let name = if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.suffix.clone() };
    (!name.is_empty()).then_some(name)
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>, place: &Place) -> Node {
    let is_plain = style == ScalarStyle::Plain && tag != Some("!!str");
    if is_plain && tag.is_none() && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Node { value: Value::Null, place: place.clone() };
    }
    if is_plain { Node::plain(text, place) } else { Node::text(text, place) }
}

/// A short tag is the call that it stands for: `!Ref x` is `{Ref: x}`, `!Sub x` is `{"Fn::Sub": x}`.
fn called(node: Node, tag: Option<&str>) -> Node {
    let Some(tag) = tag.filter(|tag| !tag.starts_with("!!")) else { return node };
    let key = match tag {
        "Ref" | "Condition" => tag.to_owned(),
        _ => format!("Fn::{tag}"),
    };
    let place = node.place.clone();
    Node::map(vec![Entry { key: key.into(), place: place.clone(), value: node }], &place)
}

/// Finds keys that stand twice, and puts what `<<` names below what is written out.
fn merged(entries: Vec<Entry>) -> Result<Vec<Entry>, Unreadable> {
    let mut seen: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for entry in &entries {
        if let Some(line) = seen.insert(entry.key.clone(), entry.place.line) {
            let text = format!("the key {:?} stands here for the second time, after line {line}; keep one", entry.key);
            return Err(Unreadable { place: entry.place.clone(), text });
        }
    }
    if !seen.contains_key("<<") {
        return Ok(entries);
    }
    let (merges, mut kept): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| &*entry.key == "<<");
    for merge in merges {
        let sources: &[Node] = match &merge.value.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(&merge.value),
        };
        for source in sources {
            if !matches!(source.value, Value::Map(_)) {
                let text = format!("`<<` takes maps, and this is {}", source.kind());
                return Err(Unreadable { place: merge.place.clone(), text });
            }
            for entry in source.entries() {
                if seen.insert(entry.key.clone(), entry.place.line).is_none() {
                    kept.push(entry.clone());
                }
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Node {
        parse(&Arc::from("a.yml"), text).unwrap()
    }

    fn fault(text: &str) -> String {
        let fault = parse(&Arc::from("a.yml"), text).unwrap_err();
        format!("{}: {}", fault.place, fault.text)
    }

    #[test]
    fn nodes_know_their_lines() {
        let node = read("a: 1\nb:\n  - x\n  - {c: d}\n");
        let Value::List(items) = &node.get("b").unwrap().value else { panic!("a list") };
        assert_eq!(node.entries()[1].place.to_string(), "a.yml:2:1");
        assert_eq!(items[1].get("c").unwrap().place.to_string(), "a.yml:4:9");
    }

    #[test]
    fn short_tags_are_calls() {
        let node = read("a: !Ref X\nb: !GetAtt X.Arn\nc: !Sub ['${x}', {x: !Ref Y}]\nd: !!str 12\n");
        assert_eq!(node.get("a").unwrap().get("Ref").unwrap().as_text(), Some("X"));
        assert_eq!(node.get("b").unwrap().get("Fn::GetAtt").unwrap().as_text(), Some("X.Arn"));
        assert!(node.get("c").unwrap().get("Fn::Sub").is_some());
        assert_eq!(node.get("d").unwrap().as_text(), Some("12"));
    }

    #[test]
    fn anchors_and_merge_keys() {
        let node = read("base: &base {a: 1, b: 2}\nmore: &more {c: 3}\nx: {<<: [*base, *more], b: 4}\ny: *base\n");
        let x = node.get("x").unwrap();
        let pairs: Vec<_> = x.entries().iter().map(|e| (e.key.to_string(), e.value.as_text().unwrap())).collect();
        assert_eq!(pairs, [("b".to_owned(), "4"), ("a".to_owned(), "1"), ("c".to_owned(), "3")]);
        assert_eq!(node.get("y").unwrap().get("b").unwrap().as_text(), Some("2"));
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        assert!(fault("a: 1\nb: [\n").starts_with("a.yml:3"), "{}", fault("a: 1\nb: [\n"));
        assert!(fault("a: 1\nb: 2\na: 3\n").starts_with("a.yml:3:1: the key \"a\""));
        assert!(fault("").contains("empty"));
        assert!(fault("a: 1\n---\nb: 2\n").contains("second document"));
        assert!(fault(&"[".repeat(200)).contains("more than 64 deep"));
    }

    #[test]
    fn many_laughs_are_counted() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let uses = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{uses}]\n"));
        }
        assert!(fault(&text).contains("more than 100000 nodes"));
    }

    #[test]
    fn json_keeps_its_tabs_and_wide_characters() {
        let node = read("{\n\t\"a\": \"x\\ty \\ud83d\\ude00 \\\\ud83d\",\n\t\"b\": [1, true, null]\n}");
        assert_eq!(node.get("a").unwrap().as_text(), Some("x\ty 😀 \\ud83d"));
        assert_eq!(node.get("b").unwrap().place.line, 3);
    }
}
