//! An integration made ready: everything in it is read.

use super::parameters::Parameters;
use super::response::Responses;
use super::service::{AwsTarget, Service, function_of};
use super::stage_text::StageText;
use super::templates::Templates;
use crate::check::{Notes, TIMEOUT_MS};
use crate::expression::{Expression, Variable};
use crate::model::{Api, ContentHandling, Integration, IntegrationKind, Passthrough};

const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// An integration that can be asked for requests.
#[derive(Debug)]
pub(crate) struct CompiledIntegration {
    pub(super) target: Target,
    pub(super) method: String,
    pub(super) parameters: Parameters,
    pub(super) templates: Templates,
    pub(super) passthrough: Passthrough,
    pub(super) content_handling: Option<ContentHandling>,
    pub(super) responses: Responses,
}

/// Whom it asks.
#[derive(Debug)]
pub(super) enum Target {
    Proxy(StageText),
    Function(StageText),
    HttpProxy(StageText),
    Http(StageText),
    Service(Service),
    Mock,
    Topic { topic: Expression, topic_source: String, payload: Option<(Expression, String)> },
}

impl CompiledIntegration {
    /// Reads all of an integration; `None` where its target cannot be read.
    pub(crate) fn compile(integration: &Integration, api: &Api, notes: &mut Notes<'_>) -> Option<Self> {
        check_bounds(integration, notes);
        let method = method(integration.method.as_deref(), notes);
        let parameters = Parameters::compile(&integration.request_parameters, notes);
        let selection = integration.template_selection_expression.as_deref();
        let templates = Templates::compile(&integration.request_templates, selection, "request_templates", notes);
        if templates.selection().is_some_and(|selection| !selection.variables().all(Variable::is_of_request)) {
            notes.within("template_selection_expression").add("an answer is not known yet when the request is made");
        }
        let target = target(integration, notes);
        let is_function = matches!(target, Some(Target::Function(_)));
        let responses = Responses::compile(&integration.responses, is_function, notes);
        let target = target?;
        check_stage_variables(&target, api, notes);
        let (passthrough, content_handling) = (integration.passthrough, integration.content_handling);
        Some(Self { target, method, parameters, templates, passthrough, content_handling, responses })
    }
}

fn check_bounds(integration: &Integration, notes: &mut Notes<'_>) {
    if !TIMEOUT_MS.contains(&integration.timeout_ms) {
        let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
        notes.within("timeout_ms").add(format!("{} is not within {least} and {most}", integration.timeout_ms));
    }
}

fn method(method: Option<&str>, notes: &mut Notes<'_>) -> String {
    let method = method.unwrap_or("POST").to_ascii_uppercase();
    if !METHODS.contains(&method.as_str()) {
        notes.within("method").add(format!("{method:?} is none of {}", METHODS.join(", ")));
    }
    // Whatever the client's method would be: messages have none.
    if method == "ANY" { "POST".to_owned() } else { method }
}

fn target(integration: &Integration, notes: &mut Notes<'_>) -> Option<Target> {
    let function = integration.function.as_deref().filter(|function| !function.is_empty());
    let uri = integration.uri.as_deref().filter(|uri| !uri.is_empty());
    match integration.kind {
        IntegrationKind::AwsProxy => {
            let Some(name) = function.or(uri) else { return missing("function", "name the function", notes) };
            notes.keep("function", StageText::parse(function_of(name))).map(Target::Proxy)
        }
        IntegrationKind::Aws => match (function, uri) {
            (Some(name), _) => notes.keep("function", StageText::parse(function_of(name))).map(Target::Function),
            (None, Some(uri)) => notes.keep("uri", AwsTarget::parse(uri)).map(|target| match target {
                AwsTarget::Function(name) => Target::Function(name),
                AwsTarget::Service(service) => Target::Service(service),
            }),
            (None, None) => missing("uri", "name a function, or the ARN of a service's action as uri", notes),
        },
        IntegrationKind::HttpProxy => http_url(uri, notes).map(Target::HttpProxy),
        IntegrationKind::Http => http_url(uri, notes).map(Target::Http),
        IntegrationKind::Mock => Some(Target::Mock),
        IntegrationKind::Topic => topic(integration, notes),
    }
}

fn missing(name: &str, problem: &str, notes: &mut Notes<'_>) -> Option<Target> {
    notes.within(name).add(format!("it is missing; {problem}"));
    None
}

fn http_url(uri: Option<&str>, notes: &mut Notes<'_>) -> Option<StageText> {
    let Some(uri) = uri else {
        notes.within("uri").add("it is missing; write the address of the web server");
        return None;
    };
    if !["http://", "https://", "${stageVariables."].iter().any(|start| uri.starts_with(start)) {
        notes.within("uri").add(format!("{uri:?} is no address; write https://HOST/PATH"));
        return None;
    }
    notes.keep("uri", StageText::parse(uri))
}

fn topic(integration: &Integration, notes: &mut Notes<'_>) -> Option<Target> {
    let Some(text) = integration.topic.as_deref().filter(|topic| !topic.is_empty()) else {
        return missing("topic", "write where to publish, such as chat/${request.body.room}", notes);
    };
    let topic = request_expression("topic", text, notes);
    let payload = match integration.payload.as_deref() {
        None => None,
        Some(text) => Some((request_expression("payload", text, notes)?, text.to_owned())),
    };
    Some(Target::Topic { topic: topic?, topic_source: text.to_owned(), payload })
}

fn request_expression(name: &str, text: &str, notes: &mut Notes<'_>) -> Option<Expression> {
    let expression = notes.keep(name, Expression::parse(text))?;
    if !expression.variables().all(Variable::is_of_request) {
        notes.within(name).add("an answer is not known yet when something is published");
        return None;
    }
    Some(expression)
}

/// Variables that no stage has are spelled wrong, or were forgotten.
fn check_stage_variables(target: &Target, api: &Api, notes: &mut Notes<'_>) {
    let (key, names): (&str, Vec<&str>) = match target {
        Target::Proxy(text) | Target::Function(text) => ("function", text.variables().collect()),
        Target::Http(text) | Target::HttpProxy(text) => ("uri", text.variables().collect()),
        Target::Service(service) => ("uri", service.variables()),
        Target::Mock | Target::Topic { .. } => return,
    };
    for name in names {
        if !api.stages.values().any(|stage| stage.variables.contains_key(name)) {
            notes.within(key).add(format!("no stage has the variable {name:?}; add it to stages.NAME.variables"));
        }
    }
}
