//! Which name somebody may have meant.

/// Names longer than this are not compared.
const LENGTH_MAX: usize = 80;

/// The known name that is nearest to what was written, if one is near.
pub(crate) fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let low = written.to_lowercase();
    let allowed = (low.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .filter_map(|name| Some((distance(&low, &name.to_lowercase())?, name)))
        .filter(|(distance, _)| *distance <= allowed && *distance < low.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// ` (did you mean X?)`, or nothing.
pub(crate) fn hint<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(written, known).map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}

/// How many letters must be changed, added or left out.
fn distance(one: &str, other: &str) -> Option<usize> {
    let other: Vec<char> = other.chars().collect();
    if one.len() > LENGTH_MAX || other.len() > LENGTH_MAX {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, against) in other.iter().enumerate() {
            let changed = corner + usize::from(letter != *against);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["handler", "runtime", "memorySize", "routeKey"];
        assert_eq!(nearest("hander", known), Some("handler"));
        assert_eq!(nearest("memorysize", known), Some("memorySize"));
        assert_eq!(nearest("completely", known), None);
        assert_eq!(hint("runtine", known), " (did you mean \"runtime\"?)");
    }
}
