//! `GET /v1/poll`: the next messages after a position, as soon as there are some.
//!
//! Nothing is kept between two polls. The cursor is a position, so an answer that got lost on its
//! way is asked for again with the same cursor.

use std::time::Duration;

use ::http::Response;
use fanfare_core::{Message, Position, Refusal, Since};
use fanfare_door::{Body, Listening, StreamItem};
use fanfare_identity::TokenError;
use tokio::time::Instant;

use super::asked::Asked;
use super::call::Call;
use super::reply;
use crate::errors::Problem;
use crate::{NAME, frames};

const MESSAGES_MAX: usize = 100;
const BYTES_MAX: usize = 256 << 10;
/// How long the answer is held after the first message, because others often follow it.
const COALESCE: Duration = Duration::from_millis(20);
const WAIT_S_DEFAULT: u64 = 25;
const WAIT_S_MAX: u64 = 55;

pub(super) async fn poll(call: Call) -> Result<Response<Body>, Problem> {
    let wait = Duration::from_secs(wait_s(&call)?);
    let asked = Asked::from_query(&call)?;
    if call.gateway.is_draining() {
        return Err(Refusal::ShuttingDown.into());
    }
    let principal = call.authenticate().await?;
    let mut listening = call.gateway.listen(&principal, &asked.space, asked.filters, asked.since)?;
    call.count_operation(&asked.space);
    let mut page = Page::new(listening.position);
    if asked.since == Since::Now {
        return Ok(page.respond());
    }
    if listening.recovered == Some(false) {
        page.is_gap = true;
        return Ok(page.respond());
    }
    page.fill(&mut listening, Instant::now() + wait).await?;
    if !page.sizes.is_empty() {
        call.gateway.meter.row(&asked.space, NAME, |row| page.sizes.iter().for_each(|bytes| row.delivered(*bytes, 1)));
    }
    Ok(page.respond())
}

/// `wait` of the query, or else of the header `Prefer` (RFC 7240).
fn wait_s(call: &Call) -> Result<u64, Problem> {
    if let Some(wait) = call.number("wait", 0..=u64::MAX)? {
        let is_allowed = wait <= WAIT_S_MAX;
        return is_allowed.then_some(wait).ok_or_else(|| Problem::bad_request("wait: 0 to 55 seconds"));
    }
    let preferred = call.header(::http::HeaderName::from_static("prefer")).and_then(preferred_wait_s);
    Ok(preferred.unwrap_or(WAIT_S_DEFAULT).min(WAIT_S_MAX))
}

fn preferred_wait_s(prefer: &str) -> Option<u64> {
    let mut preferences = prefer.split([',', ';']).filter_map(|one| one.split_once('='));
    let (_, value) = preferences.find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))?;
    value.trim().trim_matches('"').parse().ok()
}

/// An answer in the making.
struct Page {
    cursor: Position,
    /// The messages so far, as they stand inside the brackets.
    messages: Vec<u8>,
    /// Payload sizes of the messages, for the meter.
    sizes: Vec<usize>,
    is_gap: bool,
    has_more: bool,
}

impl Page {
    fn new(cursor: Position) -> Self {
        Self { cursor, messages: Vec::new(), sizes: Vec::new(), is_gap: false, has_more: false }
    }

    /// Takes what comes before the deadline, which the first message brings near.
    async fn fill(&mut self, listening: &mut Listening, mut deadline: Instant) -> Result<(), Problem> {
        while let Some(item) = listening.next_before(deadline).await {
            match item {
                StreamItem::Message(message) => {
                    if !self.take(&message) {
                        self.has_more = true;
                        return Ok(());
                    }
                    if self.sizes.len() == 1 {
                        deadline = deadline.min(Instant::now() + COALESCE);
                    }
                    if self.sizes.len() == MESSAGES_MAX {
                        self.has_more = listening.is_item_waiting();
                        return Ok(());
                    }
                }
                StreamItem::Retained(_) => {}
                StreamItem::Gap(position) => {
                    self.is_gap = true;
                    self.cursor = position;
                    self.has_more = true;
                    return Ok(());
                }
                StreamItem::End("revoked") => return Err(TokenError::Revoked.into()),
                // What is here already is not lost; the next call is told more.
                StreamItem::End("shutting_down" | "token_expired") => return Ok(()),
                StreamItem::End(_) if self.sizes.is_empty() => {
                    let message = "history cannot be read; try again later".to_owned();
                    return Err(Problem { code: "storage_unavailable", message, ..Refusal::ShuttingDown.into() });
                }
                StreamItem::End(_) => return Ok(()),
            }
        }
        if self.sizes.is_empty() {
            listening.advance();
        }
        self.cursor = listening.seen();
        Ok(())
    }

    /// `false` when the message does not fit any more.
    fn take(&mut self, message: &Message) -> bool {
        let before = self.messages.len();
        if before > 0 {
            self.messages.push(b',');
        }
        frames::message(&mut self.messages, message, false, false);
        if before > 0 && self.messages.len() > BYTES_MAX {
            self.messages.truncate(before);
            return false;
        }
        self.sizes.push(message.payload.len());
        self.cursor = message.position();
        true
    }

    fn respond(self) -> Response<Body> {
        let mut body = Vec::with_capacity(self.messages.len() + 128);
        body.extend_from_slice(b"{\"cursor\":\"");
        frames::position(&mut body, self.cursor);
        body.extend_from_slice(b"\",\"messages\":[");
        body.extend_from_slice(&self.messages);
        body.extend_from_slice(format!("],\"gap\":{},\"more\":{}}}", self.is_gap, self.has_more).as_bytes());
        reply::json(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_can_be_a_preference() {
        for (text, expected) in [
            ("wait=10", Some(10)),
            ("respond-async, Wait=5", Some(5)),
            ("wait = \"7\"", Some(7)),
            ("wait", None),
            ("wait=soon", None),
        ] {
            assert_eq!(preferred_wait_s(text), expected, "{text}");
        }
    }
}
