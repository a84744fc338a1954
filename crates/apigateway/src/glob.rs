//! Patterns of policies: `*` is any run of characters, also across `/` and `:`, `?` any one.

/// Whether the whole of `text` matches. It never goes back further than to the last `*`, so that it
/// takes at most as many steps as `pattern` and `text` are long, multiplied.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (mut wanted, mut found) = (pattern.chars(), text.chars());
    // Where to go on when a comparison fails: behind the last `*`, with its run one longer.
    let mut retry = None;
    loop {
        let here = found.clone();
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((wanted.clone(), here.clone()));
                found = here;
                continue;
            }
            (Some('?'), Some(_)) => continue,
            (Some(a), Some(b)) if a == b => continue,
            (Some(_), None) => return false,
            (_, Some(_)) => {}
        }
        let Some((behind, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (wanted, found) = (behind.clone(), from.clone());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_and_single_characters() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b:c", true),
            ("?", "", false),
            ("?", "ä", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "bba", true),
            ("*a", "bab", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1c2b", false),
            ("a??", "ab", false),
            ("a?c", "a/c", true),
            ("**a**", "a", true),
            ("*ab", "aab", true),
            ("*?", "", false),
            ("*?", "a", true),
            ("A", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_pattern_made_to_backtrack_is_answered_at_once() {
        let pattern = "*a".repeat(500);
        assert!(!matches(&pattern, &("a".repeat(499) + &"b".repeat(4_000))));
        assert!(matches(&pattern, &"ba".repeat(500)));
    }

    /// The definition itself; only for short texts.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| plainly(rest, &text[skip..])),
            ([b'?', rest @ ..], [_, after @ ..]) => plainly(rest, after),
            ([a, rest @ ..], [b, after @ ..]) => a == b && plainly(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn as_the_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), plainly(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
