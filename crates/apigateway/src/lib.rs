//! API Gateway WebSocket APIs as data and pure functions. Nothing here waits, keeps time or touches
//! a socket.
//!
//! | module       | story                                                          |
//! |--------------|----------------------------------------------------------------|
//! | `access_log` | a line for each request                                        |
//! | `address`    | which API and stage a URL means; ARNs                          |
//! | `authorizer` | identity sources, and what an authorizer's answer means        |
//! | `event`      | what functions get                                             |
//! | `facts`      | what is known of a connection, and `$context`                  |
//! | `frame`      | what clients get that are refused, told of errors, or closed   |
//! | `headers`    | header names as handlers expect them; query strings            |
//! | `id`         | ids of connections, requests and messages                      |
//! | `management` | the `@connections` plane: paths, errors, answers               |
//! | `model`      | what an API is: stages, routes, integrations                   |
//! | `policy`     | whether a policy document lets somebody in                     |
//! | `proxy`      | what functions answer                                          |

pub mod access_log;
pub mod address;
pub mod authorizer;
pub mod event;
pub mod facts;
pub mod frame;
mod glob;
pub mod headers;
pub mod id;
pub mod management;
pub mod model;
pub mod policy;
pub mod proxy;
mod stamp;

pub use model::Api;
