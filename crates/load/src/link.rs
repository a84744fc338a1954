//! One connection to the server: it opens by itself and then passes on what it hears.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream as StdStream;
use std::rc::Rc;

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use crate::target::Target;
use crate::wire::Wire;

/// A burst has to fit into one write, so that the server can read it in one turn.
const PUBLISHER_SEND_BYTES: usize = 4 << 20;

/// What a connection is for.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) topic: Rc<str>,
    pub(crate) is_subscriber: bool,
}

/// What the connection opened with.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Welcome {
    /// How long a lost client may take before it comes back.
    pub(crate) reconnect_spread_ms: Option<u64>,
    /// Messages that the server takes before it has acknowledged one, where it acknowledges any.
    pub(crate) receive_maximum: Option<u16>,
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
    /// A message, undecoded over WebSocket, a payload in MQTT.
    Text(&'a [u8]),
    /// A message of one of the connection's subscriptions, a payload.
    Subscribed(usize, &'a [u8]),
    /// The same as `Text`, marked as sent before.
    Repeated(&'a [u8]),
    /// The server took over the next one of the published messages.
    Acknowledged,
}

/// One connection.
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    index: usize,
    plan: Plan,
    is_connected: bool,
    wire: Wire,
    /// The start of a frame or packet that is not complete yet.
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
            index,
            plan,
            is_connected: false,
            wire: Wire::new(target),
            unread: Vec::new(),
            unsent: Vec::new(),
        })
    }

    /// Whether the transport is there.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether the transport took all that was to be sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// The socket accepts bytes.
    pub(crate) fn on_writable(&mut self, target: &Target) -> Result<(), Gone> {
        if !self.is_connected {
            if let Some(error) = self.stream.take_error()? {
                return Err(error.into());
            }
            match self.stream.peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                other => other?,
            };
            self.wire.open(target, &self.plan, self.index, &mut self.unsent)?;
            self.is_connected = true;
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

    /// Reads everything complete in `bytes`, keeps the rest for later, and answers.
    pub(crate) fn digest<E: From<Gone>>(
        &mut self,
        target: &Target,
        bytes: &[u8],
        tell: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { wire, plan, unread, unsent, .. } = self;
        if unread.is_empty() {
            let read = wire.read(target, plan, bytes, unsent, tell)?;
            unread.extend_from_slice(&bytes[read..]);
        } else {
            unread.extend_from_slice(bytes);
            let read = wire.read(target, plan, unread, unsent, tell)?;
            unread.drain(..read);
        }
        if !self.is_flushed() {
            self.flush()?;
        }
        Ok(())
    }
}

/// Whether a connect that did not finish goes on by itself.
fn is_under_way(error: &io::Error) -> bool {
    const EINPROGRESS: i32 = 115;
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(EINPROGRESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_said_in_words() {
        let refused = Gone::Refused { status: 503, retry_after_ms: Some(1_000) };
        assert_eq!(refused.to_string(), "refused with HTTP status 503");
        assert_eq!(Gone::Closed(1012).to_string(), "closed by the server with code 1012");
    }
}
