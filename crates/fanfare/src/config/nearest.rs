//! "Did you mean": the known word that is nearest to a mistyped one.

/// The candidate with the fewest edits to `word`, if they are few enough to be a slip.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let bound = (word.chars().count() / 3).max(1);
    let with_distance = candidates.into_iter().map(|candidate| {
        let distance = edits(&word, candidate);
        // A word written half, or with its unit left out, is a slip as well.
        let is_part = word.len() >= 4 && (candidate.contains(&word) || word.contains(candidate));
        (if is_part { distance.min(bound) } else { distance }, candidate)
    });
    let (distance, candidate) = with_distance.min_by_key(|(distance, _)| *distance)?;
    (distance <= bound).then_some(candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            let is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if is_swap {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["listen", "limits", "log", "ping_interval_ms", "data"];

    #[test]
    fn slips_find_their_key() {
        for (slip, key) in [
            ("lisen", "listen"),
            ("litsen", "listen"),
            ("Listen", "listen"),
            ("limit", "limits"),
            ("ping_interval", "ping_interval_ms"),
            ("ping-interval-ms", "ping_interval_ms"),
            ("date", "data"),
        ] {
            assert_eq!(nearest(slip, KEYS), Some(key), "{slip}");
        }
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("workers", KEYS), None);
        assert_eq!(nearest("x", []), None);
    }
}
