//! rumqttc with its strings outside: commands come as JSON lines, what happens goes out as JSON lines.
//!
//! ```text
//! {"do":"connect","version":5,"port":1883,"id":"a","clean":false,"expiry":60,"manual":true,"receive":10}
//! {"do":"subscribe","filter":"t","qos":1}      {"do":"publish","topic":"t","payload":"x","qos":1,"retain":false}
//! {"do":"ack"}  the oldest message that was not acknowledged      {"do":"drop"}  the socket, without a DISCONNECT
//! ```
//!
//! Payloads are text. A new `connect` drops the connection before it.

use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5 as five;
use rumqttc::{self as three, v5};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

type Failure = Box<dyn std::error::Error>;
type Waiting<T> = Arc<Mutex<VecDeque<T>>>;

/// Requests that wait for the socket.
const REQUESTS: usize = 20_000;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

enum Client {
    Three(three::AsyncClient, Waiting<three::Publish>),
    Five(v5::AsyncClient, Waiting<five::Publish>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let (sender, mut commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut live: Option<(Client, JoinHandle<()>)> = None;
    while let Some(line) = commands.recv().await {
        let command: Value = serde_json::from_str(&line)?;
        match (text(&command, "do"), &live) {
            ("connect", _) | ("drop", _) => {
                if let Some((_, task)) = live.take() {
                    task.abort();
                    // Its socket closes once the task is gone.
                    let _ = task.await;
                }
                live = (text(&command, "do") == "connect").then(|| connect(&command));
                say(json!({"event": "done"}));
            }
            (_, Some((client, _))) => act(client, &command).await?,
            (other, None) => return Err(format!("{other}: connect first").into()),
        }
    }
    Ok(())
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_default()
}

fn flag(of: &Value, name: &str) -> bool {
    of[name].as_bool().unwrap_or_default()
}

fn say(what: Value) {
    let mut out = std::io::stdout().lock();
    // The reader may be gone: then nobody is left to be told.
    let _ = writeln!(out, "{what}");
    let _ = out.flush();
}

fn connect(command: &Value) -> (Client, JoinHandle<()>) {
    let (id, port) = (text(command, "id"), number(command, "port") as u16);
    if number(command, "version") == 5 { connect_five(id, port, command) } else { connect_three(id, port, command) }
}

fn connect_three(id: &str, port: u16, command: &Value) -> (Client, JoinHandle<()>) {
    let mut options = three::MqttOptions::new(id, "127.0.0.1", port);
    options.set_keep_alive(KEEP_ALIVE).set_clean_session(flag(command, "clean"));
    options.set_manual_acks(flag(command, "manual"));
    let (client, mut events) = three::AsyncClient::new(options, REQUESTS);
    let waiting = Waiting::default();
    let arrived = waiting.clone();
    let task = tokio::spawn(async move {
        loop {
            match events.poll().await {
                Ok(three::Event::Incoming(packet)) => heard_three(packet, &arrived),
                Ok(_) => {}
                Err(error) => return say(json!({"event": "error", "text": error.to_string()})),
            }
        }
    });
    (Client::Three(client, waiting), task)
}

fn heard_three(packet: three::Packet, waiting: &Waiting<three::Publish>) {
    match packet {
        three::Packet::ConnAck(ack) => {
            say(json!({"event": "connack", "present": ack.session_present, "code": ack.code as u8}));
        }
        three::Packet::Publish(publish) => {
            say(
                json!({"event": "publish", "topic": publish.topic, "payload": String::from_utf8_lossy(&publish.payload),
                "qos": publish.qos as u8, "dup": publish.dup, "retain": publish.retain, "id": publish.pkid}),
            );
            waiting.lock().expect("no holder panics").push_back(publish);
        }
        three::Packet::SubAck(ack) => {
            say(json!({"event": "suback", "id": ack.pkid, "codes": format!("{:?}", ack.return_codes)}))
        }
        three::Packet::PubAck(ack) => say(json!({"event": "puback", "id": ack.pkid})),
        three::Packet::PubComp(ack) => say(json!({"event": "pubcomp", "id": ack.pkid})),
        _ => {}
    }
}

fn connect_five(id: &str, port: u16, command: &Value) -> (Client, JoinHandle<()>) {
    let mut options = v5::MqttOptions::new(id, "127.0.0.1", port);
    options.set_keep_alive(KEEP_ALIVE).set_clean_start(flag(command, "clean"));
    options.set_manual_acks(flag(command, "manual"));
    options.set_session_expiry_interval(command["expiry"].as_u64().map(|seconds| seconds as u32));
    options.set_receive_maximum(command["receive"].as_u64().map(|count| count as u16));
    let (client, mut events) = v5::AsyncClient::new(options, REQUESTS);
    let waiting = Waiting::default();
    let arrived = waiting.clone();
    let task = tokio::spawn(async move {
        loop {
            match events.poll().await {
                Ok(v5::Event::Incoming(packet)) => heard_five(packet, &arrived),
                Ok(_) => {}
                Err(error) => return say(json!({"event": "error", "text": error.to_string()})),
            }
        }
    });
    (Client::Five(client, waiting), task)
}

fn heard_five(packet: five::Packet, waiting: &Waiting<five::Publish>) {
    match packet {
        five::Packet::ConnAck(ack) => {
            say(json!({"event": "connack", "present": ack.session_present, "code": format!("{:?}", ack.code)}));
        }
        five::Packet::Publish(publish) => {
            let properties = publish.properties.as_ref().map(|properties| format!("{properties:?}"));
            say(json!({"event": "publish", "topic": String::from_utf8_lossy(&publish.topic),
                "payload": String::from_utf8_lossy(&publish.payload), "qos": publish.qos as u8, "dup": publish.dup,
                "retain": publish.retain, "id": publish.pkid, "properties": properties}));
            waiting.lock().expect("no holder panics").push_back(publish);
        }
        five::Packet::SubAck(ack) => {
            say(json!({"event": "suback", "id": ack.pkid, "codes": format!("{:?}", ack.return_codes)}))
        }
        five::Packet::PubAck(ack) => say(json!({"event": "puback", "id": ack.pkid})),
        five::Packet::PubComp(ack) => say(json!({"event": "pubcomp", "id": ack.pkid})),
        _ => {}
    }
}

async fn act(client: &Client, command: &Value) -> Result<(), Failure> {
    let (qos, is_kept) = (number(command, "qos") as u8, flag(command, "retain"));
    match (text(command, "do"), client) {
        ("subscribe", Client::Three(client, _)) => client.subscribe(text(command, "filter"), three::qos(qos)?).await?,
        ("subscribe", Client::Five(client, _)) => {
            let qos = v5::mqttbytes::qos(qos).ok_or("qos is 0, 1 or 2")?;
            client.subscribe(text(command, "filter"), qos).await?;
        }
        ("publish", Client::Three(client, _)) => {
            client.publish(text(command, "topic"), three::qos(qos)?, is_kept, text(command, "payload")).await?;
        }
        ("publish", Client::Five(client, _)) => {
            let qos = v5::mqttbytes::qos(qos).ok_or("qos is 0, 1 or 2")?;
            let (topic, payload) = (text(command, "topic"), text(command, "payload").to_owned());
            client.publish(topic, qos, is_kept, payload).await?;
        }
        ("ack", Client::Three(client, waiting)) => {
            let publish = waiting.lock().expect("no holder panics").pop_front().ok_or("nothing to acknowledge")?;
            client.ack(&publish).await?;
        }
        ("ack", Client::Five(client, waiting)) => {
            let publish = waiting.lock().expect("no holder panics").pop_front().ok_or("nothing to acknowledge")?;
            client.ack(&publish).await?;
        }
        (other, _) => return Err(format!("{other:?} is no command").into()),
    }
    Ok(())
}
