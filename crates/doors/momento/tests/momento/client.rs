//! A small gRPC client.

use std::time::Duration;

use bytes::Bytes;
use fanfare_momento::grpc::{Decoder, frame};
use fanfare_momento::wire::{
    Discontinuity, PublishRequest, SubscriptionItem, SubscriptionRequest, subscription_item::Kind, topic_value,
};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;

use crate::world::World;

const DEADLINE: Duration = Duration::from_secs(10);

/// How a call ended: number, words, and the trailer `err`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: u8,
    pub(crate) message: String,
    pub(crate) err: Option<String>,
}

impl Ended {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let message = text("grpc-message").map(|message| fanfare_momento::grpc::decode_message(&message));
        let code = text("grpc-status")?.parse().unwrap();
        Some(Self { code, message: message.unwrap_or_default(), err: text("err") })
    }
}

/// One connection.
#[derive(Clone)]
pub(crate) struct Client {
    http: SendRequest<Full<Bytes>>,
    headers: Vec<(&'static str, String)>,
}

impl Client {
    pub(crate) async fn connect(world: &World) -> Self {
        let socket = tokio::net::TcpStream::connect(world.server.address).await.unwrap();
        let (http, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        Self { http, headers: Vec::new() }
    }

    /// The same connection with a key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        self.with_header("authorization", key)
    }

    pub(crate) fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name, value.to_owned()));
        client
    }

    async fn send(&mut self, path: &str, body: Bytes) -> (HeaderMap, Incoming) {
        let uri = format!("http://localhost{path}");
        let mut request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let sent = self.http.send_request(request.body(Full::new(body)).unwrap());
        let response = tokio::time::timeout(DEADLINE, sent).await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc+proto");
        let (head, body) = response.into_parts();
        (head.headers, body)
    }

    /// Makes a call that is answered once.
    pub(crate) async fn call<A: Message + Default>(&mut self, path: &str, request: &impl Message) -> Result<A, Ended> {
        let answer = self.call_with(path, frame(request)).await?;
        Ok(A::decode(answer).unwrap())
    }

    /// The same with a body of whatever.
    pub(crate) async fn call_with(&mut self, path: &str, body: Bytes) -> Result<Bytes, Ended> {
        let (headers, body) = self.send(path, body).await;
        if let Some(ended) = Ended::of(&headers) {
            return Err(ended);
        }
        let collected = tokio::time::timeout(DEADLINE, body.collect()).await.unwrap().unwrap();
        let ended = Ended::of(collected.trailers().unwrap()).unwrap();
        let message = Decoder::only(&collected.to_bytes(), 8 << 20);
        if ended.code == 0 { Ok(message.unwrap()) } else { Err(ended) }
    }

    pub(crate) async fn publish(&mut self, cache: &str, topic: &str, text: &str) -> Result<(), Ended> {
        let value = Some(topic_value::Kind::Text(text.to_owned()).into());
        let request = PublishRequest { cache_name: cache.to_owned(), topic: topic.to_owned(), value };
        self.call::<fanfare_momento::wire::Empty>("/cache_client.pubsub.Pubsub/Publish", &request).await.map(drop)
    }

    pub(crate) async fn subscribe(&mut self, cache: &str, topic: &str) -> Result<Subscription, Ended> {
        self.resume(cache, topic, 0, 0).await
    }

    pub(crate) async fn resume(
        &mut self,
        cache: &str,
        topic: &str,
        number: u64,
        page: u64,
    ) -> Result<Subscription, Ended> {
        let request = SubscriptionRequest {
            cache_name: cache.to_owned(),
            topic: topic.to_owned(),
            resume_at_topic_sequence_number: number,
            sequence_page: page,
        };
        let (headers, body) = self.send("/cache_client.pubsub.Pubsub/Subscribe", frame(&request)).await;
        match Ended::of(&headers) {
            Some(ended) => Err(ended),
            None => Ok(Subscription { body, decoder: Decoder::new(8 << 20), ended: None }),
        }
    }
}

/// A stream of items.
pub(crate) struct Subscription {
    body: Incoming,
    decoder: Decoder,
    ended: Option<Ended>,
}

impl Subscription {
    /// The next item; panics when the stream has ended.
    pub(crate) async fn next(&mut self) -> Kind {
        let item = tokio::time::timeout(DEADLINE, self.read()).await.expect("something comes");
        item.unwrap_or_else(|ended| panic!("the stream has ended: {ended:?}"))
    }

    async fn read(&mut self) -> Result<Kind, Ended> {
        loop {
            if let Some(message) = self.decoder.next_message().unwrap() {
                return Ok(SubscriptionItem::decode(message).unwrap().kind.unwrap());
            }
            if let Some(ended) = self.ended.take() {
                return Err(ended);
            }
            let frame = self.body.frame().await.expect("a stream has trailers").unwrap();
            match frame.into_data() {
                Ok(data) => self.decoder.push(&data),
                Err(frame) => self.ended = Ended::of(frame.trailers_ref().unwrap()),
            }
        }
    }

    /// The first heartbeat, and the discontinuity after it.
    pub(crate) async fn begin(&mut self) -> Discontinuity {
        assert!(matches!(self.next().await, Kind::Heartbeat(_)), "a heartbeat comes first");
        self.lost().await
    }

    pub(crate) async fn lost(&mut self) -> Discontinuity {
        match self.next().await {
            Kind::Discontinuity(lost) => lost,
            other => panic!("{other:?} is no discontinuity"),
        }
    }

    /// Number and text of the next item; heartbeats are passed over.
    pub(crate) async fn text(&mut self) -> (u64, String) {
        loop {
            match self.next().await {
                Kind::Heartbeat(_) => {}
                Kind::Item(item) => match item.value.unwrap().kind.unwrap() {
                    topic_value::Kind::Text(text) => return (item.topic_sequence_number, text),
                    other => panic!("{other:?} is no text"),
                },
                other => panic!("{other:?} is no item"),
            }
        }
    }

    /// How the stream ends; what comes before is passed over.
    pub(crate) async fn end(&mut self) -> Ended {
        tokio::time::timeout(DEADLINE, async {
            loop {
                if let Err(ended) = self.read().await {
                    return ended;
                }
            }
        })
        .await
        .expect("the stream ends")
    }
}
