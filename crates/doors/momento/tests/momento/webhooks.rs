//! Webhooks: signed, kept, tried again, and in nobody's way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_core::{Log, RecordTable};
use fanfare_momento::webhook::signature;
use fanfare_momento::wire::{
    DeleteWebhookRequest, Empty, GetWebhookSecretRequest, GetWebhookSecretResponse, ListWebhooksRequest,
    ListWebhooksResponse, PutWebhookRequest, SecretResponse, Webhook, WebhookDestination, WebhookId,
    webhook_destination,
};
use fanfare_testkit::TestLog;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::client::{Client, Ended};
use crate::world::World;

/// A web server that is told how to answer: a status, or 0 for never.
struct Receiver {
    url: String,
    heard: mpsc::UnboundedReceiver<(String, Bytes)>,
}

async fn receiver(answers: Vec<u16>) -> Receiver {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tx, heard) = mpsc::unbounded_channel();
    let answers = Arc::new(std::sync::Mutex::new(answers.into_iter()));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (tx, answers) = (tx.clone(), answers.clone());
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let (tx, answers) = (tx.clone(), answers.clone());
                async move {
                    let signed = request.headers()["momento-signature"].to_str().unwrap().to_owned();
                    let body = request.into_body().collect().await?.to_bytes();
                    let status = answers.lock().unwrap().next().unwrap_or(200);
                    let _ = tx.send((signed, body));
                    if status == 0 {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, hyper::Error>(Response::builder().status(status).body(Full::new(Bytes::new())).unwrap())
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    Receiver { url, heard }
}

impl Receiver {
    async fn hear(&mut self) -> (String, Bytes) {
        tokio::time::timeout(Duration::from_secs(10), self.heard.recv()).await.expect("it is told").unwrap()
    }
}

fn id(name: &str) -> Option<WebhookId> {
    Some(WebhookId { cache_name: "websocket".into(), webhook_name: name.into() })
}

async fn put(client: &mut Client, name: &str, url: &str) -> Result<String, Ended> {
    let destination = Some(WebhookDestination { kind: Some(webhook_destination::Kind::PostUrl(url.to_owned())) });
    let webhook = Some(Webhook { webhook_id: id(name), topic_name: "t".into(), destination });
    let made: SecretResponse = client.call("/webhook.Webhook/PutWebhook", &PutWebhookRequest { webhook }).await?;
    Ok(made.secret_string)
}

#[test]
fn a_message_is_told_with_a_signature() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        let mut receiver = receiver(Vec::new()).await;
        let secret = put(&mut client, "w", &receiver.url).await.unwrap();
        client.publish("websocket", "other", "no").await.unwrap();
        client.publish("websocket", "t", "hello").await.unwrap();
        let (signed, body) = receiver.hear().await;
        assert_eq!(signed, signature(&secret, &body));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&body["cache"], &body["topic"], &body["text"]),
            (&"websocket".into(), &"t".into(), &"hello".into())
        );
    });
}

#[test]
fn webhooks_are_listed_and_their_secrets_change() {
    let world = World::with(|door| door.limits.webhooks = 2, |_| {});
    world.run(async {
        let mut client = Client::connect(&world).await;
        let mut receiver = receiver(Vec::new()).await;
        let first = put(&mut client, "w", &receiver.url).await.unwrap();
        assert_eq!(put(&mut client, "w", &receiver.url).await.unwrap(), first, "an update keeps it");
        put(&mut client, "v", &receiver.url).await.unwrap();
        assert_eq!(put(&mut client, "u", &receiver.url).await.unwrap_err().code, 8);
        assert_eq!(put(&mut client, "w", "ftp://x").await.unwrap_err().code, 3);
        let list = ListWebhooksRequest { cache_name: "websocket".into() };
        let listed: ListWebhooksResponse = client.call("/webhook.Webhook/ListWebhooks", &list).await.unwrap();
        assert_eq!(listed.webhook.iter().map(|hook| hook.webhook_id.clone()).collect::<Vec<_>>(), [id("v"), id("w")]);
        let gone = DeleteWebhookRequest { webhook_id: id("v") };
        let _: Empty = client.call("/webhook.Webhook/DeleteWebhook", &gone).await.unwrap();
        assert_eq!(client.call::<Empty>("/webhook.Webhook/DeleteWebhook", &gone).await.unwrap_err().code, 5);
        let rotate = DeleteWebhookRequest { webhook_id: id("w") };
        let new: SecretResponse = client.call("/webhook.Webhook/RotateWebhookSecret", &rotate).await.unwrap();
        assert_ne!(new.secret_string, first);
        let ask = GetWebhookSecretRequest { cache_name: "websocket".into(), webhook_name: "w".into() };
        let told: GetWebhookSecretResponse = client.call("/webhook.Webhook/GetWebhookSecret", &ask).await.unwrap();
        assert_eq!(told.secret_string, new.secret_string);
        client.publish("websocket", "t", "hello").await.unwrap();
        let (signed, body) = receiver.hear().await;
        assert_eq!(signed, signature(&new.secret_string, &body));
    });
}

#[test]
fn a_receiver_that_fails_is_asked_again_and_one_that_hangs_is_in_nobodys_way() {
    let world = World::with(|door| door.limits.webhook_timeout = Duration::from_millis(300), |_| {});
    world.run(async {
        let mut client = Client::connect(&world).await;
        let mut receiver = receiver(vec![0, 500, 200]).await;
        put(&mut client, "w", &receiver.url).await.unwrap();
        let began = Instant::now();
        client.publish("websocket", "t", "hello").await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(250), "the publisher does not wait");
        let tries = [receiver.hear().await, receiver.hear().await, receiver.hear().await];
        assert!(tries.iter().all(|told| *told == tries[0]), "the same each time");
    });
}

#[test]
fn webhooks_and_what_they_did_not_tell_outlive_the_server() {
    let log = Arc::new(TestLog::default());
    let shared: Arc<dyn Log> = log.clone();
    let world = World::on_log(shared.clone());
    let (mut receiver, outside) = {
        let outside = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        (outside.block_on(receiver(vec![500])), outside)
    };
    world.run(async {
        let mut client = Client::connect(&world).await;
        put(&mut client, "w", &receiver.url).await.unwrap();
        client.publish("websocket", "t", "hello").await.unwrap();
    });
    let (_, first) = outside.block_on(receiver.hear());
    drop(world);
    assert!(!log.table(RecordTable::WebhookDeliveries).is_empty());
    let world = World::on_log(shared);
    let (_, again) = outside.block_on(receiver.hear());
    assert_eq!(again, first);
    world.run(async {
        let mut client = Client::connect(&world).await;
        client.publish("websocket", "t", "later").await.unwrap();
    });
    let (_, later) = outside.block_on(receiver.hear());
    assert!(std::str::from_utf8(&later).unwrap().contains("later"));
}
