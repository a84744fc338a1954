//! What can be wrong with an API. Everything is found at once, each with its place.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::{Api, Authorization, Route, Stage, Throttle};

/// Routes of one API.
pub const ROUTES_MAX: usize = 300;
/// Stages of one API.
pub const STAGES_MAX: usize = 10;
/// Authorizers of one API.
pub const AUTHORIZERS_MAX: usize = 10;
/// Variables of one stage.
pub const STAGE_VARIABLES_MAX: usize = 100;
/// Characters in the name of a stage variable.
pub const STAGE_VARIABLE_NAME_MAX: usize = 64;
/// Characters in the value of a stage variable.
pub const STAGE_VARIABLE_VALUE_MAX: usize = 512;
/// Bytes of an access log's format.
pub const ACCESS_LOG_BYTES_MAX: usize = 3 * 1024;
/// Characters in the id of an API.
pub const API_ID_MAX: usize = 32;
/// How long an integration may take, in milliseconds.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 50..=29_000;

const RESERVED_KEYS: [&str; 3] = ["$connect", "$disconnect", "$default"];
const KEY_SELECTIONS: [&str; 2] = ["$request.header.x-api-key", "$context.authorizer.usageIdentifierKey"];

/// Something that must be changed before an API can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was configured, such as `serverless.yml:7`; may be empty.
    pub origin: String,
    /// Which setting, such as `routes.$connect.integration.uri`.
    pub key: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.origin.is_empty() {
            write!(f, "{}: ", self.origin)?;
        }
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl std::error::Error for Mistake {}

/// Takes down mistakes of one part of the configuration.
pub(crate) struct Notes<'a> {
    found: &'a mut Vec<Mistake>,
    origin: &'a str,
    key: String,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(found: &'a mut Vec<Mistake>, origin: &'a str) -> Self {
        Self { found, origin, key: String::new() }
    }

    /// Of a part within this one.
    pub(crate) fn within(&mut self, name: &str) -> Notes<'_> {
        let key = if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
        Notes { found: self.found, origin: self.origin, key }
    }

    /// From here on things were configured elsewhere, if it is known where.
    pub(crate) fn from(mut self, origin: &'a str) -> Self {
        if !origin.is_empty() {
            self.origin = origin;
        }
        self
    }

    pub(crate) fn add(&mut self, problem: impl fmt::Display) {
        let mistake = Mistake { origin: self.origin.to_owned(), key: self.key.clone(), problem: problem.to_string() };
        self.found.push(mistake);
    }

    /// What came out well; otherwise why it did not is taken down under a name.
    pub(crate) fn keep<T, E: fmt::Display>(&mut self, name: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.within(name).add(error)).ok()
    }

    fn at_most(&mut self, name: &str, count: usize, limit: usize) {
        if count > limit {
            self.within(name).add(format!("{count} are configured, at most {limit} are allowed"));
        }
    }
}

/// Looks at everything but what is compiled.
pub(crate) fn check(api: &Api, notes: &mut Notes<'_>) {
    check_id(&api.id, notes);
    notes.at_most("stages", api.stages.len(), STAGES_MAX);
    notes.at_most("routes", api.routes.len(), ROUTES_MAX);
    notes.at_most("authorizers", api.authorizers.len(), AUTHORIZERS_MAX);
    if !KEY_SELECTIONS.contains(&api.api_key_selection_expression.as_str()) {
        notes.within("api_key_selection_expression").add(format!("write {}", KEY_SELECTIONS.join(" or ")));
    }
    for (name, stage) in &api.stages {
        check_stage(api, name, stage, &mut notes.within("stages").within(name));
    }
    for (key, route) in &api.routes {
        let mut notes = notes.within("routes");
        check_route(api, key, route, &mut notes.within(key).from(&route.origin));
    }
    check_authorizers(api, &mut notes.within("authorizers"));
    check_domains(api, &mut notes.within("domains"));
    check_keys(api, &mut notes.within("api_keys"));
    check_options(api, &mut notes.within("options"));
}

fn check_id(id: &str, notes: &mut Notes<'_>) {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if id.is_empty() || id.len() > API_ID_MAX || !id.bytes().all(is_good) {
        let problem = format!("{id:?} is no id; write 1 to {API_ID_MAX} lower-case letters and digits");
        notes.within("id").add(problem);
    }
}

/// Letters, digits, hyphens and underscores.
fn is_name(text: &str, longest: usize) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= longest && text.bytes().all(is_good)
}

fn check_stage(api: &Api, name: &str, stage: &Stage, notes: &mut Notes<'_>) {
    // `$default` is a stage of HTTP APIs; descriptors may carry it over.
    if name != "$default" && !is_name(name, 128) {
        notes.add("a stage's name has 1 to 128 letters, digits, hyphens and underscores");
    }
    notes.at_most("variables", stage.variables.len(), STAGE_VARIABLES_MAX);
    for (name, value) in &stage.variables {
        let mut notes = notes.within("variables");
        if !is_name(name, STAGE_VARIABLE_NAME_MAX) {
            let rule = format!("a name has 1 to {STAGE_VARIABLE_NAME_MAX} letters, digits, hyphens and underscores");
            notes.within(name).add(rule);
        }
        if value.chars().count() > STAGE_VARIABLE_VALUE_MAX {
            notes.within(name).add(format!("a value has at most {STAGE_VARIABLE_VALUE_MAX} characters"));
        }
    }
    if let Some(throttle) = &stage.throttle {
        check_throttle(throttle, &mut notes.within("throttle"));
    }
    for (key, throttle) in &stage.route_throttles {
        let mut notes = notes.within("route_throttles");
        if !api.routes.contains_key(key) {
            notes.within(key).add("there is no such route");
        }
        check_throttle(throttle, &mut notes.within(key));
    }
    if stage.access_log.as_ref().is_some_and(|format| format.len() > ACCESS_LOG_BYTES_MAX) {
        notes.within("access_log").add(format!("the format has more than {ACCESS_LOG_BYTES_MAX} bytes"));
    }
}

fn check_throttle(throttle: &Throttle, notes: &mut Notes<'_>) {
    if !throttle.rate.is_finite() || throttle.rate < 0.0 {
        notes.within("rate").add("write how many requests are let through in a second: 0 or more");
    }
}

fn check_route(api: &Api, key: &str, route: &Route, notes: &mut Notes<'_>) {
    if key.is_empty() {
        notes.add("a route needs a key");
    } else if key.starts_with('$') && !RESERVED_KEYS.contains(&key) {
        notes.add(format!("a key that begins with $ is one of {}", RESERVED_KEYS.join(", ")));
    }
    match (route.authorization, &route.authorizer) {
        (Authorization::Custom, None) => notes.within("authorizer").add("name the authorizer that decides"),
        (Authorization::Custom, Some(name)) if !api.authorizers.contains_key(name) => {
            let known: Vec<&str> = api.authorizers.keys().map(String::as_str).collect();
            notes.within("authorizer").add(format!("there is no authorizer {name:?}; known are: {}", known.join(", ")));
        }
        _ => {}
    }
    if key != "$connect" && route.authorization != Authorization::None {
        notes.within("authorization").add("it counts on $connect only; move it there");
    }
    for name in route.request_parameters.keys() {
        let rest = name.strip_prefix("route.request.").and_then(|rest| rest.split_once('.'));
        if !matches!(rest, Some(("header" | "querystring", name)) if !name.is_empty()) {
            let problem = "write route.request.header.NAME or route.request.querystring.NAME";
            notes.within("request_parameters").within(name).add(problem);
        }
    }
}

fn check_authorizers(api: &Api, notes: &mut Notes<'_>) {
    for (name, authorizer) in &api.authorizers {
        let mut notes = notes.within(name).from(&authorizer.origin);
        if authorizer.function.is_empty() {
            notes.within("function").add("name the function that decides");
        }
        for source in &authorizer.identity_sources {
            if !source.split(',').all(|source| is_identity_source(source.trim())) {
                notes.within("identity_sources").add(format!(
                    "{source:?} is none; write route.request.header.NAME, route.request.querystring.NAME, \
                     stageVariables.NAME or context.NAME"
                ));
            }
        }
    }
}

/// Also with a dollar sign, as HTTP APIs write it, and with `method` as REST APIs do.
fn is_identity_source(text: &str) -> bool {
    const STARTS: [&str; 4] = ["request.header.", "request.querystring.", "stageVariables.", "context."];
    let text = text.strip_prefix('$').unwrap_or(text);
    let text = text.strip_prefix("route.").or_else(|| text.strip_prefix("method.")).unwrap_or(text);
    STARTS.iter().any(|start| text.strip_prefix(start).is_some_and(|name| !name.is_empty()))
}

fn check_domains(api: &Api, notes: &mut Notes<'_>) {
    let mut known = BTreeSet::new();
    for domain in &api.domains {
        let mut notes = notes.within(&domain.name);
        if domain.name.is_empty() || domain.name.contains([':', '/']) {
            notes.add("write the host name, without a scheme and a port");
        }
        if !api.stages.contains_key(&domain.stage) {
            notes.within("stage").add(format!("there is no stage {:?}", domain.stage));
        }
        if domain.mapping_key.contains('/') {
            notes.within("mapping_key").add("it is one segment of a path, without a slash");
        }
        if !known.insert((domain.name.to_ascii_lowercase(), domain.mapping_key.as_str())) {
            notes.add("this name and mapping key are configured twice");
        }
    }
}

fn check_keys(api: &Api, notes: &mut Notes<'_>) {
    let (mut ids, mut values) = (BTreeSet::new(), BTreeSet::new());
    for key in &api.api_keys {
        let mut notes = notes.within(&key.id);
        if key.id.is_empty() || !ids.insert(key.id.as_str()) {
            notes.within("id").add("every key needs an id of its own");
        }
        if key.value.is_empty() || !values.insert(key.value.as_str()) {
            notes.within("value").add("every key needs a value of its own");
        }
        if let Some(throttle) = &key.throttle {
            check_throttle(throttle, &mut notes.within("throttle"));
        }
    }
}

fn check_options(api: &Api, notes: &mut Notes<'_>) {
    let options = &api.options;
    if options.frame_bytes == 0 {
        notes.within("frame_bytes").add("write at least 1");
    }
    if options.message_bytes < options.frame_bytes {
        notes.within("message_bytes").add("a message holds at least one frame; make it as large as frame_bytes");
    }
    if options.authorizer_timeout_ms == 0 {
        notes.within("authorizer_timeout_ms").add("write at least 1");
    }
}
