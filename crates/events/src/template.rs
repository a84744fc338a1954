//! Topics and users with paths in them: `artists/${$.detail.artist}/tickets`.

use serde_json::Value;

use crate::limits::{ARN_BYTES_MAX, RENDERED_BYTES_MAX};
use crate::path::{EventPath, PathError};

/// Text with `${path}` in it.
///
/// A path that stands among other text fills part of one level: a value with
/// `/`, `+` or `#` is refused there, so that what a publisher writes into an
/// event cannot lead it to another topic. A template that is one path and
/// nothing else leaves the whole name to the event.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Path(EventPath),
}

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing is in it.
    #[error("the template is empty")]
    Empty,
    /// Longer than a target's ARN may be.
    #[error("the template is longer than {ARN_BYTES_MAX} bytes")]
    Length,
    /// A `${` has no `}`.
    #[error("a ${{ is not closed by }}")]
    Open,
    /// A path in it cannot be read.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Why an event gives no topic or user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A path leads to nothing, null, an object or an array.
    #[error("the event has no text, number or boolean where the template asks for one")]
    NoScalar,
    /// A value would change the shape of the name.
    #[error("a value with /, + or # cannot fill part of a name")]
    Separator,
    /// The name has a control character.
    #[error("the name has a control character")]
    Control,
    /// Nothing is left, or more than [`RENDERED_BYTES_MAX`] bytes.
    #[error("the name is empty or longer than {RENDERED_BYTES_MAX} bytes")]
    Length,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what cannot be read.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        if text.len() > ARN_BYTES_MAX {
            return Err(TemplateError::Length);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (path, left) = after.split_once('}').ok_or(TemplateError::Open)?;
            parts.push(Part::Path(EventPath::parse(path)?));
            rest = left;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The name that the template gives for an event.
    ///
    /// # Errors
    /// When a value is missing or does not fit.
    pub fn render(&self, event: &Value) -> Result<String, RenderError> {
        let whole = self.parts.len() == 1;
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Path(path) => {
                    let value = scalar_text(path.get(event)).ok_or(RenderError::NoScalar)?;
                    if !whole && value.contains(['/', '+', '#']) {
                        return Err(RenderError::Separator);
                    }
                    if !whole && value.is_empty() {
                        return Err(RenderError::Length);
                    }
                    name.push_str(&value);
                }
            }
            if name.len() > RENDERED_BYTES_MAX {
                return Err(RenderError::Length);
            }
        }
        if name.is_empty() {
            return Err(RenderError::Length);
        }
        if name.contains(char::is_control) { Err(RenderError::Control) } else { Ok(name) }
    }
}

fn scalar_text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str, event: &Value) -> Result<String, RenderError> {
        Template::parse(template).expect("the template is well formed").render(event)
    }

    #[test]
    fn values_fill_their_place() {
        let event = json!({"detail": {"artist": "Ed Sheeran", "n": 7, "ok": true}});
        assert_eq!(render("artists/${$.detail.artist}/tickets", &event).as_deref(), Ok("artists/Ed Sheeran/tickets"));
        assert_eq!(render("${$.detail.n}-${$.detail.ok}", &event).as_deref(), Ok("7-true"));
        assert_eq!(render("plain $topic", &event).as_deref(), Ok("plain $topic"));
    }

    #[test]
    fn a_value_cannot_lead_to_another_topic() {
        let event = json!({"a": "x/y", "plus": "+", "hash": "#", "empty": "", "none": null, "list": [], "nul": "a\0"});
        for path in ["a", "plus", "hash"] {
            assert_eq!(render(&format!("t/${{$.{path}}}"), &event), Err(RenderError::Separator), "{path}");
        }
        for path in ["none", "list", "missing"] {
            assert_eq!(render(&format!("t/${{$.{path}}}"), &event), Err(RenderError::NoScalar), "{path}");
        }
        assert_eq!(render("t/${$.empty}/x", &event), Err(RenderError::Length));
        assert_eq!(render("${$.empty}", &event), Err(RenderError::Length));
        assert_eq!(render("${$.nul}", &event), Err(RenderError::Control));
        assert_eq!(render("${$.a}", &event).as_deref(), Ok("x/y"), "the whole name is left to the event");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(Template::parse(""), Err(TemplateError::Empty));
        assert_eq!(Template::parse("a/${$.b"), Err(TemplateError::Open));
        assert!(matches!(Template::parse("a/${b}"), Err(TemplateError::Path(PathError::Root(_)))));
        assert_eq!(Template::parse(&"a".repeat(1_601)), Err(TemplateError::Length));
    }
}
