//! `fanfare bench` without the rest of the binary.

use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    bench: fanfare_load::BenchArgs,
}

fn main() -> anyhow::Result<()> {
    fanfare_load::run(Line::parse().bench)
}
