//! Paths into an event: `$.detail.artist`, `$.detail.seats[0]['row']`.

use serde_json::Value;

use crate::limits::PATH_BYTES_MAX;

/// A JSONPath without wildcards, filters and slices: it names one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

/// Why a path is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Longer than [`PATH_BYTES_MAX`].
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    Length,
    /// Does not begin with `$`.
    #[error("the path {0:?} does not begin with $; write for example $.detail.artist")]
    Root(String),
    /// Something that is no `.name`, `[number]` or `['name']`.
    #[error("the path {0:?} cannot be read from byte {1}: only .name, [0] and ['name'] may follow one another")]
    Step(String, usize),
}

impl EventPath {
    /// Reads a path.
    ///
    /// # Errors
    /// Says from which byte on the path makes no sense.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::Length);
        }
        let mut rest = text.strip_prefix('$').ok_or_else(|| PathError::Root(text.to_owned()))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, left) =
                next_step(rest).ok_or_else(|| PathError::Step(text.to_owned(), text.len() - rest.len()))?;
            steps.push(step);
            rest = left;
        }
        Ok(Self { steps })
    }

    /// The value that the path names in an event, if it is there.
    #[must_use]
    pub fn get<'e>(&self, event: &'e Value) -> Option<&'e Value> {
        self.steps.iter().try_fold(event, |value, step| match step {
            Step::Name(name) => value.as_object()?.get(name),
            Step::Index(index) => value.as_array()?.get(*index),
        })
    }
}

fn next_step(rest: &str) -> Option<(Step, &str)> {
    if let Some(rest) = rest.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, left) = rest.split_at(end);
        let plain = !name.is_empty() && !name.contains(['*', ']', '\'', '"', '(', ')', '?', '@', ' ']);
        return plain.then(|| (Step::Name(name.to_owned()), left));
    }
    let rest = rest.strip_prefix('[')?;
    for quote in ['\'', '"'] {
        if let Some(quoted) = rest.strip_prefix(quote) {
            let (name, left) = quoted.split_once(quote)?;
            return Some((Step::Name(name.to_owned()), left.strip_prefix(']')?));
        }
    }
    let (digits, left) = rest.split_once(']')?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    Some((Step::Index(plain.then(|| digits.parse().ok())??), left))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_names_one_value() {
        let event = json!({"detail": {"a": {"b": [{"c d": 1, "x.y": 2}, 3]}, "detail-type": "t"}});
        let get = |path: &str| EventPath::parse(path).expect("the path is well formed").get(&event).cloned();
        assert_eq!(get("$.detail.a.b[0]['c d']"), Some(json!(1)));
        assert_eq!(get("$.detail.a.b[0][\"x.y\"]"), Some(json!(2)));
        assert_eq!(get("$.detail.a.b[1]"), Some(json!(3)));
        assert_eq!(get("$['detail'].detail-type"), Some(json!("t")));
        assert_eq!(get("$"), Some(event.clone()));
        assert_eq!(get("$.detail.a.b[2]"), None);
        assert_eq!(get("$.detail.a[0]"), None);
        assert_eq!(get("$.detail.a.b.c"), None);
    }

    #[test]
    fn what_is_more_than_a_path_is_refused() {
        for path in ["", "detail", "$detail", "$.", "$..a", "$.a[*]", "$.*", "$.a[-1]", "$.a[1", "$.a['b]", "$.a[1:2]"]
        {
            assert!(EventPath::parse(path).is_err(), "{path}");
        }
        assert_eq!(EventPath::parse("$.a[*]"), Err(PathError::Step("$.a[*]".to_owned(), 3)));
        assert_eq!(EventPath::parse(&format!("$.{}", "a".repeat(255))), Err(PathError::Length));
    }
}
