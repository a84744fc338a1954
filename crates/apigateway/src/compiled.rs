//! An API made ready: everything in it is read once, or refused with all that is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::{self, Mistake, Notes};
use crate::expression::{Expression, Surroundings, Variable, written};
use crate::json::{self, Json};
use crate::mapping::CompiledIntegration;
use crate::model::{Api, Route};
use crate::schema::{Schema, Schemas};

pub use crate::mapping::{AwsRequest, IntegrationAnswer, IntegrationRequest, Mapped, MappingError, TopicRequest};
pub use crate::message::{MessageText, Scope};

const DEFAULT: &str = "$default";
/// Routes that messages cannot select.
const NOT_FOR_MESSAGES: [&str; 2] = ["$connect", "$disconnect"];

/// An API that can be served.
#[derive(Debug)]
pub struct Compiled {
    api: Arc<Api>,
    selection: Expression,
    routes: BTreeMap<String, CompiledRoute>,
}

/// A route of it.
#[derive(Debug)]
pub struct CompiledRoute {
    key: String,
    route: Route,
    integration: Option<CompiledIntegration>,
    model_selection: Option<Expression>,
    /// By the keys of `request_models`.
    models: BTreeMap<String, Arc<Schema>>,
}

impl Compiled {
    /// Reads all expressions, templates, paths and schemas of an API.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn new(api: impl Into<Arc<Api>>) -> Result<Self, Vec<Mistake>> {
        let api: Arc<Api> = api.into();
        let mut mistakes = Vec::new();
        let mut notes = Notes::new(&mut mistakes, &api.origin);
        check::check(&api, &mut notes);
        let selection = route_selection(&api, &mut notes);
        let models = Schemas::compile(&api.models, &mut notes.within("models"));
        let mut routes = BTreeMap::new();
        for (key, route) in &api.routes {
            let mut notes = notes.within("routes");
            let mut notes = notes.within(key).from(&route.origin);
            routes.insert(key.clone(), CompiledRoute::compile(key, route, &api, &models, &mut notes));
        }
        match selection {
            Some(selection) if mistakes.is_empty() => Ok(Self { api, selection, routes }),
            _ => Err(mistakes),
        }
    }

    /// The API itself.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The route of exactly this key.
    #[must_use]
    pub fn route(&self, key: &str) -> Option<&CompiledRoute> {
        self.routes.get(key)
    }

    /// The route of a message: the one that it selects, otherwise `$default`; none where that is not
    /// there. What is not a JSON object selects nothing.
    #[must_use]
    pub fn select(&self, message: &MessageText<'_>) -> Option<&CompiledRoute> {
        let selected = self.selected_key(message).filter(|key| !NOT_FOR_MESSAGES.contains(&key.as_str()));
        selected.and_then(|key| self.routes.get(&key)).or_else(|| self.routes.get(DEFAULT))
    }

    fn selected_key(&self, message: &MessageText<'_>) -> Option<String> {
        // The usual expression needs one member only, so that nothing else of a message is kept.
        if let (Some(names), None) = (self.selection.body_names(), message.known()) {
            return json::pick(message.text(), names).ok()?.map(written);
        }
        if !matches!(message.json(), Some(Json::Object(_))) {
            return None;
        }
        let (context, variables) = (serde_json::Map::new(), BTreeMap::new());
        let scope =
            Scope { message: Some(message), headers: &[], query: &[], context: &context, stage_variables: &variables };
        Some(self.selection.text(&Surroundings::request(&scope)))
    }
}

fn route_selection(api: &Api, notes: &mut Notes<'_>) -> Option<Expression> {
    let name = "route_selection_expression";
    let selection = notes.keep(name, Expression::parse(&api.route_selection_expression))?;
    if !selection.variables().all(|variable| matches!(variable, Variable::Body(_))) {
        notes.within(name).add("only the message selects routes; write variables such as ${request.body.action}");
        return None;
    }
    Some(selection)
}

impl CompiledRoute {
    fn compile(key: &str, route: &Route, api: &Api, schemas: &Schemas, notes: &mut Notes<'_>) -> Self {
        let selection = route.model_selection_expression.as_deref();
        let model_selection =
            selection.and_then(|text| notes.keep("model_selection_expression", Expression::parse(text)));
        if model_selection.as_ref().is_some_and(|selection| {
            !selection.variables().all(|variable| matches!(variable, Variable::Body(_))) //
        }) {
            notes.within("model_selection_expression").add("only the message selects models");
        }
        let mut models = BTreeMap::new();
        for (model_key, name) in &route.request_models {
            match schemas.get(name) {
                Some(schema) => {
                    models.insert(model_key.clone(), schema.clone());
                }
                None if api.models.contains_key(name) => {}
                None => notes.within("request_models").within(model_key).add(format!("there is no model {name:?}")),
            }
        }
        let integration = route.integration.as_ref().and_then(|integration| {
            let mut notes = notes.within("integration").from(&integration.origin);
            CompiledIntegration::compile(integration, api, &mut notes)
        });
        Self { key: key.to_owned(), route: route.clone(), integration, model_selection, models }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// As it was configured.
    #[must_use]
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Whether a message is as the route's models want it. Without models everything is.
    #[must_use]
    pub fn accepts(&self, message: &MessageText<'_>) -> bool {
        if self.models.is_empty() {
            return true;
        }
        let (context, variables) = (serde_json::Map::new(), BTreeMap::new());
        let scope =
            Scope { message: Some(message), headers: &[], query: &[], context: &context, stage_variables: &variables };
        let selected = self.model_selection.as_ref().and_then(|selection| self.models.get(&selection.evaluate(&scope)));
        let schema = selected.or_else(|| self.models.get(DEFAULT));
        schema.is_some_and(|schema| message.json().is_some_and(|json| schema.accepts(json)))
    }

    /// What the integration is sent. A route without one answers itself, with 200.
    ///
    /// # Errors
    /// [`MappingError`]; bounded work whatever the message is.
    pub fn integration_request(&self, scope: &Scope<'_>) -> Result<IntegrationRequest, MappingError> {
        match &self.integration {
            Some(integration) => integration.request(scope),
            None => Ok(IntegrationRequest::Mock { status: 200 }),
        }
    }

    /// Whether a function is only told, without waiting for its result: an `aws` integration with the
    /// parameter `integration.request.header.X-Amz-Invocation-Type` set to `'Event'`.
    #[must_use]
    pub fn is_called_later(&self, scope: &Scope<'_>) -> bool {
        self.integration.as_ref().is_some_and(|integration| integration.is_called_later(scope))
    }

    /// What an answer of the integration becomes, for kinds that are not proxies of functions.
    ///
    /// # Errors
    /// [`MappingError`]; bounded work whatever the answer is.
    pub fn integration_response(&self, scope: &Scope<'_>, answer: &IntegrationAnswer) -> Result<Mapped, MappingError> {
        match &self.integration {
            Some(integration) => integration.response(scope, answer),
            None => Ok(Mapped { status: answer.status, body: Vec::new() }),
        }
    }
}

#[cfg(test)]
mod tests;
