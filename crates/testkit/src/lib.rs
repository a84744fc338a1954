//! A gateway inside a test, and a door that does nothing but echo.

mod echo;
mod server;

pub use echo::EchoDoor;
pub use server::{TEST_SECRET, TestServer, TestServerOptions, eventually};
