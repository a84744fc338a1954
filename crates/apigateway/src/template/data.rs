//! What templates see.

use crate::message::{MessageText, Scope};

/// What a template is carried out with.
#[derive(Clone, Copy, Debug)]
pub struct TemplateData<'a> {
    pub(super) scope: &'a Scope<'a>,
    /// What `$input` is about.
    pub(super) body: Option<&'a MessageText<'a>>,
}

impl<'a> TemplateData<'a> {
    /// For a request: `$input` is the message.
    #[must_use]
    pub fn request(scope: &'a Scope<'a>) -> Self {
        Self { scope, body: scope.message }
    }

    /// For an answer: `$input` is its body.
    #[must_use]
    pub fn response(scope: &'a Scope<'a>, body: &'a MessageText<'a>) -> Self {
        Self { scope, body: Some(body) }
    }
}
