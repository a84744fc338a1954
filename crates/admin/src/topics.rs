//! What there is: spaces, their topics, and who is on them.

use std::sync::Arc;

use fanfare_core::{Core, Member, TopicName, TopicSummary};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::payload::space_name;
use crate::problem::Problem;
use crate::request::{Answer, Call, answer};

/// `GET spaces`: those that the caller may operate.
pub(crate) async fn spaces(call: &Call) -> Answer {
    let page = call.query.page()?;
    let caller = call.caller.clone();
    if !caller.has_server() && !call.gateway.core.spaces(None, usize::MAX).iter().any(|name| caller.has_space(name)) {
        return Err(Problem::denied("an admin key is needed, or a token that allows admin on a space"));
    }
    let views = move |core: &Core| {
        let later = core.spaces(page.after.as_deref(), usize::MAX).into_iter();
        let mut names: Vec<_> = later.filter(|name| caller.has_space(name)).take(page.limit + 1).collect();
        let has_more = names.len() > page.limit;
        names.truncate(page.limit);
        let next = names.last().filter(|_| has_more).map(|name| name.to_string());
        let views: Vec<_> = names.iter().map(|name| space_view(core, name)).collect();
        json!({ "spaces": views, "next": next })
    };
    let listing = call.blocking(move |gateway| views(&gateway.core)).await?;
    answer(&listing)
}

fn space_view(core: &Core, name: &Arc<str>) -> Value {
    let (messages, bytes, memory_bytes) = core.kept(name);
    let position = core.head(name).ok().map(|position| position.to_string());
    json!({
        "space": &**name, "position": position, "messages": messages, "bytes": bytes, "memory_bytes": memory_bytes,
    })
}

/// `GET spaces/{space}/topics`
pub(crate) async fn list(call: &Call, space: String) -> Answer {
    call.caller.require_space(&space)?;
    let page = call.query.page()?;
    if !call.gateway.core.has_space(&space) {
        return Err(unknown_space());
    }
    let prefix = call.query.get("prefix").unwrap_or_default().to_owned();
    let limit = page.limit;
    let list = call.blocking(move |gateway| gateway.core.topics(&space, &prefix, page.after.as_deref(), limit + 1));
    let mut summaries = list.await?;
    let has_more = summaries.len() > limit;
    summaries.truncate(limit);
    let next = summaries.last().filter(|_| has_more).map(|last| last.topic.to_string());
    let topics: Vec<_> = summaries.iter().map(topic_view).collect();
    answer(&json!({ "topics": topics, "next": next }))
}

fn topic_view(summary: &TopicSummary) -> Value {
    json!({
        "topic": &*summary.topic,
        "messages": summary.messages,
        "members": summary.members,
        "retained": summary.is_retained,
        "subscribed": summary.is_subscribed,
    })
}

/// `GET spaces/{space}/topics/{topic}`
pub(crate) fn show(call: &Call, space: &str, topic: &str) -> Answer {
    let (_, _, summary) = find(call, space, topic)?;
    answer(&topic_view(&summary))
}

/// `GET spaces/{space}/topics/{topic}/members`
pub(crate) async fn members(call: &Call, space: String, topic: &str) -> Answer {
    let (_, topic, _) = find(call, &space, topic)?;
    let page = call.query.page()?;
    let operator = call.caller.operator();
    let read = call
        .blocking(move |gateway| gateway.core.members(&operator, &space, &topic, page.after.as_deref(), page.limit));
    let (members, has_more) = read.await??;
    let next = members.last().filter(|_| has_more).map(|last| last.id.to_string());
    let views: Vec<_> = members.iter().map(MemberView::from).collect();
    answer(&Members { members: views, next })
}

/// The space and the topic of a path, when the caller may operate the topic and it is there.
pub(crate) fn find(call: &Call, space: &str, topic: &str) -> Result<(Arc<str>, TopicName, TopicSummary), Problem> {
    let (space, topic) = (space_name(space)?, TopicName::new(topic)?);
    call.caller.require_topic(&space, &topic)?;
    let summary = call.gateway.core.topic(&space, &topic).ok_or_else(|| {
        Problem::not_found("there is no such topic: nothing is kept of it, and nobody is on it or subscribes to it")
    })?;
    Ok((space, topic, summary))
}

fn unknown_space() -> Problem {
    Problem::not_found("there is no such space")
}

#[derive(serde::Serialize)]
struct Members<'a> {
    members: Vec<MemberView<'a>>,
    next: Option<String>,
}

#[derive(serde::Serialize)]
struct MemberView<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    since: u64,
}

impl<'a> From<&'a Member> for MemberView<'a> {
    fn from(member: &'a Member) -> Self {
        Self { id: &member.id, data: serde_json::from_slice(&member.data).ok(), since: member.since }
    }
}
