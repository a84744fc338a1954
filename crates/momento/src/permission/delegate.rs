//! Who may give what to others.

use super::{CacheRole, Caches, FunctionRole, Items, Names, Permissions, Statement, TopicRole};
use crate::error::Problem;
use crate::permission::Management;

/// For whom a key or token is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delegation {
    /// A browser or device, for some hours: never a super user.
    Disposable,
    /// A server: may be a super user.
    Lasting,
}

impl Permissions {
    /// Whether a holder of these may make a key or token with `asked`: only a super user makes any,
    /// and a disposable token is none.
    ///
    /// # Errors
    /// [`Problem::Denied`] for a holder who may not, [`Problem::InvalidArgument`] for a disposable
    /// token of a super user.
    pub fn may_give(&self, asked: &Self, to: Delegation) -> Result<(), Problem> {
        if !self.may_manage(Management::Keys) || !self.covers(asked) {
            return Err(Problem::Denied(Management::Keys.name().to_owned()));
        }
        if to == Delegation::Disposable && *asked == Self::SuperUser {
            let text = "a disposable token cannot be a super user: list what it is to allow";
            return Err(Problem::InvalidArgument(text.to_owned()));
        }
        Ok(())
    }

    /// Whether these allow all that `other` allows. When in doubt it is `false`: what one statement
    /// allows of one kind must be covered by one statement here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::SuperUser, _) => true,
            (Self::Listed(_), Self::SuperUser) => false,
            (Self::Listed(own), Self::Listed(asked)) => {
                asked.iter().flat_map(parts).all(|asked| own.iter().flat_map(parts).any(|own| own.covers(&asked)))
            }
        }
    }
}

/// One thing that a statement allows.
#[derive(Clone, Copy)]
struct Part<'a> {
    action: Action,
    caches: &'a Caches,
    what: What<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Publish,
    Subscribe,
    ReadItems,
    WriteItems,
    Invoke,
}

#[derive(Clone, Copy)]
enum What<'a> {
    Names(&'a Names),
    Items(&'a Items),
}

/// What a statement allows, one by one.
fn parts(statement: &Statement) -> impl Iterator<Item = Part<'_>> {
    let (actions, caches, what): (&[Action], _, _) = match statement {
        Statement::Topics { role, caches, topics } => (of_topics(*role), caches, What::Names(topics)),
        Statement::Items { role, caches, items } => (of_items(*role), caches, What::Items(items)),
        Statement::Functions { role, caches, functions } => (of_functions(*role), caches, What::Names(functions)),
    };
    actions.iter().map(move |action| Part { action: *action, caches, what })
}

fn of_topics(role: TopicRole) -> &'static [Action] {
    match role {
        TopicRole::None => &[],
        TopicRole::ReadWrite => &[Action::Subscribe, Action::Publish],
        TopicRole::ReadOnly => &[Action::Subscribe],
        TopicRole::WriteOnly => &[Action::Publish],
    }
}

fn of_items(role: CacheRole) -> &'static [Action] {
    match role {
        CacheRole::None => &[],
        CacheRole::ReadWrite => &[Action::ReadItems, Action::WriteItems],
        CacheRole::ReadOnly => &[Action::ReadItems],
        CacheRole::WriteOnly => &[Action::WriteItems],
    }
}

fn of_functions(role: FunctionRole) -> &'static [Action] {
    match role {
        FunctionRole::None => &[],
        FunctionRole::Invoke => &[Action::Invoke],
    }
}

impl Part<'_> {
    fn covers(&self, asked: &Self) -> bool {
        self.action == asked.action && self.caches.covers(asked.caches) && self.what.covers(asked.what)
    }
}

impl What<'_> {
    fn covers(self, asked: What<'_>) -> bool {
        match (self, asked) {
            (What::Names(own), What::Names(asked)) => own.covers(asked),
            (What::Items(own), What::Items(asked)) => own.covers(asked),
            _ => false,
        }
    }
}

impl Caches {
    fn covers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::All, _) => true,
            (Self::Named(own), Self::Named(asked)) => own == asked,
            (Self::Named(_), Self::All) => false,
        }
    }
}

impl Names {
    fn covers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::All, _) => true,
            (Self::Named(own), Self::Named(asked)) => own == asked,
            (Self::Prefix(own), Self::Named(asked) | Self::Prefix(asked)) => asked.starts_with(&**own),
            (Self::Prefix(own), Self::All) => own.is_empty(),
            (Self::Named(_), Self::All | Self::Prefix(_)) => false,
        }
    }
}

impl Items {
    fn covers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::All, _) => true,
            (Self::Key(own), Self::Key(asked)) => own == asked,
            (Self::Prefix(own), Self::Key(asked) | Self::Prefix(asked)) => asked.starts_with(own),
            (Self::Prefix(own), Self::All) => own.is_empty(),
            (Self::Key(_), Self::All | Self::Prefix(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{permissions, topics};
    use super::*;

    #[test]
    fn only_a_super_user_makes_keys() {
        let listed = Permissions::Listed(vec![topics(TopicRole::ReadWrite, None, Names::All)]);
        let root = Permissions::SuperUser;
        for to in [Delegation::Disposable, Delegation::Lasting] {
            assert!(matches!(listed.may_give(&listed, to), Err(Problem::Denied(_))));
            assert_eq!(root.may_give(&listed, to), Ok(()));
        }
        assert!(matches!(root.may_give(&root, Delegation::Disposable), Err(Problem::InvalidArgument(_))));
        assert_eq!(root.may_give(&root, Delegation::Lasting), Ok(()));
        assert!(matches!(listed.may_give(&root, Delegation::Lasting), Err(Problem::Denied(_))));
    }

    #[test]
    fn two_statements_may_cover_one() {
        let own = Permissions::Listed(vec![
            topics(TopicRole::ReadOnly, Some("c"), Names::Prefix("a".into())),
            topics(TopicRole::WriteOnly, None, Names::Named("ab".into())),
        ]);
        let asked = |role, names| Permissions::Listed(vec![topics(role, Some("c"), names)]);
        assert!(own.covers(&asked(TopicRole::ReadWrite, Names::Named("ab".into()))));
        assert!(!own.covers(&asked(TopicRole::ReadWrite, Names::Named("ac".into()))));
        assert!(!own.covers(&asked(TopicRole::ReadOnly, Names::All)));
        assert!(own.covers(&asked(TopicRole::None, Names::All)));
        let items = Statement::Items { role: CacheRole::ReadOnly, caches: Caches::All, items: Items::All };
        assert!(!own.covers(&Permissions::Listed(vec![items])));
    }

    proptest! {
        #[test]
        fn what_is_covered_allows_no_more(
            own in permissions(), asked in permissions(), cache in "[ab*]{1,2}", topic in "[ab*/]{1,3}",
        ) {
            prop_assert!(own.covers(&own));
            if own.covers(&asked) {
                prop_assert!(own.may_publish(&cache, &topic) || !asked.may_publish(&cache, &topic));
                prop_assert!(own.may_subscribe(&cache, &topic) || !asked.may_subscribe(&cache, &topic));
            }
        }
    }
}
