//! User code that doors call: by name, with an event, within a time.
//!
//! | module     | story                                                                      |
//! |------------|----------------------------------------------------------------------------|
//! | `function` | what a function is, how it is called and how it can fail                    |
//! | `registry` | functions by name, called at once or later                                  |
//! | `later`    | calls that nobody waits for: a bounded queue with retries                   |
//! | `webhook`  | a function that is a web server: the event is posted to it                  |
//! | `lambda`   | a function behind the Invoke interface of Lambda                            |
//! | `caller`   | HTTP towards others: bounds on time, size and where to                      |
//! | `reach`    | which addresses of the network a request may go to                          |
//!
//! Calls that nobody waits for are kept in memory: a restart loses those that are not made yet.

mod caller;
mod function;
mod lambda;
mod later;
mod reach;
mod registry;
mod webhook;

pub use caller::{CallerError, HttpCaller};
pub use function::{
    Answer, Call, CallKind, Function, FunctionError, LOG_TAIL_BYTES_MAX, LaterOptions, LogTail, request_id,
};
pub use lambda::{RemoteLambda, RemoteLambdaOptions};
pub use later::{QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX, Room as QueueRoom, TRIES_MAX};
pub use reach::{Reach, is_public};
pub use registry::{Functions, function_name};
pub use webhook::{Webhook, WebhookOptions};

/// The largest answer of a function, in bytes, as Lambda has it.
pub const ANSWER_BYTES_MAX: usize = 6 << 20;
