//! What a user of the crate holds.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::driver::Driver;
use crate::error::Error;
use crate::message::{Event, Publish, Published, Subscribe};
use crate::options::Options;
use crate::session::{Command, Delivery};

/// Publishes that may wait for their acknowledgement at once.
pub const PUBLISH_QUEUE_MAX: usize = 1_000;
/// Messages that may wait for a subscription's reader. Beyond it nothing more is read from the
/// server, for any subscription, until the reader has made room.
pub const SUBSCRIPTION_QUEUE_MAX: usize = 1_024;

const COMMAND_QUEUE_MAX: usize = 64;

/// A connection to a server that keeps itself alive. Clones share it; it ends with the last one.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    publishes: Arc<Semaphore>,
    end: Arc<Mutex<Option<Error>>>,
    /// Makes the keys of this client's publishes its own.
    key_prefix: Arc<str>,
}

impl Client {
    /// Connects and waits for the server's welcome. A first attempt that fails is not repeated;
    /// from then on the client comes back by itself.
    ///
    /// Must be called inside a tokio runtime with IO and time.
    ///
    /// # Errors
    /// Whatever kept the server from welcoming us.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE_MAX);
        let (welcome, welcomed) = oneshot::channel();
        let end = Arc::new(Mutex::new(None));
        let driver = Driver::new(options, receiver, welcome, end.clone())?;
        tokio::spawn(driver.run());
        welcomed.await.map_err(|_| Error::Closed)??;
        Ok(Self {
            commands,
            publishes: Arc::new(Semaphore::new(PUBLISH_QUEUE_MAX)),
            end,
            key_prefix: format!("{:032x}", fastrand::u128(..)).into(),
        })
    }

    /// Subscribes to a topic or pattern and waits for the server's word.
    ///
    /// # Errors
    /// The server refuses, or the client has ended.
    pub async fn subscribe(&self, request: Subscribe) -> Result<Subscription, Error> {
        let (sink, deliveries) = mpsc::channel(SUBSCRIPTION_QUEUE_MAX);
        let (done, answer) = oneshot::channel();
        let (space, target) = (request.space.clone(), request.topic.clone());
        let command = Command::Subscribe { request, sink, done };
        self.send(command).await?;
        let start = answer.await.map_err(|_| self.ended())??;
        Ok(Subscription { deliveries, commands: self.commands.downgrade(), space, target, start })
    }

    /// Publishes and waits for the acknowledgement.
    ///
    /// # Errors
    /// The server refuses, or the client has ended.
    pub async fn publish(&self, publish: Publish) -> Result<Published, Error> {
        self.enqueue(publish).await?.await
    }

    /// Puts a message in line and gives its acknowledgement to wait for later, so that many can be
    /// on their way at once. Waits while [`PUBLISH_QUEUE_MAX`] are unacknowledged.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn enqueue(&self, publish: Publish) -> Result<Acknowledgement, Error> {
        let permit = self.publishes.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Error::Closed)?;
        let made_up = || format!("{}-{:x}", self.key_prefix, fastrand::u64(..));
        let key = publish.key.clone().unwrap_or_else(made_up);
        let (done, answer) = oneshot::channel();
        let command = Command::Publish { publish, key, done, permit };
        self.send(command).await?;
        Ok(Acknowledgement { answer, end: self.end.clone() })
    }

    async fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| self.ended())
    }

    fn ended(&self) -> Error {
        self.end.lock().clone().unwrap_or(Error::Closed)
    }
}

/// A publish on its way. Dropping it does not stop it.
#[must_use]
pub struct Acknowledgement {
    answer: oneshot::Receiver<Result<Published, Error>>,
    end: Arc<Mutex<Option<Error>>>,
}

impl Future for Acknowledgement {
    type Output = Result<Published, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| match answer {
            Ok(result) => result,
            Err(_) => Err(self.end.lock().clone().unwrap_or(Error::Closed)),
        })
    }
}

/// A subscription. It ends when it is dropped.
pub struct Subscription {
    deliveries: mpsc::Receiver<Delivery>,
    commands: mpsc::WeakSender<Command>,
    space: String,
    target: String,
    start: String,
}

impl Subscription {
    /// What comes next; `None` after the end, which an error explains.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        self.deliveries.recv().await
    }

    /// Where the space stood when the subscription began.
    pub fn start(&self) -> &str {
        &self.start
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(commands) = self.commands.upgrade() else {
            return;
        };
        let command =
            Command::Unsubscribe { space: std::mem::take(&mut self.space), target: std::mem::take(&mut self.target) };
        if let Err(mpsc::error::TrySendError::Full(command)) = commands.try_send(command)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                // Nobody is left to be told that the client has ended.
                let _ = commands.send(command).await;
            });
        }
    }
}
