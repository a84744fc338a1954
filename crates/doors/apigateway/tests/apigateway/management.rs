//! `@connections`, and what the original has not.

use std::sync::Arc;

use fanfare_testkit::eventually;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::client::{Client, Heard, request};
use crate::world::{Does, World, api, ok, routes};

fn open(world: &World, count: usize) -> (Vec<Client>, Vec<String>) {
    let clients = (0..count).map(|_| Client::open(&world.server)).collect();
    let events = world.events("CONNECT", count);
    let ids = events.iter().map(|event| event["requestContext"]["connectionId"].as_str().unwrap().to_owned());
    (clients, ids.collect())
}

#[test]
fn post_get_delete() {
    let world = World::new(api(&routes(&json!({}))), |_| ok());
    let (mut clients, ids) = open(&world, 1);
    let path = format!("/dev/@connections/{}", ids[0]);
    let posted = request(&world.server, "POST", &path, b"hello");
    assert_eq!((posted.status, posted.body.as_str()), (200, ""));
    assert!(posted.header("x-amzn-requestid").is_some() && posted.header("x-amz-apigw-id").is_some());
    assert_eq!(clients[0].hear_text(), "hello");
    assert_eq!(request(&world.server, "POST", &path, b"\xff").status, 200);
    assert_eq!(clients[0].hear(), Heard::Binary(vec![0xff]));
    let got: Value = serde_json::from_str(&request(&world.server, "GET", &path, b"").body).unwrap();
    assert_eq!(got["identity"], json!({ "sourceIp": "127.0.0.1", "userAgent": "" }));
    assert!(got["lastActiveAt"].as_str() >= got["connectedAt"].as_str());
    let deleted = request(&world.server, "DELETE", &path, b"");
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    assert!(matches!(clients[0].hear(), Heard::Close(Some(1_000), _)));
    world.events("DISCONNECT", 1);
    for method in ["POST", "GET", "DELETE"] {
        let gone = request(&world.server, method, &path, b"");
        assert_eq!((gone.status, gone.header("x-amzn-errortype")), (410, Some("GoneException")), "{method}");
    }
}

#[test]
fn all_forms_of_a_path() {
    let world = World::new(api(&routes(&json!({}))), |_| ok());
    let (mut clients, ids) = open(&world, 1);
    let encoded = ids[0].replace('=', "%3D");
    for path in [
        format!("/dev/@connections/{encoded}"),
        format!("/dev/%40connections/{}", encoded.to_lowercase().replace(&encoded.to_lowercase(), &encoded)),
        format!("/chat1/dev/@connections/{encoded}"),
        format!("/@connections/{encoded}"),
    ] {
        assert_eq!(request(&world.server, "POST", &path, path.as_bytes()).status, 200, "{path}");
        assert_eq!(clients[0].hear_text(), path);
    }
    assert_eq!(request(&world.server, "POST", "/dev/@connections/nope", b"x").status, 400);
    assert_eq!(request(&world.server, "POST", "/dev/@connections/", b"x").status, 403);
    assert_eq!(request(&world.server, "POST", "/dev/@connections/AbCdEfGhIjKlMnO=", b"x").status, 410);
}

#[test]
fn messages_have_a_size_and_leave_in_frames() {
    let world = World::new(api(&routes(&json!({}))), |_| ok());
    let (mut clients, ids) = open(&world, 1);
    let path = format!("/dev/@connections/{}", ids[0]);
    assert_eq!(request(&world.server, "POST", &path, &vec![b'x'; 131_072]).status, 200);
    assert_eq!(clients[0].hear_text().len(), 131_072);
    let refused = request(&world.server, "POST", &path, &vec![b'x'; 131_073]);
    assert_eq!((refused.status, refused.header("x-amzn-errortype")), (413, Some("PayloadTooLargeException")));
    assert!(world.server.gateway.metrics.render().contains("payload_too_large"));
}

#[test]
fn who_reads_nothing_has_a_bounded_queue() {
    let mut all = routes(&json!({}));
    all["options"] = json!({ "queue_bytes": 200_000 });
    let world = World::new(api(&all), |_| ok());
    let (_clients, ids) = open(&world, 1);
    let path = format!("/dev/@connections/{}", ids[0]);
    let refused = || {
        let reply = request(&world.server, "POST", &path, &vec![b'x'; 131_072]);
        (reply.status != 200).then_some(reply)
    };
    let reply = eventually(refused).unwrap();
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (429, Some("LimitExceededException")));
}

#[test]
fn before_the_101_it_is_gone() {
    let seen = Arc::new(Mutex::new(None));
    let (statuses, server) = (seen.clone(), Arc::new(Mutex::new(None::<std::net::SocketAddr>)));
    let address = server.clone();
    let world = World::new(api(&routes(&json!({}))), move |event| {
        if event["requestContext"]["eventType"] == "CONNECT" {
            let id = event["requestContext"]["connectionId"].as_str().unwrap().to_owned();
            let address = address.lock().unwrap();
            *statuses.lock() = Some(post_from_a_function(address, &id));
        }
        ok()
    });
    *server.lock() = Some(world.server.address);
    let _client = Client::open(&world.server);
    assert_eq!(*seen.lock(), Some(410));
}

/// A function posts while it is asked; on a thread, since functions of tests are asked on a task.
fn post_from_a_function(address: std::net::SocketAddr, id: &str) -> u16 {
    use std::io::{Read, Write};
    let request = format!(
        "POST /dev/@connections/{id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let call = move || {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        reply.split(' ').nth(1).unwrap().parse().unwrap()
    };
    std::thread::spawn(call).join().unwrap()
}

#[test]
fn everybody_at_once() {
    let world = World::new(api(&routes(&json!({}))), |_| ok());
    let (mut clients, _) = open(&world, 5);
    let sent = request(&world.server, "POST", "/dev/@connections", b"goal!");
    assert_eq!((sent.status, sent.body.as_str()), (200, r#"{"connections":5}"#));
    for client in &mut clients {
        assert_eq!(client.hear_text(), "goal!");
    }
}

#[test]
fn the_connections_of_a_user() {
    let mut all = routes(&json!({}));
    all["stages"] = json!({ "dev": {}, "live": {} });
    all["routes"]["$connect"]["authorization"] = json!("custom");
    all["routes"]["$connect"]["authorizer"] = json!("door");
    all["authorizers"] = json!({ "door": { "function": "app" } });
    let world = World::new(api(&all), |event| match event["type"].as_str() {
        Some("REQUEST") => Does::Answer(json!({
            "principalId": event["queryStringParameters"]["user"],
            "policyDocument": { "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] } })),
        _ => ok(),
    });
    let mut ada = [Client::open_at(&world.server, "/dev?user=ada"), Client::open_at(&world.server, "/dev?user=ada")];
    let mut bob = Client::open_at(&world.server, "/dev?user=bob");
    let mut elsewhere = Client::open_at(&world.server, "/live?user=ada");
    let sent = request(&world.server, "POST", "/dev/@users/ada", b"for you");
    assert_eq!(sent.body, r#"{"connections":2}"#);
    for client in &mut ada {
        assert_eq!(client.hear_text(), "for you");
    }
    bob.hears_nothing();
    elsewhere.hears_nothing();
    assert_eq!(request(&world.server, "POST", "/live/@users/ada", b"there").body, r#"{"connections":1}"#);
    assert_eq!(elsewhere.hear_text(), "there");
}
