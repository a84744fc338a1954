//! A server with operations, a log whose failure can be switched, and small clients.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_admin::{Operations, OperationsDoor, StartPage};
use fanfare_core::{Done, Log, LogBatch, LogError, MemoryLog, Message, Offset, RecordTable, RecoveredSpace};
use fanfare_identity::{AdminKeys, KeyAlgorithm, MintRequest, SigningKey, SigningKeyConfig, SigningMaterial, mint};
use fanfare_native::NativeDoor;
use fanfare_telemetry::UsageBook;
use fanfare_testkit::{TEST_SECRET, TestServer, TestServerOptions};
use fanfare_websocket::{MessageKind, encode_message_masked};
use parking_lot::Mutex;
use serde_json::{Value, json};

pub(crate) const KEY: &str = "an-admin-key-for-tests-only";

/// Operations that ask for [`KEY`].
pub(crate) fn operations() -> Operations {
    Operations {
        admin_keys: AdminKeys::new(&[KEY.into()]).unwrap(),
        is_development: false,
        metrics_open: false,
        usage: Arc::new(Mutex::new(UsageBook::default())),
        version: "1.2.3-test",
        start_page: StartPage::Plain,
    }
}

/// A server with the native door and operations.
pub(crate) struct Server {
    pub(crate) inner: TestServer,
    key: Option<&'static str>,
}

impl Server {
    /// Asks for [`KEY`]; calls of this value present it.
    pub(crate) fn start() -> Self {
        Self::with(operations(), TestServerOptions::default())
    }

    pub(crate) fn with(operations: Operations, options: TestServerOptions) -> Self {
        let doors = vec![Arc::new(NativeDoor) as _, Arc::new(OperationsDoor::new(operations)) as _];
        Self { inner: TestServer::start(TestServerOptions { doors, ..options }).unwrap(), key: Some(KEY) }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        http(self.inner.address, "GET", path, self.key, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        http(self.inner.address, "POST", path, self.key, Some(&body.to_string()))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        http(self.inner.address, "DELETE", path, self.key, None)
    }

    /// With another credential, or none.
    pub(crate) fn get_as(&self, credential: Option<&str>, path: &str) -> Answer {
        http(self.inner.address, "GET", path, credential, None)
    }

    pub(crate) fn post_as(&self, credential: Option<&str>, path: &str, body: &Value) -> Answer {
        http(self.inner.address, "POST", path, credential, Some(&body.to_string()))
    }

    /// A client of the native door.
    pub(crate) fn client(&self, token: Option<&str>) -> Client {
        Client::connect(self.inner.address, token)
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The JSON of an answer with status 200.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Status and code of a problem.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let body: Value = serde_json::from_str(&self.body).unwrap();
        assert!(body["message"].is_string() && body["retry"].is_boolean(), "{self:?}");
        (self.status, body["code"].as_str().unwrap().to_owned())
    }
}

pub(crate) fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    credential: Option<&str>,
    body: Option<&str>,
) -> Answer {
    let authorization = credential.map(|c| format!("Authorization: Bearer {c}\r\n")).unwrap_or_default();
    let body = body.unwrap_or_default();
    let length = body.len();
    raw(
        address,
        &format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

/// Sends a request that closes its connection, and reads the answer whole.
pub(crate) fn raw(address: SocketAddr, request: &str) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not an answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A token of the test server's own key.
pub(crate) fn token(subject: &str, allow: &[&str], deny: &[&str]) -> String {
    let config = SigningKeyConfig {
        id: None,
        algorithm: KeyAlgorithm::HS256,
        material: SigningMaterial::Secret(TEST_SECRET.into()),
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let owned = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect();
    let request = MintRequest {
        sub: Some(subject.to_owned()),
        allow: owned(allow),
        deny: owned(deny),
        ttl_ms: 60_000,
        issued_at: now,
        ..MintRequest::default()
    };
    mint(&SigningKey::new(&config).unwrap(), &request).unwrap()
}

/// A client of the native door over WebSocket.
pub(crate) struct Client {
    socket: TcpStream,
    /// Its id.
    pub(crate) id: String,
}

impl Client {
    fn connect(address: SocketAddr, token: Option<&str>) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request = "GET /v1/connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        socket.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
        let mut client = Self { socket, id: String::new() };
        let mut connect = json!({ "type": "connect", "id": 1 });
        if let Some(token) = token {
            connect["token"] = token.into();
        }
        client.send(&connect);
        let welcome = client.receive();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        client.id = welcome["connection"].as_str().unwrap().to_owned();
        client
    }

    pub(crate) fn send(&mut self, frame: &Value) {
        let mut out = Vec::new();
        encode_message_masked(&mut out, MessageKind::Text, frame.to_string().as_bytes(), [1, 2, 3, 4]);
        self.socket.write_all(&out).unwrap();
    }

    /// Asks and returns what comes next.
    pub(crate) fn ask(&mut self, frame: &Value) -> Value {
        self.send(frame);
        self.receive()
    }

    /// The next text frame.
    pub(crate) fn receive(&mut self) -> Value {
        match self.read_frame() {
            (1, text) => serde_json::from_slice(&text).unwrap(),
            (opcode, payload) => panic!("frame {opcode} with {:?}", payload.escape_ascii().to_string()),
        }
    }

    /// Code and reason of the close frame that comes next.
    pub(crate) fn receive_close(&mut self) -> (u16, String) {
        let (opcode, payload) = self.read_frame();
        assert_eq!(opcode, 8, "{}", payload.escape_ascii());
        (u16::from_be_bytes([payload[0], payload[1]]), String::from_utf8(payload[2..].to_vec()).unwrap())
    }

    fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.socket.read_exact(&mut head).unwrap();
        let mut length = u64::from(head[1] & 127);
        if length == 126 {
            let mut more = [0; 2];
            self.socket.read_exact(&mut more).unwrap();
            length = u64::from(u16::from_be_bytes(more));
        }
        let mut payload = vec![0; length as usize];
        self.socket.read_exact(&mut payload).unwrap();
        (head[0] & 15, payload)
    }
}

/// Keeps records, tells a size, and fails when it is told to.
pub(crate) struct FakeLog {
    inner: MemoryLog,
    records: Mutex<BTreeMap<(u8, Vec<u8>), Bytes>>,
    pub(crate) failure: Mutex<Option<LogError>>,
}

impl FakeLog {
    pub(crate) fn new() -> Arc<Self> {
        let inner = MemoryLog::new(7);
        Arc::new(Self { inner, records: Mutex::default(), failure: Mutex::default() })
    }
}

impl Log for FakeLog {
    fn is_durable(&self) -> bool {
        false
    }

    fn failure(&self) -> Option<LogError> {
        self.failure.lock().clone()
    }

    fn open_space(&self, name: &Arc<str>) -> Result<RecoveredSpace, LogError> {
        self.inner.open_space(name)
    }

    fn spaces(&self) -> Result<Vec<Arc<str>>, LogError> {
        Ok(Vec::new())
    }

    fn replay(&self, _: &str, _: &mut dyn FnMut(Message, bool)) -> Result<(), LogError> {
        Ok(())
    }

    fn append(&self, batch: LogBatch) -> Result<(), LogError> {
        self.inner.append(batch)
    }

    fn read(&self, _: &str, _: &[Offset]) -> Result<Vec<Arc<Message>>, LogError> {
        Ok(Vec::new())
    }

    fn put_record(
        &self,
        table: RecordTable,
        key: &[u8],
        value: Option<Bytes>,
        done: Option<Done>,
    ) -> Result<(), LogError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let key = (table as u8, key.to_vec());
        match value {
            Some(value) => drop(self.records.lock().insert(key, value)),
            None => drop(self.records.lock().remove(&key)),
        }
        if let Some(done) = done {
            done(Ok(()));
        }
        Ok(())
    }

    fn records(&self, table: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError> {
        let records = self.records.lock();
        let of_table = records.iter().filter(|((t, _), _)| *t == table as u8);
        Ok(of_table.map(|((_, key), value)| (key.clone().into(), value.clone())).collect())
    }

    fn flush(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        4_242
    }
}
