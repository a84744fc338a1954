//! What AWS IoT Core has around its broker.
//!
//! `lifecycle` tells who comes and goes, `shadows` keeps device shadows, `errands` is what other
//! threads ask of a connection, and `http` is the HTTP data plane over all of it.

pub(crate) mod errands;
pub(crate) mod http;
pub(crate) mod lifecycle;
pub(crate) mod shadows;

use std::fmt::Write;

/// A random identifier in the form of a UUID of version 4.
pub(crate) fn uuid() -> String {
    let random = fastrand::u128(..);
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let mut text = String::with_capacity(36);
    for (number, part) in [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].into_iter().enumerate() {
        let dash = if number == 0 { "" } else { "-" };
        // Writing to a String does not fail.
        let _ = write!(text, "{dash}{part}");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn identifiers_have_the_form_of_a_uuid() {
        for _ in 0..100 {
            let id = super::uuid();
            let lengths: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        }
    }
}
