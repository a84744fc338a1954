//! The client's task: connect, converse until the connection is lost, wait, again. One task means
//! one connection at a time, whatever happens.

use std::sync::Arc;
use std::time::Duration;

use fanfare_websocket::{
    CloseCode, Decoder, Incoming, Limits, MessageKind, Role, encode_close_masked, encode_message_masked,
    encode_pong_masked,
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::{Backoff, spread};
use crate::error::Error;
use crate::link::{Link, Opener, Stream};
use crate::options::Options;
use crate::session::{Command, Delivery, Session, Turn};
use crate::wire::ServerFrame;

/// From the first packet to the welcome.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until the server says how often it pings.
const PING_MS_DEFAULT: u64 = 25_000;
const SPREAD_MS_DEFAULT: u64 = 5_000;
/// A connection that lived this long was no failure.
const STEADY: Duration = Duration::from_secs(10);
/// No frame of a server is longer.
const FRAME_BYTES_MAX: usize = 512 << 20;
/// Frames wait in the session while this much waits for the socket.
const OUT_BYTES_MAX: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;

/// Why a connection ended.
enum End {
    /// Nobody holds the client any more.
    Unwanted,
    /// It is worth coming back, after the time that the server asked for.
    Lost { error: Error, retry_ms: Option<u64> },
    /// It is not.
    Final(Error),
}

impl End {
    fn of(error: Error) -> Self {
        match error.is_retryable() {
            true => Self::Lost { retry_ms: error.retry_ms(), error },
            false => Self::Final(error),
        }
    }
}

/// See the module.
pub(crate) struct Driver {
    token: Option<String>,
    server: String,
    opener: Opener,
    commands: mpsc::Receiver<Command>,
    session: Session,
    backoff: Backoff,
    /// Told of the first attempt.
    welcome: Option<oneshot::Sender<Result<(), Error>>>,
    /// Why the client ended, for those who ask later.
    end: Arc<Mutex<Option<Error>>>,
    ping_ms: u64,
    spread_ms: u64,
}

impl Driver {
    pub(crate) fn new(
        options: Options,
        commands: mpsc::Receiver<Command>,
        welcome: oneshot::Sender<Result<(), Error>>,
        end: Arc<Mutex<Option<Error>>>,
    ) -> Result<Self, Error> {
        Ok(Self {
            opener: Opener::new(&options)?,
            server: options.url.authority(),
            token: options.token,
            commands,
            session: Session::default(),
            backoff: Backoff::default(),
            welcome: Some(welcome),
            end,
            ping_ms: PING_MS_DEFAULT,
            spread_ms: SPREAD_MS_DEFAULT,
        })
    }

    pub(crate) async fn run(mut self) {
        loop {
            let (end, lived) = self.attempt().await;
            let (error, retry_ms) = match end {
                End::Unwanted => return self.session.fail(&Error::Closed),
                End::Final(error) => return self.give_up(error).await,
                // Whoever connects wants to know now that it did not work.
                End::Lost { error, .. } if self.welcome.is_some() => return self.give_up(error).await,
                End::Lost { error, retry_ms } => (error, retry_ms),
            };
            let wait = self.wait(lived, retry_ms);
            tracing::debug!(%error, wait_ms = wait.as_millis(), "connection lost");
            if !self.pause(wait).await {
                return self.session.fail(&Error::Closed);
            }
        }
    }

    async fn give_up(mut self, error: Error) {
        *self.end.lock() = Some(error.clone());
        self.session.fail(&error);
        if let Some(welcome) = self.welcome.take() {
            let _ = welcome.send(Err(error.clone()));
        }
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.session.on_command(command);
        }
        self.session.fail(&error);
        while let Some(reader) = self.session.stalled_reader() {
            room(Some(&reader)).await;
            self.session.hand_over();
        }
    }

    /// How long to wait. After a loss the server's spread decides, after failures in a row the
    /// back-off; what the server asks for comes first.
    fn wait(&mut self, lived: Option<Duration>, retry_ms: Option<u64>) -> Duration {
        let lived_long = lived.is_some_and(|lived| lived >= STEADY);
        if lived_long {
            self.backoff.reset();
        }
        let jitter = match lived {
            Some(_) if lived_long => spread(self.spread_ms),
            // Welcomed and soon lost again: both, lest we go round in circles.
            Some(_) => spread(self.spread_ms).saturating_add(self.backoff.next()),
            None => self.backoff.next(),
        };
        match retry_ms {
            // Drawn at random by the server, for this client.
            Some(retry_ms) if lived_long => Duration::from_millis(retry_ms),
            Some(retry_ms) => Duration::from_millis(retry_ms).saturating_add(jitter),
            None => jitter,
        }
    }

    /// Waits, and takes commands meanwhile; `false` when nobody holds the client any more.
    async fn pause(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(until) => return true,
                command = self.commands.recv() => match command {
                    Some(command) => self.session.on_command(command),
                    None => return false,
                },
            }
        }
    }

    /// One connection from its first packet to its end, and how long it lived after the welcome.
    async fn attempt(&mut self) -> (End, Option<Duration>) {
        let opened = timeout(CONNECT_TIMEOUT, self.opener.open()).await;
        let link = match opened.unwrap_or_else(|_| Err(self.silence())) {
            Ok(link) => link,
            Err(error) => return (End::of(error), None),
        };
        self.session.connect(self.token.as_deref());
        let mut conversation = Conversation::new(link);
        let end = conversation.run(self).await;
        let lived = conversation.welcomed_at.map(|at| at.elapsed());
        (end, lived)
    }

    fn silence(&self) -> Error {
        self.lost("nothing is heard from it")
    }

    fn lost(&self, reason: impl Into<String>) -> Error {
        Error::Unexpected { server: self.server.clone(), reason: reason.into() }
    }
}

/// One connection.
struct Conversation {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: Writer,
    decoder: Decoder,
    input: Vec<u8>,
    welcomed_at: Option<Instant>,
    /// When the peer is taken for dead.
    deadline: Instant,
}

impl Conversation {
    fn new(link: Link) -> Self {
        let (reader, writer) = tokio::io::split(link.stream);
        Self {
            reader,
            writer: Writer { half: writer, out: Vec::new(), is_unflushed: false },
            decoder: Decoder::new(Role::Client),
            input: link.early,
            welcomed_at: None,
            deadline: Instant::now() + CONNECT_TIMEOUT,
        }
    }

    async fn run(&mut self, driver: &mut Driver) -> End {
        let mut scratch = vec![0; READ_BYTES];
        loop {
            if let Err(end) = self.take_input(driver) {
                self.close().await;
                return end;
            }
            self.writer.fill(&mut driver.session);
            let stalled = driver.session.stalled_reader();
            let is_open = self.welcomed_at.is_some();
            tokio::select! {
                read = self.reader.read(&mut scratch), if stalled.is_none() => match read {
                    Ok(0) => return End::of(driver.lost("the connection ended")),
                    Err(error) => return End::of(driver.lost(error.to_string())),
                    Ok(length) => {
                        self.input.extend_from_slice(&scratch[..length]);
                        self.heard(driver);
                    }
                },
                written = self.writer.push(), if self.writer.has_work() => {
                    if let Err(error) = written {
                        return End::of(driver.lost(error.to_string()));
                    }
                }
                command = driver.commands.recv(), if is_open && self.writer.has_room() => {
                    match command {
                        Some(command) => driver.session.on_command(command),
                        None => {
                            self.close().await;
                            return End::Unwanted;
                        }
                    }
                }
                () = room(stalled.as_ref()), if stalled.is_some() => {
                    driver.session.hand_over();
                    // What came meanwhile was not read, so silence says nothing.
                    self.heard(driver);
                }
                () = sleep_until(self.deadline), if stalled.is_none() => {
                    return End::of(driver.silence());
                }
            }
        }
    }

    fn heard(&mut self, driver: &Driver) {
        if self.welcomed_at.is_some() {
            let silence = driver.ping_ms.saturating_mul(2).max(1);
            self.deadline = Instant::now() + Duration::from_millis(silence);
        }
    }

    /// Decodes what was read.
    fn take_input(&mut self, driver: &mut Driver) -> Result<(), End> {
        let limits = Limits { frame_bytes_max: FRAME_BYTES_MAX, message_bytes_max: FRAME_BYTES_MAX };
        let mut input = std::mem::take(&mut self.input);
        let mut rest = &mut input[..];
        while !rest.is_empty() {
            let decoded = self.decoder.decode(rest, &limits);
            let (consumed, incoming) = decoded.map_err(|error| End::of(driver.lost(error.to_string())))?;
            let turn = match incoming {
                Some(Incoming::Message { payload, .. }) => {
                    let frame: Result<ServerFrame, _> = serde_json::from_slice(payload);
                    let frame = frame.map_err(|e| End::of(driver.lost(e.to_string())))?;
                    driver.session.on_frame(frame)
                }
                Some(Incoming::Ping(payload)) => {
                    encode_pong_masked(&mut self.writer.out, payload, mask());
                    Turn::Stay
                }
                Some(Incoming::Close { code, reason }) => {
                    let code = code.map_or(0, CloseCode::get);
                    return Err(End::of(driver.lost(format!("it closed with {code} {reason}"))));
                }
                Some(Incoming::Pong(_)) | None => Turn::Stay,
            };
            rest = &mut rest[consumed..];
            self.take_turn(turn, driver)?;
        }
        input.clear();
        self.input = input;
        Ok(())
    }

    fn take_turn(&mut self, turn: Turn, driver: &mut Driver) -> Result<(), End> {
        match turn {
            Turn::Stay => Ok(()),
            Turn::Over(refusal) => Err(End::of(Error::Refused(refusal))),
            Turn::Welcome { ping_ms, reconnect_spread_ms } => {
                driver.ping_ms = ping_ms.unwrap_or(PING_MS_DEFAULT);
                driver.spread_ms = reconnect_spread_ms.unwrap_or(SPREAD_MS_DEFAULT);
                self.welcomed_at = Some(Instant::now());
                self.heard(driver);
                if let Some(welcome) = driver.welcome.take() {
                    let _ = welcome.send(Ok(()));
                }
                Ok(())
            }
        }
    }

    /// Says goodbye, as far as the peer listens.
    async fn close(&mut self) {
        encode_close_masked(&mut self.writer.out, CloseCode::NORMAL, "", mask());
        let all = async {
            while self.writer.has_work() {
                self.writer.push().await?;
            }
            self.writer.half.shutdown().await
        };
        let _ = timeout(Duration::from_secs(1), all).await;
    }
}

/// What waits for the socket.
struct Writer {
    half: WriteHalf<Box<dyn Stream>>,
    out: Vec<u8>,
    is_unflushed: bool,
}

impl Writer {
    fn fill(&mut self, session: &mut Session) {
        while self.has_room()
            && let Some(frame) = session.next_frame()
        {
            encode_message_masked(&mut self.out, MessageKind::Text, frame.as_bytes(), mask());
        }
    }

    fn has_room(&self) -> bool {
        self.out.len() < OUT_BYTES_MAX
    }

    fn has_work(&self) -> bool {
        !self.out.is_empty() || self.is_unflushed
    }

    /// Writes some, or flushes. Nothing is lost when it is cancelled.
    async fn push(&mut self) -> std::io::Result<()> {
        if self.out.is_empty() {
            self.half.flush().await?;
            self.is_unflushed = false;
            return Ok(());
        }
        let written = self.half.write(&self.out).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.out.drain(..written);
        self.is_unflushed = true;
        Ok(())
    }
}

/// Waits until a reader has made room or gone.
async fn room(reader: Option<&mpsc::Sender<Delivery>>) {
    if let Some(reader) = reader {
        drop(reader.reserve().await);
    }
}

/// A masking key. It has to be unpredictable for whoever chooses the payload (RFC 6455, 10.3),
/// which is a concern of browsers; here both are in the same hands.
fn mask() -> [u8; 4] {
    fastrand::u32(..).to_ne_bytes()
}
