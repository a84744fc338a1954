//! `fanfare pub`: one message, or each line of standard input.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use fanfare_client::{Acknowledgement, Client, PUBLISH_QUEUE_MAX, Payload, Publish};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::remote;
use crate::cli::PubArgs;
use crate::exit::Misuse;

/// No server takes longer messages.
const LINE_BYTES_MAX: u64 = 256 << 20;
/// Lines read ahead of what is being published.
const LINES_AHEAD_MAX: usize = 64;
/// How often a message is tried that the server refuses for now.
const TRIES_MAX: u32 = 20;
const RETRY_MS_DEFAULT: u64 = 500;

pub(crate) fn run(args: PubArgs) -> anyhow::Result<ExitCode> {
    remote::runtime()?.block_on(publish(args))
}

async fn publish(args: PubArgs) -> anyhow::Result<ExitCode> {
    if args.payload != "-" {
        let bytes = args.payload.clone().into_bytes();
        let payload = payload(bytes, args.json).map_err(|error| Misuse(error.to_string()))?;
        let mut publish = template(&args, payload);
        publish.key = args.key;
        let client = remote::connect(args.connect).await?;
        settle(&client, publish.clone(), client.enqueue(publish).await?).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = remote::connect(args.connect.clone()).await?;
    let mut lines = read_lines();
    let mut window: VecDeque<(Publish, Acknowledgement)> = VecDeque::new();
    let mut number: u64 = 0;
    while let Some(line) = lines.recv().await {
        number += 1;
        let payload = payload(line.context("standard input")?, args.json).with_context(|| format!("line {number}"))?;
        let mut publish = template(&args, payload);
        publish.key = args.key.as_ref().map(|key| format!("{key}-{number}"));
        if window.len() >= PUBLISH_QUEUE_MAX
            && let Some((publish, acknowledgement)) = window.pop_front()
        {
            settle(&client, publish, acknowledgement).await?;
        }
        let acknowledgement = client.enqueue(publish.clone()).await?;
        window.push_back((publish, acknowledgement));
    }
    for (publish, acknowledgement) in window {
        settle(&client, publish, acknowledgement).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until a message is acknowledged; what the server refuses only for now is tried again.
async fn settle(client: &Client, publish: Publish, mut acknowledgement: Acknowledgement) -> anyhow::Result<()> {
    for _ in 1..TRIES_MAX {
        match acknowledgement.await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_retryable() => {
                let wait_ms = error.retry_ms().unwrap_or(RETRY_MS_DEFAULT);
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                acknowledgement = client.enqueue(publish.clone()).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    acknowledgement.await?;
    Ok(())
}

fn template(args: &PubArgs, payload: Payload) -> Publish {
    let mut publish = Publish::new(&args.topic, payload);
    publish.space.clone_from(&args.space);
    publish.retain = args.retain;
    publish
}

fn payload(bytes: Vec<u8>, is_json: bool) -> anyhow::Result<Payload> {
    let text = match (String::from_utf8(bytes), is_json) {
        (Ok(text), _) => text,
        (Err(error), false) => return Ok(Payload::Binary(error.into_bytes())),
        (Err(_), true) => anyhow::bail!("not JSON: not UTF-8"),
    };
    match is_json {
        true => Ok(Payload::Json(RawValue::from_string(text).context("not JSON")?)),
        false => Ok(Payload::Text(text)),
    }
}

/// Reads standard input on a thread of its own, because a terminal cannot be waited for otherwise.
/// The thread ends with the input or with the process.
fn read_lines() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD_MAX);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(line) = read_line(&mut input).transpose() {
            let is_over = line.is_err();
            if sender.blocking_send(line).is_err() || is_over {
                return;
            }
        }
    });
    receiver
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let length = input.take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)?;
    if length as u64 > LINE_BYTES_MAX {
        return Err(io::Error::other(format!("a line is longer than {LINE_BYTES_MAX} bytes")));
    }
    if length == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_the_line_break_or_the_input() {
        let mut input = &b"a\n\nb\r\nlast"[..];
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut input).unwrap() {
            lines.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(lines, ["a", "", "b\r", "last"]);
    }

    #[test]
    fn what_is_no_text_goes_as_bytes() {
        assert!(matches!(payload(b"a".to_vec(), false), Ok(Payload::Text(_))));
        assert!(matches!(payload(vec![0xff], false), Ok(Payload::Binary(_))));
        assert!(matches!(payload(b"{\"a\": 1}".to_vec(), true), Ok(Payload::Json(_))));
        assert!(payload(b"{".to_vec(), true).is_err());
        assert!(payload(vec![0xff], true).is_err());
    }
}
