//! What configuration says that somebody may do.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_core::{Effect, Grant, Rule};
use fanfare_policy::{Context, Document, PolicySet, Scope};

use crate::admit::admit;
use crate::error::AccessError;

/// The most policies that are known by name.
pub const POLICIES_MAX: usize = 10_000;

/// Policy documents by name, at most [`POLICIES_MAX`].
#[derive(Clone, Debug, Default)]
pub struct Policies {
    by_name: HashMap<String, Arc<Document>>,
    is_strict_about_connect: bool,
}

impl Policies {
    /// Whether persistent sessions and wills need an Allow that names them; see
    /// [`PolicySet::strict_connect_attributes`].
    #[must_use]
    pub fn strict_connect_attributes(mut self, is_strict: bool) -> Self {
        self.is_strict_about_connect = is_strict;
        self
    }

    /// Adds a document in JSON.
    ///
    /// # Errors
    /// [`AccessError::Policy`], [`AccessError::PolicyTwice`], [`AccessError::PoliciesFull`].
    pub fn add(&mut self, name: &str, json: &str) -> Result<(), AccessError> {
        let wrong = |problem| AccessError::Policy { name: name.to_owned(), problem };
        let document = Arc::new(Document::parse(json).map_err(wrong)?);
        // Names are checked where a policy is attached; one that never could be is refused here.
        PolicySet::new().attach(name, document.clone()).map_err(wrong)?;
        if self.by_name.len() >= POLICIES_MAX {
            return Err(AccessError::PoliciesFull);
        }
        match self.by_name.insert(name.to_owned(), document) {
            Some(_) => Err(AccessError::PolicyTwice(name.to_owned())),
            None => Ok(()),
        }
    }

    /// The policies of these names, together.
    ///
    /// # Errors
    /// [`AccessError::PolicyUnknown`], and [`AccessError::Attachment`] when there are too many or
    /// one is named twice.
    pub fn attached(&self, names: &[String]) -> Result<PolicySet, AccessError> {
        let mut set = PolicySet::new().strict_connect_attributes(self.is_strict_about_connect);
        for name in names {
            let document = self.by_name.get(name).ok_or_else(|| AccessError::PolicyUnknown(name.clone()))?;
            set.attach(name, document.clone()).map_err(AccessError::Attachment)?;
        }
        Ok(set)
    }

    /// Documents that came from elsewhere, such as an authorizer's answer, under made-up names.
    ///
    /// # Errors
    /// [`AccessError::Policy`] says which cannot be read.
    pub fn foreign(&self, documents: &[String]) -> Result<PolicySet, AccessError> {
        let mut set = PolicySet::new().strict_connect_attributes(self.is_strict_about_connect);
        for (number, json) in documents.iter().enumerate() {
            let name = format!("document-{number}");
            let attach = |set: &mut PolicySet| set.attach(&name, Arc::new(Document::parse(json)?));
            attach(&mut set).map_err(|problem| AccessError::Policy { name: name.clone(), problem })?;
        }
        Ok(set)
    }
}

/// What is attached to a credential, a user or a certificate: names of policies, or rule texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// Names of policies.
    pub policies: Vec<String>,
    /// Rules such as `publish:default/a/#`; `${sub}` is the principal.
    pub allow: Vec<String>,
    /// Take precedence over every allow.
    pub deny: Vec<String>,
}

/// What somebody may do.
#[derive(Clone, Debug, PartialEq)]
pub enum Permissions {
    /// Policies say it. They are made ready once more is known about a connection.
    Policies(PolicySet),
    /// A grant says it.
    Grant(Grant),
}

impl Permissions {
    /// Reads what is attached. Nothing at all stands for `otherwise`.
    ///
    /// # Errors
    /// [`AccessError`] says what is wrong.
    pub fn read(
        attached: &Attached,
        policies: &Policies,
        subject: &str,
        otherwise: &Grant,
    ) -> Result<Self, AccessError> {
        let has_rules = !(attached.allow.is_empty() && attached.deny.is_empty());
        if !attached.policies.is_empty() {
            return match has_rules {
                true => Err(AccessError::Mixed),
                false => Ok(Self::Policies(policies.attached(&attached.policies)?)),
            };
        }
        if !has_rules {
            return Ok(Self::Grant(otherwise.clone()));
        }
        let deny = attached.deny.iter().map(|rule| Rule::parse(Effect::Deny, rule, Some(subject)));
        let allow = attached.allow.iter().map(|rule| Rule::parse(Effect::Allow, rule, Some(subject)));
        Ok(Self::Grant(Grant::new(deny.chain(allow).collect::<Result<_, _>>()?)))
    }

    /// The grant, given what is known in `context`.
    #[must_use]
    pub fn grant(&self, context: &Context, scope: &Scope<'_>) -> Grant {
        match self {
            Self::Policies(policies) => admit(policies, context, scope).0,
            Self::Grant(grant) => grant.clone(),
        }
    }

    /// The policies, if it is those that say it.
    #[must_use]
    pub fn policies(&self) -> Option<&PolicySet> {
        match self {
            Self::Policies(policies) => Some(policies),
            Self::Grant(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare_core::{Action, TopicName};

    use super::*;

    const ANYTHING: &str =
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}"#;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|&text| text.to_owned()).collect()
    }

    fn read(attached: &Attached) -> Result<Permissions, AccessError> {
        let mut policies = Policies::default();
        policies.add("all", ANYTHING)?;
        Permissions::read(attached, &policies, "ann", &Grant::nothing())
    }

    #[test]
    fn rules_know_the_principal_and_nothing_means_the_default() {
        let attached = Attached { allow: texts(&["publish:default/home/${sub}"]), ..Attached::default() };
        let Ok(Permissions::Grant(grant)) = read(&attached) else { panic!("rules make a grant") };
        let topic = |name| TopicName::new(name).unwrap();
        assert!(grant.allows(Action::Publish, "default", &topic("home/ann")));
        assert!(!grant.allows(Action::Publish, "default", &topic("home/bob")));
        assert_eq!(read(&Attached::default()), Ok(Permissions::Grant(Grant::nothing())));
    }

    #[test]
    fn what_cannot_be_is_told() {
        let named = |names: &[&str]| Attached { policies: texts(names), ..Attached::default() };
        assert!(read(&named(&["all"])).unwrap().policies().is_some());
        assert_eq!(read(&named(&["none"])), Err(AccessError::PolicyUnknown("none".to_owned())));
        assert!(matches!(read(&named(&["all", "all"])), Err(AccessError::Attachment(_))));
        let mixed = Attached { deny: texts(&["publish:default/a"]), ..named(&["all"]) };
        assert_eq!(read(&mixed), Err(AccessError::Mixed));
        let broken = Attached { allow: texts(&["shout:default/a"]), ..Attached::default() };
        assert!(matches!(read(&broken), Err(AccessError::Rule(_))));

        let mut policies = Policies::default();
        policies.add("all", ANYTHING).unwrap();
        assert_eq!(policies.add("all", ANYTHING), Err(AccessError::PolicyTwice("all".to_owned())));
        assert!(matches!(policies.add("a b", ANYTHING), Err(AccessError::Policy { .. })));
        assert!(matches!(policies.foreign(&texts(&["{}"])), Err(AccessError::Policy { .. })));
    }
}
