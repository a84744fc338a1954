//! The `fanfare` binary.

use std::process::ExitCode;

/// Many small frames of all sizes from many threads: less memory and time than glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fanfare::run()
}
