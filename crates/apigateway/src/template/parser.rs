//! Text, directives and comments of templates.

use super::ast::{Block, Expression, Node, Reference};
use super::error::{Outcome, Place, TemplateError};
use super::limits::{NESTING_MAX, TEMPLATE_BYTES_MAX};
use super::scanner::Scanner;

pub(super) fn parse(text: &str) -> Outcome<Block> {
    let start = Place { line: 1, column: 1 };
    if text.len() > TEMPLATE_BYTES_MAX {
        let problem = format!("the template has {} bytes, at most {TEMPLATE_BYTES_MAX} are allowed", text.len());
        return Err(start.error(problem));
    }
    Parser { scanner: Scanner::new(text, start), nesting: 0 }.whole()
}

pub(super) struct Parser<'t> {
    pub(super) scanner: Scanner<'t>,
    pub(super) nesting: usize,
}

/// What ends a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Text,
    End,
    Else,
    ElseIf,
}

/// Words after a `#`. `elseif` stands before `else`, of which it begins with.
const DIRECTIVES: [(&str, Word); 13] = [
    ("set", Word::Set),
    ("if", Word::If),
    ("elseif", Word::ElseIf),
    ("else", Word::Else),
    ("end", Word::End),
    ("foreach", Word::Foreach),
    ("define", Word::Define),
    ("break", Word::Break),
    ("stop", Word::Stop),
    ("macro", Word::Unsupported("#macro")),
    ("parse", Word::Unsupported("#parse")),
    ("include", Word::Unsupported("#include")),
    ("evaluate", Word::Unsupported("#evaluate")),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Set,
    If,
    ElseIf,
    Else,
    End,
    Foreach,
    Define,
    Break,
    Stop,
    Unsupported(&'static str),
}

impl Word {
    /// Parentheses follow it.
    fn has_arguments(self) -> bool {
        !matches!(self, Self::Else | Self::End | Self::Break | Self::Stop)
    }
}

/// A block while it is read: text is put together until something else comes.
#[derive(Default)]
struct Draft {
    nodes: Vec<Node>,
    text: String,
}

impl Draft {
    fn push(&mut self, node: Node) {
        self.end_text();
        self.nodes.push(node);
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.nodes.push(Node::Text(std::mem::take(&mut self.text).into()));
        }
    }

    fn finish(mut self) -> Block {
        self.end_text();
        Block { nodes: self.nodes }
    }

    fn trim_blanks(&mut self) {
        let length = self.text.trim_end_matches([' ', '\t']).len();
        self.text.truncate(length);
    }
}

impl Parser<'_> {
    /// The whole text as one block.
    pub(super) fn whole(mut self) -> Outcome<Block> {
        self.block(None).map(|(block, _)| block)
    }

    /// Goes one level down, if there is one.
    pub(super) fn enter(&mut self) -> Outcome<()> {
        if self.nesting == NESTING_MAX {
            return Err(self.scanner.here().error(format!("nested more than {NESTING_MAX} levels deep; split it up")));
        }
        self.nesting += 1;
        Ok(())
    }

    /// A block up to what ends it; `opened` is the directive that it belongs to.
    fn block(&mut self, opened: Option<Place>) -> Outcome<(Block, Ending)> {
        self.enter()?;
        let mut draft = Draft::default();
        loop {
            let from = self.scanner.at;
            let ending = match self.scanner.peek() {
                None => Some(Ending::Text),
                Some(b'$') => self.dollar(&mut draft)?,
                Some(b'#') => self.number_sign(&mut draft, opened)?,
                Some(b'\\') => self.backslashes(&mut draft),
                Some(_) => {
                    let text = self.scanner.take_while(|byte| !matches!(byte, b'$' | b'#' | b'\\'));
                    draft.text.push_str(text);
                    None
                }
            };
            if let Some(ending) = ending {
                self.nesting -= 1;
                return Ok((draft.finish(), ending));
            }
            debug_assert!(self.scanner.at > from, "each round reads something");
        }
    }

    fn dollar(&mut self, draft: &mut Draft) -> Outcome<Option<Ending>> {
        match self.reference()? {
            Some(reference) => draft.push(Node::Reference(reference)),
            None => draft.text.extend(self.scanner.take_char()),
        }
        Ok(None)
    }

    /// Of backslashes before a reference or directive, two are one, and one that is left over makes
    /// text of what follows.
    fn backslashes(&mut self, draft: &mut Draft) -> Option<Ending> {
        let slashes = self.scanner.take_while(|byte| byte == b'\\');
        if !self.is_special() {
            draft.text.push_str(slashes);
            return None;
        }
        draft.text.push_str(&slashes[slashes.len().div_ceil(2)..]);
        if slashes.len() % 2 == 1 {
            draft.text.extend(self.scanner.take_char());
        }
        None
    }

    /// Whether a reference or a directive stands here.
    fn is_special(&self) -> bool {
        match self.scanner.peek() {
            Some(b'$') => {
                let name = self.scanner.rest()[1..].trim_start_matches(['!', '{']);
                name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            }
            Some(b'#') => directive(&self.scanner.rest()[1..]).is_some() || self.scanner.rest().starts_with("##"),
            _ => false,
        }
    }

    fn number_sign(&mut self, draft: &mut Draft, opened: Option<Place>) -> Outcome<Option<Ending>> {
        let from = self.scanner.at;
        let place = self.scanner.here();
        if self.scanner.take("##") {
            self.scanner.take_while(|byte| byte != b'\n');
            self.scanner.take("\n");
            if self.scanner.begins_line(from) {
                draft.trim_blanks();
            }
            return Ok(None);
        }
        if self.scanner.take("#*") {
            self.skip_past("*#", place, "the comment #* is not closed; write *#")?;
            return Ok(None);
        }
        if self.scanner.take("#[[") {
            let text = self.skip_past("]]#", place, "the text #[[ is not closed; write ]]#")?;
            draft.text.push_str(text);
            return Ok(None);
        }
        let Some((word, length)) = directive(&self.scanner.rest()[1..]) else {
            draft.text.extend(self.scanner.take_char());
            return Ok(None);
        };
        self.scanner.at += 1 + length;
        self.directive(word, from, draft, opened)
    }

    fn skip_past(&mut self, wanted: &str, opened: Place, problem: &str) -> Outcome<&str> {
        let from = self.scanner.at;
        let Some(length) = self.scanner.rest().find(wanted) else { return Err(opened.error(problem)) };
        self.scanner.at += length;
        let text = self.scanner.slice(from);
        self.scanner.at += wanted.len();
        Ok(text)
    }

    fn directive(
        &mut self,
        word: Word,
        from: usize,
        draft: &mut Draft,
        opened: Option<Place>,
    ) -> Outcome<Option<Ending>> {
        let place = self.scanner.place(from);
        let node = match word {
            Word::Unsupported(name) => {
                return Err(place.error(format!("{name} is not supported; write its lines here instead")));
            }
            Word::End | Word::Else | Word::ElseIf if opened.is_none() => {
                return Err(place.error("#end, #else or #elseif without an #if before it; remove it"));
            }
            Word::ElseIf => {
                // The rest of its line is skipped once its condition is read.
                if self.scanner.begins_line(from) {
                    draft.trim_blanks();
                }
                return Ok(Some(Ending::ElseIf));
            }
            Word::End | Word::Else => {
                self.trim_line(from, draft);
                return Ok(Some(if word == Word::End { Ending::End } else { Ending::Else }));
            }
            Word::Break | Word::Stop => {
                self.trim_line(from, draft);
                if word == Word::Break { Node::Break } else { Node::Stop }
            }
            Word::Set => {
                let node = self.set()?;
                self.trim_line(from, draft);
                node
            }
            Word::If => {
                let condition = self.condition()?;
                self.trim_line(from, draft);
                self.branches(condition, place)?
            }
            Word::Foreach | Word::Define => {
                let (name, items) = self.loop_head(word)?;
                self.trim_line(from, draft);
                let body = self.body(place)?;
                match items {
                    Some(items) => Node::Foreach { name, items, body },
                    None => Node::Define { name, body },
                }
            }
        };
        draft.push(node);
        Ok(None)
    }

    /// A directive that is alone on its line takes the line with it.
    fn trim_line(&mut self, from: usize, draft: &mut Draft) {
        if self.scanner.skip_line_end() && self.scanner.begins_line(from) {
            draft.trim_blanks();
        }
    }

    fn condition(&mut self) -> Outcome<Expression> {
        self.scanner.expect("(")?;
        let condition = self.expression()?;
        self.scanner.expect(")")?;
        Ok(condition)
    }

    fn loop_head(&mut self, word: Word) -> Outcome<(Box<str>, Option<Expression>)> {
        self.scanner.expect("(")?;
        let name = self.loop_name()?;
        let mut items = None;
        if word == Word::Foreach {
            self.scanner.expect("in")?;
            items = Some(self.expression()?);
        }
        self.scanner.expect(")")?;
        Ok((name, items))
    }

    fn set(&mut self) -> Outcome<Node> {
        self.scanner.expect("(")?;
        self.scanner.skip_space();
        let target = self.reference_here("#set needs a reference, as in #set($x = 1)")?;
        self.scanner.expect("=")?;
        let value = self.expression()?;
        self.scanner.expect(")")?;
        Ok(Node::Set { target, value })
    }

    fn loop_name(&mut self) -> Outcome<Box<str>> {
        self.scanner.skip_space();
        let place = self.scanner.here();
        let reference = self.reference_here("a name is needed, as in #foreach($x in $list) or #define($x)")?;
        if reference.accesses.is_empty() { Ok(reference.name) } else { Err(place.error("a plain name is needed")) }
    }

    fn reference_here(&mut self, problem: &str) -> Outcome<Reference> {
        let place = self.scanner.here();
        if self.scanner.peek() != Some(b'$') {
            return Err(place.error(problem));
        }
        self.reference()?.ok_or_else(|| place.error(problem))
    }

    /// What follows the condition of an `#if`.
    fn branches(&mut self, condition: Expression, opened: Place) -> Outcome<Node> {
        let mut arms = Vec::new();
        let mut condition = condition;
        loop {
            let (block, ending) = self.block(Some(opened))?;
            arms.push((condition, block));
            match ending {
                Ending::End => return Ok(Node::If { arms, otherwise: None }),
                Ending::Else => {
                    let otherwise = Some(self.body(opened)?);
                    return Ok(Node::If { arms, otherwise });
                }
                Ending::ElseIf => {
                    condition = self.condition()?;
                    self.scanner.skip_line_end();
                }
                Ending::Text => return Err(not_closed(opened)),
            }
        }
    }

    /// A block up to its `#end`.
    fn body(&mut self, opened: Place) -> Outcome<Block> {
        match self.block(Some(opened))? {
            (block, Ending::End) => Ok(block),
            (_, Ending::Text) => Err(not_closed(opened)),
            _ => Err(self.scanner.here().error("#else or #elseif where #end is needed")),
        }
    }
}

fn not_closed(opened: Place) -> TemplateError {
    opened.error("the directive that begins here has no #end; write #end")
}

/// The directive that a text after `#` begins with, and how long it is.
fn directive(text: &str) -> Option<(Word, usize)> {
    let (inner, braces) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let (name, word) = DIRECTIVES.into_iter().find(|(name, _)| inner.starts_with(name))?;
    let after = &inner[name.len()..];
    let (after, length) = if braces { (after.strip_prefix('}')?, name.len() + 2) } else { (after, name.len()) };
    let follows = if word.has_arguments() {
        after.trim_start_matches([' ', '\t']).starts_with('(')
    } else {
        braces
            || matches!(word, Word::Else | Word::End)
            || !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    };
    follows.then_some((word, length))
}
