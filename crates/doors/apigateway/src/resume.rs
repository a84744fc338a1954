//! Plain clients that want to miss nothing: with `?fanfare_resume=` they are told positions, and with
//! `?fanfare_resume=POSITION` they go on from one. Off unless the API's option `resume` is on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanfare_core::{Position, Since};
use fanfare_door::{Outgoing, Shape, Turn};
use serde_json::json;

use crate::session::ApiSession;

/// The parameter of the query.
const PARAMETER: &str = "fanfare_resume";
/// How messages look to clients that are told positions.
pub(crate) const WITH_POSITION: Shape = Shape(1);

/// A client that is told positions.
pub(crate) struct Resume {
    /// The last one that it has seen.
    after: Option<Position>,
}

impl Resume {
    /// What the upgrade asks for. A position that is none is like one that is gone.
    pub(crate) fn asked(query: &[(String, String)]) -> Option<Self> {
        let (_, value) = query.iter().find(|(name, _)| name == PARAMETER)?;
        let gone = Position { epoch: 0, offset: 0 };
        let after = (!value.is_empty()).then(|| value.parse().unwrap_or(gone));
        Some(Self { after })
    }

    fn since(&self) -> Since {
        self.after.map_or(Since::Now, Since::After)
    }
}

impl ApiSession {
    /// Subscribes to the topics that `$connect` names. A client that is told positions first hears
    /// where it stands, and whether everything since its last position follows.
    pub(crate) fn begin(&mut self, topics: &[String], turn: &mut Turn<'_>) {
        let Some(resume) = &self.resume else { return self.subscribe(topics, turn) };
        let since = resume.since();
        turn.set_shape(WITH_POSITION);
        let (mut replays, mut position, mut recovered) = (Vec::new(), None, None);
        for topic in topics {
            let Some(subscribed) = self.join(topic, since, turn) else { continue };
            position = Some(subscribed.position);
            recovered = subscribed.recovered.map(|is| is && recovered.unwrap_or(true)).or(recovered);
            replays.push(subscribed.replay);
        }
        let position = position.map(|position| position.to_string());
        let hello = json!({ "position": position, "recovered": recovered }).to_string();
        turn.send(|out| out.extend_from_slice(hello.as_bytes()));
        for replay in replays {
            turn.begin(replay.without_retained());
        }
    }
}

/// A message with its position: `{"position":"..","topic":"..","body":..}`. A body that is not JSON is
/// text; one that is not text is base64, with `"isBase64Encoded":true`.
pub(crate) fn encode(outgoing: Outgoing<'_>, out: &mut Vec<u8>) {
    let (Outgoing::Message(message) | Outgoing::Retained(message)) = outgoing else { return };
    let is_base64 = std::str::from_utf8(&message.payload).is_err();
    let body = match std::str::from_utf8(&message.payload) {
        Ok(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        Err(_) => serde_json::Value::from(STANDARD.encode(&message.payload)),
    };
    // What was sent to this connection, or to all, stands in no log.
    let position = (message.offset > 0).then(|| message.position().to_string());
    let mut frame = json!({ "position": position, "topic": &*message.topic, "body": body });
    if is_base64 {
        frame["isBase64Encoded"] = true.into();
    }
    out.extend_from_slice(frame.to_string().as_bytes());
}
