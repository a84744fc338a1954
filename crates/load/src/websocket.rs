//! A connection over WebSocket: it upgrades, opens itself in the dialect's words, and then passes on
//! what it hears.

use fanfare_websocket::{encode_pong_masked, handshake};

use crate::args::DialectName;
use crate::dialect::{self, Answer};
use crate::frames::{self, Kind};
use crate::link::{Event, Gone, Plan, Welcome};
use crate::target::Target;

/// The longest answer to an opening handshake.
const RESPONSE_BYTES_MAX: usize = 16 << 10;

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Upgrading,
    Welcoming,
    Subscribing,
    Open,
}

/// What was said so far.
pub(crate) struct Conversation {
    phase: Phase,
    welcome: Welcome,
}

/// Appends the opening handshake.
pub(crate) fn put_request(target: &Target, plan: &Plan, out: &mut Vec<u8>) -> Result<(), Gone> {
    let request = target.request(&plan.topic, plan.is_subscriber);
    out.extend_from_slice(&request.map_err(|error| Gone::Broken(error.to_string()))?);
    Ok(())
}

impl Conversation {
    /// Before the answer to the upgrade.
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Upgrading, welcome: Welcome::default() }
    }

    /// Reads everything complete in `bytes` and returns its length; answers go to `out`.
    pub(crate) fn read<E: From<Gone>>(
        &mut self,
        target: &Target,
        plan: &Plan,
        bytes: &[u8],
        out: &mut Vec<u8>,
        tell: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut read = 0;
        if self.phase == Phase::Upgrading {
            let Some(head) = self.read_response(target, bytes, out)? else {
                return Ok(0);
            };
            read = head;
            if self.phase == Phase::Open {
                tell(Event::Ready(self.welcome))?;
            }
        }
        while let Some(frame) = frames::first(&bytes[read..]).map_err(|what| Gone::Broken(what.to_owned()))? {
            read += frame.bytes;
            match frame.kind {
                Kind::Text if self.phase == Phase::Open => tell(Event::Text(frame.payload))?,
                Kind::Text => {
                    self.go_on(target, plan, dialect::answer(frame.payload), out)?;
                    if self.phase == Phase::Open {
                        tell(Event::Ready(self.welcome))?;
                    }
                }
                _ => control(frame.kind, frame.payload, out)?,
            }
        }
        Ok(read)
    }

    /// The answer to the upgrade: its length, once it is complete.
    fn read_response(&mut self, target: &Target, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Gone> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            let is_long = bytes.len() > RESPONSE_BYTES_MAX;
            return if is_long { Err(Gone::Broken("an endless response".to_owned())) } else { Ok(None) };
        };
        let head = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let header = |name: &str| header(head, name);
        if status != 101 {
            let seconds = header("retry-after").and_then(|value| value.parse::<u64>().ok());
            return Err(Gone::Refused { status, retry_after_ms: seconds.map(|s| s.saturating_mul(1_000)) });
        }
        handshake::check_response(status, header, &target.key, &[], None)
            .map_err(|error| Gone::Broken(error.to_string()))?;
        self.phase = if target.dialect == DialectName::Bun {
            Phase::Open
        } else {
            dialect::put_connect(out, target);
            Phase::Welcoming
        };
        Ok(Some(end + 4))
    }

    /// The next step of the native opening.
    fn go_on(&mut self, target: &Target, plan: &Plan, answer: Answer, out: &mut Vec<u8>) -> Result<(), Gone> {
        self.phase = match (self.phase, answer) {
            (Phase::Welcoming, Answer::Welcome { reconnect_spread_ms }) => {
                self.welcome.reconnect_spread_ms = reconnect_spread_ms;
                if plan.is_subscriber {
                    dialect::put_subscribe(out, target, &plan.topic);
                    Phase::Subscribing
                } else {
                    Phase::Open
                }
            }
            (Phase::Subscribing, Answer::Subscribed) => Phase::Open,
            (_, Answer::Refused { code, retry_ms }) => return Err(Gone::Said { code, retry_ms }),
            (phase, answer) => return Err(Gone::Broken(format!("{answer:?} while {phase:?}"))),
        };
        Ok(())
    }
}

fn control(kind: Kind, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Gone> {
    match (kind, payload) {
        (Kind::Ping, _) => {
            encode_pong_masked(out, payload, fastrand::u32(..).to_ne_bytes());
            Ok(())
        }
        (Kind::Close, [high, low, ..]) => Err(Gone::Closed(u16::from_be_bytes([*high, *low]))),
        (Kind::Close, _) => Err(Gone::Closed(1005)),
        (Kind::Binary, _) => Err(Gone::Broken("a binary message".to_owned())),
        _ => Ok(()),
    }
}

/// The value of a header of a response; `name` is in lower case.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_any_case() {
        let head = "HTTP/1.1 503 Service Unavailable\r\nRETRY-after:  7\r\nX: a:b";
        assert_eq!(header(head, "retry-after"), Some("7"));
        assert_eq!(header(head, "x"), Some("a:b"));
        assert_eq!(header(head, "http/1.1 503 service unavailable"), None);
    }
}
