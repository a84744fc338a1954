//! A small HTTP/1.1 client over a plain socket: what arrives is looked at byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Nothing in a test takes this long.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Status and code of an error.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
}

/// A request that may still be changed.
pub(crate) struct Request {
    address: SocketAddr,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

pub(crate) fn get(address: SocketAddr, path: impl Into<String>) -> Request {
    request(address, "GET", path)
}

pub(crate) fn post(address: SocketAddr, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Request {
    Request { body: body.into(), ..request(address, "POST", path) }
}

pub(crate) fn request(address: SocketAddr, method: &'static str, path: impl Into<String>) -> Request {
    Request { address, method, path: path.into(), headers: Vec::new(), body: Vec::new() }
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    fn head(&self) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", self.method, self.path);
        if self.method == "POST" {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text + "\r\n"
    }

    /// Sends it on a connection of its own and reads all of the answer.
    pub(crate) fn send(self) -> Reply {
        let is_head = self.method == "HEAD";
        let mut answer = self.header("Connection", "close").open();
        let mut body = Vec::new();
        if !is_head {
            answer.body.read_to_end(&mut body).unwrap();
        }
        Reply { status: answer.status, headers: answer.headers, body }
    }

    /// Sends it and reads the head of the answer.
    pub(crate) fn open(self) -> Stream {
        let mut socket = connect(self.address);
        socket.write_all(self.head().as_bytes()).unwrap();
        // A server that has refused already need not read on.
        let _ = socket.write_all(&self.body);
        read_head(socket)
    }

    /// Sends a body of these chunks and reads all of the answer.
    pub(crate) fn send_chunked(self, chunks: &[&[u8]]) -> Reply {
        let mut socket = connect(self.address);
        let head = self.header("Connection", "close").head().replace("Content-Length: 0\r\n", "");
        socket.write_all(head.as_bytes()).unwrap();
        for chunk in chunks {
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
            let _ = socket.write_all(&framed);
        }
        let mut answer = read_head(socket);
        let mut body = Vec::new();
        answer.body.read_to_end(&mut body).unwrap();
        Reply { status: answer.status, headers: answer.headers, body }
    }

    /// Sends the head alone and waits until the server asks for the body.
    pub(crate) fn hold_body(self) -> Held {
        let body = self.body.clone();
        let request = self.header("Expect", "100-continue");
        let mut socket = connect(request.address);
        socket.write_all(request.head().as_bytes()).unwrap();
        let mut interim = [0; 25];
        socket.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        Held { socket, body }
    }
}

/// A request whose body is still to come.
pub(crate) struct Held {
    socket: TcpStream,
    body: Vec<u8>,
}

impl Held {
    pub(crate) fn finish(mut self) -> Stream {
        self.socket.write_all(&self.body).unwrap();
        read_head(self.socket)
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

fn read_head(socket: TcpStream) -> Stream {
    let mut reader = BufReader::new(socket);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the connection ended inside the head: {lines:?}");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let is_chunked = header(&headers, "transfer-encoding") == Some("chunked");
    let length = header(&headers, "content-length").and_then(|text| text.parse().ok());
    let left = if is_chunked { Left::Chunk(0) } else { length.map_or(Left::UntilEnd, Left::Bytes) };
    Stream { status, headers, body: BufReader::new(Body { reader, left }) }
}

/// An answer whose body is still coming.
pub(crate) struct Stream {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: BufReader<Body>,
}

struct Body {
    reader: BufReader<TcpStream>,
    left: Left,
}

enum Left {
    /// Bytes of the current chunk; at 0 another one begins.
    Chunk(usize),
    Bytes(usize),
    UntilEnd,
    Nothing,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let limit = match &mut self.left {
            Left::Nothing | Left::Bytes(0) => return Ok(0),
            Left::UntilEnd => return self.reader.read(buffer),
            Left::Bytes(left) => *left,
            Left::Chunk(0) => {
                let mut line = String::new();
                self.reader.read_line(&mut line)?;
                let size = usize::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
                if size == 0 {
                    self.reader.read_line(&mut line)?;
                    self.left = Left::Nothing;
                    return Ok(0);
                }
                self.left = Left::Chunk(size);
                size
            }
            Left::Chunk(left) => *left,
        };
        let limit = limit.min(buffer.len());
        let count = self.reader.read(&mut buffer[..limit])?;
        match &mut self.left {
            Left::Chunk(left) | Left::Bytes(left) => *left -= count,
            Left::Nothing | Left::UntilEnd => {}
        }
        if matches!(self.left, Left::Chunk(0)) {
            self.reader.read_exact(&mut [0; 2])?;
        }
        Ok(count)
    }
}

/// One block of a `text/event-stream`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
    pub(crate) retry: Option<u64>,
    pub(crate) comment: Option<String>,
}

impl Event {
    pub(crate) fn text(&self) -> &str {
        self.data["text"].as_str().unwrap_or_default()
    }
}

impl Stream {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The next line; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.body.read_line(&mut line).unwrap();
        (count > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    /// The next object of `application/x-ndjson`.
    pub(crate) fn object(&mut self) -> Option<Value> {
        self.line().map(|line| serde_json::from_str(&line).unwrap())
    }

    /// The next block, also one that an `EventSource` would not show.
    pub(crate) fn block(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                None if line.is_empty() => return Some(event),
                Some(("", comment)) => event.comment = Some(comment.trim().to_owned()),
                Some(("event", value)) => event.name = value.trim().to_owned(),
                Some(("id", value)) => event.id = Some(value.trim().to_owned()),
                Some(("data", value)) => {
                    assert!(event.data.is_null(), "data stands on one line");
                    event.data = serde_json::from_str(value).unwrap();
                }
                Some(("retry", value)) => event.retry = Some(value.trim().parse().unwrap()),
                _ => panic!("not a line of an event stream: {line}"),
            }
        }
    }

    /// The next block that has a name.
    pub(crate) fn event(&mut self) -> Option<Event> {
        loop {
            let event = self.block()?;
            if !event.name.is_empty() {
                return Some(event);
            }
        }
    }

    /// The next event, which must have this name.
    pub(crate) fn expect(&mut self, name: &str) -> Event {
        let event = self.event().unwrap_or_else(|| panic!("the stream ended before {name}"));
        assert_eq!(event.name, name, "{event:?}");
        event
    }
}
