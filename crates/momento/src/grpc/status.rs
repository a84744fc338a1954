//! Status codes, and how they travel in trailers.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

/// Longest message of a status, in bytes before it is encoded; it is cut there. Trailers have little
/// room: many clients take 8 KiB for all of them.
pub const MESSAGE_BYTES_MAX: usize = 1_024;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of gRPC and say all there is")]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    /// All of them, by number.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The code of a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Its name in gRPC's own spelling, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

/// How a call ended, with words and with the metadata that SDKs look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: Code,
    /// For people; some SDKs look for words in it.
    pub message: String,
    /// Value of the trailer `err`, by which SDKs tell apart what has the same code.
    pub err: Option<&'static str>,
}

impl Status {
    /// A good end.
    #[must_use]
    pub fn ok() -> Self {
        Self::new(Code::Ok, String::new())
    }

    /// An end with words, which are cut at [`MESSAGE_BYTES_MAX`].
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let mut message = message.into();
        let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
        message.truncate(end);
        Self { code, message, err: None }
    }

    /// The same, with the trailer `err`.
    #[must_use]
    pub fn with_err(self, err: &'static str) -> Self {
        Self { err: Some(err), ..self }
    }

    /// Names and values of the trailers, ready for the wire. A message that is empty is left out.
    #[must_use]
    pub fn trailers(&self) -> Vec<(&'static str, String)> {
        let mut trailers = vec![("grpc-status", self.code.number().to_string())];
        if !self.message.is_empty() {
            trailers.push(("grpc-message", encode_message(&self.message)));
        }
        if let Some(err) = self.err {
            trailers.push(("err", err.to_owned()));
        }
        trailers
    }
}

/// Percent-encodes a message: everything but printable ASCII, and the percent sign.
#[must_use]
pub fn encode_message(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// The inverse of [`encode_message`]. What is no percent-encoding stays as it is, and bytes that are
/// no UTF-8 are replaced, as gRPC asks of readers.
#[must_use]
pub fn decode_message(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_have_their_numbers() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), number);
            assert_eq!(Code::from_number(code.number()), Some(code));
        }
        assert_eq!(Code::from_number(17), None);
        assert_eq!(Code::Unauthenticated.number(), 16);
        assert_eq!(Code::ResourceExhausted.name(), "RESOURCE_EXHAUSTED");
    }

    #[test]
    fn trailers() {
        assert_eq!(Status::ok().trailers(), [("grpc-status", "0".to_owned())]);
        let status = Status::new(Code::NotFound, "Cache not found: caf\u{e9} 100%\r\n").with_err("store_not_found");
        assert_eq!(
            status.trailers(),
            [
                ("grpc-status", "5".to_owned()),
                ("grpc-message", "Cache not found: caf%C3%A9 100%25%0D%0A".to_owned()),
                ("err", "store_not_found".to_owned()),
            ]
        );
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let status = Status::new(Code::Internal, "\u{e9}".repeat(1_000));
        assert_eq!(status.message.len(), MESSAGE_BYTES_MAX);
        let status = Status::new(Code::Internal, format!("a{}", "\u{e9}".repeat(1_000)));
        assert_eq!(status.message.len(), MESSAGE_BYTES_MAX - 1);
    }

    #[test]
    fn broken_encodings_are_read_all_the_same() {
        assert_eq!(decode_message("a%zzb%"), "a%zzb%");
        assert_eq!(decode_message("%ff"), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn messages_come_back(message in "\\PC*|(.|\\n)*") {
            let encoded = encode_message(&message);
            prop_assert!(encoded.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(decode_message(&encoded), message);
        }
    }
}
