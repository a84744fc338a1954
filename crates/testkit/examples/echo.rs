//! An echo server on the real driver, for RFC 6455 suites. Prints its address, then serves until
//! its standard input ends.

use std::io::{Read, Write};
use std::sync::Arc;

use fanfare_door::{DriverLimits, Policy};
use fanfare_testkit::{EchoDoor, TestServer, TestServerOptions};

fn main() -> anyhow::Result<()> {
    let deflate = std::env::args().any(|argument| argument == "--deflate");
    let mib_64 = 64 << 20;
    let server = TestServer::start(TestServerOptions {
        doors: vec![Arc::new(EchoDoor)],
        limits: DriverLimits {
            frame_bytes: mib_64,
            message_bytes: mib_64,
            outbox_bytes: 2 * mib_64,
            ..DriverLimits::default()
        },
        policy: Policy { is_development: true, deflate, ..Policy::default() },
        ..TestServerOptions::default()
    })?;
    writeln!(std::io::stdout(), "{}", server.address)?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
