//! What a stream or poll wants to hear: filters of one space, and since when.

use std::sync::Arc;

use fanfare_core::{Filter, Since};
use serde::Deserialize;

use super::call::Call;
use crate::errors::Problem;
use crate::requests;

/// Most topics and patterns of one stream or poll.
const FILTERS_MAX: usize = 32;

pub(super) struct Asked {
    pub(super) space: Arc<str>,
    pub(super) filters: Vec<Filter>,
    pub(super) since: Since,
    /// A position was given that is not one of ours: what followed it is lost.
    pub(super) is_lost: bool,
}

/// The body of `POST /v1/sse`.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    topics: Vec<String>,
    #[serde(default)]
    patterns: Vec<String>,
    space: Option<String>,
    since: Option<String>,
}

impl Asked {
    pub(super) fn from_query(call: &Call) -> Result<Self, Problem> {
        let fields = Fields {
            topics: call.query.all("topic").map(str::to_owned).collect(),
            patterns: call.query.all("pattern").map(str::to_owned).collect(),
            space: call.query.one("space")?.map(str::to_owned),
            since: call.query.one("since")?.map(str::to_owned),
        };
        Self::new(call, &fields)
    }

    pub(super) fn from_body(call: &Call, body: &[u8]) -> Result<Self, Problem> {
        let fields: Fields = serde_json::from_slice(body).map_err(|error| {
            Problem::bad_request(format!("the body is not JSON with topics, patterns, space and since: {error}"))
        })?;
        Self::new(call, &fields)
    }

    fn new(call: &Call, fields: &Fields) -> Result<Self, Problem> {
        let count = fields.topics.len() + fields.patterns.len();
        if count == 0 || count > FILTERS_MAX {
            return Err(Problem::bad_request(format!(
                "1 to {FILTERS_MAX} topics and patterns are needed, not {count}"
            )));
        }
        let mut filters = Vec::with_capacity(count);
        for topic in &fields.topics {
            filters.push(requests::filter(Some(topic), None)?);
        }
        for pattern in &fields.patterns {
            filters.push(call.gateway.filter(pattern)?);
        }
        let space = call.spaces().get(fields.space.as_deref())?;
        // What a browser sends as its first `lastEventId` is an empty text.
        let since = requests::since(fields.since.as_deref().filter(|since| !since.is_empty()))?;
        Ok(Self { space, filters, since, is_lost: false })
    }

    /// A browser comes back with the last id that it has seen. It cannot do anything about one that
    /// does not count, so that is a loss and not an error.
    pub(super) fn resume_from(&mut self, last_event_id: Option<&str>) {
        let Some(id) = last_event_id.filter(|id| !id.is_empty()) else { return };
        match id.parse() {
            Ok(position) => self.since = Since::After(position),
            Err(_) => {
                self.since = Since::Now;
                self.is_lost = true;
            }
        }
    }
}
