//! All policies of a principal, and the decision they make together.

use std::fmt;
use std::sync::Arc;

use fanfare_core::Effect;

use crate::context::{CONNECT_ATTRIBUTES, Context};
use crate::document::{Document, Statement};
use crate::error::PolicyError;
use crate::operation::{Operation, Scope};
use crate::resource::in_one_partition;

/// Most policies of one principal.
pub const DOCUMENTS_MAX: usize = 10;

/// Longest name of a policy, in characters.
pub const NAME_CHARS_MAX: usize = 128;

/// The statement that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRef {
    /// Name of its document.
    pub document: Arc<str>,
    /// Its position there, from zero.
    pub index: usize,
    /// Its `Sid`.
    pub sid: Option<Arc<str>>,
}

impl fmt::Display for StatementRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Statement[{}]", self.document, self.index)?;
        self.sid.as_ref().map_or(Ok(()), |sid| write!(f, " ({sid:?})"))
    }
}

/// What the policies say, and which statement says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Some statement allows it, and none denies it.
    Allowed {
        /// The first that allows.
        statement: StatementRef,
    },
    /// A statement denies it, whatever others allow.
    DeniedExplicitly {
        /// The first that denies.
        statement: StatementRef,
    },
    /// No statement speaks about it, hence it is not allowed.
    NotAllowed,
    /// The client id holds `+` or `#`, and this statement has it in a resource: as part of a topic
    /// filter it would stand for other clients, too. Only said about a CONNECT.
    WildcardClientId {
        /// The first that uses the client id.
        statement: StatementRef,
    },
}

impl Decision {
    /// Whether it is [`Decision::Allowed`].
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// For logs: `denied by lamps Statement[0] ("NoSecrets")`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { statement } => write!(f, "allowed by {statement}"),
            Self::DeniedExplicitly { statement } => write!(f, "denied by {statement}"),
            Self::NotAllowed => f.write_str("not allowed by any statement"),
            Self::WildcardClientId { statement } => {
                write!(f, "the client id holds '+' or '#' and is used by {statement}; choose another client id")
            }
        }
    }
}

/// The policies of one principal: at most [`DOCUMENTS_MAX`], each with a name of its own.
///
/// The logic is that of IAM: nothing is allowed unless a statement allows it, and one that denies
/// always wins. A statement applies if one of its actions, one of its resources and all of its
/// conditions do. A resource, or a value of a condition, with a variable that has no value applies
/// to nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicySet {
    documents: Vec<(Arc<str>, Arc<Document>)>,
    is_strict_about_connect: bool,
}

impl PolicySet {
    /// No policies: nothing is allowed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Attaches a policy.
    ///
    /// # Errors
    /// [`PolicyError::Name`], [`PolicyError::NameTaken`], [`PolicyError::TooManyDocuments`].
    pub fn attach(&mut self, name: &str, document: Arc<Document>) -> Result<(), PolicyError> {
        let is_name_char = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_name_char) {
            return Err(PolicyError::Name(name.chars().take(NAME_CHARS_MAX).collect()));
        }
        if self.documents.iter().any(|(taken, _)| **taken == *name) {
            return Err(PolicyError::NameTaken(name.to_owned()));
        }
        if self.documents.len() == DOCUMENTS_MAX {
            return Err(PolicyError::TooManyDocuments { max: DOCUMENTS_MAX });
        }
        self.documents.push((name.into(), document));
        Ok(())
    }

    /// Whether a persistent session or a will needs an Allow with a condition on
    /// `iot:ConnectAttributes`. By default an Allow without one admits everything, as in IAM.
    #[must_use]
    pub fn strict_connect_attributes(mut self, is_strict: bool) -> Self {
        self.is_strict_about_connect = is_strict;
        self
    }

    /// Decides about one action on one resource. Actions are compared without regard to case,
    /// resources with it; a resource is an ARN, or `*` for actions that concern none.
    pub fn decide(&self, action: &str, resource: &str, context: &Context) -> Decision {
        let action = action.to_ascii_lowercase();
        let resource = in_one_partition(resource);
        let mut decision = Decision::NotAllowed;
        for (statement, reference) in self.statements() {
            let is_admitted = || self.admits(statement, &action, context) && statement.conditions_hold(context);
            let covers = || statement.resources.iter().any(|pattern| pattern.covers(&resource, context));
            if !(statement.concerns(&action) && covers() && is_admitted()) {
                continue;
            }
            match statement.effect {
                Effect::Deny => return Decision::DeniedExplicitly { statement: reference() },
                Effect::Allow if decision.is_allowed() => {}
                Effect::Allow => decision = Decision::Allowed { statement: reference() },
            }
        }
        decision
    }

    /// Decides about an operation of the broker or of its HTTP API.
    pub fn decide_operation(&self, operation: Operation<'_>, scope: &Scope<'_>, context: &Context) -> Decision {
        self.decide(operation.action(), &operation.resource(scope), context)
    }

    /// Whether the statement may count: in strict mode, an Allow of a CONNECT that asks for more
    /// than the plain thing counts only with a condition on that.
    pub(crate) fn admits(&self, statement: &Statement, action: &str, context: &Context) -> bool {
        let asks_for_more = || !context.values(CONNECT_ATTRIBUTES).is_empty();
        let is_demanding = self.is_strict_about_connect && action == "iot:connect" && asks_for_more();
        statement.effect == Effect::Deny || !is_demanding || statement.is_about_connect()
    }

    /// All statements, each with what makes its reference.
    pub(crate) fn statements(&self) -> impl Iterator<Item = (&Statement, impl Fn() -> StatementRef)> {
        self.documents.iter().flat_map(|(name, document)| {
            document.statements.iter().enumerate().map(move |(index, statement)| {
                let refer = move || StatementRef { document: name.clone(), index, sid: statement.sid.clone() };
                (statement, refer)
            })
        })
    }
}
