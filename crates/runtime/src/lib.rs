//! Runs functions as child processes behind the Lambda Runtime API, from zero and back to zero.
//!
//! | module   | story                                          |
//! |----------|------------------------------------------------|
//! | `config` | what is known of a function before it runs     |

mod config;

pub use config::{HandlerConfig, RuntimeKind};
