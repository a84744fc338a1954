//! The Rust client of the native door: publish and subscribe over one WebSocket that keeps itself
//! alive.
//!
//! A [`Client`] owns one connection and one task. After a loss it comes back by itself, takes up
//! each subscription where it stood and sends again what was not acknowledged; a [`Subscription`]
//! therefore shows every message once and in order, or says [`Event::Gap`].
//!
//! ```no_run
//! # async fn example() -> Result<(), fanfare_client::Error> {
//! use fanfare_client::{Client, Event, Options, Publish, Subscribe};
//!
//! let client = Client::connect(Options::new("http://127.0.0.1:8080")?).await?;
//! let mut room = client.subscribe(Subscribe::to("room-1")).await?;
//! client.publish(Publish::text("room-1", "hello")).await?;
//! while let Some(event) = room.next().await {
//!     if let Event::Message(message) = event? {
//!         println!("{}", message.topic);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | module    | story                                                        |
//! |-----------|--------------------------------------------------------------|
//! | `client`  | what a user holds                                            |
//! | `driver`  | the task: connect, converse, wait, again                     |
//! | `session` | what survives a connection; pure, frames in and frames out   |
//! | `cursor`  | how far a subscription has read                              |
//! | `link`    | one WebSocket connection                                     |
//! | `backoff` | how long to wait                                             |

mod backoff;
mod client;
mod cursor;
mod driver;
mod error;
mod link;
mod message;
mod options;
mod pattern;
mod session;
mod url;
mod wire;

pub use client::{Acknowledgement, Client, PUBLISH_QUEUE_MAX, SUBSCRIPTION_QUEUE_MAX, Subscription};
pub use error::{Error, Refusal};
pub use message::{Event, Message, Payload, Publish, Published, Since, Subscribe};
pub use options::Options;
pub use url::{ServerUrl, UrlError};
