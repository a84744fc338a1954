//! Functions against a server of this test: what it sees, and what callers hear.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_aws::credentials::Credential;
use fanfare_aws::sigv4::{self, PayloadHash, Rules, verify};
use fanfare_functions::{
    ANSWER_BYTES_MAX, Call, CallerError, Function, FunctionError, Functions, HttpCaller, Reach, RemoteLambda,
    RemoteLambdaOptions, Webhook, WebhookOptions,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// A request as the server saw it.
type Seen = (http::request::Parts, Bytes);

/// Listens, and answers by the path: a status, or a habit.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the test's own parts work");
        let server = Self {
            address: listener.local_addr().expect("the test's own parts work"),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let (seen, connections) = (server.seen.clone(), server.connections.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                *connections.lock() += 1;
                let seen = seen.clone();
                let service = service_fn(move |request| answer(request, seen.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        server
    }

    fn webhook(&self, path: &str, concurrency: usize) -> Webhook {
        let url = format!("http://{}{path}", self.address).parse().expect("the test's own parts work");
        Webhook::new(caller(), WebhookOptions { url, timeout: Duration::from_secs(5), concurrency })
    }

    fn count(&self) -> usize {
        self.seen.lock().len()
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Mutex<Vec<Seen>>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = head.uri.path().to_owned();
    let number = {
        let mut seen = seen.lock();
        seen.push((head, body.clone()));
        seen.len()
    };
    let answer = |status: u16, body: Bytes| {
        Response::builder().status(status).body(Full::new(body)).expect("the test's own parts work")
    };
    Ok(match path.as_str() {
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            answer(200, body)
        }
        "/large" => answer(200, vec![b'x'; ANSWER_BYTES_MAX + 1].into()),
        "/moved" => Response::builder()
            .status(302)
            .header("location", "/echo")
            .body(Full::default())
            .expect("the test's own parts work"),
        "/third" if number < 3 => answer(503, Bytes::new()),
        "/never" => answer(500, Bytes::new()),
        "/wrong" => answer(400, Bytes::new()),
        "/2015-03-31/functions/broken/invocations" => Response::builder()
            .header("x-amz-function-error", "Unhandled")
            .body(Full::new(r#"{"errorMessage":"no","errorType":"E"}"#.into()))
            .expect("the test's own parts work"),
        _ => answer(200, body),
    })
}

fn caller() -> HttpCaller {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    HttpCaller::new(Reach::Anywhere, None).expect("the test's own parts work")
}

fn waiting() -> Call {
    Call::waiting(Duration::from_secs(5))
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_webhook_is_posted_the_event_and_its_body_is_the_answer() {
    let server = Server::start().await;
    let hook = server.webhook("/echo?x=1", 4);
    let call = waiting();
    for _ in 0..3 {
        let answer = hook.invoke(Bytes::from_static(b"{\"a\":1}"), call.clone()).await.unwrap();
        assert_eq!(answer, "{\"a\":1}");
    }
    let seen = server.seen.lock();
    let (head, body) = &seen[0];
    assert_eq!(
        (head.method.as_str(), head.uri.to_string().as_str(), &body[..]),
        ("POST", "/echo?x=1", &b"{\"a\":1}"[..])
    );
    assert_eq!(head.headers["content-type"], "application/json");
    assert_eq!(head.headers["x-request-id"], *call.request_id);
    assert_eq!(*server.connections.lock(), 1, "connections are kept alive");
}

#[tokio::test]
async fn failures_have_names() {
    let server = Server::start().await;
    let event = Bytes::from_static(b"{}");
    let after = |path: &str| server.webhook(path, 1).invoke(event.clone(), waiting());
    assert_eq!(after("/wrong").await, Err(FunctionError::Status(400)));
    assert_eq!(after("/moved").await, Err(FunctionError::Status(302)), "redirects are not followed");
    assert_eq!(after("/large").await, Err(FunctionError::TooLarge(ANSWER_BYTES_MAX)));
    let short = Duration::from_millis(30);
    let answer = server.webhook("/slow", 1).invoke(event.clone(), Call::waiting(short)).await;
    assert!(matches!(answer, Err(FunctionError::Timeout(_))), "{answer:?}");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{free}/").parse().unwrap();
    let gone = Webhook::new(caller(), WebhookOptions { url, timeout: short, concurrency: 1 });
    let answer = gone.invoke(event, waiting()).await;
    assert!(matches!(&answer, Err(FunctionError::Refused(reason)) if reason.contains("refused")), "{answer:?}");
}

#[tokio::test]
async fn only_so_many_calls_run_at_once() {
    let server = Server::start().await;
    let hook = server.webhook("/slow", 1);
    let first = tokio::spawn(hook.invoke(Bytes::new(), waiting()));
    eventually("the first call", || server.count() == 1).await;
    assert_eq!(hook.invoke(Bytes::new(), waiting()).await, Err(FunctionError::Busy { limit: 1 }));
    // Whom nobody waits for takes its turn.
    let event = hook.invoke(Bytes::from_static(b"later"), Call::event(Duration::from_secs(5))).await;
    assert_eq!(event.unwrap(), "later");
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_nobody_waits_for_are_tried_again() {
    let server = Server::start().await;
    let functions = Functions::with_pause(Duration::from_millis(10));
    functions.insert("third", Arc::new(server.webhook("/third", 1)));
    let arn = "arn:aws:lambda:local:000000000000:function:third:live";
    functions.send(arn, Bytes::from_static(b"{}")).await.unwrap();
    eventually("the third try", || functions.waiting().items == 0).await;
    let ids: Vec<_> = server.seen.lock().iter().map(|(head, _)| head.headers["x-request-id"].clone()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "a repetition is known by its id");

    let server = Server::start().await;
    for (name, path) in [("never", "/never"), ("wrong", "/wrong")] {
        functions.insert(name, Arc::new(server.webhook(path, 1)));
        functions.send(name, Bytes::new()).await.unwrap();
        eventually(name, || functions.waiting().items == 0).await;
    }
    assert_eq!(server.count(), 4, "what is wrong is not sent again");
    assert_eq!(functions.send("other", Bytes::new()).await, Err(FunctionError::Unknown("other".to_owned())));
}

#[tokio::test]
async fn invoke_is_signed_and_its_failures_are_told() {
    let server = Server::start().await;
    let credential = Credential::new("AKIDEXAMPLE", "a-secret", "someone");
    let lambda = |name: &str| {
        let endpoint = format!("http://{}", server.address).parse().unwrap();
        let timeout = Duration::from_secs(5);
        let (name, region, credential) = (name.to_owned(), "local".to_owned(), Some(credential.clone()));
        let is_emulator = false;
        let options = RemoteLambdaOptions { endpoint, name, region, credential, timeout, concurrency: 2, is_emulator };
        RemoteLambda::new(caller(), options)
    };
    let event = Bytes::from_static(b"{\"n\":1}");
    assert_eq!(lambda("greet:live").invoke(event.clone(), waiting()).await.unwrap(), event);
    let broken = lambda("broken").invoke(event.clone(), waiting()).await;
    assert!(
        matches!(&broken, Err(FunctionError::Handler(body)) if body.starts_with(b"{\"errorMessage\"")),
        "{broken:?}"
    );

    let seen = server.seen.lock();
    let (head, body) = &seen[0];
    assert_eq!(head.uri.to_string(), "/2015-03-31/functions/greet/invocations?Qualifier=live");
    assert_eq!(head.headers["x-amz-invocation-type"], "RequestResponse");
    let headers: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let request = sigv4::Request {
        method: "POST",
        raw_path: head.uri.path(),
        raw_query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        payload: PayloadHash::Bytes(body),
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let find = |key: &str| (key == "AKIDEXAMPLE").then(|| credential.clone());
    assert!(verify(&request, &find, &Rules::new(&["lambda"], now)).is_ok());
}

#[tokio::test]
async fn what_is_near_is_out_of_reach_of_strangers() {
    let server = Server::start().await;
    let _ = caller();
    let public = HttpCaller::new(Reach::Public, None).unwrap();
    let port = server.address.port();
    for host in ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"] {
        let request = Request::post(format!("http://{host}:{port}/")).body(Bytes::new()).unwrap();
        let answer = public.send(request, Duration::from_secs(5), 1_024).await;
        assert!(answer.is_err(), "{host}: {answer:?}");
    }
    assert_eq!((server.count(), *server.connections.lock()), (0, 0));
}

#[tokio::test]
async fn https_trusts_a_configured_authority_and_no_other() {
    let _ = caller();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(socket) = acceptor.accept(socket).await else { continue };
            let service = service_fn(move |request| answer(request, Arc::default()));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    let url = || Request::post(format!("https://localhost:{port}/")).body(Bytes::from_static(b"hi")).unwrap();
    let trusting = HttpCaller::new(Reach::Anywhere, Some(made.cert.pem().as_bytes())).unwrap();
    let answer = trusting.send(url(), Duration::from_secs(5), 1_024).await.unwrap();
    assert_eq!(answer.body(), "hi");
    let answer = caller().send(url(), Duration::from_secs(5), 1_024).await;
    assert!(matches!(answer, Err(CallerError::Connection(_))), "{answer:?}");
    assert!(matches!(HttpCaller::new(Reach::Anywhere, Some(b"no PEM")), Err(CallerError::Certificates(_))));
}
