//! The service is generated from the very messages that Fanfare's door speaks.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = "../../crates/momento/proto";
    println!("cargo::rerun-if-changed={schema}");
    let messages = protox::compile(["cachepubsub.proto"], [schema])?;
    tonic_prost_build::configure().build_client(false).compile_fds(messages)?;
    Ok(())
}
