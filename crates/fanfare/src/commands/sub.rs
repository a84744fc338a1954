//! `fanfare sub`: messages to standard output, everything else to standard error.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use fanfare_client::{Event, Message, Since, Subscribe, Subscription};
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

use super::remote;
use crate::cli::SubArgs;
use crate::output;

pub(crate) fn run(args: SubArgs) -> anyhow::Result<ExitCode> {
    remote::runtime()?.block_on(subscribe(args))
}

async fn subscribe(args: SubArgs) -> anyhow::Result<ExitCode> {
    let client = remote::connect(args.connect).await?;
    let mut request = Subscribe::to(args.topic).in_space(args.space);
    request.since = args.since.map(|since| match since.as_str() {
        "all" => Since::All,
        _ => Since::Position(since),
    });
    let mut subscription = client.subscribe(request).await?;
    tokio::select! {
        done = print(&mut subscription, args.count, args.json) => done?,
        () = reader_gone() => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn print(subscription: &mut Subscription, count: Option<u64>, is_json: bool) -> anyhow::Result<()> {
    let mut printed = 0;
    while let Some(event) = subscription.next().await {
        match event? {
            Event::Message(message) => {
                if !output::write_to_reader(&line(&message, is_json)?)? {
                    return Ok(());
                }
                printed += 1;
                if Some(printed) == count {
                    return Ok(());
                }
            }
            Event::Gap { position } => {
                output::note(&format!(
                    "fanfare: messages were lost, they are no longer kept; going on after {position}"
                ));
            }
        }
    }
    Ok(())
}

fn line(message: &Message, is_json: bool) -> serde_json::Result<Vec<u8>> {
    let mut line = match is_json {
        true => serde_json::to_vec(message)?,
        false => message.payload.as_bytes().to_vec(),
    };
    line.push(b'\n');
    Ok(line)
}

/// Ends when the pipe behind standard output is closed, so that `fanfare sub T | head -1` ends
/// without another message. Where standard output is no pipe it never ends.
async fn reader_gone() {
    // Unchecked, because the checked way makes standard output non-blocking, for whoever shares it
    // as well. We only watch it.
    let watched = io::stdout().as_fd().try_clone_to_owned();
    match watched.and_then(Sender::from_owned_fd_unchecked) {
        Ok(pipe) if pipe.ready(Interest::ERROR).await.is_ok() => {}
        _ => std::future::pending().await,
    }
}
