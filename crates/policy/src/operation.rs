//! What can be asked of the broker, as actions and resources.

/// The part of ARNs that a server is configured with, and the space that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Region in ARNs.
    pub region: &'a str,
    /// Account in ARNs.
    pub account: &'a str,
    /// The space whose topics are meant.
    pub space: &'a str,
}

impl Scope<'_> {
    /// `arn:aws:iot:REGION:ACCOUNT:kind/`, which the name follows.
    pub(crate) fn prefix(&self, kind: &str) -> String {
        format!("arn:aws:iot:{}:{}:{kind}/", self.region, self.account)
    }
}

/// An operation with the name that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Connect under a client id.
    Connect(&'a str),
    /// Publish to a topic, over MQTT, over HTTP, or as a will.
    Publish(&'a str),
    /// Have a topic's message kept; needs [`Operation::Publish`], too.
    RetainPublish(&'a str),
    /// Subscribe to a filter.
    Subscribe(&'a str),
    /// Be sent messages of a topic.
    Receive(&'a str),
    /// Read the kept message of a topic.
    GetRetainedMessage(&'a str),
    /// List the topics with kept messages.
    ListRetainedMessages,
    /// Read a shadow of a thing, over HTTP.
    GetThingShadow(&'a str),
    /// Change a shadow of a thing, over HTTP.
    UpdateThingShadow(&'a str),
    /// Delete a shadow of a thing, over HTTP.
    DeleteThingShadow(&'a str),
    /// List the named shadows of a thing.
    ListNamedShadowsForThing(&'a str),
    /// Disconnect a client.
    DeleteConnection(&'a str),
    /// See a client's connection.
    GetConnection(&'a str),
    /// See a client's subscriptions.
    ListSubscriptions(&'a str),
    /// Send a message to one client.
    SendDirectMessage(&'a str),
}

impl Operation<'_> {
    /// Its name in policies.
    pub fn action(self) -> &'static str {
        match self {
            Self::Connect(_) => "iot:Connect",
            Self::Publish(_) => "iot:Publish",
            Self::RetainPublish(_) => "iot:RetainPublish",
            Self::Subscribe(_) => "iot:Subscribe",
            Self::Receive(_) => "iot:Receive",
            Self::GetRetainedMessage(_) => "iot:GetRetainedMessage",
            Self::ListRetainedMessages => "iot:ListRetainedMessages",
            Self::GetThingShadow(_) => "iot:GetThingShadow",
            Self::UpdateThingShadow(_) => "iot:UpdateThingShadow",
            Self::DeleteThingShadow(_) => "iot:DeleteThingShadow",
            Self::ListNamedShadowsForThing(_) => "iot:ListNamedShadowsForThing",
            Self::DeleteConnection(_) => "iot:DeleteConnection",
            Self::GetConnection(_) => "iot:GetConnection",
            Self::ListSubscriptions(_) => "iot:ListSubscriptions",
            Self::SendDirectMessage(_) => "iot:SendDirectMessage",
        }
    }

    /// The ARN of what it concerns; `*` if that is nothing in particular.
    pub fn resource(self, scope: &Scope<'_>) -> String {
        let (kind, name) = match self {
            Self::ListRetainedMessages => return "*".to_owned(),
            Self::Connect(name)
            | Self::DeleteConnection(name)
            | Self::GetConnection(name)
            | Self::ListSubscriptions(name)
            | Self::SendDirectMessage(name) => ("client", name),
            Self::Publish(name) | Self::RetainPublish(name) | Self::Receive(name) | Self::GetRetainedMessage(name) => {
                ("topic", name)
            }
            Self::Subscribe(name) => ("topicfilter", name),
            Self::GetThingShadow(name)
            | Self::UpdateThingShadow(name)
            | Self::DeleteThingShadow(name)
            | Self::ListNamedShadowsForThing(name) => ("thing", name),
        };
        scope.prefix(kind) + name
    }
}
