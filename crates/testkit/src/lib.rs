//! A gateway inside a test, a door that does nothing but echo, and a log that can be broken.

mod echo;
mod log;
mod server;

pub use echo::EchoDoor;
pub use log::TestLog;
pub use server::{TEST_SECRET, TestServer, TestServerOptions, eventually};
