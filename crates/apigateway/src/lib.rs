//! API Gateway WebSocket APIs as data and pure functions. Nothing here waits, keeps time or touches
//! a socket.
//!
//! | module       | story                                                          |
//! |--------------|----------------------------------------------------------------|
//! | `access_log` | a line for each request                                        |
//! | `address`    | which API and stage a URL means; ARNs                          |
//! | `authorizer` | identity sources, and what an authorizer's answer means        |
//! | `check`      | what can be wrong with an API                                  |
//! | `compiled`   | an API made ready: everything is read once, or refused         |
//! | `event`      | what functions get                                             |
//! | `expression` | `$request.body.action`: text out of what is known of a request |
//! | `facts`      | what is known of a connection, and `$context`                  |
//! | `frame`      | what clients get that are refused, told of errors, or closed   |
//! | `headers`    | header names as handlers expect them; query strings            |
//! | `id`         | ids of connections, requests and messages                      |
//! | `json`       | JSON that keeps the order of members                           |
//! | `json_path`  | paths into JSON                                                |
//! | `management` | the `@connections` plane: paths, errors, answers               |
//! | `mapping`    | what integrations are sent, and what their answers become      |
//! | `message`    | a message, read as JSON when somebody asks                     |
//! | `model`      | what an API is: stages, routes, integrations                   |
//! | `policy`     | whether a policy document lets somebody in                     |
//! | `proxy`      | what functions answer                                          |
//! | `schema`     | request models: JSON Schema, draft 4                           |
//! | `template`   | the part of the Velocity language that mapping templates use   |

pub mod access_log;
pub mod address;
pub mod authorizer;
pub mod check;
pub mod compiled;
pub mod event;
pub mod expression;
pub mod facts;
pub mod frame;
mod glob;
pub mod headers;
pub mod id;
pub mod json;
pub mod json_path;
pub mod management;
pub mod mapping;
pub mod message;
pub mod model;
pub mod policy;
pub mod proxy;
pub mod schema;
mod stamp;
pub mod template;

pub use model::Api;
