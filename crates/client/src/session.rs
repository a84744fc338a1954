//! What survives a connection: subscriptions with their cursors and publishes without their
//! acknowledgement. Frames in, frames and deliveries out; no socket, no clock.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::cursor::Cursor;
use crate::error::{Error, Refusal};
use crate::message::{Event, Publish, Published, Since, Subscribe};
use crate::pattern::matches;
use crate::wire::{ConnectFrame, PublishFrame, ServerFrame, TargetFrame};

/// What a subscription's reader gets.
pub(crate) type Delivery = Result<Event, Error>;

/// What the client asks of its task.
pub(crate) enum Command {
    Subscribe {
        request: Subscribe,
        sink: mpsc::Sender<Delivery>,
        done: oneshot::Sender<Result<String, Error>>,
    },
    Unsubscribe {
        space: String,
        target: String,
    },
    Publish {
        publish: Publish,
        key: String,
        done: oneshot::Sender<Result<Published, Error>>,
        permit: OwnedSemaphorePermit,
    },
}

/// What a frame means for the connection.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Go on.
    Stay,
    /// The server took us in.
    Welcome { ping_ms: Option<u64>, reconnect_spread_ms: Option<u64> },
    /// The connection is over; the refusal says whether to come back.
    Over(Refusal),
}

struct Entry {
    space: String,
    target: String,
    since: Option<Since>,
    /// Set once the server has confirmed the subscription.
    cursor: Option<Cursor>,
    id: u64,
    sink: mpsc::Sender<Delivery>,
    done: Option<oneshot::Sender<Result<String, Error>>>,
}

struct Pending {
    publish: Publish,
    key: String,
    done: oneshot::Sender<Result<Published, Error>>,
    /// Keeps its place in the bounded queue until it is acknowledged.
    _permit: OwnedSemaphorePermit,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Session {
    next_id: u64,
    connect_id: u64,
    subscriptions: Vec<Entry>,
    /// By id, so that a resend keeps their order.
    publishes: BTreeMap<u64, Pending>,
    /// Frames to send.
    outgoing: VecDeque<String>,
    /// What readers have no room for yet.
    waiting: VecDeque<(mpsc::Sender<Delivery>, Delivery)>,
}

impl Session {
    /// Starts a connection: forgets what an earlier one had to send and says hello.
    pub(crate) fn connect(&mut self, token: Option<&str>) {
        self.outgoing.clear();
        self.connect_id = self.id();
        let resume = self.subscriptions.iter().map(|entry| (entry, entry.resume_point()));
        let resume: Vec<(&Entry, Option<String>)> = resume.collect();
        let frame = ConnectFrame {
            kind: "connect",
            id: self.connect_id,
            token,
            resume: resume
                .iter()
                .map(|(entry, since)| TargetFrame::resume(&entry.space, &entry.target, since.as_deref()))
                .collect(),
        };
        let hello = json(&frame);
        self.outgoing.push_back(hello);
    }

    /// The next frame to send.
    pub(crate) fn next_frame(&mut self) -> Option<String> {
        self.outgoing.pop_front()
    }

    /// The reader that has to make room before more is read, and what waits for it.
    pub(crate) fn stalled_reader(&self) -> Option<mpsc::Sender<Delivery>> {
        self.waiting.front().map(|(sink, _)| sink.clone())
    }

    /// Hands over as much of what waits as there is room for.
    pub(crate) fn hand_over(&mut self) {
        while let Some((sink, delivery)) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(delivery)) = sink.try_send(delivery) {
                self.waiting.push_front((sink, delivery));
                return;
            }
        }
    }

    /// Does what the client asks.
    pub(crate) fn on_command(&mut self, command: Command) {
        match command {
            Command::Subscribe { request, sink, done } => self.subscribe(request, sink, done),
            Command::Unsubscribe { space, target } => self.unsubscribe(&space, &target),
            Command::Publish { publish, key, done, permit } => {
                let id = self.id();
                self.send_publish(id, &key, &publish);
                let pending = Pending { publish, key, done, _permit: permit };
                self.publishes.insert(id, pending);
            }
        }
    }

    /// Takes a frame of the server.
    pub(crate) fn on_frame(&mut self, frame: ServerFrame) -> Turn {
        match frame.kind.as_str() {
            "message" => self.on_message(frame),
            "published" => self.on_published(&frame),
            "subscribed" => self.on_subscribed(&frame),
            "unsubscribed" if frame.code.is_some() => {
                if let Some(entry) = self.remove(frame.space(), frame.target()) {
                    self.finish(entry, Error::Refused(frame.refusal()));
                }
            }
            "gap" => self.on_gap(&frame),
            "welcome" => return self.on_welcome(&frame),
            "error" => return self.on_error(&frame),
            "bye" => return Turn::Over(frame.refusal()),
            // Later versions may say more.
            _ => {}
        }
        self.hand_over();
        Turn::Stay
    }

    /// Ends everything with `error`.
    pub(crate) fn fail(&mut self, error: &Error) {
        for entry in std::mem::take(&mut self.subscriptions) {
            self.finish(entry, error.clone());
        }
        for (_, pending) in std::mem::take(&mut self.publishes) {
            // Who does not wait any more does not want to know.
            let _ = pending.done.send(Err(error.clone()));
        }
        self.hand_over();
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn subscribe(
        &mut self,
        request: Subscribe,
        sink: mpsc::Sender<Delivery>,
        done: oneshot::Sender<Result<String, Error>>,
    ) {
        if self.find(&request.space, &request.topic).is_some() {
            let _ = done.send(Err(Error::AlreadySubscribed(request.topic)));
            return;
        }
        let id = self.id();
        let since = request.since.as_ref().map(Since::text);
        let frame = TargetFrame::resume(&request.space, &request.topic, since);
        self.outgoing.push_back(json(&frame.with("subscribe", id)));
        self.subscriptions.push(Entry {
            space: request.space,
            target: request.topic,
            since: request.since,
            cursor: None,
            id,
            sink,
            done: Some(done),
        });
    }

    fn unsubscribe(&mut self, space: &str, target: &str) {
        if self.remove(space, target).is_some() {
            let id = self.id();
            let frame = TargetFrame::resume(space, target, None);
            self.outgoing.push_back(json(&frame.with("unsubscribe", id)));
        }
    }

    fn on_message(&mut self, frame: ServerFrame) {
        let Some(message) = frame.into_message() else {
            return;
        };
        let means = |entry: &Entry| entry.space == message.space && matches(&entry.target, &message.topic);
        let is_shared = self.subscriptions.iter().filter(|entry| means(entry)).count() > 1;
        for entry in self.subscriptions.iter_mut().filter(|entry| means(entry)) {
            // A retained message may be older than the subscription.
            let is_new = message.is_retained
                || match &mut entry.cursor {
                    Some(cursor) => cursor.admit(&message.position, is_shared),
                    // Not confirmed yet: this one is another subscription's.
                    None => false,
                };
            if is_new {
                let delivery = Ok(Event::Message(message.clone()));
                self.waiting.push_back((entry.sink.clone(), delivery));
            }
        }
    }

    fn on_subscribed(&mut self, frame: &ServerFrame) {
        let Some(entry) = self.subscriptions.iter_mut().find(|entry| Some(entry.id) == frame.id) else {
            return;
        };
        let gap = confirm(entry, frame);
        if entry.sink.is_closed() {
            // Whoever asked has gone meanwhile, before there was a subscription to drop.
            let (space, target) = (entry.space.clone(), entry.target.clone());
            return self.unsubscribe(&space, &target);
        }
        self.waiting.extend(gap);
    }

    fn on_published(&mut self, frame: &ServerFrame) {
        let Some(pending) = frame.id.and_then(|id| self.publishes.remove(&id)) else {
            return;
        };
        let _ = pending.done.send(Ok(Published {
            position: frame.position.clone().unwrap_or_default(),
            is_duplicate: frame.duplicate.unwrap_or(false),
        }));
    }

    fn on_gap(&mut self, frame: &ServerFrame) {
        let position = frame.position.clone().unwrap_or_default();
        if let Some(index) = self.find(frame.space(), frame.target()) {
            let entry = &mut self.subscriptions[index];
            entry.cursor = Some(Cursor::at(&position));
            self.waiting.push_back((entry.sink.clone(), Ok(Event::Gap { position })));
        }
    }

    fn on_welcome(&mut self, frame: &ServerFrame) -> Turn {
        let answers = frame.resumed.as_deref().unwrap_or_default();
        let mut refused = Vec::new();
        for (index, answer) in answers.iter().enumerate() {
            let Some(entry) = self.subscriptions.get_mut(index) else {
                break;
            };
            if answer.code.is_none() {
                self.waiting.extend(confirm(entry, answer));
            } else if answer.refusal().retry {
                // Come back for it: without it the others would be all there is.
                return Turn::Over(answer.refusal());
            } else {
                refused.push((index, answer.refusal()));
            }
        }
        for (index, refusal) in refused.into_iter().rev() {
            let entry = self.subscriptions.remove(index);
            self.finish(entry, Error::Refused(refusal));
        }
        for (id, pending) in &self.publishes {
            let frame = PublishFrame { id: *id, key: &pending.key, publish: &pending.publish };
            self.outgoing.push_back(json(&frame));
        }
        self.hand_over();
        Turn::Welcome { ping_ms: frame.ping_ms, reconnect_spread_ms: frame.reconnect_spread_ms }
    }

    fn on_error(&mut self, frame: &ServerFrame) -> Turn {
        let refusal = frame.refusal();
        let Some(id) = frame.id else {
            tracing::debug!(code = refusal.code, message = refusal.message, "error");
            return Turn::Stay;
        };
        if id == self.connect_id {
            return Turn::Over(refusal);
        }
        if self.publishes.contains_key(&id) {
            // The server goes away; the next one gets it under the same key.
            if refusal.code != "shutting_down"
                && let Some(pending) = self.publishes.remove(&id)
            {
                let _ = pending.done.send(Err(Error::Refused(refusal)));
            }
        } else if let Some(index) = self.subscriptions.iter().position(|e| e.id == id) {
            let entry = self.subscriptions.remove(index);
            self.finish(entry, Error::Refused(refusal));
            self.hand_over();
        }
        Turn::Stay
    }

    fn send_publish(&mut self, id: u64, key: &str, publish: &Publish) {
        let frame = json(&PublishFrame { id, key, publish });
        self.outgoing.push_back(frame);
    }

    fn find(&self, space: &str, target: &str) -> Option<usize> {
        let mut entries = self.subscriptions.iter();
        entries.position(|entry| entry.space == space && entry.target == target)
    }

    fn remove(&mut self, space: &str, target: &str) -> Option<Entry> {
        self.find(space, target).map(|index| self.subscriptions.remove(index))
    }

    fn finish(&mut self, entry: Entry, error: Error) {
        match entry.done {
            Some(done) => {
                let _ = done.send(Err(error));
            }
            None => self.waiting.push_back((entry.sink, Err(error))),
        }
    }
}

impl Entry {
    fn resume_point(&self) -> Option<String> {
        let position = self.cursor.as_ref().and_then(Cursor::position);
        position.or_else(|| self.since.as_ref().map(|since| since.text().to_owned()))
    }
}

/// Takes the server's answer to a subscribe or to an entry of `resume`; gives what the reader has
/// to be told.
fn confirm(entry: &mut Entry, answer: &ServerFrame) -> Option<(mpsc::Sender<Delivery>, Delivery)> {
    let head = answer.position.clone().unwrap_or_default();
    let is_recovered = answer.recovered == Some(true);
    let is_gap = answer.recovered == Some(false);
    let mut cursor = match (&entry.cursor, &entry.since) {
        (Some(cursor), _) if is_recovered => cursor.clone(),
        (None, Some(Since::Position(position))) if is_recovered => Cursor::at(position),
        (None, Some(Since::All)) if is_recovered => Cursor::default(),
        _ => Cursor::at(&head),
    };
    cursor.catch_up_to(&head);
    entry.cursor = Some(cursor);
    if let Some(done) = entry.done.take() {
        let _ = done.send(Ok(head.clone()));
    }
    is_gap.then(|| (entry.sink.clone(), Ok(Event::Gap { position: head })))
}

fn json(frame: &impl Serialize) -> String {
    // Our frames are made of texts and numbers: they always serialize.
    serde_json::to_string(frame).unwrap_or_default()
}
