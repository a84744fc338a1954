//! Who may do what on which topics.
//!
//! A [`Grant`] is an ordered set of allow and deny rules; a deny that applies always wins. Every
//! credential of every door is compiled to one, and the core checks it on every operation.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::filter::{Filter, TopicName};
use crate::message::Millis;
use crate::refusal::Refusal;

/// What a rule speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send messages to a topic.
    Publish,
    /// Receive messages of a topic.
    Subscribe,
    /// Be handed a message of a topic. Whoever may subscribe may receive, unless rules on
    /// receiving say otherwise.
    Receive,
    /// Leave a message on a topic as its last. Whoever may publish may, unless rules on retaining
    /// say otherwise.
    Retain,
    /// Read a topic's history.
    History,
    /// See who is on a topic and be seen there.
    Presence,
    /// Operate: list, kick, revoke.
    Admin,
}

impl Action {
    /// Its name in rules, errors and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Receive => "receive",
            Self::Retain => "retain",
            Self::History => "history",
            Self::Presence => "presence",
            Self::Admin => "admin",
        }
    }

    const ALL: [Self; 7] =
        [Self::Publish, Self::Subscribe, Self::Receive, Self::Retain, Self::History, Self::Presence, Self::Admin];
}

/// Whether a rule gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Gives, unless a deny applies.
    Allow,
    /// Takes, whatever else allows.
    Deny,
}

/// A rule that could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GrantError {
    /// There is no `action:`.
    #[error("rule {0:?}: expected action:space/topic-pattern, such as subscribe:default/room-*")]
    Shape(String),
    /// The action has another name.
    #[error(
        "rule {rule:?}: unknown action {action:?}; known are publish, subscribe, receive, retain, history, presence, admin and *"
    )]
    UnknownAction {
        /// The whole rule.
        rule: String,
        /// The word before the colon.
        action: String,
    },
    /// A `#` stands where it cannot.
    #[error("rule {0:?}: '#' is allowed only as the last level of the pattern")]
    Hash(String),
}

/// One allow or deny.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    effect: Effect,
    /// `None` stands for every action.
    action: Option<Action>,
    space: Pattern,
    topic: Pattern,
    /// A filter is held against the pattern as the text that it is, with `+` and `#` as characters.
    is_literal: bool,
}

/// A piece of the pattern of [`Rule::literal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This character.
    Char(char),
    /// Any one character.
    AnyChar,
    /// Any run of characters, also none.
    Any,
}

impl Rule {
    /// Reads `action:space/topic-pattern`. In both patterns `*` stands for any run of characters;
    /// in the topic pattern `+` stands for one level and a last level `#` for everything below.
    /// `*` alone as the action stands for all of them. `${sub}` is replaced by `subject`, whose
    /// characters lose their special meaning; a rule with `${sub}` and no subject never applies.
    ///
    /// # Errors
    /// [`GrantError`] says what is wrong with the text.
    pub fn parse(effect: Effect, text: &str, subject: Option<&str>) -> Result<Self, GrantError> {
        let shape = || GrantError::Shape(text.to_owned());
        let (action, rest) = text.split_once(':').ok_or_else(shape)?;
        let (space, topic) = rest.split_once('/').ok_or_else(shape)?;
        if space.is_empty() || topic.is_empty() {
            return Err(shape());
        }
        let action = match action {
            "*" => None,
            name => Some(
                name.parse()
                    .map_err(|()| GrantError::UnknownAction { rule: text.to_owned(), action: name.to_owned() })?,
            ),
        };
        let topic = Pattern::parse(topic, subject, true).ok_or_else(|| GrantError::Hash(text.to_owned()))?;
        let space = Pattern::parse(space, subject, false).ok_or_else(shape)?;
        Ok(Self { effect, action, space, topic, is_literal: false })
    }

    /// A rule in the way of policy documents: its pattern is compared with the text of a topic, or
    /// of a filter, in which wildcards are characters like others.
    pub fn literal(effect: Effect, action: Action, space: &str, pattern: impl IntoIterator<Item = Piece>) -> Self {
        let token = |piece| match piece {
            Piece::Char(c) => Token::Literal(c),
            Piece::AnyChar => Token::AnyChar,
            Piece::Any => Token::Star,
        };
        let topic = Pattern(pattern.into_iter().map(token).collect());
        Self { effect, action: Some(action), space: Pattern::literal(space), topic, is_literal: true }
    }

    /// A rule on names as they are: no character of the space is a wildcard, and of the topic only
    /// what is said to be one. `None` stands for every space. Filters are held against it level by
    /// level, as with [`Rule::parse`].
    pub fn of_names(
        effect: Effect,
        action: Action,
        space: Option<&str>,
        topic: impl IntoIterator<Item = Piece>,
    ) -> Self {
        let any_space = || Pattern(vec![Token::Star]);
        let space = space.map_or_else(any_space, Pattern::literal);
        Self { space, is_literal: false, ..Self::literal(effect, action, "", topic) }
    }

    /// A rule on one space and everything in it.
    pub fn whole_space(effect: Effect, action: Option<Action>, space: &str) -> Self {
        Self { effect, action, space: Pattern::literal(space), topic: Pattern(vec![Token::Star]), is_literal: false }
    }

    fn concerns(&self, action: Action, space: &str) -> bool {
        self.action.is_none_or(|a| a == action) && self.space.covers(&[Subject::Text(space)])
    }
}

/// Ordered allow and deny rules of a principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    rules: Vec<Rule>,
    is_everything: bool,
}

impl Grant {
    /// Allows nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Allows everything: development mode and the holder of the admin key.
    pub fn everything() -> Self {
        Self { rules: Vec::new(), is_everything: true }
    }

    /// From rules; nothing that no rule allows is allowed.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, is_everything: false }
    }

    /// Whether `action` is allowed on one topic.
    pub fn allows(&self, action: Action, space: &str, topic: &TopicName) -> bool {
        self.decide(action, space, &[Subject::Text(topic)])
    }

    /// Whether `action` is allowed on every topic that `filter` can match. Any deny that some of
    /// these topics falls under refuses the whole filter.
    pub fn allows_filter(&self, action: Action, space: &str, filter: &Filter) -> bool {
        if self.is_everything {
            return true;
        }
        let text = [Subject::Text(filter.as_str())];
        if self.rules.iter().any(|rule| rule.is_literal && rule.concerns(action, space)) {
            return self.decide(action, space, &text);
        }
        // "a/#" speaks of "a" as well as of what is below it: both must be allowed.
        if let Some(parent) = filter.as_str().strip_suffix("/#")
            && !self.decide(action, space, &Subject::of_filter(parent))
        {
            return false;
        }
        self.decide(action, space, &Subject::of_filter(filter.as_str()))
    }

    /// Rules on this action alone stand in it. Without them receiving follows from subscribing, and
    /// retaining from publishing.
    pub fn speaks_of(&self, action: Action) -> bool {
        self.rules.iter().any(|rule| rule.action == Some(action))
    }

    /// Whether `action` is allowed on everything there is or will be: some rule allows it on every
    /// topic of every space, and none denies it anywhere. For what concerns the whole server.
    pub fn allows_everywhere(&self, action: Action) -> bool {
        let mut about = self.rules.iter().filter(|rule| rule.action.is_none_or(|a| a == action));
        let is_denied = about.clone().any(|rule| rule.effect == Effect::Deny);
        self.is_everything || !is_denied && about.any(|rule| rule.space.is_anything() && rule.topic.is_anything())
    }

    fn decide(&self, action: Action, space: &str, topic: &[Subject<'_>]) -> bool {
        if self.is_everything {
            return true;
        }
        let mut allowed = false;
        for rule in self.rules.iter().filter(|rule| rule.concerns(action, space)) {
            match rule.effect {
                Effect::Deny if rule.topic.meets(topic) => return false,
                Effect::Allow if !allowed => allowed = rule.topic.covers(topic),
                _ => {}
            }
        }
        allowed
    }

    /// [`Grant::allows`] with the refusal that says what was attempted.
    ///
    /// # Errors
    /// [`Refusal::Denied`].
    pub fn require(&self, action: Action, space: &str, topic: &TopicName) -> Result<(), Refusal> {
        if self.is_everything || self.allows(action, space, topic) { Ok(()) } else { Err(denied(action, space, topic)) }
    }

    /// [`Grant::allows_filter`] with the refusal that says what was attempted.
    ///
    /// # Errors
    /// [`Refusal::Denied`].
    pub fn require_filter(&self, action: Action, space: &str, filter: &Filter) -> Result<(), Refusal> {
        if self.allows_filter(action, space, filter) { Ok(()) } else { Err(denied(action, space, filter.as_str())) }
    }
}

fn denied(action: Action, space: &str, topic: &str) -> Refusal {
    Refusal::Denied { action: action.name(), space: space.into(), topic: topic.into() }
}

/// Who a connection speaks for, from one credential. Over its life a connection may have several,
/// one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// The user; absent for anonymous connections.
    pub subject: Option<Arc<str>>,
    /// The credential's own id (`jti`), by which it can be revoked.
    pub token_id: Option<Arc<str>>,
    /// When the credential was made, where it says so; revocation by time reads it.
    pub issued_at: Option<Millis>,
    /// When it stops counting.
    pub expires_at: Option<Millis>,
    /// What it allows.
    pub grant: Grant,
}

impl Principal {
    /// Nobody in particular, with this grant.
    pub fn anonymous(grant: Grant) -> Self {
        Self { grant, ..Self::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This character and no other.
    Literal(char),
    /// Any one character.
    AnyChar,
    /// Any run of characters, also none.
    Star,
    /// Any run without `/`.
    Level,
    /// After a prefix: its end, or `/` and anything. Alone: anything.
    Below,
}

/// What a pattern is held against: text of a topic or space, and the wildcards of a filter.
#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    Text(&'a str),
    /// A filter's `+`.
    AnyLevel,
    /// A filter's `#`.
    AnyTail,
}

impl<'a> Subject<'a> {
    fn of_filter(filter: &'a str) -> Vec<Self> {
        let mut parts = Vec::new();
        for (index, level) in filter.split('/').enumerate() {
            if index > 0 {
                parts.push(Subject::Text("/"));
            }
            parts.push(match level {
                "+" => Subject::AnyLevel,
                "#" => Subject::AnyTail,
                text => Subject::Text(text),
            });
        }
        parts
    }
}

#[derive(Clone, Copy)]
enum Step {
    Char(char),
    AnyLevel,
    AnyTail,
}

fn steps<'a>(subject: &'a [Subject<'a>]) -> impl Iterator<Item = Step> + 'a {
    subject.iter().flat_map(|part| {
        let (text, wildcard) = match part {
            Subject::Text(text) => (*text, None),
            Subject::AnyLevel => ("", Some(Step::AnyLevel)),
            Subject::AnyTail => ("", Some(Step::AnyTail)),
        };
        text.chars().map(Step::Char).chain(wildcard)
    })
}

#[derive(Clone, PartialEq, Eq)]
struct Pattern(Vec<Token>);

impl Pattern {
    fn literal(text: &str) -> Self {
        Self(text.chars().map(Token::Literal).collect())
    }

    /// It holds for every text whatever.
    fn is_anything(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|token| *token == Token::Star)
    }

    /// `None` when `#` stands elsewhere than as the last level.
    fn parse(text: &str, subject: Option<&str>, has_levels: bool) -> Option<Self> {
        let mut tokens = Vec::new();
        let (body, below) = match text.strip_suffix('#') {
            Some(body) if has_levels && (body.is_empty() || body.ends_with('/')) => {
                (body.strip_suffix('/').unwrap_or(body), true)
            }
            _ => (text, false),
        };
        let mut pieces = body.split("${sub}").peekable();
        while let Some(piece) = pieces.next() {
            for c in piece.chars() {
                tokens.push(match c {
                    '*' => Token::Star,
                    '+' if has_levels => Token::Level,
                    '#' if has_levels => return None,
                    c => Token::Literal(c),
                });
            }
            if pieces.peek().is_some() {
                match subject {
                    Some(subject) => tokens.extend(subject.chars().map(Token::Literal)),
                    // NUL stands in no topic and no space: the rule can never apply.
                    None => tokens.push(Token::Literal('\0')),
                }
            }
        }
        if below {
            tokens.push(if tokens.is_empty() { Token::Star } else { Token::Below });
        }
        Some(Self(tokens))
    }

    /// Every text that `subject` can stand for matches this pattern. Sound, not complete: a
    /// wildcard of the subject must be taken up by one wildcard of the pattern.
    fn covers(&self, subject: &[Subject<'_>]) -> bool {
        self.run(subject, false)
    }

    /// Some text that `subject` can stand for may match this pattern. Complete, not exact: at
    /// worst it says yes where no is true, which is the safe side for a deny.
    fn meets(&self, subject: &[Subject<'_>]) -> bool {
        self.run(subject, true)
    }

    /// Steps through `subject` with the set of pattern places that are reached so far.
    fn run(&self, subject: &[Subject<'_>], is_meeting: bool) -> bool {
        let mut places = Places::start(&self.0);
        for step in steps(subject) {
            places.advance(step, is_meeting);
            if places.is_empty() {
                return false;
            }
        }
        places.holds_end()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            match token {
                Token::Literal(c) => write!(f, "{c}")?,
                Token::AnyChar => f.write_str("?")?,
                Token::Star => f.write_str("*")?,
                Token::Level => f.write_str("+")?,
                Token::Below => f.write_str("/#")?,
            }
        }
        Ok(())
    }
}

/// The places in a pattern that the text so far can have led to. Place `i` stands before token
/// `i`; place `tokens.len()` is the end. `below` says that a [`Token::Below`] has seen its `/`.
struct Places<'a> {
    tokens: &'a [Token],
    at: Vec<bool>,
    below: bool,
}

impl<'a> Places<'a> {
    fn start(tokens: &'a [Token]) -> Self {
        let mut places = Self { tokens, at: vec![false; tokens.len() + 1], below: false };
        places.at[0] = true;
        places.skip_empty_runs();
        places
    }

    /// `*`, `+` and the end of a prefix before `/#` may stand for nothing.
    fn skip_empty_runs(&mut self) {
        for (i, token) in self.tokens.iter().enumerate() {
            if self.at[i] && matches!(token, Token::Star | Token::Level | Token::Below) {
                self.at[i + 1] = true;
            }
        }
    }

    fn advance(&mut self, step: Step, is_meeting: bool) {
        let mut next = vec![false; self.at.len()];
        let mut below = self.below;
        for (i, token) in self.tokens.iter().enumerate().filter(|(i, _)| self.at[*i]) {
            match (token, step) {
                (Token::Literal(a), Step::Char(b)) => next[i + 1] |= *a == b,
                (Token::AnyChar, Step::Char(_)) => next[i + 1] = true,
                (Token::Star, _) => next[i] = true,
                // A tail is one level and, if it goes on, a `/` and more: "+/#" takes all of it.
                (Token::Level, Step::AnyTail) => below |= self.tokens.get(i + 1) == Some(&Token::Below),
                (Token::Level, Step::Char('/')) => {}
                (Token::Level, _) => next[i] = true,
                (Token::Below, Step::Char('/')) => below = true,
                (Token::Below | Token::Literal(_) | Token::AnyChar, _) => {}
            }
        }
        if is_meeting {
            self.wander(step, &mut next, &mut below);
        }
        self.at = next;
        self.below = below;
        self.skip_empty_runs();
    }

    /// A wildcard of the subject may stand for nothing, or for what the next tokens ask for.
    fn wander(&self, step: Step, next: &mut [bool], below: &mut bool) {
        let passes = |token: &Token| match (step, token) {
            (Step::Char(_), _) => false,
            (Step::AnyLevel, Token::Literal('/') | Token::Below) => false,
            (Step::AnyLevel | Step::AnyTail, _) => true,
        };
        if matches!(step, Step::Char(_)) {
            return;
        }
        for start in (0..self.at.len()).filter(|i| self.at[*i]) {
            next[start] = true;
            for (i, token) in self.tokens.iter().enumerate().skip(start) {
                if !passes(token) {
                    break;
                }
                *below |= *token == Token::Below;
                next[i + 1] = true;
            }
        }
    }

    fn is_empty(&self) -> bool {
        !self.below && !self.at.contains(&true)
    }

    fn holds_end(&self) -> bool {
        self.below || self.at[self.tokens.len()]
    }
}

impl FromStr for Action {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|a| a.name() == name).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(allow: &[&str], deny: &[&str]) -> Grant {
        let allow = allow.iter().map(|t| Rule::parse(Effect::Allow, t, Some("ann")).unwrap());
        let deny = deny.iter().map(|t| Rule::parse(Effect::Deny, t, Some("ann")).unwrap());
        Grant::new(allow.chain(deny).collect())
    }

    fn allows(grant: &Grant, topic: &str) -> bool {
        grant.allows_filter(Action::Subscribe, "default", &Filter::new(topic).unwrap())
    }

    #[test]
    fn patterns_cover_topics_and_filters() {
        for (rule, topic, expected) in [
            ("room-*", "room-1", true),
            ("room-*", "room-1/a", true),
            ("room-*", "lobby", false),
            ("room-1", "room-1", true),
            ("room-1", "room-12", false),
            ("*", "#", true),
            ("#", "#", true),
            ("a/#", "a", true),
            ("a/#", "a/b", true),
            ("a/#", "a/+/c", true),
            ("a/#", "a/#", true),
            ("a/#", "ab", false),
            ("a/*", "a/#", false),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("+/#", "#", true),
            ("*//#", "a/#", false),
            ("*//#", "a//#", true),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d/c", false),
            ("a/*/c", "a/+/c", true),
            ("users/${sub}/*", "users/ann/x", true),
            ("users/${sub}/*", "users/bob/x", false),
            ("users/${sub}", "users/+", false),
            ("a", "+", false),
        ] {
            let grant = grant(&[&format!("subscribe:default/{rule}")], &[]);
            assert_eq!(allows(&grant, topic), expected, "{rule} for {topic}");
        }
    }

    #[test]
    fn a_deny_that_meets_a_filter_refuses_it() {
        for (deny, topic, expected) in [
            ("secret/*", "secret/1", false),
            ("secret/*", "open/1", true),
            ("secret/*", "#", false),
            ("secret/*", "+/1", false),
            ("secret/*", "open/#", true),
            ("a/+/c", "a/#", false),
            ("a/b", "a/+", false),
            ("a/b/c", "a/+", true),
            ("x/#", "+", false),
            ("*-private", "room/+", false),
        ] {
            let grant = grant(&["*:*/*"], &[&format!("subscribe:default/{deny}")]);
            assert_eq!(allows(&grant, topic), expected, "deny {deny} for {topic}");
        }
    }

    #[test]
    fn actions_and_spaces_are_kept_apart() {
        let grant = grant(&["publish:game-*/#"], &[]);
        let topic = TopicName::new("t").unwrap();
        assert!(grant.allows(Action::Publish, "game-7", &topic));
        assert!(!grant.allows(Action::Subscribe, "game-7", &topic));
        assert!(!grant.allows(Action::Publish, "default", &topic));
    }

    #[test]
    fn everywhere_is_every_topic_of_every_space_without_exception() {
        for (allow, deny, expected) in [
            ("admin:*/#", "", true),
            ("*:*/*", "", true),
            ("*:*/*", "publish:x/*", true),
            ("admin:chat/#", "", false),
            ("admin:*/a/#", "", false),
            ("admin:a*/#", "", false),
            ("admin:${sub}/#", "", false),
            ("publish:*/#", "", false),
            ("admin:*/#", "admin:secret/#", false),
            ("admin:*/#", "*:secret/a", false),
        ] {
            let deny: &[&str] = if deny.is_empty() { &[] } else { &[deny] };
            let grant = grant(&[allow], deny);
            assert_eq!(grant.allows_everywhere(Action::Admin), expected, "{allow} without {deny:?}");
        }
        assert!(Grant::everything().allows_everywhere(Action::Admin));
        assert!(!Grant::nothing().allows_everywhere(Action::Admin));
        // Somebody who is called like the wildcard has no more than the space of that name.
        let rule = Rule::parse(Effect::Allow, "admin:${sub}/#", Some("*")).unwrap();
        assert!(!Grant::new(vec![rule]).allows_everywhere(Action::Admin));
    }

    #[test]
    fn a_rule_for_the_subject_never_applies_to_nobody() {
        let rule = Rule::parse(Effect::Allow, "publish:default/u/${sub}", None).unwrap();
        let grant = Grant::new(vec![rule]);
        assert!(!grant.allows(Action::Publish, "default", &TopicName::new("u/").unwrap()));
        assert!(!grant.allows(Action::Publish, "default", &TopicName::new("u/ann").unwrap()));
    }

    #[test]
    fn wildcards_in_a_subject_are_plain_characters() {
        let rule = Rule::parse(Effect::Allow, "publish:default/u/${sub}", Some("*")).unwrap();
        let grant = Grant::new(vec![rule]);
        assert!(!grant.allows(Action::Publish, "default", &TopicName::new("u/bob").unwrap()));
    }

    #[test]
    fn a_rule_of_names_knows_no_wildcards_in_them() {
        let prefix = |text: &'static str| text.chars().map(Piece::Char).chain([Piece::Any]);
        let here = Rule::of_names(Effect::Allow, Action::Subscribe, Some("a*"), prefix("r/*"));
        let grant = Grant::new(vec![here]);
        let allows = |space, topic| grant.allows_filter(Action::Subscribe, space, &Filter::new(topic).unwrap());
        assert!(allows("a*", "r/*1") && allows("a*", "r/*"));
        assert!(!allows("ab", "r/*1") && !allows("a*", "r/1") && !allows("a*", "r/+"));
        let anywhere = Rule::of_names(Effect::Allow, Action::Subscribe, None, prefix("r/"));
        let grant = Grant::new(vec![anywhere]);
        let allows = |topic| grant.allows_filter(Action::Subscribe, "any", &Filter::new(topic).unwrap());
        assert!(allows("r/1") && allows("r/+"));
        assert!(!allows("r/#"), "it speaks of r as well");
        assert!(!grant.allows_everywhere(Action::Subscribe));
    }

    #[test]
    fn broken_rules_say_what_is_wrong() {
        let parse = |text| Rule::parse(Effect::Allow, text, None).unwrap_err();
        assert!(matches!(parse("subscribe"), GrantError::Shape(_)));
        assert!(matches!(parse("subscribe:default"), GrantError::Shape(_)));
        assert!(matches!(parse("subscribe:/x"), GrantError::Shape(_)));
        assert!(matches!(parse("read:default/x"), GrantError::UnknownAction { .. }));
        assert!(matches!(parse("publish:default/a#"), GrantError::Hash(_)));
        assert!(matches!(parse("publish:default/#/a"), GrantError::Hash(_)));
    }
}
