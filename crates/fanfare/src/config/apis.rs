//! `[apigateway]` in the words of `fanfare-apigateway`.

use std::collections::{BTreeMap, BTreeSet};

use fanfare_apigateway::Api;
use fanfare_apigateway::model::{Authorization, Integration, IntegrationKind, Options, Route};
use fanfare_functions::function_name;
use serde::Deserialize;
use serde_json::Value;

use super::apigateway::{Apigateway, NO_OPTIONS};
use super::keys::Config;
use super::mistake::Origin;
use super::tree::join;

const APIS_MAX: usize = 100;
const STAGES_MAX: usize = 10;
const ROUTES_MAX: usize = 300;
const AUTHORIZERS_MAX: usize = 10;
const VARIABLES_MAX: usize = 100;

/// Where the APIs stand.
const APIS: &str = "apigateway.apis";

/// What is written for all APIs counts for each that says nothing else.
pub(super) fn inherit(config: &mut toml::Value) {
    let Some(toml::Value::Table(all)) = config.get_mut("apigateway") else { return };
    let Some(toml::Value::Array(mut apis)) = all.remove("apis") else { return };
    let is_option = |(name, _): &(String, toml::Value)| !NO_OPTIONS.contains(&name.as_str());
    let common: toml::Table = all.clone().into_iter().filter(is_option).collect();
    for api in apis.iter_mut().filter_map(toml::Value::as_table_mut) {
        let mut options = common.clone();
        if let Some(toml::Value::Table(own)) = api.remove("options") {
            options.extend(own);
        }
        api.insert("options".to_owned(), options.into());
    }
    all.insert("apis".to_owned(), apis.into());
}

impl Apigateway {
    /// The options of APIs that have none of their own.
    pub fn options(&self) -> Options {
        let keys = self.keys_of().into_iter().filter(|key| !NO_OPTIONS.contains(&key.name));
        let table: toml::Table = keys.filter_map(|key| Some((key.name.to_owned(), key.default?))).collect();
        Options::deserialize(table).expect("the table of keys and the options have the same names and types")
    }

    /// Notes where everything was written, and reads models that are written as text.
    pub(super) fn complete(&mut self, origins: &BTreeMap<String, Origin>) {
        let place = |key: &str| origins.get(key).map(ToString::to_string).unwrap_or_default();
        for (index, api) in self.apis.iter_mut().enumerate() {
            let at = format!("{APIS}[{index}]");
            api.origin = place(&at);
            for (key, route) in &mut api.routes {
                let at = join(&join(&at, "routes"), key);
                route.origin = place(&at);
                if let Some(integration) = &mut route.integration {
                    integration.origin = place(&join(&at, "integration"));
                }
            }
            for (name, authorizer) in &mut api.authorizers {
                authorizer.origin = place(&join(&join(&at, "authorizers"), name));
            }
            for model in api.models.values_mut() {
                if let Some(read) = model.as_str().and_then(|text| serde_json::from_str(text).ok()) {
                    *model = read;
                }
            }
        }
    }
}

/// What is wrong with APIs although each key by itself is right; each with its key.
pub(super) fn mistakes(config: &Config) -> Vec<(String, String)> {
    let apis = &config.apigateway.apis;
    let mut found = Found { config, mistakes: Vec::new() };
    if let Some(host) = config.apigateway.host.as_deref().filter(|host| !is_host(host)) {
        let problem = format!("\"{host}\" is no host with or without a port, such as ws.example.com or 10.1.2.3:8080");
        found.add("apigateway.host", problem);
    }
    if apis.len() > APIS_MAX {
        found.add(APIS, format!("there are {} APIs, and {APIS_MAX} are allowed", apis.len()));
    }
    let (mut ids, mut domains) = (BTreeSet::new(), BTreeSet::new());
    for (index, api) in apis.iter().enumerate() {
        let at = format!("{APIS}[{index}]");
        if !is_id(&api.id) {
            found.add(&join(&at, "id"), "an id has 1 to 32 lower-case letters and digits");
        } else if !ids.insert(&api.id) {
            found.add(&join(&at, "id"), format!("\"{}\" is the id of another API already", api.id));
        }
        for (number, domain) in api.domains.iter().enumerate() {
            let at = format!("{at}.domains[{number}]");
            if !api.stages.contains_key(&domain.stage) {
                found.add(&join(&at, "stage"), format!("there is no stage \"{}\"", domain.stage));
            }
            if !crate::trust::is_name(&domain.name) || domain.name.contains('*') {
                found.add(&join(&at, "name"), "a domain is a host name without a port, such as ws.example.com");
            } else if !domains.insert((domain.name.to_ascii_lowercase(), &domain.mapping_key)) {
                found.add(&at, "another API or stage has this domain and mapping key already");
            }
        }
        found.stages(api, &at);
        found.routes(api, &at);
        found.models(api, &at);
        found.authorizers(api, &at);
        found.api_keys(api, &at);
    }
    found.mistakes
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "1"));
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    is_port && !name.contains('*') && crate::trust::is_name(name) || host.parse::<std::net::SocketAddrV6>().is_ok()
}

fn is_id(id: &str) -> bool {
    (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

struct Found<'a> {
    config: &'a Config,
    mistakes: Vec<(String, String)>,
}

impl Found<'_> {
    fn add(&mut self, key: &str, problem: impl Into<String>) {
        self.mistakes.push((key.to_owned(), problem.into()));
    }

    fn bound(&mut self, key: &str, what: &str, count: usize, max: usize) {
        if count > max {
            self.add(key, format!("there are {count} {what}, and {max} are allowed"));
        }
    }

    fn stages(&mut self, api: &Api, at: &str) {
        if api.stages.is_empty() {
            self.add(at, "there is no stage, so nobody can reach it; add [apigateway.apis.stages.NAME]");
        }
        let at = join(at, "stages");
        self.bound(&at, "stages", api.stages.len(), STAGES_MAX);
        for (name, stage) in &api.stages {
            let at = join(&at, name);
            let is_dull = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            if name != "$default" && !name.bytes().all(is_dull) {
                self.add(&at, "a stage's name has letters, digits, '-' and '_'");
            }
            self.bound(&join(&at, "variables"), "variables", stage.variables.len(), VARIABLES_MAX);
            for route in stage.route_throttles.keys().filter(|route| !api.routes.contains_key(*route)) {
                self.add(&join(&join(&at, "route_throttles"), route), "there is no such route");
            }
        }
    }

    fn routes(&mut self, api: &Api, at: &str) {
        let at = join(at, "routes");
        self.bound(&at, "routes", api.routes.len(), ROUTES_MAX);
        for (key, route) in &api.routes {
            let at = join(&at, key);
            self.authorization(api, route, &at);
            for (name, model) in route.request_models.iter().filter(|(_, model)| !api.models.contains_key(*model)) {
                self.add(&join(&join(&at, "request_models"), name), format!("there is no model \"{model}\""));
            }
            if let Some(integration) = &route.integration {
                self.integration(integration, &join(&at, "integration"));
            }
        }
    }

    fn models(&mut self, api: &Api, at: &str) {
        for (name, model) in api.models.iter().filter(|(_, model)| !model.is_object()) {
            let problem = match model {
                Value::String(_) => "the text is not valid JSON",
                _ => "a model is a table, or a text that holds a JSON object",
            };
            self.add(&join(&join(at, "models"), name), problem);
        }
    }

    fn authorization(&mut self, api: &Api, route: &Route, at: &str) {
        let key = join(at, "authorizer");
        match (route.authorization, &route.authorizer) {
            (Authorization::Custom, None) => self.add(at, "`authorizer` is missing; `authorization` is \"custom\""),
            (Authorization::Custom, Some(name)) if !api.authorizers.contains_key(name) => {
                self.add(&key, format!("there is no authorizer \"{name}\""));
            }
            (Authorization::None | Authorization::AwsIam, Some(_)) => {
                self.add(&key, "it is not asked unless `authorization` is \"custom\"");
            }
            _ => {}
        }
        if route.api_key_required && api.api_keys.is_empty() {
            self.add(&join(at, "api_key_required"), "there are no `api_keys`, so nobody could come in");
        }
    }

    fn integration(&mut self, integration: &Integration, at: &str) {
        let (function, uri) = (integration.function.is_some(), integration.uri.is_some());
        let missing = match integration.kind {
            IntegrationKind::AwsProxy if !function => "`function` is missing",
            IntegrationKind::Aws if !function && !uri => "`function` or `uri` is missing",
            IntegrationKind::Http | IntegrationKind::HttpProxy if !uri => "`uri` is missing",
            IntegrationKind::Topic if integration.topic.is_none() => "`topic` is missing",
            _ => "",
        };
        if !missing.is_empty() {
            self.add(at, missing);
        }
        if let Some(function) = &integration.function {
            self.function(function, &join(at, "function"));
        }
    }

    fn authorizers(&mut self, api: &Api, at: &str) {
        let at = join(at, "authorizers");
        self.bound(&at, "authorizers", api.authorizers.len(), AUTHORIZERS_MAX);
        for (name, authorizer) in &api.authorizers {
            self.function(&authorizer.function, &join(&join(&at, name), "function"));
        }
    }

    fn api_keys(&mut self, api: &Api, at: &str) {
        for (index, key) in api.api_keys.iter().enumerate() {
            let others = &api.api_keys[..index];
            let at = format!("{at}.api_keys[{index}]");
            if others.iter().any(|other| other.id == key.id) {
                self.add(&join(&at, "id"), format!("\"{}\" names another key already", key.id));
            }
            if others.iter().any(|other| other.value == key.value) {
                self.add(&join(&at, "value"), "another key has the same value");
            }
        }
    }

    /// What an application brings is not known here, nor what a stage's variables say.
    fn function(&mut self, name: &str, key: &str) {
        let is_known = self.config.functions.contains_key(function_name(name));
        if !is_known && self.config.app.is_none() && !name.contains("${") {
            self.add(key, format!("there is no [functions.{}]", function_name(name)));
        }
    }
}
