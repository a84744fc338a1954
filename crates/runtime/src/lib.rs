//! Runs functions as child processes behind the Lambda Runtime API, from zero and back to zero.
//!
//! | module        | story                                                                 |
//! |---------------|-----------------------------------------------------------------------|
//! | `config`      | what is known of a function before it runs                            |
//! | `check`       | what a configuration must be like                                     |
//! | `host`        | the host of all functions: what they share                            |
//! | `function`    | one function: its processes, and the calls that wait for them         |
//! | `pool`        | which process takes which call, without input or output               |
//! | `slots`       | how many processes there may be                                       |
//! | `launch`      | the life of one process                                               |
//! | `api`         | the Runtime API: what a process asks for, and tells                   |
//! | `environment` | the variables of a process                                            |
//! | `runtimes`    | what runs a handler: found, or created on first use                   |
//! | `logs`        | what a process writes                                                 |
//! | `memory`      | how much memory processes use                                         |
//! | `watchdog`    | ends those that use too much                                          |
//! | `reload`      | looks for changes of the code                                         |
//! | `failure`     | what a caller is told when a process failed it                        |
//! | `error`       | why a host or a function could not be set up                          |

mod api;
mod check;
mod config;
mod environment;
mod error;
mod failure;
mod function;
mod host;
mod launch;
mod logs;
mod memory;
mod pool;
mod reload;
mod runtimes;
mod slots;
#[cfg(test)]
mod tests_support;
mod watchdog;

pub use config::{HandlerConfig, RuntimeKind};
pub use environment::ChildCredential;
pub use error::HostError;
pub use failure::error_payload;
pub use function::{FunctionStats, HostedFunction, ProcessRow, WAITING_CALLS_MAX};
pub use host::{CredentialOf, Host, HostOptions};
pub use pool::ProcessState;
pub use reload::{FILES_MAX as RELOAD_FILES_MAX, PERIOD as RELOAD_PERIOD};
pub use runtimes::sdk_packages;
