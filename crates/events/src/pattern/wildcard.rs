//! `{"wildcard": "a*b"}`: any text stands for a star.

/// A wildcard pattern, cut at its stars.
///
/// Matching is linear in the length of the text: each piece between two stars
/// is searched for once, leftmost first, which never needs to be taken back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wildcard {
    /// What the text begins with; the whole text when there is no star.
    head: String,
    /// What follows each star, in order.
    pieces: Vec<String>,
}

impl Wildcard {
    /// Reads a pattern. `\*` is a star and `\\` a backslash; no other escape
    /// exists, and two stars in a row are refused. The error is a reason.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut pieces = vec![String::new()];
        let mut after_star = false;
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c == '*' {
                if after_star {
                    return Err("two stars in a row mean no more than one; write one");
                }
                pieces.push(String::new());
                after_star = true;
                continue;
            }
            after_star = false;
            let literal = match c {
                '\\' => chars.next().filter(|c| matches!(c, '*' | '\\')).ok_or(r"after \ only * or \ may follow")?,
                other => other,
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(literal);
            }
        }
        let head = pieces.remove(0);
        Ok(Self { head, pieces })
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some((tail, middle)) = self.pieces.split_last() else {
            return text == self.head;
        };
        let Some(mut rest) = text.strip_prefix(self.head.as_str()) else {
            return false;
        };
        for piece in middle {
            let Some(at) = rest.find(piece.as_str()) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(tail.as_str())
    }
}
