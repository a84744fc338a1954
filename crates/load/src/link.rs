//! One connection to the server: it opens by itself and then passes on what it hears.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream as StdStream;
use std::rc::Rc;

use fanfare_websocket::{encode_pong_masked, handshake};
use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use crate::args::DialectName;
use crate::dialect::{self, Answer};
use crate::frames::{self, Kind};
use crate::target::Target;

/// The longest answer to an opening handshake.
const RESPONSE_BYTES_MAX: usize = 16 << 10;

/// A burst has to fit into one write, so that the server can read it in one turn.
const PUBLISHER_SEND_BYTES: usize = 4 << 20;

/// What a connection is for.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) topic: Rc<str>,
    pub(crate) is_subscriber: bool,
}

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Connecting,
    Upgrading,
    Welcoming,
    Subscribing,
    Open,
}

/// What the connection opened with.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Welcome {
    /// How long a lost client may take before it comes back.
    pub(crate) reconnect_spread_ms: Option<u64>,
}

/// Why a connection ended.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    /// The upgrade was answered with another status.
    Refused { status: u16, retry_after_ms: Option<u64> },
    /// The server refused in its own words.
    Said { code: String, retry_ms: Option<u64> },
    /// A close frame.
    Closed(u16),
    /// The transport ended.
    Lost(String),
    /// The server broke the protocol.
    Broken(String),
}

impl fmt::Display for Gone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, .. } => write!(out, "refused with HTTP status {status}"),
            Self::Said { code, .. } => write!(out, "refused with {code}"),
            Self::Closed(code) => write!(out, "closed by the server with code {code}"),
            Self::Lost(why) => write!(out, "lost: {why}"),
            Self::Broken(what) => write!(out, "the server broke the protocol: {what}"),
        }
    }
}

impl From<io::Error> for Gone {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

/// What a connection tells while bytes arrive.
pub(crate) enum Event<'a> {
    /// It is open, and subscribed where it should be.
    Ready(Welcome),
    /// A message, undecoded.
    Text(&'a [u8]),
}

/// One connection.
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    plan: Plan,
    phase: Phase,
    welcome: Welcome,
    /// The start of a frame that is not complete yet.
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

impl Link {
    /// Begins to connect.
    pub(crate) fn start(target: &Target, index: usize, plan: Plan) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(target.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if !plan.is_subscriber {
            // More than the system allows is cut down silently, and that is fine.
            socket.set_send_buffer_size(PUBLISHER_SEND_BYTES)?;
        }
        if let Some(source) = target.source(index) {
            socket.bind(&source.into())?;
        }
        match socket.connect(&target.address.into()) {
            Err(error) if !is_under_way(&error) => return Err(error),
            _ => {}
        }
        Ok(Self {
            stream: TcpStream::from_std(StdStream::from(socket)),
            plan,
            phase: Phase::Connecting,
            welcome: Welcome::default(),
            unread: Vec::new(),
            unsent: Vec::new(),
        })
    }

    /// Whether the transport is there.
    pub(crate) fn is_connected(&self) -> bool {
        self.phase != Phase::Connecting
    }

    /// Whether the transport took all that was to be sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// The socket accepts bytes.
    pub(crate) fn on_writable(&mut self, target: &Target) -> Result<(), Gone> {
        if self.phase == Phase::Connecting {
            if let Some(error) = self.stream.take_error()? {
                return Err(error.into());
            }
            match self.stream.peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                other => other?,
            };
            let request = target.request(&self.plan.topic, self.plan.is_subscriber);
            self.unsent = request.map_err(|error| Gone::Broken(error.to_string()))?;
            self.phase = Phase::Upgrading;
        }
        self.flush()
    }

    /// Sends bytes, in one write if the transport takes them.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let mut sent = 0;
        while let Some(rest) = self.unsent.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err(Gone::Lost("the transport takes no bytes".to_owned())),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.unsent.drain(..sent);
        Ok(())
    }

    /// The next bytes of the transport, if there are any.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<Option<usize>, Gone> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err(Gone::Lost("the server ended the connection".to_owned())),
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads everything complete in `bytes`, keeps the rest for later.
    pub(crate) fn digest<E: From<Gone>>(
        &mut self,
        target: &Target,
        bytes: &[u8],
        tell: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.unread.is_empty() {
            let read = self.read(target, bytes, tell)?;
            self.unread.extend_from_slice(&bytes[read..]);
            return Ok(());
        }
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend_from_slice(bytes);
        let read = self.read(target, &unread, tell)?;
        unread.drain(..read);
        self.unread = unread;
        Ok(())
    }

    fn read<E: From<Gone>>(
        &mut self,
        target: &Target,
        bytes: &[u8],
        tell: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut read = 0;
        if matches!(self.phase, Phase::Connecting | Phase::Upgrading) {
            let Some(head) = self.read_response(target, bytes)? else {
                return Ok(0);
            };
            read = head;
            if self.phase == Phase::Open {
                tell(Event::Ready(self.welcome))?;
            }
        }
        while let Some(frame) = frames::first(&bytes[read..]).map_err(|what| Gone::Broken(what.to_owned()))? {
            read += frame.bytes;
            match frame.kind {
                Kind::Text if self.phase == Phase::Open => tell(Event::Text(frame.payload))?,
                Kind::Text => {
                    self.go_on(target, dialect::answer(frame.payload))?;
                    if self.phase == Phase::Open {
                        tell(Event::Ready(self.welcome))?;
                    }
                }
                _ => self.control(frame.kind, frame.payload)?,
            }
        }
        Ok(read)
    }

    /// The answer to the upgrade: its length, once it is complete.
    fn read_response(&mut self, target: &Target, bytes: &[u8]) -> Result<Option<usize>, Gone> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            let is_long = bytes.len() > RESPONSE_BYTES_MAX;
            return if is_long { Err(Gone::Broken("an endless response".to_owned())) } else { Ok(None) };
        };
        let head = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let header = |name: &str| header(head, name);
        if status != 101 {
            let seconds = header("retry-after").and_then(|value| value.parse::<u64>().ok());
            return Err(Gone::Refused { status, retry_after_ms: seconds.map(|s| s.saturating_mul(1_000)) });
        }
        handshake::check_response(status, header, &target.key, &[], None)
            .map_err(|error| Gone::Broken(error.to_string()))?;
        self.phase = match target.dialect {
            DialectName::Bun => Phase::Open,
            DialectName::Native => {
                dialect::put_connect(&mut self.unsent, target);
                self.flush()?;
                Phase::Welcoming
            }
        };
        Ok(Some(end + 4))
    }

    /// The next step of the native opening.
    fn go_on(&mut self, target: &Target, answer: Answer) -> Result<(), Gone> {
        self.phase = match (self.phase, answer) {
            (Phase::Welcoming, Answer::Welcome { reconnect_spread_ms }) => {
                self.welcome = Welcome { reconnect_spread_ms };
                if self.plan.is_subscriber {
                    dialect::put_subscribe(&mut self.unsent, target, &self.plan.topic);
                    self.flush()?;
                    Phase::Subscribing
                } else {
                    Phase::Open
                }
            }
            (Phase::Subscribing, Answer::Subscribed) => Phase::Open,
            (_, Answer::Refused { code, retry_ms }) => return Err(Gone::Said { code, retry_ms }),
            (phase, answer) => return Err(Gone::Broken(format!("{answer:?} while {phase:?}"))),
        };
        Ok(())
    }

    fn control(&mut self, kind: Kind, payload: &[u8]) -> Result<(), Gone> {
        match (kind, payload) {
            (Kind::Ping, _) => {
                encode_pong_masked(&mut self.unsent, payload, fastrand::u32(..).to_ne_bytes());
                self.flush()
            }
            (Kind::Close, [high, low, ..]) => Err(Gone::Closed(u16::from_be_bytes([*high, *low]))),
            (Kind::Close, _) => Err(Gone::Closed(1005)),
            (Kind::Binary, _) => Err(Gone::Broken("a binary message".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Whether a connect that did not finish goes on by itself.
fn is_under_way(error: &io::Error) -> bool {
    const EINPROGRESS: i32 = 115;
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(EINPROGRESS)
}

/// The value of a header of a response; `name` is in lower case.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_any_case() {
        let head = "HTTP/1.1 503 Service Unavailable\r\nRETRY-after:  7\r\nX: a:b";
        assert_eq!(header(head, "retry-after"), Some("7"));
        assert_eq!(header(head, "x"), Some("a:b"));
        assert_eq!(header(head, "http/1.1 503 service unavailable"), None);
    }

    #[test]
    fn an_end_is_said_in_words() {
        let refused = Gone::Refused { status: 503, retry_after_ms: Some(1_000) };
        assert_eq!(refused.to_string(), "refused with HTTP status 503");
        assert_eq!(Gone::Closed(1012).to_string(), "closed by the server with code 1012");
    }
}
