//! Bounds, with what the hosted service has where it differs.

/// Longest cache name, in bytes: that of a space of the core. The original does not say its own.
pub const CACHE_BYTES_MAX: usize = 128;

/// Longest topic, in bytes: that of the core. The original does not say its own.
pub const TOPIC_BYTES_MAX: usize = fanfare_core::TOPIC_BYTES_MAX;

/// Largest message, in bytes, where nothing is configured. The hosted service takes 4 KB.
pub const MESSAGE_BYTES_DEFAULT: usize = 1 << 20;

/// Largest message that every SDK is able to receive, in bytes: the Rust SDK takes 4 MiB with all
/// that is around it, Python 5 MB, Node 10 MB. Larger ones end their subscriptions.
pub const MESSAGE_BYTES_SAFE: usize = (4 << 20) - 4_096;

/// Longest life of a disposable token: 25 hours, in seconds.
pub const DISPOSABLE_SECONDS_MAX: u32 = 25 * 60 * 60;

/// Most statements of one key or token.
pub const STATEMENTS_MAX: usize = 20;

/// Longest token id, in characters; SDKs check the same.
pub const TOKEN_ID_CHARS_MAX: usize = 64;

/// Longest description of a key, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;

/// Longest key or token, in bytes. Clients and proxies take 8 KiB for all headers together.
pub const KEY_BYTES_MAX: usize = 7_168;

/// Longest webhook name, in characters.
pub const WEBHOOK_NAME_CHARS_MAX: usize = 128;

/// Longest address of a webhook, in bytes.
pub const WEBHOOK_URL_BYTES_MAX: usize = 2_048;

/// Webhooks of one cache, where nothing is configured.
pub const WEBHOOKS_PER_CACHE_DEFAULT: usize = 5;

/// Deliveries a second of one webhook, where nothing is configured.
pub const WEBHOOK_RATE_DEFAULT: u32 = 5;

/// How long a webhook may take to answer, in milliseconds. There is one attempt.
pub const WEBHOOK_TIMEOUT_MS: u64 = 5_000;

/// Streams that a server must take on one connection: SDKs open 100 before they open another.
pub const STREAMS_PER_CONNECTION_MIN: u32 = 128;

/// How long a poll over HTTP is held while there is nothing, in milliseconds.
pub const POLL_HOLD_MS: u64 = 50_000;

/// Items that one poll answers with, at most.
pub const POLL_ITEMS_MAX: usize = 1_000;

/// What a request may have beside its message, in bytes: names, tags and lengths.
const REQUEST_BYTES_BESIDE: usize = 8_192;

/// Largest request of a call, in bytes, where messages have at most `message_bytes_max`.
#[must_use]
pub fn request_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_add(REQUEST_BYTES_BESIDE)
}

/// How long the answer to a refused subscription waits, in milliseconds, after `refused` refusals in
/// a row on one connection. The Rust SDK comes back at once, for ever; nobody waits at first.
#[must_use]
pub fn refusal_delay_ms(refused: u32) -> u64 {
    match refused {
        0 => 0,
        many => 250_u64.saturating_mul(1 << (many - 1).min(3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_wait_longer_and_longer() {
        let delays: Vec<_> = (0..7).map(refusal_delay_ms).collect();
        assert_eq!(delays, [0, 250, 500, 1_000, 2_000, 2_000, 2_000]);
        assert_eq!(refusal_delay_ms(u32::MAX), 2_000);
    }
}
