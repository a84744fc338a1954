//! What makes an API and its routes, in a serverless.yml and in a template.

use fanfare_apigateway::Api;
use fanfare_apigateway::model::{Integration, IntegrationKind, Options, Passthrough, Route};

use crate::nearest::hint;
use crate::node::Place;
use crate::scope::Scope;

/// Quotas of API Gateway, for one API.
const ROUTES_MAX: usize = 300;
const AUTHORIZERS_MAX: usize = 10;
const STAGES_MAX: usize = 10;
/// For one stage.
const VARIABLES_MAX: usize = 100;
const VARIABLE_NAME_MAX: usize = 64;
const VARIABLE_VALUE_MAX: usize = 512;

/// Milliseconds of an integration's timeout.
pub(crate) const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 50..=29_000;

/// An API without routes and stages.
pub(crate) fn api(id: String, name: String, place: &Place) -> Api {
    Api {
        id,
        name,
        route_selection_expression: "$request.body.action".to_owned(),
        api_key_selection_expression: "$request.header.x-api-key".to_owned(),
        disable_schema_validation: false,
        disable_execute_api_endpoint: false,
        stages: Default::default(),
        routes: Default::default(),
        authorizers: Default::default(),
        models: Default::default(),
        domains: Vec::new(),
        api_keys: Vec::new(),
        options: Options::default(),
        origin: place.origin(),
    }
}

/// An integration of which nothing but its kind is known.
pub(crate) fn integration(kind: IntegrationKind, place: &Place) -> Integration {
    Integration {
        kind,
        function: None,
        uri: None,
        method: None,
        topic: None,
        payload: None,
        request_parameters: Default::default(),
        request_templates: Default::default(),
        template_selection_expression: None,
        passthrough: Passthrough::default(),
        content_handling: None,
        timeout_ms: *TIMEOUT_MS.end(),
        responses: Vec::new(),
        origin: place.origin(),
    }
}

/// Adds a route. The last of one key wins, as in the original, with a note.
pub(crate) fn add_route(scope: &Scope<'_>, api: &mut Api, key: &str, route: Route, place: &Place) {
    if key.is_empty() || (key.starts_with('$') && !matches!(key, "$connect" | "$disconnect" | "$default")) {
        let near = hint(key, ["$connect", "$disconnect", "$default"]);
        let text = format!("a route cannot have the key {key:?}{near}; only the three of the gateway begin with `$`");
        scope.mistake(place, text);
        return;
    }
    if let Some(before) = api.routes.insert(key.to_owned(), route) {
        let text =
            format!("the route {key:?} stands at {} too, which has no effect: the last one counts", before.origin);
        scope.note(place, text);
    }
}

/// Complains about what is more than API Gateway takes.
pub(crate) fn check(scope: &Scope<'_>, api: &Api, place: &Place) {
    let counts = [
        (api.routes.len(), ROUTES_MAX, "routes"),
        (api.authorizers.len(), AUTHORIZERS_MAX, "authorizers"),
        (api.stages.len(), STAGES_MAX, "stages"),
    ];
    for (count, most, what) in counts {
        if count > most {
            let text = format!("the API {:?} has {count} {what}; at most {most} are possible", api.name);
            scope.mistake(place, text);
        }
    }
    for domain in api.domains.iter().filter(|domain| !api.stages.contains_key(&domain.stage)) {
        let near = hint(&domain.stage, api.stages.keys().map(String::as_str));
        let text = format!("the domain {} is for the stage {:?}, and there is none{near}", domain.name, domain.stage);
        scope.mistake(place, text);
    }
    for (name, stage) in &api.stages {
        for key in stage.route_throttles.keys().filter(|key| !api.routes.contains_key(*key)) {
            let near = hint(key, api.routes.keys().map(String::as_str));
            scope.mistake(place, format!("the stage {name:?} has settings for {key:?}, which is no route{near}"));
        }
        let is_long = stage
            .variables
            .iter()
            .any(|(key, value)| key.chars().count() > VARIABLE_NAME_MAX || value.chars().count() > VARIABLE_VALUE_MAX);
        if stage.variables.len() > VARIABLES_MAX || is_long {
            let text = format!(
                "the stage {name:?} has too many or too long variables: at most {VARIABLES_MAX}, names of \
                 {VARIABLE_NAME_MAX} and values of {VARIABLE_VALUE_MAX} characters"
            );
            scope.mistake(place, text);
        }
    }
}

/// Whether this can be a stage: letters, digits, `-` and `_`.
pub(crate) fn check_stage(scope: &Scope<'_>, name: &str, place: &Place) {
    let is_good = !name.is_empty()
        && name.len() <= 128
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !is_good {
        let text = format!("a stage cannot be called {name:?}: letters, digits, `-` and `_`, at most 128");
        scope.mistake(place, text);
    }
}
