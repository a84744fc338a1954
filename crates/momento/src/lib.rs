//! Momento Topics as data and pure functions. Nothing here waits, keeps time, rolls dice or touches a
//! socket.
//!
//! A **cache is a space** of the core, a **topic a topic**; a message's **number is its offset**, the
//! **page is the epoch**; a **token id is the subject** of its holder.
//!
//! | module       | story                                                                 |
//! |--------------|-----------------------------------------------------------------------|
//! | `wire`       | the messages that travel; as text in this crate's folder `proto`      |
//! | `method`     | which call a path means                                               |
//! | `grpc`       | messages with their lengths, statuses, and what browsers make of them |
//! | `cors`       | what browsers want to hear first                                      |
//! | `credential` | keys and tokens: how they look, how ours are made and checked         |
//! | `permission` | what a key allows, and what its holder may give to others             |
//! | `sequence`   | numbers, losses and heartbeats of one subscription                    |
//! | `http`       | publish and poll without gRPC; the administration of keys             |
//! | `webhook`    | what webhooks are sent, and how it is signed                          |
//! | `error`      | what can go wrong, as each SDK has to hear it                         |
//! | `limits`     | bounds                                                                |
//! | `name`       | which names are names                                                 |

pub mod cors;
pub mod credential;
pub mod error;
pub mod grpc;
pub mod http;
pub mod limits;
pub mod method;
pub mod name;
pub mod permission;
pub mod sequence;
pub mod webhook;
pub mod wire;

pub use error::Problem;
