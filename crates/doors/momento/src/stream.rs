//! A subscription that runs, until its end.
//!
//! The body pulls: nothing is read for a client that does not take what it was sent, and the reader
//! behind it holds a bounded number of messages and goes on from history after that. What is gone
//! from history by then is told as a discontinuity.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::{Message, Millis};
use fanfare_door::{Body, Listening, StreamItem};
use fanfare_momento::Problem;
use fanfare_momento::credential::CredentialError;
use fanfare_momento::grpc::web::Dialect;
use fanfare_momento::grpc::{Code, Status, frame};
use fanfare_momento::sequence::{Sequence, Step};
use fanfare_momento::wire::SubscriptionItem;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::NAME;
use crate::caches::Place;
use crate::grpc;
use crate::shared::Shared;
use crate::subscribing::Begun;

/// Messages that wait are put into one chunk up to about this size.
const CHUNK_BYTES: usize = 64 << 10;
/// When something is replayed and nothing comes for so long, the replay may be over.
const REPLAY_PAUSE: Duration = Duration::from_millis(50);
/// When the server drains, streams end within so many milliseconds, and not all at once: SDKs come
/// back in the same moment.
const DRAIN_SPREAD_MS: u64 = 1_500;

/// A subscription over gRPC.
pub(crate) struct Stream {
    shared: Arc<Shared>,
    place: Place,
    gone: watch::Receiver<bool>,
    listening: Listening,
    sequence: Sequence,
    dialect: Dialect,
    out: Vec<u8>,
    /// A loss may have to be told although no message follows it.
    is_unsettled: bool,
    end: Option<Status>,
    is_over: bool,
    /// Payload sizes of the messages in `out`, for the meter.
    delivered: Vec<usize>,
    opened_at: Millis,
}

impl Stream {
    pub(crate) fn new(shared: &Arc<Shared>, begun: Begun, dialect: Dialect) -> Self {
        let Begun { place, listening, sequence, first, is_replay } = begun;
        let mut stream = Self {
            shared: shared.clone(),
            gone: place.0.watch(),
            place,
            listening,
            sequence,
            dialect,
            out: Vec::new(),
            is_unsettled: is_replay,
            end: None,
            is_over: false,
            delivered: Vec::new(),
            opened_at: shared.gateway().clock.now(),
        };
        first.iter().for_each(|item| stream.write(item));
        shared.gateway().meter.row(&stream.place.0.space, NAME, |row| row.opened());
        stream
    }

    pub(crate) fn into_body(self) -> Body {
        let frames = futures_util::stream::unfold(self, |mut stream| async move {
            let frame = stream.next_frame().await?;
            Some((Ok::<_, Infallible>(frame), stream))
        });
        StreamBody::new(frames).boxed_unsync()
    }

    async fn next_frame(&mut self) -> Option<Frame<Bytes>> {
        if self.is_over {
            return None;
        }
        if self.out.is_empty() && self.end.is_none() {
            self.wait().await;
        }
        self.take_what_is_there();
        if self.out.is_empty()
            && let Some(status) = self.end.take()
        {
            self.is_over = true;
            return Some(self.say_goodbye(&status).await);
        }
        self.meter();
        Some(Frame::data(std::mem::take(&mut self.out).into()))
    }

    /// Waits until there is something to send, a heartbeat at last.
    async fn wait(&mut self) {
        while self.out.is_empty() && self.end.is_none() {
            let deadline = self.deadline();
            let item = tokio::select! {
                item = self.listening.next_before(deadline) => item,
                _ = self.gone.wait_for(|gone| *gone) => {
                    self.end = Some(Problem::CacheNotFound(self.place.0.name.to_string()).status());
                    return;
                }
            };
            match item {
                Some(item) => self.take(&item),
                None => self.nothing_came(),
            }
        }
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        if self.is_unsettled {
            return now + REPLAY_PAUSE;
        }
        now + Duration::from_millis(self.sequence.heartbeat_at().saturating_sub(self.now()))
    }

    fn nothing_came(&mut self) {
        self.settle();
        if let Some(heartbeat) = self.sequence.tick(self.now()) {
            self.write(&heartbeat.into());
        }
    }

    /// All that is there already, up to a chunk.
    fn take_what_is_there(&mut self) {
        while self.out.len() < CHUNK_BYTES && self.end.is_none() {
            match self.listening.next_now() {
                Some(item) => self.take(&item),
                None => break,
            }
        }
    }

    /// The client has all that there is: what is still to be said of losses is said.
    fn settle(&mut self) {
        if !self.is_unsettled || self.listening.is_item_waiting() {
            return;
        }
        self.is_unsettled = false;
        let now = self.now();
        if let Some(lost) = self.sequence.settle(self.listening.seen(), now) {
            self.write(&lost.into());
        }
    }

    fn take(&mut self, item: &StreamItem) {
        match item {
            StreamItem::Message(message) => self.take_message(message),
            // The original keeps no last messages.
            StreamItem::Retained(_) => {}
            StreamItem::Gap(position) => {
                self.sequence.lose(*position);
                self.is_unsettled = true;
                self.shared.gateway().metrics.limit("momento_slow_subscriber");
            }
            StreamItem::End(code) => self.end = Some(ending(code)),
        }
    }

    fn take_message(&mut self, message: &Arc<Message>) {
        let now = self.now();
        if message.expires_at.is_some_and(|at| at <= now) {
            return;
        }
        let Step::Send(lost) = self.sequence.item(message.position(), now) else { return };
        if let Some(lost) = lost {
            self.write(&lost.into());
        }
        self.out.extend_from_slice(&self.shared.encodings.of(message, self.dialect));
        self.delivered.push(message.payload.len());
    }

    fn write(&mut self, item: &SubscriptionItem) {
        self.out.extend_from_slice(&self.dialect.dress(frame(item)));
    }

    fn now(&self) -> Millis {
        self.shared.gateway().clock.now()
    }

    fn meter(&mut self) {
        if self.delivered.is_empty() {
            return;
        }
        let sizes = std::mem::take(&mut self.delivered);
        let space = &self.place.0.space;
        self.shared.gateway().meter.row(space, NAME, |row| sizes.iter().for_each(|bytes| row.delivered(*bytes, 1)));
    }

    async fn say_goodbye(&self, status: &Status) -> Frame<Bytes> {
        if grpc::is_good(status) {
            let spread_ms = self.shared.gateway().limits().reconnect_spread_ms.min(DRAIN_SPREAD_MS);
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=spread_ms))).await;
        }
        grpc::last_frame(self.dialect, status)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let up_ms = self.now().saturating_sub(self.opened_at);
        self.shared.gateway().meter.row(&self.place.0.space, NAME, |row| row.closed(up_ms));
    }
}

/// What a reader's end is to the client. When the server drains the end is a good one, after which
/// every SDK subscribes again; any other makes some of them give up.
fn ending(code: &str) -> Status {
    match code {
        "token_expired" => Problem::from(CredentialError::Expired { at: 0 }).status(),
        "revoked" => Problem::from(CredentialError::Revoked).status(),
        "shutting_down" => Status::ok(),
        _ => Status::new(Code::Unavailable, "history cannot be read now; subscribe again"),
    }
}
