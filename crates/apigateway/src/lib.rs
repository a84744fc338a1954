//! API Gateway WebSocket APIs as data and pure functions. Nothing here waits, keeps time or touches
//! a socket.
//!
//! | module       | story                                                          |
//! |--------------|----------------------------------------------------------------|
//! | `model`      | what an API is: stages, routes, integrations                   |
//! | `compiled`   | an API made ready: everything is read once, or refused         |
//! | `check`      | what can be wrong with an API                                  |
//! | `message`    | a message, read as JSON when somebody asks                     |
//! | `expression` | `$request.body.action`: text out of what is known of a request |
//! | `mapping`    | what integrations are sent, and what their answers become      |
//! | `template`   | the part of the Velocity language that mapping templates use   |
//! | `schema`     | request models: JSON Schema, draft 4                           |
//! | `json_path`  | paths into JSON                                                |
//! | `json`       | JSON that keeps the order of members                           |

pub mod check;
pub mod compiled;
pub mod expression;
pub mod json;
pub mod json_path;
pub mod mapping;
pub mod message;
pub mod model;
pub mod schema;
pub mod template;

pub use model::Api;
