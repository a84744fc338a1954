//! Values of request parameters and identity sources.

use super::{ExpressionError, Surroundings, Variable};
use crate::message::Scope;

/// The value of a request parameter or an identity source: one variable, with or without its sign,
/// or a text in quotes.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterValue(ParameterKind);

#[derive(Clone, Debug, PartialEq)]
enum ParameterKind {
    Static(String),
    Variable(Variable),
}

impl ParameterValue {
    /// Reads `route.request.header.NAME`, `$request.header.NAME`, `route.request.querystring.NAME`,
    /// `route.request.body.PATH`, `context.NAME`, `stageVariables.NAME` or `'text'`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix('\'') {
            let inner = inner.strip_suffix('\'').ok_or_else(|| ExpressionError::Quote(text.to_owned()))?;
            return Ok(Self(ParameterKind::Static(inner.to_owned())));
        }
        let name = text.strip_prefix('$').unwrap_or(text);
        let name = name.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(name);
        if name.is_empty() {
            return Err(ExpressionError::Quote(text.to_owned()));
        }
        Ok(Self(ParameterKind::Variable(Variable::parse(name)?)))
    }

    /// What it is in a request; `None` where it is missing.
    #[must_use]
    pub fn evaluate(&self, scope: &Scope<'_>) -> Option<String> {
        match &self.0 {
            ParameterKind::Static(text) => Some(text.clone()),
            ParameterKind::Variable(variable) => variable.text(&Surroundings::request(scope)),
        }
    }

    pub(crate) fn variable(&self) -> Option<&Variable> {
        match &self.0 {
            ParameterKind::Static(_) => None,
            ParameterKind::Variable(variable) => Some(variable),
        }
    }
}
