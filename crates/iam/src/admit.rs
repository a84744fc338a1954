//! From policies to what the core understands.

use fanfare_core::{Action, Effect, Grant, Piece, Rule};
use fanfare_policy::{ConnectionPolicy, Context, GlobToken, PolicySet, RuleAction, Scope, compile};

/// Makes policies ready for a connection: the grant that the core checks, and the policy that is
/// asked about CONNECT itself.
///
/// The grant speaks of receiving and of retaining in any case, so that a policy which does not
/// mention them denies them.
#[must_use]
pub fn admit(policies: &PolicySet, context: &Context, scope: &Scope<'_>) -> (Grant, ConnectionPolicy) {
    let policy = compile(policies, context, scope);
    // No topic is empty: these rules deny nothing but say that there are rules.
    let spoken_of =
        [Action::Receive, Action::Retain].map(|action| Rule::literal(Effect::Deny, action, scope.space, []));
    let rules = policy.rules().map(|rule| {
        let pieces = rule.pattern.tokens().iter().map(piece);
        Rule::literal(rule.effect, action(rule.action), scope.space, pieces)
    });
    let grant = Grant::new(spoken_of.into_iter().chain(rules).collect());
    (grant, policy)
}

fn action(action: RuleAction) -> Action {
    match action {
        RuleAction::Publish => Action::Publish,
        RuleAction::Retain => Action::Retain,
        RuleAction::Subscribe => Action::Subscribe,
        RuleAction::Receive => Action::Receive,
    }
}

fn piece(token: &GlobToken) -> Piece {
    match *token {
        GlobToken::Char(c) => Piece::Char(c),
        GlobToken::AnyChar => Piece::AnyChar,
        GlobToken::AnyRun => Piece::Any,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fanfare_core::{Filter, TopicName};
    use fanfare_policy::Document;

    use super::*;

    fn grant(statements: &str) -> Grant {
        let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
        let mut policies = PolicySet::new();
        policies.attach("p", Arc::new(Document::parse(&text).unwrap())).unwrap();
        let scope = Scope { region: "local", account: "000000000000", space: "default" };
        admit(&policies, &Context::new().client_id("c1"), &scope).0
    }

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    #[test]
    fn a_grant_says_what_the_policy_says() {
        let grant = grant(
            r#"{"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/${iot:ClientId}/*"},
               {"Effect": "Deny", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/*/k?y"},
               {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:*:*:topicfilter/a/+/b"}"#,
        );
        assert!(grant.allows(Action::Publish, "default", &topic("c1/x/y")));
        assert!(!grant.allows(Action::Publish, "default", &topic("c1/key")));
        assert!(!grant.allows(Action::Publish, "default", &topic("c2/x")));
        assert!(!grant.allows(Action::Publish, "other", &topic("c1/x")));
        let filter = |text| Filter::new(text).unwrap();
        assert!(grant.allows_filter(Action::Subscribe, "default", &filter("a/+/b")));
        assert!(!grant.allows_filter(Action::Subscribe, "default", &filter("a/x/b")));
        assert!(!grant.allows(Action::History, "default", &topic("c1/x")));
    }

    #[test]
    fn silence_about_receiving_and_retaining_denies_them() {
        let grant = grant(r#"{"Effect": "Allow", "Action": ["iot:Publish", "iot:Subscribe"], "Resource": "*"}"#);
        for action in [Action::Receive, Action::Retain] {
            assert!(grant.speaks_of(action));
            assert!(!grant.allows(action, "default", &topic("a")));
        }
        assert!(grant.allows(Action::Publish, "default", &topic("a")));
    }
}
