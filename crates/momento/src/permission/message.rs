//! Permissions from and to messages.

use super::{CacheRole, Caches, FunctionRole, Items, Names, PermissionError, Permissions, Statement, TopicRole};
use crate::limits::STATEMENTS_MAX;
use crate::wire::{
    All, CacheChoice, CacheItemSelector, CachePermissions, CacheSelector, ExplicitPermissions, FunctionPermissions,
    FunctionSelector, PermissionsType, SuperUserPermissions, TopicPermissions, TopicSelector, cache_item_selector,
    cache_permissions, cache_selector, function_permissions, function_selector, permissions, permissions_type,
    topic_permissions, topic_selector,
};

impl Permissions {
    /// Reads what a client sent.
    ///
    /// # Errors
    /// [`PermissionError`] says what is missing or wrong. An empty list is fine and gives nothing.
    pub fn from_wire(message: &crate::wire::Permissions) -> Result<Self, PermissionError> {
        match &message.kind {
            None => Err(PermissionError::Empty),
            Some(permissions::Kind::SuperUser(0)) => Ok(Self::SuperUser),
            Some(permissions::Kind::SuperUser(role)) => Err(PermissionError::UnknownRole { index: 0, role: *role }),
            Some(permissions::Kind::Explicit(list)) => {
                check_count(list.permissions.len())?;
                let read = |(index, statement)| Reader { index }.statement(statement);
                list.permissions.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self::Listed)
            }
        }
    }

    /// As a message.
    #[must_use]
    pub fn to_wire(&self) -> crate::wire::Permissions {
        let kind = match self {
            Self::SuperUser => permissions::Kind::SuperUser(SuperUserPermissions::SuperUser as i32),
            Self::Listed(statements) => {
                let kinds = statements.iter().map(written);
                let permissions = kinds.map(|kind| PermissionsType { kind: Some(kind) }).collect();
                permissions::Kind::Explicit(ExplicitPermissions { permissions })
            }
        };
        crate::wire::Permissions { kind: Some(kind) }
    }
}

pub(super) fn check_count(count: usize) -> Result<(), PermissionError> {
    if count > STATEMENTS_MAX { Err(PermissionError::TooMany { count }) } else { Ok(()) }
}

/// A name as it must be, in the statement at `index`.
pub(super) fn not_blank(index: usize, name: &str) -> Result<String, PermissionError> {
    if name.trim().is_empty() { Err(PermissionError::BlankName { index }) } else { Ok(name.to_owned()) }
}

/// Reads the statement at this place in the list.
#[derive(Clone, Copy)]
struct Reader {
    index: usize,
}

impl Reader {
    fn statement(self, statement: &PermissionsType) -> Result<Statement, PermissionError> {
        match self.some(statement.kind.as_ref())? {
            permissions_type::Kind::Topic(topic) => Ok(Statement::Topics {
                role: self.role(topic.role, TopicRole::try_from)?,
                caches: self.caches(topic.cache.as_ref())?,
                topics: self.topics(topic.topic.as_ref())?,
            }),
            permissions_type::Kind::Cache(cache) => Ok(Statement::Items {
                role: self.role(cache.role, CacheRole::try_from)?,
                caches: self.caches(cache.cache.as_ref())?,
                items: self.items(cache.cache_item.as_ref())?,
            }),
            permissions_type::Kind::Function(function) => Ok(Statement::Functions {
                role: self.role(function.role, FunctionRole::try_from)?,
                caches: self.caches(function.cache.as_ref())?,
                functions: self.functions(function.function.as_ref())?,
            }),
        }
    }

    fn some<T>(self, selector: Option<T>) -> Result<T, PermissionError> {
        selector.ok_or(PermissionError::NoSelector { index: self.index })
    }

    fn role<T, E>(self, role: i32, read: fn(i32) -> Result<T, E>) -> Result<T, PermissionError> {
        read(role).map_err(|_| PermissionError::UnknownRole { index: self.index, role })
    }

    fn caches(self, choice: Option<&CacheChoice>) -> Result<Caches, PermissionError> {
        match self.some(choice)? {
            CacheChoice::AllCaches(_) => Ok(Caches::All),
            CacheChoice::Selector(selector) => {
                let cache_selector::Kind::CacheName(name) = self.some(selector.kind.as_ref())?;
                not_blank(self.index, name).map(Caches::Named)
            }
        }
    }

    fn topics(self, choice: Option<&topic_permissions::Topic>) -> Result<Names, PermissionError> {
        match self.some(choice)? {
            topic_permissions::Topic::AllTopics(_) => Ok(Names::All),
            topic_permissions::Topic::Selector(selector) => match self.some(selector.kind.as_ref())? {
                topic_selector::Kind::TopicName(name) => not_blank(self.index, name).map(Names::Named),
                topic_selector::Kind::TopicNamePrefix(prefix) => Ok(Names::Prefix(prefix.clone())),
            },
        }
    }

    fn items(self, choice: Option<&cache_permissions::CacheItem>) -> Result<Items, PermissionError> {
        // SDKs leave it out for a whole cache.
        match choice {
            None | Some(cache_permissions::CacheItem::AllItems(_)) => Ok(Items::All),
            Some(cache_permissions::CacheItem::Selector(selector)) => match self.some(selector.kind.as_ref())? {
                cache_item_selector::Kind::Key(key) => Ok(Items::Key(key.clone())),
                cache_item_selector::Kind::KeyPrefix(prefix) => Ok(Items::Prefix(prefix.clone())),
            },
        }
    }

    fn functions(self, choice: Option<&function_permissions::Function>) -> Result<Names, PermissionError> {
        match choice {
            None | Some(function_permissions::Function::AllFunctions(_)) => Ok(Names::All),
            Some(function_permissions::Function::Selector(selector)) => match self.some(selector.kind.as_ref())? {
                function_selector::Kind::FunctionName(name) => not_blank(self.index, name).map(Names::Named),
                function_selector::Kind::FunctionNamePrefix(prefix) => Ok(Names::Prefix(prefix.clone())),
            },
        }
    }
}

fn written(statement: &Statement) -> permissions_type::Kind {
    match statement {
        Statement::Topics { role, caches, topics } => permissions_type::Kind::Topic(TopicPermissions {
            role: *role as i32,
            cache: Some(written_caches(caches)),
            topic: Some(written_topics(topics)),
        }),
        Statement::Items { role, caches, items } => permissions_type::Kind::Cache(CachePermissions {
            role: *role as i32,
            cache: Some(written_caches(caches)),
            cache_item: Some(written_items(items)),
        }),
        Statement::Functions { role, caches, functions } => permissions_type::Kind::Function(FunctionPermissions {
            role: *role as i32,
            cache: Some(written_caches(caches)),
            function: Some(written_functions(functions)),
        }),
    }
}

fn written_caches(caches: &Caches) -> CacheChoice {
    match caches {
        Caches::All => CacheChoice::AllCaches(All {}),
        Caches::Named(name) => {
            CacheChoice::Selector(CacheSelector { kind: Some(cache_selector::Kind::CacheName(name.clone())) })
        }
    }
}

fn written_topics(topics: &Names) -> topic_permissions::Topic {
    let kind = match topics {
        Names::All => return topic_permissions::Topic::AllTopics(All {}),
        Names::Named(name) => topic_selector::Kind::TopicName(name.clone()),
        Names::Prefix(prefix) => topic_selector::Kind::TopicNamePrefix(prefix.clone()),
    };
    topic_permissions::Topic::Selector(TopicSelector { kind: Some(kind) })
}

fn written_items(items: &Items) -> cache_permissions::CacheItem {
    let kind = match items {
        Items::All => return cache_permissions::CacheItem::AllItems(All {}),
        Items::Key(key) => cache_item_selector::Kind::Key(key.clone()),
        Items::Prefix(prefix) => cache_item_selector::Kind::KeyPrefix(prefix.clone()),
    };
    cache_permissions::CacheItem::Selector(CacheItemSelector { kind: Some(kind) })
}

fn written_functions(functions: &Names) -> function_permissions::Function {
    let kind = match functions {
        Names::All => return function_permissions::Function::AllFunctions(All {}),
        Names::Named(name) => function_selector::Kind::FunctionName(name.clone()),
        Names::Prefix(prefix) => function_selector::Kind::FunctionNamePrefix(prefix.clone()),
    };
    function_permissions::Function::Selector(FunctionSelector { kind: Some(kind) })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn read(kind: Option<permissions_type::Kind>) -> Result<Permissions, PermissionError> {
        let permissions = vec![PermissionsType { kind }];
        let kind = Some(permissions::Kind::Explicit(ExplicitPermissions { permissions }));
        Permissions::from_wire(&crate::wire::Permissions { kind })
    }

    #[test]
    fn a_super_user_is_there_or_not() {
        let super_user = crate::wire::Permissions::decode(&[0x08, 0x00][..]).unwrap();
        assert_eq!(Permissions::from_wire(&super_user), Ok(Permissions::SuperUser));
        assert_eq!(Permissions::SuperUser.to_wire().encode_to_vec(), [0x08, 0x00]);
        let nothing = crate::wire::Permissions::decode(&[][..]).unwrap();
        assert_eq!(Permissions::from_wire(&nothing), Err(PermissionError::Empty));
        let other = crate::wire::Permissions::decode(&[0x08, 0x01][..]).unwrap();
        assert_eq!(Permissions::from_wire(&other), Err(PermissionError::UnknownRole { index: 0, role: 1 }));
        let empty_list = crate::wire::Permissions::decode(&[0x12, 0x00][..]).unwrap();
        assert_eq!(Permissions::from_wire(&empty_list), Ok(Permissions::Listed(Vec::new())));
    }

    #[test]
    fn statements_that_are_refused() {
        let no_selector = Err(PermissionError::NoSelector { index: 0 });
        let topic =
            |role, cache, topic| read(Some(permissions_type::Kind::Topic(TopicPermissions { role, cache, topic })));
        let all_caches = || Some(CacheChoice::AllCaches(All {}));
        let all_topics = || Some(topic_permissions::Topic::AllTopics(All {}));
        assert_eq!(read(None), no_selector);
        assert_eq!(topic(1, None, all_topics()), no_selector);
        assert_eq!(topic(1, all_caches(), None), no_selector);
        assert_eq!(topic(1, Some(CacheChoice::Selector(CacheSelector { kind: None })), all_topics()), no_selector);
        let empty = topic_permissions::Topic::Selector(TopicSelector { kind: None });
        assert_eq!(topic(1, all_caches(), Some(empty)), no_selector);
        assert_eq!(topic(4, all_caches(), all_topics()), Err(PermissionError::UnknownRole { index: 0, role: 4 }));
        let blank = CacheSelector { kind: Some(cache_selector::Kind::CacheName(" ".into())) };
        let blank = topic(1, Some(CacheChoice::Selector(blank)), all_topics());
        assert_eq!(blank, Err(PermissionError::BlankName { index: 0 }));
        assert!(topic(0, all_caches(), all_topics()).is_ok());
    }

    #[test]
    fn statements_are_counted() {
        let list = |count| {
            let permissions = vec![PermissionsType { kind: None }; count];
            let kind = Some(permissions::Kind::Explicit(ExplicitPermissions { permissions }));
            Permissions::from_wire(&crate::wire::Permissions { kind })
        };
        assert_eq!(list(21), Err(PermissionError::TooMany { count: 21 }));
        assert_eq!(list(20), Err(PermissionError::NoSelector { index: 0 }));
    }
}
