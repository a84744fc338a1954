//! Policies made ready for one connection.

use std::sync::Arc;

use fanfare_core::Effect;

use crate::context::{CONNECT_ATTRIBUTES, Context};
use crate::document::Statement;
use crate::glob::Glob;
use crate::operation::Scope;
use crate::set::{Decision, PolicySet, StatementRef};

/// What a [`TextRule`] speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleAction {
    /// Publish to a topic.
    Publish,
    /// Have a topic's message kept, on top of publishing it.
    Retain,
    /// Subscribe; the pattern is compared with the text of the filter.
    Subscribe,
    /// Be sent messages of a topic.
    Receive,
}

impl RuleAction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Retain, Self::Subscribe, Self::Receive];

    /// Its name in policies, in lower case, and the kind of its resources.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Publish => ("iot:publish", "topic"),
            Self::Retain => ("iot:retainpublish", "topic"),
            Self::Subscribe => ("iot:subscribe", "topicfilter"),
            Self::Receive => ("iot:receive", "topic"),
        }
    }
}

/// An allow or deny about topics or filters, as texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextRule {
    /// Whether it gives or takes; what takes wins.
    pub effect: Effect,
    /// What it speaks about.
    pub action: RuleAction,
    /// Compared with the topic, or with the text of the filter: `+` and `#` are plain characters.
    pub pattern: Glob,
}

/// What a CONNECT asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    /// The client id, also if the server chose it.
    pub client_id: &'a str,
    /// Whether the session is to outlive the connection.
    pub is_persistent: bool,
    /// The message to publish if the connection is lost.
    pub will: Option<Will<'a>>,
}

/// The part of a will that policies are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it is published.
    pub topic: &'a str,
    /// Whether it is kept there.
    pub is_retained: bool,
}

/// Policies with the conditions of one connection already decided: only the texts are left to
/// compare. Conditions on the time hold or fail as they did when it was made.
#[derive(Clone, Debug)]
pub struct ConnectionPolicy {
    space: Arc<str>,
    statements: Vec<StatementRef>,
    /// By [`Attributes::index`].
    connect: [Matchers; 4],
    /// By [`RuleAction`].
    rules: [Matchers; 4],
    /// The first statement with the client id in a resource.
    client_id_user: Option<u32>,
}

/// Makes `policies` ready for a connection: `context` holds what is known about it, and any
/// `iot:ConnectAttributes` in it are disregarded, as [`ConnectionPolicy::connect`] is told them.
///
/// The result has one matcher per action and resource; only if the pattern has wildcards before the
/// name's first `/`, or is shorter than an ARN, there may be one per character of that part.
pub fn compile(policies: &PolicySet, context: &Context, scope: &Scope<'_>) -> ConnectionPolicy {
    let bare = context.clone().with_all(CONNECT_ATTRIBUTES, []);
    let asking = Attributes::ALL.map(|asked| bare.clone().connect_attributes(asked.is_persistent, asked.has_will));
    let mut compiled = ConnectionPolicy {
        space: scope.space.into(),
        statements: Vec::new(),
        connect: Default::default(),
        rules: Default::default(),
        client_id_user: None,
    };
    for ((statement, reference), number) in policies.statements().zip(0..) {
        compiled.statements.push(reference());
        if statement.uses_client_id() {
            compiled.client_id_user.get_or_insert(number);
        }
        if statement.concerns("iot:connect") {
            let globs = globs(statement, &bare, &scope.prefix("client"));
            for (matchers, context) in compiled.connect.iter_mut().zip(&asking) {
                if policies.admits(statement, "iot:connect", context) && statement.conditions_hold(context) {
                    matchers.extend(statement.effect, number, &globs);
                }
            }
        }
        if !statement.conditions_hold(&bare) {
            continue;
        }
        for action in RuleAction::ALL {
            let (name, kind) = action.names();
            if statement.concerns(name) {
                compiled.rules[action as usize].extend(
                    statement.effect,
                    number,
                    &globs(statement, &bare, &scope.prefix(kind)),
                );
            }
        }
    }
    compiled
}

/// What may follow `prefix` in the statement's resources.
fn globs(statement: &Statement, context: &Context, prefix: &str) -> Vec<Glob> {
    statement.resources.iter().flat_map(|resource| resource.after(prefix, context)).collect()
}

impl ConnectionPolicy {
    /// Whether the client may connect as it asks to: under its id, with its attributes, and with a
    /// will that it could publish itself. Of several refusals the first is told.
    pub fn connect(&self, request: &ConnectRequest<'_>) -> Decision {
        if let Some(number) = self.client_id_user
            && request.client_id.contains(['+', '#'])
        {
            return Decision::WildcardClientId { statement: self.reference(number) };
        }
        let asked = Attributes { is_persistent: request.is_persistent, has_will: request.will.is_some() };
        let decision = self.decide(&self.connect[asked.index()], request.client_id);
        match request.will {
            Some(will) if decision.is_allowed() => {
                let about_will = self.will(will);
                if about_will.is_allowed() { decision } else { about_will }
            }
            _ => decision,
        }
    }

    /// Whether the client may leave this will: publish to its topic and, if it is to be kept there,
    /// have that done.
    pub fn will(&self, will: Will<'_>) -> Decision {
        let published = self.publish(will.topic);
        if published.is_allowed() && will.is_retained { self.retain(will.topic) } else { published }
    }

    /// Whether the client may publish to a topic.
    pub fn publish(&self, topic: &str) -> Decision {
        self.about(RuleAction::Publish, topic)
    }

    /// Whether the client may have a topic's message kept. It needs [`ConnectionPolicy::publish`],
    /// too.
    pub fn retain(&self, topic: &str) -> Decision {
        self.about(RuleAction::Retain, topic)
    }

    /// Whether the client may subscribe to a filter, compared as text.
    pub fn subscribe(&self, filter: &str) -> Decision {
        self.about(RuleAction::Subscribe, filter)
    }

    /// Whether the client may be sent messages of a topic.
    pub fn receive(&self, topic: &str) -> Decision {
        self.about(RuleAction::Receive, topic)
    }

    /// Decides about one action on a topic or the text of a filter.
    pub fn about(&self, action: RuleAction, text: &str) -> Decision {
        self.decide(&self.rules[action as usize], text)
    }

    /// All rules about topics and filters, in no particular order: what denies wins, what no rule
    /// allows is not allowed.
    pub fn rules(&self) -> impl Iterator<Item = TextRule> + '_ {
        RuleAction::ALL.into_iter().flat_map(move |action| {
            let matchers = &self.rules[action as usize];
            let rule =
                move |effect| move |matcher: &Matcher| TextRule { effect, action, pattern: matcher.glob.clone() };
            let denies = matchers.denies.iter().map(rule(Effect::Deny));
            denies.chain(matchers.allows.iter().map(rule(Effect::Allow)))
        })
    }

    /// The space whose topics the rules are about.
    pub fn space(&self) -> &str {
        &self.space
    }

    fn decide(&self, matchers: &Matchers, text: &str) -> Decision {
        let find = |list: &[Matcher]| {
            let found = list.iter().find(|matcher| matcher.glob.matches(text))?;
            Some(self.reference(found.statement))
        };
        if let Some(statement) = find(&matchers.denies) {
            return Decision::DeniedExplicitly { statement };
        }
        find(&matchers.allows).map_or(Decision::NotAllowed, |statement| Decision::Allowed { statement })
    }

    fn reference(&self, number: u32) -> StatementRef {
        self.statements[number as usize].clone()
    }
}

/// Which of the things that conditions can tell apart a CONNECT asks for.
#[derive(Clone, Copy)]
struct Attributes {
    is_persistent: bool,
    has_will: bool,
}

impl Attributes {
    /// Each at its index.
    const ALL: [Self; 4] = [
        Self { is_persistent: false, has_will: false },
        Self { is_persistent: true, has_will: false },
        Self { is_persistent: false, has_will: true },
        Self { is_persistent: true, has_will: true },
    ];

    fn index(self) -> usize {
        usize::from(self.is_persistent) + 2 * usize::from(self.has_will)
    }
}

/// What is left of the statements about one action.
#[derive(Clone, Debug, Default)]
struct Matchers {
    denies: Vec<Matcher>,
    allows: Vec<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    glob: Glob,
    statement: u32,
}

impl Matchers {
    fn extend(&mut self, effect: Effect, statement: u32, globs: &[Glob]) {
        let list = match effect {
            Effect::Deny => &mut self.denies,
            Effect::Allow => &mut self.allows,
        };
        list.extend(globs.iter().map(|glob| Matcher { glob: glob.clone(), statement }));
    }
}
