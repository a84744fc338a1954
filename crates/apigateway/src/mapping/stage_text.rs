//! Text of a configuration with `${stageVariables.NAME}` in it.

use std::collections::BTreeMap;

use super::MappingError;

const OPEN: &str = "${stageVariables.";

/// A text that the stage completes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StageText {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

impl StageText {
    /// Reads a text; the error says what to write.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            let inner = &rest[at + OPEN.len()..];
            let Some(length) = inner.find('}').filter(|length| *length > 0) else {
                return Err(format!("a variable in {text:?} is not closed or has no name; write {OPEN}NAME}}"));
            };
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            parts.push(Part::Variable(inner[..length].to_owned()));
            rest = &inner[length + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// What the text is in a stage.
    pub(crate) fn text(&self, variables: &BTreeMap<String, String>) -> Result<String, MappingError> {
        let mut out = String::new();
        for part in &self.parts {
            out.push_str(match part {
                Part::Text(text) => text,
                Part::Variable(name) => variables.get(name).ok_or_else(|| MappingError::StageVariable(name.clone()))?,
            });
        }
        Ok(out)
    }

    /// The names of the variables in it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_their_values() {
        let variables = BTreeMap::from([("fn".to_owned(), "orders".to_owned()), ("v".to_owned(), "2".to_owned())]);
        let text = |text: &str| StageText::parse(text).unwrap().text(&variables);
        assert_eq!(text("plain").unwrap(), "plain");
        assert_eq!(text("${stageVariables.fn}").unwrap(), "orders");
        assert_eq!(text("arn:x:${stageVariables.fn}:${stageVariables.v}/y").unwrap(), "arn:x:orders:2/y");
        assert_eq!(text("${stageVariables.no}"), Err(MappingError::StageVariable("no".to_owned())));
        assert_eq!(text("").unwrap(), "");
        assert!(StageText::parse("${stageVariables.x").is_err());
        assert!(StageText::parse("${stageVariables.}").is_err());
    }
}
