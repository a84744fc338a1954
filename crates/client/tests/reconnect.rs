//! The client against a server that is a script: what happens when connections are lost.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::time::{Duration, Instant};

use fanfare_client::{Client, Error, Event, Options, Publish, Since, Subscribe, Subscription};
use fanfare_websocket::handshake::{check_request, server_response};
use fanfare_websocket::{CloseCode, Decoder, Incoming, Limits, MessageKind, Role, encode_close, encode_message};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DEADLINE: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20 };

/// Waits, but not forever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("within the deadline")
}

struct Server {
    listener: TcpListener,
}

/// The server's end of one connection.
struct Peer {
    stream: TcpStream,
    decoder: Decoder,
    input: Vec<u8>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    fn options(&self) -> Options {
        Options::new(&format!("http://{}", self.listener.local_addr().unwrap())).unwrap()
    }

    fn client(&self) -> tokio::task::JoinHandle<Result<Client, Error>> {
        tokio::spawn(Client::connect(self.options()))
    }

    /// Reads the head of a request.
    async fn request(&self) -> (TcpStream, String) {
        let (mut stream, _) = soon(self.listener.accept()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(soon(stream.read_buf(&mut head)).await.unwrap(), 0);
        }
        (stream, String::from_utf8(head).unwrap())
    }

    async fn accept(&self) -> Peer {
        let (mut stream, head) = self.request().await;
        assert!(head.starts_with("GET /v1/connect HTTP/1.1\r\n"), "{head}");
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let accept = check_request(header).unwrap();
        let response = server_response(&accept, Some("fanfare.v1"), None, &[]).unwrap();
        stream.write_all(&response).await.unwrap();
        Peer { stream, decoder: Decoder::new(Role::Server), input: Vec::new() }
    }

    /// Answers one request with a refusal.
    async fn refuse(&self, status: &str, headers: &str, body: &str) {
        let (mut stream, _) = self.request().await;
        let response = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(response.as_bytes()).await.unwrap();
    }

    /// Accepts, hears `connect` and welcomes; gives what `connect` said.
    async fn welcome(&self, resumed: Value, ping_ms: u64) -> (Peer, Value) {
        let mut peer = self.accept().await;
        let hello = peer.hear().await;
        assert_eq!(hello["type"], "connect");
        peer.say(json!({
            "type": "welcome", "id": hello["id"], "connection": "c", "node": "n",
            "ping_ms": ping_ms, "reconnect_spread_ms": 20, "limits": {}, "resumed": resumed,
        }))
        .await;
        (peer, hello)
    }
}

impl Peer {
    async fn say(&mut self, frame: Value) {
        let mut out = Vec::new();
        encode_message(&mut out, MessageKind::Text, frame.to_string().as_bytes());
        self.stream.write_all(&out).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        soon(self.next()).await.expect("a frame, not the end")
    }

    /// The next frame; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let mut heard = None;
            let mut at = 0;
            while at < self.input.len() && heard.is_none() {
                let decoded = self.decoder.decode(&mut self.input[at..], &LIMITS);
                let (consumed, incoming) = decoded.unwrap();
                match incoming {
                    Some(Incoming::Message { payload, .. }) => {
                        heard = Some(serde_json::from_slice(payload).unwrap());
                    }
                    Some(Incoming::Close { .. }) => return None,
                    _ => {}
                }
                at += consumed;
            }
            self.input.drain(..at);
            if heard.is_some() {
                return heard;
            }
            if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Answers a `subscribe`.
    async fn subscribed(&mut self, position: &str) -> Value {
        let request = self.hear().await;
        assert_eq!(request["type"], "subscribe");
        self.say(json!({
            "type": "subscribed", "id": request["id"], "topic": request["topic"],
            "position": position, "recovered": request.get("since").map(|_| true),
        }))
        .await;
        request
    }

    async fn message(&mut self, topic: &str, offset: u64) {
        self.say(json!({
            "type": "message", "topic": topic, "position": format!("a-{offset}"), "time": 1,
            "text": format!("m{offset}"),
        }))
        .await;
    }

    async fn bye(mut self, code: &str, retry: bool, retry_ms: Option<u64>) {
        self.say(json!({
            "type": "bye", "code": code, "message": "because", "retry": retry, "retry_ms": retry_ms,
        }))
        .await;
        let mut out = Vec::new();
        encode_close(&mut out, CloseCode::POLICY_VIOLATION, "");
        self.stream.write_all(&out).await.unwrap();
    }
}

async fn next_offset(subscription: &mut Subscription) -> String {
    match soon(subscription.next()).await.unwrap().unwrap() {
        Event::Message(message) => message.position,
        Event::Gap { position } => format!("gap {position}"),
    }
}

/// A client, its peer and one subscription to `t` that stands at offset 5.
async fn subscribed(server: &Server) -> (Client, Peer, Subscription) {
    let connecting = server.client();
    let (mut peer, _) = server.welcome(json!([]), 25_000).await;
    let client = soon(connecting).await.unwrap().unwrap();
    let subscribing = {
        let client = client.clone();
        tokio::spawn(async move { client.subscribe(Subscribe::to("t")).await })
    };
    peer.subscribed("a-5").await;
    let subscription = soon(subscribing).await.unwrap().unwrap();
    (client, peer, subscription)
}

#[tokio::test]
async fn a_subscription_goes_on_where_it_was() {
    let server = Server::start().await;
    let (_client, mut peer, mut subscription) = subscribed(&server).await;
    assert_eq!(subscription.start(), "a-5");
    peer.message("t", 6).await;
    peer.message("t", 8).await;
    assert_eq!(next_offset(&mut subscription).await, "a-6");
    assert_eq!(next_offset(&mut subscription).await, "a-8");
    drop(peer);

    let resumed = json!([{"topic": "t", "position": "a-10", "recovered": true}]);
    let (mut peer, hello) = server.welcome(resumed, 25_000).await;
    assert_eq!(hello["resume"], json!([{"topic": "t", "since": "a-8"}]));
    // The server may repeat what was seen.
    for offset in [8, 9, 9, 11] {
        peer.message("t", offset).await;
    }
    assert_eq!(next_offset(&mut subscription).await, "a-9");
    assert_eq!(next_offset(&mut subscription).await, "a-11");
    drop(peer);

    let resumed = json!([{"topic": "t", "position": "b-3", "recovered": false}]);
    let (mut peer, hello) = server.welcome(resumed, 25_000).await;
    assert_eq!(hello["resume"][0]["since"], "a-11");
    assert_eq!(next_offset(&mut subscription).await, "gap b-3");
    drop(peer.stream.shutdown().await);
}

#[tokio::test]
async fn patterns_spaces_and_starting_points_are_said() {
    let server = Server::start().await;
    let connecting = server.client();
    let (mut peer, hello) = server.welcome(json!([]), 25_000).await;
    assert_eq!(hello.get("resume"), None);
    let client = soon(connecting).await.unwrap().unwrap();
    let request = Subscribe::to("a/+/#").in_space("s").since(Since::All);
    let subscribing = tokio::spawn(async move { (client.subscribe(request).await, client) });
    let request = peer.hear().await;
    assert_eq!(
        (&request["pattern"], &request["space"], &request["since"]),
        (&json!("a/+/#"), &json!("s"), &json!("all"))
    );
    peer.say(json!({
        "type": "subscribed", "id": request["id"], "pattern": "a/+/#", "space": "s",
        "position": "a-2", "recovered": true,
    }))
    .await;
    let (subscription, client) = soon(subscribing).await.unwrap();
    let mut subscription = subscription.unwrap();
    peer.say(json!({
        "type": "message", "topic": "a/b/c", "space": "s", "position": "a-1", "time": 1, "data": null,
    }))
    .await;
    assert_eq!(next_offset(&mut subscription).await, "a-1");
    let twice = client.subscribe(Subscribe::to("a/+/#").in_space("s")).await;
    assert!(matches!(twice, Err(Error::AlreadySubscribed(_))));
    drop(subscription);
    let request = peer.hear().await;
    assert_eq!((&request["type"], &request["pattern"]), (&json!("unsubscribe"), &json!("a/+/#")));
}

#[tokio::test]
async fn unacknowledged_publishes_are_sent_again_under_the_same_key() {
    let server = Server::start().await;
    let connecting = server.client();
    let (mut peer, _) = server.welcome(json!([]), 25_000).await;
    let client = soon(connecting).await.unwrap().unwrap();
    let first = client.enqueue(Publish::text("t", "1")).await.unwrap();
    let second = client.enqueue(Publish::text("t", "2")).await.unwrap();
    let third = client.enqueue(Publish::text("t", "3")).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let publish = peer.hear().await;
        assert_eq!(publish["type"], "publish");
        keys.push(publish["key"].as_str().unwrap().to_owned());
        if publish["text"] == "1" {
            let ack = json!({"type": "published", "id": publish["id"], "position": "a-1"});
            peer.say(ack).await;
        }
    }
    assert_eq!(soon(first).await.unwrap().position, "a-1");
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    drop(peer);

    // Published while nobody is there.
    let fourth = client.enqueue(Publish::text("t", "4")).await.unwrap();
    let (mut peer, _) = server.welcome(json!([]), 25_000).await;
    for (text, position) in [("2", "a-2"), ("3", "a-3"), ("4", "a-4")] {
        let publish = peer.hear().await;
        assert_eq!(publish["text"], text);
        if let Some(index) = ["1", "2", "3"].iter().position(|t| *t == text) {
            assert_eq!(publish["key"], keys[index]);
        }
        peer.say(json!({
            "type": "published", "id": publish["id"], "position": position,
            "duplicate": text == "2",
        }))
        .await;
    }
    let second = soon(second).await.unwrap();
    assert!(second.is_duplicate);
    assert_eq!(soon(third).await.unwrap().position, "a-3");
    assert_eq!(soon(fourth).await.unwrap().position, "a-4");
}

#[tokio::test]
async fn a_refused_publish_says_why() {
    let server = Server::start().await;
    let connecting = server.client();
    let (mut peer, _) = server.welcome(json!([]), 25_000).await;
    let client = soon(connecting).await.unwrap().unwrap();
    let publish = client.enqueue(Publish::text("t", "1")).await.unwrap();
    let request = peer.hear().await;
    peer.say(json!({
        "type": "error", "id": request["id"], "code": "rate_limited", "message": "too fast",
        "retry": true, "retry_ms": 40,
    }))
    .await;
    let error = soon(publish).await.unwrap_err();
    assert_eq!(error.to_string(), "rate_limited: too fast");
    assert_eq!((error.is_retryable(), error.retry_ms()), (true, Some(40)));
}

#[tokio::test]
async fn a_goodbye_for_good_ends_everything() {
    let server = Server::start().await;
    let (client, mut peer, mut subscription) = subscribed(&server).await;
    let publish = client.enqueue(Publish::text("t", "1")).await.unwrap();
    peer.hear().await;
    peer.bye("revoked", false, None).await;
    let error = soon(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "revoked: because");
    assert!(soon(subscription.next()).await.is_none());
    assert_eq!(soon(publish).await.unwrap_err().to_string(), "revoked: because");
    let later = soon(client.publish(Publish::text("t", "2"))).await;
    assert_eq!(later.unwrap_err().to_string(), "revoked: because");
}

#[tokio::test]
async fn a_goodbye_says_when_to_come_back() {
    let server = Server::start().await;
    let (_client, peer, _subscription) = subscribed(&server).await;
    let asked = Instant::now();
    peer.bye("shutting_down", true, Some(300)).await;
    // Refused on the way back: what Retry-After says counts.
    server.refuse("503 Service Unavailable", "Retry-After: 1\r\n", "").await;
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
    let refused = Instant::now();
    let resumed = json!([{"topic": "t", "position": "a-5", "recovered": true}]);
    server.welcome(resumed, 25_000).await;
    assert!(refused.elapsed() >= Duration::from_secs(1), "{:?}", refused.elapsed());
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let server = Server::start().await;
    let connecting = server.client();
    let (mut silent, _) = server.welcome(json!([]), 50).await;
    let client = soon(connecting).await.unwrap().unwrap();
    // Nothing closes the first connection but the client.
    let (_peer, _) = server.welcome(json!([]), 25_000).await;
    assert_eq!(soon(silent.next()).await, None);
    drop(client);
}

#[tokio::test]
async fn a_refused_subscription_leaves_the_others_alone() {
    let server = Server::start().await;
    let (client, mut peer, mut kept) = subscribed(&server).await;
    let subscribing = tokio::spawn(async move { (client.subscribe(Subscribe::to("no")).await, client) });
    let request = peer.hear().await;
    peer.say(json!({
        "type": "error", "id": request["id"], "code": "denied", "message": "not for you", "retry": false,
    }))
    .await;
    let (refused, _client) = soon(subscribing).await.unwrap();
    assert_eq!(refused.err().unwrap().to_string(), "denied: not for you");
    peer.message("t", 6).await;
    assert_eq!(next_offset(&mut kept).await, "a-6");
    drop(peer);
    // Denied when it comes back.
    let resumed = json!([{"code": "denied", "message": "no longer", "retry": false}]);
    let (_peer, _) = server.welcome(resumed, 25_000).await;
    let error = soon(kept.next()).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "denied: no longer");
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_order() {
    let server = Server::start().await;
    let (_client, mut peer, mut subscription) = subscribed(&server).await;
    // More than a subscription's queue holds is on its way before anything is read.
    for offset in 6..3_006 {
        peer.message("t", offset).await;
    }
    let sending = tokio::spawn(async move {
        for offset in 3_006..5_006 {
            peer.message("t", offset).await;
        }
        peer
    });
    for offset in 6..5_006 {
        assert_eq!(next_offset(&mut subscription).await, format!("a-{offset}"));
    }
    soon(sending).await.unwrap();
}

#[tokio::test]
async fn a_first_attempt_that_fails_says_so() {
    let server = Server::start().await;
    let connecting = server.client();
    let body = r#"{"code":"token_expired","message":"get a new one","retry":false}"#;
    server.refuse("401 Unauthorized", "", body).await;
    let error = soon(connecting).await.unwrap().err().unwrap();
    assert_eq!(error.to_string(), "token_expired: get a new one");

    let connecting = server.client();
    server.refuse("404 Not Found", "", "nothing here").await;
    let error = soon(connecting).await.unwrap().err().unwrap();
    assert!(error.to_string().ends_with("does not answer as expected: HTTP status 404"), "{error}");

    let connecting = server.client();
    let mut peer = server.accept().await;
    let hello = peer.hear().await;
    peer.say(json!({
        "type": "error", "id": hello["id"], "code": "unauthorized", "message": "who?", "retry": false,
    }))
    .await;
    let error = soon(connecting).await.unwrap().err().unwrap();
    assert_eq!(error.to_string(), "unauthorized: who?");

    let options = server.options();
    drop(server);
    let error = soon(Client::connect(options)).await.err().unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn the_connection_ends_with_the_last_client() {
    let server = Server::start().await;
    let (client, mut peer, subscription) = subscribed(&server).await;
    drop(client);
    let mut subscription = subscription;
    assert_eq!(soon(peer.next()).await, None);
    assert!(matches!(soon(subscription.next()).await, Some(Err(Error::Closed))));
}

#[tokio::test]
async fn a_subscription_nobody_waits_for_is_given_back() {
    let server = Server::start().await;
    let connecting = server.client();
    let (mut peer, _) = server.welcome(json!([]), 25_000).await;
    let client = soon(connecting).await.unwrap().unwrap();
    let asking = client.clone();
    let subscribing = tokio::spawn(async move { asking.subscribe(Subscribe::to("t")).await });
    let request = peer.hear().await;
    subscribing.abort();
    assert!(subscribing.await.is_err());
    peer.say(json!({"type": "subscribed", "id": request["id"], "topic": "t", "position": "a-1"})).await;
    let request = peer.hear().await;
    assert_eq!((&request["type"], &request["topic"]), (&json!("unsubscribe"), &json!("t")));
}

#[tokio::test]
async fn a_first_position_that_is_gone_is_a_gap() {
    let server = Server::start().await;
    let connecting = server.client();
    let (mut peer, _) = server.welcome(json!([]), 25_000).await;
    let client = soon(connecting).await.unwrap().unwrap();
    let request = Subscribe::to("t").since(Since::Position("old-1".to_owned()));
    let subscribing = tokio::spawn(async move { (client.subscribe(request).await, client) });
    let request = peer.hear().await;
    assert_eq!(request["since"], "old-1");
    let (id, position) = (&request["id"], "a-9");
    peer.say(json!({"type": "subscribed", "id": id, "topic": "t", "position": position, "recovered": false})).await;
    let (subscription, _client) = soon(subscribing).await.unwrap();
    assert_eq!(next_offset(&mut subscription.unwrap()).await, "gap a-9");
}
