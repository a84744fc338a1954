//! User code that doors call: by name, with an event, within a time.
//!
//! | module     | story                                                                      |
//! |------------|----------------------------------------------------------------------------|
//! | `function` | what a function is, how it is called and how it can fail                    |
//! | `registry` | functions by name, called at once or later                                  |
//! | `later`    | calls that nobody waits for: kept, and tried again                          |
//! | `letters`  | what is told of a call that was given up                                    |
//! | `webhook`  | a function that is a web server: the event is posted to it                  |
//! | `lambda`   | a function behind the Invoke interface of Lambda                            |
//! | `caller`   | HTTP towards others: bounds on time, size and where to                      |
//! | `reach`    | which addresses of the network a request may go to                          |
//!
//! Calls that nobody waits for are on disk before they are acknowledged, at most
//! [`QUEUE_EVENTS_MAX`] of them and [`QUEUE_BYTES_MAX`]; [`Functions::durable`] takes those of an
//! earlier run up again. A call may be made twice, with the same request id: when the server ends
//! before the end of a call is on disk.

mod caller;
mod function;
mod lambda;
mod later;
mod letters;
mod reach;
mod registry;
mod webhook;

pub use caller::{CallerError, HttpCaller};
pub use fanfare_queue::Room as QueueRoom;
pub use function::{
    Answer, Call, CallKind, Function, FunctionError, LOG_TAIL_BYTES_MAX, LaterOptions, LogTail, request_id,
};
pub use lambda::{RemoteLambda, RemoteLambdaOptions};
pub use later::{Pauses, QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX};
pub use letters::{DeadLetters, LetterError, Publishing};
pub use reach::{Reach, is_public};
pub use registry::{Functions, function_name};
pub use webhook::{Webhook, WebhookOptions};

/// The largest answer of a function, in bytes, as Lambda has it.
pub const ANSWER_BYTES_MAX: usize = 6 << 20;
