//! A template.

use fanfare_apigateway::Api;
use fanfare_runtime::HandlerConfig;

use crate::node::Node;
use crate::scope::Scope;
use crate::serverless::Events;
use crate::{Application, InlineCode};

/// What a reading has made so far.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) functions: Vec<HandlerConfig>,
    pub(crate) apis: Vec<Api>,
    pub(crate) code: Vec<InlineCode>,
    pub(crate) events: Events,
}

pub(crate) fn read(scope: &mut Scope<'_>, root: &Node) -> Application {
    scope.mistake(&root.place, "templates are not read yet; give a serverless.yml");
    Application::default()
}
pub(crate) fn collect(_scope: &Scope<'_>, _parts: &mut Parts) {}
