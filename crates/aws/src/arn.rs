//! Names of resources: `arn:partition:service:region:account:resource`.

use std::fmt;

/// The longest name that is read, in bytes.
pub const ARN_BYTES_MAX: usize = 2048;

/// A resource's name in its pieces. Region and account are empty for some services; the resource
/// may hold colons and slashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Arn<'a> {
    /// `aws`, or `aws-cn` and the like.
    pub partition: &'a str,
    /// Such as `iot`.
    pub service: &'a str,
    /// Such as `eu-central-1`, or nothing.
    pub region: &'a str,
    /// Twelve digits, or nothing.
    pub account: &'a str,
    /// All that follows the fifth colon.
    pub resource: &'a str,
}

/// Why a text names no resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArnError {
    /// More than [`ARN_BYTES_MAX`].
    #[error("an ARN of more than {ARN_BYTES_MAX} bytes; shorten it")]
    TooLong,
    /// Not of the form of an ARN.
    #[error("not an ARN; write arn:partition:service:region:account:resource")]
    Form,
    /// Partition, service or resource are empty, or a piece holds a space or control character.
    #[error("an ARN whose {0} is empty or holds a character that is not allowed")]
    Piece(&'static str),
}

impl<'a> Arn<'a> {
    /// A name in the partition `aws`.
    #[must_use]
    pub const fn new(service: &'a str, region: &'a str, account: &'a str, resource: &'a str) -> Self {
        Self { partition: "aws", service, region, account, resource }
    }

    /// Takes a name apart. Patterns with `*` are names too.
    ///
    /// # Errors
    ///
    /// See [`ArnError`].
    pub fn parse(text: &'a str) -> Result<Self, ArnError> {
        if text.len() > ARN_BYTES_MAX {
            return Err(ArnError::TooLong);
        }
        let mut pieces = text.splitn(6, ':');
        if pieces.next() != Some("arn") {
            return Err(ArnError::Form);
        }
        let mut piece = || pieces.next().ok_or(ArnError::Form);
        let arn =
            Self { partition: piece()?, service: piece()?, region: piece()?, account: piece()?, resource: piece()? };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let checks = [
            ("partition", !arn.partition.is_empty() && is_plain(arn.partition)),
            ("service", !arn.service.is_empty() && is_plain(arn.service)),
            ("region", is_plain(arn.region)),
            ("account", is_plain(arn.account)),
            ("resource", !arn.resource.is_empty() && !arn.resource.contains(char::is_control)),
        ];
        match checks.iter().find(|(_, is_right)| !is_right) {
            Some((name, _)) => Err(ArnError::Piece(name)),
            None => Ok(arn),
        }
    }

    /// The kind before the resource's first `/` or `:`, and what follows: `("topic", "a/b")`.
    #[must_use]
    pub fn kind_and_name(&self) -> Option<(&'a str, &'a str)> {
        self.resource.split_once(['/', ':'])
    }
}

impl fmt::Display for Arn<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(out, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_put_together() {
        let text = "arn:aws:iot:eu-central-1:000000000000:topic/a:b/${iot:ClientId}/*";
        let arn = Arn::parse(text).unwrap();
        assert_eq!(arn, Arn::new("iot", "eu-central-1", "000000000000", "topic/a:b/${iot:ClientId}/*"));
        assert_eq!(arn.kind_and_name(), Some(("topic", "a:b/${iot:ClientId}/*")));
        assert_eq!(arn.to_string(), text);
        assert_eq!(Arn::parse("arn:aws:s3:::bucket").unwrap().kind_and_name(), None);
        let function = Arn::parse("arn:aws-cn:lambda:r:1:function:f:2").unwrap();
        assert_eq!(function.kind_and_name(), Some(("function", "f:2")));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "arn", "arn:aws:iot:r:a", "ARN:aws:iot:r:a:x"] {
            assert_eq!(Arn::parse(text), Err(ArnError::Form), "{text}");
        }
        assert_eq!(Arn::parse("arn:aws::r:a:x"), Err(ArnError::Piece("service")));
        assert_eq!(Arn::parse("arn:aws:iot:r r:a:x"), Err(ArnError::Piece("region")));
        assert_eq!(Arn::parse("arn:aws:iot:r:a:"), Err(ArnError::Piece("resource")));
        assert_eq!(Arn::parse(&format!("arn:aws:iot:r:a:{}", "x".repeat(2048))), Err(ArnError::TooLong));
    }
}
