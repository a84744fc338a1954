//! A connection to Momento Topics: gRPC over HTTP/2, with many subscriptions on one connection.

use crate::http2::{self, Frame, Kind};
use crate::link::{Event, Gone, Plan, Welcome};
use crate::target::Target;
use crate::topicitem::{self, Item};

const PUBLISH: &str = "/cache_client.pubsub.Pubsub/Publish";
const SUBSCRIBE: &str = "/cache_client.pubsub.Pubsub/Subscribe";

/// Received bytes after which the server's window is opened again.
const WINDOW_STEP: u32 = 64 << 20;

/// What a run may have sent and not had an answer to. Flow control towards the server is not kept;
/// this is below half of the smallest window there is, and servers open it again in time.
pub(crate) const UNANSWERED_BYTES_MAX: u64 = 32_000;
/// What a publish adds to its payload, at most: topic, cache and lengths.
pub(crate) const PUBLISH_BYTES: u64 = 100;

/// What was said so far.
pub(crate) struct Conversation {
    welcome: Welcome,
    subscriptions: Vec<Subscription>,
    /// Subscriptions that have not heard anything yet.
    opening: usize,
    /// Streams of publishes that were answered and have not ended yet.
    answered: Vec<u32>,
    /// Bytes received since the window was opened last.
    received: u32,
}

#[derive(Default)]
struct Subscription {
    is_open: bool,
    /// The number of the last message.
    number: Option<u64>,
    /// The start of a message that is not complete yet.
    unread: Vec<u8>,
}

/// The header block of all calls of a method.
fn block(target: &Target, path: &str) -> Vec<u8> {
    let mut fields = vec![("te", "trailers"), ("content-type", "application/grpc")];
    if let Some(token) = &target.token {
        fields.push(("authorization", token));
    }
    http2::request(&target.host, path, &fields)
}

/// The client's stream number `index` on a connection.
fn stream(index: usize) -> u32 {
    2 * u32::try_from(index).unwrap_or(u32::MAX / 4) + 1
}

impl Conversation {
    /// Before anything was heard.
    pub(crate) fn new() -> Self {
        Self { welcome: Welcome::default(), subscriptions: Vec::new(), opening: 0, answered: Vec::new(), received: 0 }
    }

    /// Appends what a client says first: with windows as wide as they go, and all subscriptions.
    pub(crate) fn open(&mut self, target: &Target, plan: &Plan, out: &mut Vec<u8>) {
        out.extend_from_slice(http2::PREFACE);
        http2::put_settings(out, &[(http2::INITIAL_WINDOW_SIZE, http2::WINDOW_MAX)]);
        http2::put_window(out, http2::WINDOW_MAX - http2::WINDOW_FIRST);
        if !plan.is_subscriber {
            return;
        }
        self.opening = target.streams;
        self.subscriptions.resize_with(target.streams, Subscription::default);
        let block = block(target, SUBSCRIBE);
        let (mut request, mut body) = (Vec::new(), Vec::new());
        topicitem::put_field(&mut request, 1, target.space.as_bytes());
        topicitem::put_field(&mut request, 2, plan.topic.as_bytes());
        topicitem::put(&mut body, &request);
        for index in 0..target.streams {
            http2::put_headers(out, stream(index), &block);
            http2::put_body(out, stream(index), &body);
        }
    }

    /// Reads everything complete in `bytes` and returns its length; answers go to `out`.
    pub(crate) fn read<E: From<Gone>>(
        &mut self,
        plan: &Plan,
        bytes: &[u8],
        out: &mut Vec<u8>,
        tell: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut read = 0;
        while let Some(frame) = http2::first(&bytes[read..]).map_err(broken)? {
            read += frame.bytes;
            match frame.kind {
                Kind::Data if plan.is_subscriber => self.hear(&frame, tell)?,
                Kind::Data => self.answered.push(frame.stream),
                Kind::Settings if frame.flags & http2::ACK == 0 => {
                    self.settle(&frame, out);
                    if !plan.is_subscriber {
                        tell(Event::Ready(self.welcome))?;
                    }
                }
                Kind::Ping if frame.flags & http2::ACK == 0 => http2::put_pong(out, frame.payload),
                Kind::Reset => return Err(said(&format!("a reset stream, code {:x?}", frame.payload)).into()),
                Kind::Goaway => return Err(said(&format!("GOAWAY, code {:x?}", frame.payload)).into()),
                _ => {}
            }
            if matches!(frame.kind, Kind::Data | Kind::Headers) && frame.flags & http2::END_STREAM != 0 {
                self.end(plan, frame.stream)?;
                tell(Event::Acknowledged)?;
            }
        }
        if self.received > WINDOW_STEP {
            http2::put_window(out, std::mem::take(&mut self.received));
        }
        Ok(read)
    }

    fn settle(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let most = http2::settings(frame.payload).find(|(name, _)| *name == http2::MAX_CONCURRENT_STREAMS);
        self.welcome.receive_maximum = most.map(|(_, most)| u16::try_from(most).unwrap_or(u16::MAX));
        http2::put_settings_ack(out);
    }

    /// The end of a stream, which is as it should be for a publish that was answered.
    fn end(&mut self, plan: &Plan, stream: u32) -> Result<(), Gone> {
        if plan.is_subscriber {
            return Err(said("the end of a subscription (an SDK shows the reason)"));
        }
        match self.answered.iter().position(|answered| *answered == stream) {
            Some(place) => drop(self.answered.swap_remove(place)),
            None => return Err(said("an error to a publish (an SDK shows the reason)")),
        }
        Ok(())
    }

    /// Messages of a subscription.
    #[inline]
    fn hear<E: From<Gone>>(
        &mut self,
        frame: &Frame<'_>,
        tell: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let index = frame.stream as usize / 2;
        let Self { subscriptions, opening, received, welcome, .. } = self;
        let Some(subscription) = subscriptions.get_mut(index) else {
            return Err(Gone::Broken(format!("data for stream {}, which was not opened", frame.stream)).into());
        };
        *received += frame.payload.len() as u32;
        let mut unread = std::mem::take(&mut subscription.unread);
        let mut bytes = frame.payload;
        if !unread.is_empty() {
            unread.extend_from_slice(frame.payload);
            bytes = &unread;
        }
        while let Some((message, whole)) = topicitem::first(bytes).map_err(broken)? {
            bytes = &bytes[whole..];
            if let Some(payload) = subscription.take(message)? {
                tell(Event::Subscribed(index, payload))?;
            } else if !std::mem::replace(&mut subscription.is_open, true) {
                *opening -= 1;
                if *opening == 0 {
                    tell(Event::Ready(*welcome))?;
                }
            }
        }
        subscription.unread.extend_from_slice(bytes);
        Ok(())
    }
}

impl Subscription {
    /// The payload, if it is a message, and one that may come now.
    #[inline]
    fn take<'a>(&mut self, message: &'a [u8]) -> Result<Option<&'a [u8]>, Gone> {
        match topicitem::read(message).map_err(broken)? {
            Item::Message { number, payload } if self.is_open && Some(number) > self.number => {
                self.number = Some(number);
                Ok(Some(payload))
            }
            Item::Heartbeat => Ok(None),
            // At the start a server may say where the topic is.
            Item::Discontinuity { last: 0, .. } if self.is_open && self.number.is_none() => Ok(None),
            item => Err(Gone::Broken(format!("{item:?} after message {:?} of a subscription", self.number))),
        }
    }
}

fn broken(what: &str) -> Gone {
    Gone::Broken(what.to_owned())
}

fn said(what: &str) -> Gone {
    Gone::Said { code: what.to_owned(), retry_ms: None }
}

/// Writes the publishes of one connection, all to one topic.
pub(crate) struct Publisher {
    block: Vec<u8>,
    /// Cache and topic, the same in every request.
    place: Vec<u8>,
    calls: usize,
}

impl Publisher {
    pub(crate) fn new(target: &Target, topic: &str) -> Self {
        let mut place = Vec::new();
        topicitem::put_field(&mut place, 1, target.space.as_bytes());
        topicitem::put_field(&mut place, 2, topic.as_bytes());
        Self { block: block(target, PUBLISH), place, calls: 0 }
    }

    /// Appends one publish.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        let (mut value, mut request, mut body) = (Vec::new(), self.place.clone(), Vec::new());
        topicitem::put_field(&mut value, 1, payload);
        topicitem::put_field(&mut request, 3, &value);
        topicitem::put(&mut body, &request);
        let stream = stream(self.calls);
        self.calls += 1;
        http2::put_headers(out, stream, &self.block);
        http2::put_body(out, stream, &body);
    }
}
