//! API Gateway WebSocket APIs as data and pure functions. Nothing here waits, keeps time or touches
//! a socket.
//!
//! | module  | story                                            |
//! |---------|--------------------------------------------------|
//! | `model` | what an API is: stages, routes, integrations     |

pub mod model;

pub use model::Api;
