//! Somebody who calls, and what that one may do.

use std::net::IpAddr;
use std::sync::Arc;

use fanfare_core::{Action, Filter, Grant, Principal, TopicName};
use fanfare_policy::{Context, Decision, Operation, PolicySet, StatementRef};

use crate::realm::Realm;

/// Who made a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whom it speaks for, with the grant by which the core judges what it publishes.
    pub principal: Arc<Principal>,
    /// Its policies; `None` where a grant says everything.
    pub policies: Option<PolicySet>,
    /// The key that signed; `None` in development mode when nobody known did.
    pub access_key: Option<Arc<str>>,
    realm: Arc<Realm>,
    context: Context,
}

impl Caller {
    pub(crate) fn new(
        principal: Arc<Principal>,
        policies: Option<PolicySet>,
        access_key: Option<Arc<str>>,
        realm: Arc<Realm>,
        context: Context,
    ) -> Self {
        Self { principal, policies, access_key, realm, context }
    }

    /// A caller who proved in another way who it is, and whom a grant describes.
    #[must_use]
    pub fn of_principal(principal: Arc<Principal>, realm: &Arc<Realm>) -> Self {
        Self::new(principal, None, None, realm.clone(), Context::new())
    }

    /// With the address that conditions on `aws:SourceIp` are about.
    #[must_use]
    pub fn from_ip(mut self, address: IpAddr) -> Self {
        self.context = self.context.source_ip(address);
        self
    }

    /// What is known about the request, for policies.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Whether it may do this over HTTP. There is no client id there: variables that need one have
    /// no value.
    ///
    /// An ordinary grant is read so: what is about messages as the core reads it; a kept message can
    /// be read by who may subscribe to its topic, and listed by who may subscribe to everything; a
    /// shadow by who may publish to the topic that asks for it over MQTT; and connections of others
    /// are for who has `admin` on everything in the space.
    #[must_use]
    pub fn may(&self, operation: Operation<'_>) -> Decision {
        match &self.policies {
            Some(policies) => policies.decide_operation(operation, &self.realm.scope(), &self.context),
            None => by_grant(grant_allows(&self.principal.grant, self.realm.space(), operation)),
        }
    }

    /// Whether it may do something that [`Operation`] does not know: `action` such as
    /// `events:PutEvents` on the resource of that ARN. Where there are no policies `otherwise`
    /// decides, from the grant.
    #[must_use]
    pub fn decide(&self, action: &str, resource: &str, otherwise: impl FnOnce(&Grant) -> bool) -> Decision {
        match &self.policies {
            Some(policies) => policies.decide(action, resource, &self.context),
            None => by_grant(otherwise(&self.principal.grant)),
        }
    }
}

/// A grant does not know which of its rules decided.
fn by_grant(is_allowed: bool) -> Decision {
    let statement = StatementRef { document: "grant".into(), index: 0, sid: None };
    if is_allowed { Decision::Allowed { statement } } else { Decision::NotAllowed }
}

fn grant_allows(grant: &Grant, space: &str, operation: Operation<'_>) -> bool {
    let on_topic = |action, name: &str| TopicName::new(name).is_ok_and(|topic| grant.allows(action, space, &topic));
    let on_filter =
        |action, text: &str| Filter::new(text).is_ok_and(|filter| grant.allows_filter(action, space, &filter));
    // Of what rules may leave out, what it follows from.
    let own_or = |own, other, name: &str| on_topic(if grant.speaks_of(own) { own } else { other }, name);
    let on_shadow = |thing: &str, verb| on_topic(Action::Publish, &format!("$aws/things/{thing}/shadow/{verb}"));
    match operation {
        Operation::Connect(_) => true,
        Operation::Publish(topic) => on_topic(Action::Publish, topic),
        Operation::RetainPublish(topic) => own_or(Action::Retain, Action::Publish, topic),
        Operation::Subscribe(filter) => on_filter(Action::Subscribe, filter),
        Operation::Receive(topic) => own_or(Action::Receive, Action::Subscribe, topic),
        Operation::GetRetainedMessage(topic) => on_topic(Action::Subscribe, topic),
        Operation::ListRetainedMessages => on_filter(Action::Subscribe, "#"),
        Operation::GetThingShadow(thing) | Operation::ListNamedShadowsForThing(thing) => on_shadow(thing, "get"),
        Operation::UpdateThingShadow(thing) => on_shadow(thing, "update"),
        Operation::DeleteThingShadow(thing) => on_shadow(thing, "delete"),
        Operation::DeleteConnection(_)
        | Operation::GetConnection(_)
        | Operation::ListSubscriptions(_)
        | Operation::SendDirectMessage(_) => on_filter(Action::Admin, "#"),
    }
}

#[cfg(test)]
mod tests {
    use fanfare_core::{Effect, Rule};
    use fanfare_policy::Document;

    use super::*;

    fn realm() -> Arc<Realm> {
        Arc::new(Realm::new("local", "000000000000", "default"))
    }

    fn granted(rules: &[&str]) -> Caller {
        let rules = rules.iter().map(|rule| Rule::parse(Effect::Allow, rule, None).unwrap()).collect();
        Caller::of_principal(Arc::new(Principal::anonymous(Grant::new(rules))), &realm())
    }

    #[test]
    fn grants_decide_where_there_are_no_policies() {
        let caller = granted(&["publish:default/a", "publish:default/$aws/things/lamp/#", "subscribe:default/b/#"]);
        let may = |operation| caller.may(operation).is_allowed();
        assert!(may(Operation::Publish("a")) && !may(Operation::Publish("b/c")));
        assert!(may(Operation::RetainPublish("a")) && !may(Operation::RetainPublish("b")));
        assert!(may(Operation::Subscribe("b/+")) && !may(Operation::Subscribe("#")));
        assert!(may(Operation::GetRetainedMessage("b/c")) && !may(Operation::ListRetainedMessages));
        assert!(may(Operation::UpdateThingShadow("lamp")) && !may(Operation::UpdateThingShadow("other")));
        assert!(!may(Operation::DeleteConnection("c")) && !may(Operation::Publish("a/#")));
        assert!(granted(&["admin:default/#"]).may(Operation::DeleteConnection("c")).is_allowed());
        assert!(caller.decide("events:PutEvents", "*", |grant| grant.speaks_of(Action::Publish)).is_allowed());
    }

    #[test]
    fn policies_see_the_address_and_other_services() {
        let text = r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "arn:aws:events:*:*:event-bus/main",
             "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]}"#;
        let mut policies = PolicySet::new();
        policies.attach("p", Arc::new(Document::parse(text).unwrap())).unwrap();
        let nobody = Arc::new(Principal::anonymous(Grant::nothing()));
        let caller = Caller::new(nobody, Some(policies), None, realm(), Context::new());
        let put = |caller: &Caller| {
            let bus = "arn:aws:events:local:000000000000:event-bus/main";
            caller.decide("events:PutEvents", bus, |_| true).is_allowed()
        };
        assert!(!put(&caller));
        assert!(put(&caller.clone().from_ip([10, 1, 2, 3].into())));
        assert!(!put(&caller.from_ip([11, 1, 2, 3].into())));
    }
}
