//! What a call costs beside its handler, on this machine: `overhead [calls] [cold starts]`.
//!
//! Handlers that do nothing are called through a host, and by the barest server of the Runtime API that works, which
//! knows one process and one call. What a host adds is the difference. The binary is its own third runtime: begun with
//! `AWS_LAMBDA_RUNTIME_API` it is a handler.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example that prints")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_functions::{Call, Function};
use fanfare_runtime::{HandlerConfig, Host, HostOptions, HostedFunction, RuntimeKind};

const EVENT: &str = r#"{"requestContext":{"connectionId":"a","routeKey":"say"},"body":"{\"action\":\"say\",\"text\":\"hello\"}","isBase64Encoded":false}"#;

fn main() {
    if let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") {
        return handle(&api);
    }
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().unwrap());
    let (calls, colds) = (arguments.next().unwrap_or(2_000), arguments.next().unwrap_or(20));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), root.join("bootstrap")).unwrap();
    std::fs::write(root.join("index.mjs"), "export const handler = async () => ({ statusCode: 200 });").unwrap();
    std::fs::write(root.join("app.py"), "def handler(event, context):\n    return {'statusCode': 200}\n").unwrap();
    println!(
        "{:<10} {:>22} {:>22} {:>22}",
        "", "warm, host (p50 p99)", "warm, bare (p50 p99)", "cold: host, bare (p50)"
    );
    for (name, runtime, handler) in [
        ("provided", RuntimeKind::Provided, "bootstrap"),
        ("node", RuntimeKind::Node("20".into()), "index.handler"),
        ("python", RuntimeKind::Python("3.11".into()), "app.handler"),
    ] {
        let config = config(name, runtime, handler, root);
        let hosted = tokio::runtime::Runtime::new().unwrap().block_on(hosted(config, calls, colds));
        let bare = Bare::of(&hosted.command, root).measure(calls, colds);
        let pair = |times: &Times| format!("{:>7.3} {:>7.3} ms", times.at(50), times.at(99));
        let cold = format!("{:>7.1} {:>7.1} ms", hosted.cold.at(50), bare.1.at(50));
        println!("{name:<10} {:>22} {:>22} {cold:>22}", pair(&hosted.warm), pair(&bare.0));
    }
}

/// Milliseconds, sorted.
struct Times(Vec<f64>);

impl Times {
    fn measure(count: usize, mut one: impl FnMut() -> Duration) -> Self {
        Self::of((0..count).map(|_| one()).collect())
    }

    fn of(times: Vec<Duration>) -> Self {
        let mut times: Vec<_> = times.into_iter().map(|time| time.as_secs_f64() * 1_000.0).collect();
        times.sort_unstable_by(f64::total_cmp);
        Self(times)
    }

    fn at(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }
}

struct Hosted {
    warm: Times,
    cold: Times,
    /// Of a process that ran: its program and arguments, and its variables.
    command: (Vec<String>, Vec<(String, String)>),
}

async fn hosted(config: HandlerConfig, calls: usize, colds: usize) -> Hosted {
    let runtimes = std::env::temp_dir().join("fanfare-overhead-runtimes");
    let host = Host::new(HostOptions::new(runtimes)).unwrap();
    let function = host.add(config).unwrap();
    invoke(&function).await;
    let mut warm = Vec::with_capacity(calls);
    for _ in 0..calls {
        // As with the barest server, the process asks for work again before the clock starts.
        while function.stats().idle == 0 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        warm.push(invoke(&function).await);
    }
    let pid = host.processes()[0].pid.unwrap();
    let command = command_of(pid);
    let mut cold = Vec::with_capacity(colds);
    for _ in 0..colds {
        function.renew();
        while !host.processes().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cold.push(invoke(&function).await);
    }
    host.stop(Duration::from_secs(1)).await;
    Hosted { warm: Times::of(warm), cold: Times::of(cold), command }
}

async fn invoke(function: &HostedFunction) -> Duration {
    let began = Instant::now();
    let answer = function.invoke(Bytes::from_static(EVENT.as_bytes()), Call::waiting(Duration::from_secs(300))).await;
    answer.unwrap();
    began.elapsed()
}

fn command_of(pid: i32) -> (Vec<String>, Vec<(String, String)>) {
    let parts = |file: &str| -> Vec<String> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    };
    let environment = parts("environ");
    let variables = environment.iter().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.into(), v.into()));
    (parts("cmdline"), variables.collect())
}

/// The barest server: one process, one connection, one call.
struct Bare {
    listener: TcpListener,
    command: Command,
}

impl Bare {
    fn of((line, variables): &(Vec<String>, Vec<(String, String)>), root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).env_clear().envs(variables.iter().cloned()).current_dir(root);
        command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { listener, command }
    }

    fn measure(&mut self, calls: usize, colds: usize) -> (Times, Times) {
        let cold = Times::measure(colds, || {
            let began = Instant::now();
            let mut child = self.command.spawn().unwrap();
            Connection::accept(&self.listener).call();
            let took = began.elapsed();
            child.kill().and_then(|()| child.wait()).unwrap();
            took
        });
        let mut child = self.command.spawn().unwrap();
        let mut connection = Connection::accept(&self.listener);
        connection.call();
        let warm = Times::measure(calls, || {
            // The process asks for work again before the clock starts, as it has with a host.
            connection.request();
            let began = Instant::now();
            connection.deliver();
            began.elapsed()
        });
        child.kill().and_then(|()| child.wait()).unwrap();
        (warm, cold)
    }
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn call(&mut self) {
        self.request();
        self.deliver();
    }

    fn deliver(&mut self) {
        let deadline = 4_000_000_000_000_u64;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: 1\r\n\
             Lambda-Runtime-Deadline-Ms: {deadline}\r\nLambda-Runtime-Invoked-Function-Arn: arn\r\n\
             Lambda-Runtime-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793\r\nContent-Length: {}\r\n\r\n{EVENT}",
            EVENT.len()
        );
        self.0.get_mut().write_all(head.as_bytes()).unwrap();
        self.request();
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        self.0.get_mut().write_all(answer).unwrap();
    }

    fn request(&mut self) {
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the process is gone");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
    }
}

/// The handler that this binary is when a host begins it.
fn handle(api: &str) {
    let stream = TcpStream::connect(api).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        write!(reader.get_mut(), "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {api}\r\n\r\n").unwrap();
        let Some(id) = response(&mut reader) else { return };
        let body = "{\"statusCode\":200}";
        let request = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: {api}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        reader.get_mut().write_all(request.as_bytes()).unwrap();
        if response(&mut reader).is_none() {
            return;
        }
    }
}

/// Reads a response, and gives the id of the call if it has one. `None` if the server is gone.
fn response(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut line, mut length, mut id) = (String::new(), 0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().ok()?,
            Some(("Lambda-Runtime-Aws-Request-Id", value)) => value.clone_into(&mut id),
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(id)
}

fn config(name: &str, runtime: RuntimeKind, handler: &str, root: &Path) -> HandlerConfig {
    HandlerConfig {
        name: name.to_owned(),
        alias: None,
        runtime,
        handler: handler.to_owned(),
        root: PathBuf::from(root),
        environment: BTreeMap::new(),
        timeout: Duration::from_secs(300),
        memory_mb: 512,
        reserved_concurrency: None,
        provisioned_concurrency: 0,
        idle_timeout: Duration::from_secs(300),
        freeze_after: None,
        retries: 0,
        event_age_max: Duration::from_secs(60),
        dead_letter_topic: None,
        origin: "example".to_owned(),
    }
}
