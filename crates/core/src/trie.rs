//! Filters with wildcards, arranged so that finding those that match a topic costs by the topic's
//! levels and not by how many filters there are.

use hashbrown::HashMap;

use crate::filter::Filter;

type Children<T> = HashMap<Box<str>, Node<T>, foldhash::fast::RandomState>;

/// A map from filters to values that is asked by topic.
#[derive(Debug)]
pub struct Trie<T> {
    root: Node<T>,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    children: Children<T>,
    /// Below a `+`.
    any_level: Option<Box<Node<T>>>,
    /// The filter that ends here.
    value: Option<T>,
    /// The filter that ends here with `#`.
    below: Option<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { children: Children::default(), any_level: None, value: None, below: None }
    }
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<T> Trie<T> {
    /// How many filters it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No filter is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of exactly this filter, made with `T::default()` where there is none.
    pub fn entry(&mut self, filter: &Filter) -> &mut T
    where
        T: Default,
    {
        let mut node = &mut self.root;
        let mut ends_below = false;
        for level in filter.as_str().split('/') {
            match level {
                "#" => ends_below = true,
                "+" => node = node.any_level.get_or_insert_default(),
                text => node = node.children.entry(text.into()).or_default(),
            }
        }
        let place = if ends_below { &mut node.below } else { &mut node.value };
        if place.is_none() {
            self.len += 1;
        }
        place.get_or_insert_default()
    }

    /// The value of exactly this filter.
    pub fn get_mut(&mut self, filter: &Filter) -> Option<&mut T> {
        let mut node = &mut self.root;
        for level in filter.as_str().split('/') {
            match level {
                "#" => return node.below.as_mut(),
                "+" => node = node.any_level.as_mut()?,
                text => node = node.children.get_mut(text)?,
            }
        }
        node.value.as_mut()
    }

    /// Takes the filter out, and the nodes that only it needed.
    pub fn remove(&mut self, filter: &Filter) -> Option<T> {
        let removed = self.root.remove(filter.as_str().split('/'));
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Calls `visit` with the value of every filter that matches `topic`.
    pub fn for_each_match<'a>(&'a self, topic: &str, visit: &mut dyn FnMut(&'a T)) {
        if self.len > 0 {
            self.root.visit(Some(topic), topic.starts_with('$'), visit);
        }
    }
}

impl<T> Node<T> {
    fn remove<'l>(&mut self, mut levels: impl Iterator<Item = &'l str>) -> Option<T> {
        let removed;
        match levels.next() {
            None => removed = self.value.take(),
            Some("#") => removed = self.below.take(),
            Some("+") => {
                let child = self.any_level.as_mut()?;
                removed = child.remove(levels);
                if child.is_bare() {
                    self.any_level = None;
                }
            }
            Some(text) => {
                let child = self.children.get_mut(text)?;
                removed = child.remove(levels);
                if child.is_bare() {
                    self.children.remove(text);
                    if self.children.is_empty() {
                        self.children = Children::default();
                    }
                }
            }
        }
        removed
    }

    fn is_bare(&self) -> bool {
        self.children.is_empty() && self.any_level.is_none() && self.value.is_none() && self.below.is_none()
    }

    /// `rest` is what of the topic lies below this node, `None` when it ends here. `is_reserved`
    /// holds at the root for topics that begin with `$`, which no leading wildcard matches.
    fn visit<'a>(&'a self, rest: Option<&str>, is_reserved: bool, visit: &mut dyn FnMut(&'a T)) {
        if let Some(value) = self.below.as_ref().filter(|_| !is_reserved) {
            visit(value);
        }
        let Some(rest) = rest else {
            if let Some(value) = &self.value {
                visit(value);
            }
            return;
        };
        let (level, rest) = match rest.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (rest, None),
        };
        if let Some(child) = self.children.get(level) {
            child.visit(rest, false, visit);
        }
        if let Some(child) = self.any_level.as_ref().filter(|_| !is_reserved) {
            child.visit(rest, false, visit);
        }
    }
}
