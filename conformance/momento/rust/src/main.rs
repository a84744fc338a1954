//! Momento's SDK for Rust with its strings outside: a command comes as a line of JSON, so does its answer, and what happens
//! to subscriptions is told in lines between them.
//!
//! ```text
//! {"number":1,"do":"subscribe","port":8080,"key":"...","cache":"c","topic":"t","name":"s1"}   {"answer":1,"type":"Subscription"}
//! {"number":2,"do":"publish","port":8080,"key":"...","cache":"c","topic":"t","text":"x"}      {"answer":2,"type":"Success"}
//! {"number":3,"do":"pause","name":"s1"}   nothing is read from s1 until `resume`
//! {"number":4,"do":"counts"}              how often the SDK's log told of each thing that its applications do not see
//! ```
//!
//! Bytes are in base64, times in seconds since 1970.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Write};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use momento::auth::{ExpiresIn, PermissionScopes};
use momento::topics::{Subscription, SubscriptionValue, ValueKind, configurations};
use momento::{AuthClient, CredentialProvider, MomentoError, TopicClient};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

type Failure = Box<dyn std::error::Error>;

/// What the SDK's log says, by which word of ours it is counted.
const TOLD_BY_LOG: [(&str, &str); 4] = [
    ("discontinuity!", "discontinuity"),
    ("stream closed", "closed"),
    ("error talking to momento!", "broken"),
    ("error while trying to resubscribe", "refused"),
];

struct Counts(Mutex<BTreeMap<&'static str, u64>>);

static COUNTS: Counts = Counts(Mutex::new(BTreeMap::new()));

impl log::Log for Counts {
    fn enabled(&self, record: &log::Metadata<'_>) -> bool {
        record.target().starts_with("momento")
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        if let Some((_, word)) = TOLD_BY_LOG.iter().find(|(begin, _)| text.starts_with(begin)) {
            *self.0.lock().expect("no holder panics").entry(word).or_default() += 1;
        }
    }

    fn flush(&self) {}
}

struct Reader {
    task: JoinHandle<()>,
    is_paused: watch::Sender<bool>,
}

#[derive(Default)]
struct Driver {
    clients: HashMap<(u64, String), TopicClient>,
    readers: HashMap<String, Reader>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    log::set_logger(&COUNTS)?;
    log::set_max_level(log::LevelFilter::Debug);
    let (sender, mut commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut driver = Driver::default();
    while let Some(line) = commands.recv().await {
        let asked: Value = serde_json::from_str(&line)?;
        let mut outcome = match driver.act(&asked).await {
            Ok(outcome) => outcome,
            Err(error) => {
                json!({"type": "Error", "code": format!("{:?}", error.error_code), "message": error.message})
            }
        };
        outcome["answer"] = asked["number"].clone();
        say(outcome);
    }
    Ok(())
}

impl Driver {
    async fn act(&mut self, asked: &Value) -> Result<Value, MomentoError> {
        match text(asked, "do") {
            "subscribe" => self.subscribe(asked).await,
            "publish" => publish(&self.client(asked)?, asked).await,
            "flood" => flood(&self.client(asked)?, asked).await,
            "token" => token(asked).await,
            "pause" => Ok(self.pause(text(asked, "name"), true)),
            "resume" => Ok(self.pause(text(asked, "name"), false)),
            "unsubscribe" => Ok(self.unsubscribe(text(asked, "name"))),
            "look" => Ok(json!({"type": "Success"})),
            "counts" => Ok(json!({"type": "Success", "counts": *COUNTS.0.lock().expect("no holder panics")})),
            other => Ok(json!({"type": "Error", "code": "unknown command", "message": other})),
        }
    }

    fn client(&mut self, asked: &Value) -> Result<TopicClient, MomentoError> {
        let known = (number(asked, "port"), text(asked, "key").to_owned());
        if let Some(client) = self.clients.get(&known) {
            return Ok(client.clone());
        }
        let builder = TopicClient::builder().configuration(configurations::Laptop::latest());
        let client = builder.credential_provider(provider(asked)?).build()?;
        Ok(self.clients.entry(known).or_insert(client).clone())
    }

    async fn subscribe(&mut self, asked: &Value) -> Result<Value, MomentoError> {
        let subscription = self.client(asked)?.subscribe(text(asked, "cache"), text(asked, "topic")).await?;
        let name = text(asked, "name").to_owned();
        let (is_paused, pauses) = watch::channel(false);
        let task = tokio::spawn(read(name.clone(), subscription, pauses));
        self.readers.insert(name, Reader { task, is_paused });
        Ok(json!({"type": "Subscription"}))
    }

    fn pause(&self, name: &str, is_paused: bool) -> Value {
        match self.readers.get(name) {
            Some(reader) => {
                reader.is_paused.send_replace(is_paused);
                json!({"type": "Success"})
            }
            None => json!({"type": "Error", "code": "unknown subscription", "message": name}),
        }
    }

    fn unsubscribe(&mut self, name: &str) -> Value {
        if let Some(reader) = self.readers.remove(name) {
            reader.task.abort();
        }
        json!({"type": "Success"})
    }
}

async fn read(name: String, mut subscription: Subscription, mut pauses: watch::Receiver<bool>) {
    loop {
        if pauses.wait_for(|is_paused| !is_paused).await.is_err() {
            return;
        }
        tokio::select! {
            item = subscription.next() => match item {
                Some(item) => say(told(&name, &item)),
                None => return say(json!({"of": name, "event": "end", "at": now()})),
            },
            _ = pauses.changed() => {}
        }
    }
}

fn told(name: &str, item: &SubscriptionValue) -> Value {
    let mut event = json!({"of": name, "event": "item", "number": item.topic_sequence_number,
        "page": item.topic_sequence_page, "token": item.publisher_id, "at": now()});
    match &item.kind {
        ValueKind::Text(text) => event["text"] = json!(text),
        ValueKind::Binary(bytes) => event["binary"] = json!(BASE64_STANDARD.encode(bytes)),
    }
    event
}

async fn publish(client: &TopicClient, asked: &Value) -> Result<Value, MomentoError> {
    let (cache, topic) = (text(asked, "cache"), text(asked, "topic"));
    match asked["binary"].as_str() {
        Some(coded) => client.publish(cache, topic, BASE64_STANDARD.decode(coded).unwrap_or_default()).await?,
        None => client.publish(cache, topic, text(asked, "text")).await?,
    };
    Ok(json!({"type": "Success"}))
}

/// Publishes `count` messages of `size` bytes, `at_once` of them at a time. Each begins with its number.
async fn flood(client: &TopicClient, asked: &Value) -> Result<Value, MomentoError> {
    let (cache, topic) = (text(asked, "cache"), text(asked, "topic"));
    let size = number(asked, "size") as usize;
    let begin = SystemTime::now();
    let mut under_way = futures_util::stream::iter(0..number(asked, "count"))
        .map(|at| client.publish(cache, topic, format!("{at:<size$}")))
        .buffer_unordered(number(asked, "at_once") as usize);
    while let Some(done) = under_way.next().await {
        done?;
    }
    Ok(json!({"type": "Success", "seconds": begin.elapsed().unwrap_or(Duration::ZERO).as_secs_f64()}))
}

async fn token(asked: &Value) -> Result<Value, MomentoError> {
    let client = AuthClient::builder().credential_provider(provider(asked)?).build()?;
    let scope = PermissionScopes::topic_subscribe_only(text(asked, "cache"), text(asked, "topic"));
    let expiry = ExpiresIn::seconds(number(asked, "lifetime"));
    let made = client.generate_disposable_token(scope.into(), expiry).await?;
    let expires = made.clone().expires_at().epoch();
    Ok(json!({"type": "Success", "key": made.clone().auth_token(), "endpoint": made.endpoint(), "expires": expires}))
}

/// A key with dots is one of the second version.
fn provider(asked: &Value) -> Result<CredentialProvider, MomentoError> {
    let (here, key) = (format!("http://127.0.0.1:{}", number(asked, "port")), text(asked, "key"));
    let provider = match key.contains('.') {
        true => CredentialProvider::from_api_key_v2(key, "gateway.test")?,
        false => CredentialProvider::from_disposable_token(key)?,
    };
    Ok(provider.insecure_endpoint_override(&here))
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_default()
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn say(what: Value) {
    let mut out = std::io::stdout().lock();
    // The reader may be gone: then nobody is left to be told.
    let _ = writeln!(out, "{what}");
    let _ = out.flush();
}
