//! What a key or token allows.
//!
//! Statements only give: what any of them allows is allowed. A statement on topics says nothing about
//! items of caches, and the other way round. A **super user** may do everything, and is the only one
//! who may manage caches and webhooks and make keys.
//!
//! For the core they become a [`Grant`]: a cache is a space, publishing is [`Action::Publish`] and
//! subscribing is [`Action::Subscribe`]. Names are compared as they are, no character of
//! them is a wildcard.

mod delegate;
mod json;
mod message;

use fanfare_core::{Action, Effect, Grant, Piece, Rule};

use crate::limits::STATEMENTS_MAX;
use crate::name::in_core;

pub use delegate::Delegation;

pub use crate::wire::{CacheRole, FunctionRole, TopicRole};

/// Permissions that are not as they must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// Neither super user nor a list.
    #[error("the permissions are neither super_user nor explicit: set one")]
    Empty,
    /// A statement is about nothing.
    #[error("permission {index} says neither which caches nor which topics it is about: set both selectors")]
    NoSelector {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// A statement names a role that there is not.
    #[error("permission {index} has the unknown role {role}")]
    UnknownRole {
        /// Its place in the list, from 0.
        index: usize,
        /// The number of the role.
        role: i32,
    },
    /// A statement names something by a blank name.
    #[error("permission {index} has a blank name: name a cache, topic or function, or select all")]
    BlankName {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// There are too many statements.
    #[error("there are {count} permissions, {STATEMENTS_MAX} are allowed")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// The text is no JSON of the expected shape.
    #[error("the permissions cannot be read: {0}")]
    Json(String),
}

/// What a key or token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// Everything.
    SuperUser,
    /// What any of these allows; none of them, nothing. At most [`STATEMENTS_MAX`].
    Listed(Vec<Statement>),
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Topics.
    Topics {
        /// What is given.
        role: TopicRole,
        /// In which caches.
        caches: Caches,
        /// On which topics.
        topics: Names,
    },
    /// Items of caches. Kept, so that it can be handed on; nothing here asks for it.
    Items {
        /// What is given.
        role: CacheRole,
        /// In which caches.
        caches: Caches,
        /// On which items.
        items: Items,
    },
    /// Functions. Kept, so that it can be handed on; nothing here asks for it.
    Functions {
        /// What is given.
        role: FunctionRole,
        /// In which caches.
        caches: Caches,
        /// Which functions.
        functions: Names,
    },
}

/// Which caches a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caches {
    /// Every one.
    All,
    /// The one of that name.
    Named(String),
}

/// Which topics or functions a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// Every one.
    All,
    /// The one of that name.
    Named(String),
    /// Those whose name begins so.
    Prefix(String),
}

/// Which items a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items {
    /// Every one.
    All,
    /// The one of that key.
    Key(Vec<u8>),
    /// Those whose key begins so.
    Prefix(Vec<u8>),
}

/// What only a super user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Management {
    /// Make a cache.
    CreateCache,
    /// End a cache.
    DeleteCache,
    /// List caches.
    ListCaches,
    /// Empty a cache.
    FlushCache,
    /// Make, change, list and end webhooks, and read their secrets.
    Webhooks,
    /// Make keys and tokens.
    Keys,
}

impl Management {
    /// Its name in errors: "Insufficient permissions to ...".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateCache => "create a cache",
            Self::DeleteCache => "delete a cache",
            Self::ListCaches => "list caches",
            Self::FlushCache => "flush a cache",
            Self::Webhooks => "manage webhooks",
            Self::Keys => "make keys and tokens",
        }
    }
}

impl Caches {
    fn holds(&self, cache: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(name) => name == cache,
        }
    }
}

impl Names {
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(own) => own == name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }

    /// As the core has these names.
    fn pattern(&self) -> Vec<Piece> {
        let (text, tail) = match self {
            Self::All => ("", Some(Piece::Any)),
            Self::Named(name) => (&**name, None),
            Self::Prefix(prefix) => (&**prefix, Some(Piece::Any)),
        };
        in_core(text).chars().map(Piece::Char).chain(tail).collect()
    }
}

fn publishes(role: TopicRole) -> bool {
    matches!(role, TopicRole::ReadWrite | TopicRole::WriteOnly)
}

fn subscribes(role: TopicRole) -> bool {
    matches!(role, TopicRole::ReadWrite | TopicRole::ReadOnly)
}

impl Permissions {
    /// Whether its holder may publish to a topic.
    #[must_use]
    pub fn may_publish(&self, cache: &str, topic: &str) -> bool {
        self.may_on_topic(publishes, cache, topic)
    }

    /// Whether its holder may subscribe to a topic.
    #[must_use]
    pub fn may_subscribe(&self, cache: &str, topic: &str) -> bool {
        self.may_on_topic(subscribes, cache, topic)
    }

    /// Whether its holder may do what is for super users.
    #[must_use]
    pub fn may_manage(&self, _what: Management) -> bool {
        *self == Self::SuperUser
    }

    fn may_on_topic(&self, gives: fn(TopicRole) -> bool, cache: &str, topic: &str) -> bool {
        let Self::Listed(statements) = self else { return true };
        statements.iter().any(|statement| match statement {
            Statement::Topics { role, caches, topics } => gives(*role) && caches.holds(cache) && topics.holds(topic),
            Statement::Items { .. } | Statement::Functions { .. } => false,
        })
    }

    /// What the core is to allow.
    #[must_use]
    pub fn grant(&self) -> Grant {
        let Self::Listed(statements) = self else { return Grant::everything() };
        let mut rules = Vec::new();
        for statement in statements {
            let Statement::Topics { role, caches, topics } = statement else { continue };
            let space = match caches {
                Caches::All => None,
                Caches::Named(name) => Some(&**name),
            };
            let mut allow = |action| rules.push(Rule::of_names(Effect::Allow, action, space, topics.pattern()));
            if publishes(*role) {
                allow(Action::Publish);
            }
            if subscribes(*role) {
                allow(Action::Subscribe);
            }
        }
        Grant::new(rules)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fanfare_core::{Filter, TopicName};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn topics(role: TopicRole, cache: Option<&str>, topics: Names) -> Statement {
        let caches = cache.map_or(Caches::All, |name| Caches::Named(name.to_owned()));
        Statement::Topics { role, caches, topics }
    }

    fn named(name: &str) -> Names {
        Names::Named(name.to_owned())
    }

    fn one(statement: Statement) -> Permissions {
        Permissions::Listed(vec![statement])
    }

    #[test]
    fn one_topic_to_subscribe_to() {
        let permissions = one(topics(TopicRole::ReadOnly, Some("websocket"), named("mychannel")));
        assert!(permissions.may_subscribe("websocket", "mychannel"));
        assert!(!permissions.may_publish("websocket", "mychannel"));
        for (cache, topic) in [("websocket", "other"), ("websocket", "mychannel2"), ("other", "mychannel")] {
            assert!(!permissions.may_subscribe(cache, topic), "{cache}/{topic}");
        }
        assert!(!permissions.may_manage(Management::ListCaches));
    }

    #[test]
    fn roles_and_selectors() {
        let writer = one(topics(TopicRole::WriteOnly, None, Names::Prefix("room-".into())));
        assert!(writer.may_publish("any", "room-") && writer.may_publish("any", "room-7"));
        assert!(!writer.may_publish("any", "roo") && !writer.may_subscribe("any", "room-7"));
        let both = one(topics(TopicRole::ReadWrite, None, Names::All));
        assert!(both.may_publish("a", "b") && both.may_subscribe("a", "b"));
        let neither = one(topics(TopicRole::None, None, Names::All));
        assert!(!neither.may_publish("a", "b") && !neither.may_subscribe("a", "b"));
    }

    #[test]
    fn what_is_not_about_topics_gives_no_topic() {
        let items = Statement::Items { role: CacheRole::ReadWrite, caches: Caches::All, items: Items::All };
        let functions = Statement::Functions { role: FunctionRole::Invoke, caches: Caches::All, functions: Names::All };
        let permissions = Permissions::Listed(vec![items, functions]);
        assert!(!permissions.may_publish("a", "b") && !permissions.may_subscribe("a", "b"));
        assert_eq!(permissions.grant(), Grant::nothing());
    }

    #[test]
    fn any_statement_suffices() {
        let permissions = Permissions::Listed(vec![
            topics(TopicRole::ReadOnly, Some("a"), Names::All),
            topics(TopicRole::WriteOnly, Some("a"), named("x")),
        ]);
        assert!(permissions.may_subscribe("a", "y") && !permissions.may_publish("a", "y"));
        assert!(permissions.may_subscribe("a", "x") && permissions.may_publish("a", "x"));
    }

    #[test]
    fn a_super_user_may_all() {
        let all = Permissions::SuperUser;
        assert!(all.may_publish("a", "b") && all.may_subscribe("a", "b") && all.may_manage(Management::Keys));
        assert!(all.grant().allows_everywhere(Action::Admin));
        let topics = one(topics(TopicRole::ReadWrite, None, Names::All));
        assert!(!topics.may_manage(Management::CreateCache) && !topics.grant().allows_everywhere(Action::Admin));
    }

    #[test]
    fn in_the_core_a_prefix_covers_filters_of_other_doors() {
        let grant = one(topics(TopicRole::ReadOnly, Some("c"), Names::Prefix("room/".into()))).grant();
        let allows = |filter| grant.allows_filter(Action::Subscribe, "c", &Filter::new(filter).unwrap());
        assert!(allows("room/1") && allows("room/+"));
        assert!(!allows("room/#") && !allows("#") && !allows("room"));
    }

    pub(crate) fn statement() -> impl Strategy<Value = Statement> {
        let name = || prop_oneof![Just("*".to_owned()), "[ab*/]{1,3}"];
        let caches = move || prop_oneof![Just(Caches::All), name().prop_map(Caches::Named)];
        let names =
            move || prop_oneof![Just(Names::All), name().prop_map(Names::Named), name().prop_map(Names::Prefix)];
        let items = prop_oneof![
            Just(Items::All),
            prop::collection::vec(any::<u8>(), 0..3).prop_map(Items::Key),
            prop::collection::vec(any::<u8>(), 0..3).prop_map(Items::Prefix),
        ];
        let topic_role = (0..4).prop_map(|role| TopicRole::try_from(role).unwrap());
        let cache_role = (0..4).prop_map(|role| CacheRole::try_from(role).unwrap());
        let function_role = (0..2).prop_map(|role| FunctionRole::try_from(role).unwrap());
        prop_oneof![
            4 => (topic_role, caches(), names())
                .prop_map(|(role, caches, topics)| Statement::Topics { role, caches, topics }),
            1 => (cache_role, caches(), items)
                .prop_map(|(role, caches, items)| Statement::Items { role, caches, items }),
            1 => (function_role, caches(), names())
                .prop_map(|(role, caches, functions)| Statement::Functions { role, caches, functions }),
        ]
    }

    pub(crate) fn permissions() -> impl Strategy<Value = Permissions> {
        let listed = prop::collection::vec(statement(), 0..5).prop_map(Permissions::Listed);
        prop_oneof![1 => Just(Permissions::SuperUser), 9 => listed]
    }

    proptest! {
        #[test]
        fn the_grant_says_the_same(permissions in permissions(), cache in "[ab*]{1,2}", topic in "[ab*/]{1,4}") {
            let name = TopicName::new(&topic).unwrap();
            let grant = permissions.grant();
            prop_assert_eq!(grant.allows(Action::Publish, &cache, &name), permissions.may_publish(&cache, &topic));
            prop_assert_eq!(grant.allows(Action::Subscribe, &cache, &name), permissions.may_subscribe(&cache, &topic));
        }

        #[test]
        fn messages_come_back(permissions in permissions()) {
            prop_assert_eq!(Permissions::from_wire(&permissions.to_wire()), Ok(permissions));
        }
    }
}
