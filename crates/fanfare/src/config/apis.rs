//! `[apigateway]` in the words of `fanfare-apigateway`.

use std::collections::{BTreeMap, BTreeSet};

use fanfare_apigateway::Api;
use fanfare_apigateway::check::Mistake;
use fanfare_apigateway::compiled::Compiled;
use fanfare_apigateway::model::{Authorization, Options};
use fanfare_apigateway_door::Endpoint;
use fanfare_aws::credentials::Credential;
use fanfare_functions::function_name;
use serde::Deserialize;
use serde_json::Value;

use super::apigateway::{Apigateway, NO_OPTIONS, ServiceEndpoint};
use super::keys::Config;
use super::mistake::Origin;
use super::tree::join;

const APIS_MAX: usize = 100;

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

    /// Where services of AWS are.
    ///
    /// # Errors
    /// Which endpoint cannot be used, and why.
    pub fn services(&self) -> Result<BTreeMap<String, Endpoint>, String> {
        let read = |(name, given): (&String, &ServiceEndpoint)| {
            let endpoint = given.read(name).map_err(|error| format!("apigateway.endpoints.{name}: {error}"))?;
            Ok((name.clone(), endpoint))
        };
        self.endpoints.iter().map(read).collect()
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

impl ServiceEndpoint {
    fn read(&self, name: &str) -> Result<Endpoint, String> {
        if self.url.is_empty() {
            return Err("`url` is missing".to_owned());
        }
        let credential = match (&self.access_key_id, &self.secret_access_key) {
            (Some(id), Some(secret)) => Some(Credential::new(id, secret.expose(), name)),
            (None, None) => None,
            _ => return Err("`access_key_id` and `secret_access_key` go together".to_owned()),
        };
        let url = self.url.parse().map_err(|_| "`url` is none".to_owned())?;
        Ok(Endpoint { url, credential, region: self.region.clone() })
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
    for (name, given) in &config.apigateway.endpoints {
        if let Err(problem) = given.read(name) {
            found.add(&format!("apigateway.endpoints.{name}"), problem);
        }
    }
    let (mut ids, mut domains) = (BTreeSet::new(), BTreeMap::new());
    for (index, api) in apis.iter().enumerate() {
        let at = format!("{APIS}[{index}]");
        if !ids.insert(&api.id) {
            found.add(&join(&at, "id"), format!("\"{}\" is the id of another API already", api.id));
        }
        for domain in &api.domains {
            let mapping = (domain.name.to_ascii_lowercase(), &domain.mapping_key);
            if *domains.entry(mapping).or_insert(index) != index {
                let problem = format!("another API has \"{}\" with this mapping key already", domain.name);
                found.add(&join(&at, "domains"), problem);
            }
        }
        if api.stages.is_empty() {
            found.add(&at, "there is no stage, so nobody can reach it; add [apigateway.apis.stages.NAME]");
        }
        found.routes(api, &at);
        found.models(api, &at);
        found.compiled(api, &at);
    }
    found.mistakes
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "1"));
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    is_port && !name.contains('*') && crate::trust::is_name(name) || host.parse::<std::net::SocketAddrV6>().is_ok()
}

struct Found<'a> {
    config: &'a Config,
    mistakes: Vec<(String, String)>,
}

impl Found<'_> {
    fn add(&mut self, key: &str, problem: impl Into<String>) {
        self.mistakes.push((key.to_owned(), problem.into()));
    }

    fn routes(&mut self, api: &Api, at: &str) {
        for (key, route) in &api.routes {
            let at = join(&join(at, "routes"), key);
            if route.authorizer.is_some() && route.authorization != Authorization::Custom {
                self.add(&join(&at, "authorizer"), "it is not asked unless `authorization` is \"custom\"");
            }
            if route.api_key_required && api.api_keys.is_empty() {
                self.add(&join(&at, "api_key_required"), "there are no `api_keys`, so nobody could come in");
            }
            if let Some(function) = route.integration.as_ref().and_then(|integration| integration.function.as_ref()) {
                self.function(function, &join(&join(&at, "integration"), "function"));
            }
        }
        for (name, authorizer) in &api.authorizers {
            self.function(&authorizer.function, &join(&join(&join(at, "authorizers"), name), "function"));
        }
    }

    /// What is wrong with the API by itself: names, references, expressions, templates, schemas.
    fn compiled(&mut self, api: &Api, at: &str) {
        let is_text = |name: &str| api.models.get(name).is_some_and(Value::is_string);
        let is_told = |mistake: &Mistake| mistake.key.strip_prefix("models.").is_some_and(is_text);
        let mistakes = Compiled::new(api.clone()).err().unwrap_or_default();
        for mistake in mistakes.into_iter().filter(|mistake| !is_told(mistake)) {
            self.add(&join(at, &mistake.key), mistake.problem);
        }
    }

    /// Models that are texts were read as JSON, unless they are none.
    fn models(&mut self, api: &Api, at: &str) {
        for (name, _) in api.models.iter().filter(|(_, model)| model.is_string()) {
            self.add(&join(&join(at, "models"), name), "the text is not valid JSON");
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
