//! `GET /retainedMessage` and what is below it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as TOKEN};
use fanfare_core::{Message, RETAINED_PAGE_MAX, TopicName};
use fanfare_iam::Operation;
use serde_json::{Value as Json, json};

use super::call::Call;
use super::message::user_properties_text;
use super::{Answer, Problem};
use crate::session::subscribing::is_reserved;
use crate::translate;

pub(super) fn get(call: &Call, topic: &str) -> Answer {
    let topic = call.topic(topic)?;
    call.require(Operation::GetRetainedMessage(&topic))?;
    call.count();
    let core = &call.hub.gateway().core;
    let found = core.retained(call.hub.space(), &topic).filter(|message| !message.is_expired(call.hub.now()));
    let message = found.filter(|_| !is_reserved(&topic));
    let message = message.ok_or_else(|| Problem::not_found("No retained message exists for the topic"))?;
    let mut fields = json!({
        "topic": &*topic,
        "payload": BASE64.encode(&message.payload),
        "qos": qos(&message),
        "lastModifiedTime": message.time,
    });
    if !message.properties.is_empty() {
        fields["userProperties"] = user_properties_text(&message.properties).into();
    }
    Ok(Some(fields))
}

pub(super) fn list(call: &Call) -> Answer {
    call.require(Operation::ListRetainedMessages)?;
    call.count();
    let most = RETAINED_PAGE_MAX as u32;
    let limit = call.number("maxResults", 1..=most)?.unwrap_or(most) as usize;
    let after = match call.parameter("nextToken").filter(|token| !token.is_empty()) {
        Some(token) => Some(place(token).ok_or_else(|| Problem::invalid("nextToken is not one"))?),
        None => None,
    };
    let page = call.hub.gateway().core.retained_page(call.hub.space(), after.as_ref(), limit);
    let now = call.hub.now();
    let topics = page.iter().filter(|message| !message.is_expired(now)).map(|message| {
        json!({
            "topic": &*message.topic,
            "payloadSize": message.payload.len(),
            "qos": qos(message),
            "lastModifiedTime": message.time,
        })
    });
    let mut fields = json!({ "retainedTopics": topics.collect::<Json>() });
    if let Some(last) = page.last().filter(|_| page.len() == limit) {
        fields["nextToken"] = TOKEN.encode(last.topic.as_bytes()).into();
    }
    Ok(Some(fields))
}

fn place(token: &str) -> Option<TopicName> {
    let topic = String::from_utf8(TOKEN.decode(token).ok()?).ok()?;
    TopicName::new(&topic).ok()
}

fn qos(message: &Message) -> u8 {
    translate::quality(message) as u8
}
