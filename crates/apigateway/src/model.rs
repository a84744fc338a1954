//! What a WebSocket API is made of. Read from `fanfare.toml` as it stands; templates of others are
//! turned into it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One WebSocket API.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Its id in URLs and ARNs: lower-case letters and digits, at most 32.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Picks the route of a message.
    #[serde(default = "default_route_selection")]
    pub route_selection_expression: String,
    /// Where API keys come from: `$request.header.x-api-key` or
    /// `$context.authorizer.usageIdentifierKey`.
    #[serde(default = "default_api_key_selection")]
    pub api_key_selection_expression: String,
    /// Request models are not checked.
    #[serde(default)]
    pub disable_schema_validation: bool,
    /// It is reached by its domains only.
    #[serde(default)]
    pub disable_execute_api_endpoint: bool,
    /// By name; at most 10.
    #[serde(default)]
    pub stages: BTreeMap<String, Stage>,
    /// By route key; at most 300.
    #[serde(default)]
    pub routes: BTreeMap<String, Route>,
    /// By name; at most 10.
    #[serde(default)]
    pub authorizers: BTreeMap<String, Authorizer>,
    /// JSON Schemas (draft 4) by name.
    #[serde(default)]
    pub models: BTreeMap<String, Value>,
    /// Custom domains.
    #[serde(default)]
    pub domains: Vec<Domain>,
    /// Keys for routes that need one.
    #[serde(default)]
    pub api_keys: Vec<ApiKey>,
    /// Where the original is not to be followed, or leaves a choice.
    #[serde(default)]
    pub options: Options,
    /// Where it was configured, such as `serverless.yml:7`, for logs and errors.
    #[serde(skip)]
    pub origin: String,
}

fn default_route_selection() -> String {
    "$request.body.action".to_owned()
}

fn default_api_key_selection() -> String {
    "$request.header.x-api-key".to_owned()
}

/// A stage: under which name an API is reached.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stage {
    /// At most 100; names of 64 and values of 512 characters.
    pub variables: BTreeMap<String, String>,
    /// Requests of all routes together.
    pub throttle: Option<Throttle>,
    /// Requests of single routes, by route key.
    pub route_throttles: BTreeMap<String, Throttle>,
    /// Format of a line for each request, with `$context` variables; at most 3 KB.
    pub access_log: Option<String>,
}

/// How many requests are let through.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// In a second.
    pub rate: f64,
    /// At once.
    pub burst: u32,
}

/// What happens with one kind of message.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Who may come in; counts on `$connect` only.
    pub authorization: Authorization,
    /// Name of the authorizer where `authorization` is `custom`.
    pub authorizer: Option<String>,
    /// A key of `api_keys` is needed; counts on `$connect` only.
    pub api_key_required: bool,
    /// Who deals with it. Without one, `$connect` accepts and messages are dropped.
    pub integration: Option<Integration>,
    /// Picks a key of `request_models`.
    pub model_selection_expression: Option<String>,
    /// Names of models by key; `$default` is the fallback.
    pub request_models: BTreeMap<String, String>,
    /// Parameters such as `route.request.querystring.token`, and whether they must be there;
    /// counts on `$connect` only.
    pub request_parameters: BTreeMap<String, bool>,
    /// The integration's answer is sent to the client (a route response exists).
    pub two_way: bool,
    /// Where it was configured.
    #[serde(skip)]
    pub origin: String,
}

/// Who may come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorization {
    /// Everybody.
    #[default]
    None,
    /// Who signs the upgrade (SigV4), within policies.
    AwsIam,
    /// Whom an authorizer function lets in.
    Custom,
}

/// Who deals with a message.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Integration {
    /// What it is.
    pub kind: IntegrationKind,
    /// The function, by name or ARN, for `aws_proxy`, and for `aws` where it means a function. May
    /// hold `${stageVariables.NAME}`.
    #[serde(default)]
    pub function: Option<String>,
    /// Address for `http` and `http_proxy`, with `${stageVariables.NAME}`; for `aws` the ARN of a
    /// service's action, such as `arn:aws:apigateway:eu-west-1:sqs:path/000000000000/orders`.
    #[serde(default)]
    pub uri: Option<String>,
    /// HTTP method; `POST` where nothing is said.
    #[serde(default)]
    pub method: Option<String>,
    /// Where a `topic` integration publishes: text with selection expressions such as
    /// `chat/${request.body.room}` and `${context.authorizer.principalId}`.
    #[serde(default)]
    pub topic: Option<String>,
    /// What a `topic` integration publishes: an expression such as `$request.body.data`; the whole
    /// body where nothing is said.
    #[serde(default)]
    pub payload: Option<String>,
    /// `integration.request.{header|querystring|path}.NAME` to a value's expression.
    #[serde(default)]
    pub request_parameters: BTreeMap<String, String>,
    /// Templates by key.
    #[serde(default)]
    pub request_templates: BTreeMap<String, String>,
    /// Picks a key of `request_templates`.
    #[serde(default)]
    pub template_selection_expression: Option<String>,
    /// What becomes of a body for which there is no template.
    #[serde(default)]
    pub passthrough: Passthrough,
    /// Whether the request's body changes between text and bytes.
    #[serde(default)]
    pub content_handling: Option<ContentHandling>,
    /// How long it may take: 50 to 29,000.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// What answers become, for kinds that are not proxies.
    #[serde(default)]
    pub responses: Vec<IntegrationResponse>,
    /// Where it was configured.
    #[serde(skip)]
    pub origin: String,
}

fn default_timeout_ms() -> u64 {
    29_000
}

/// Kinds of integrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrationKind {
    /// A function, which gets the whole event and answers with status and body.
    AwsProxy,
    /// A function or an AWS service, with templates.
    Aws,
    /// A web server, which gets the body as it is.
    HttpProxy,
    /// A web server, with templates.
    Http,
    /// Nobody: the templates answer.
    Mock,
    /// A topic of the core.
    Topic,
}

/// What becomes of a body for which there is no template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Passthrough {
    /// It is passed on.
    #[default]
    WhenNoMatch,
    /// It is passed on if there are no templates at all.
    WhenNoTemplates,
    /// It is refused.
    Never,
}

/// A change between text and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentHandling {
    /// Base64 text becomes bytes.
    ConvertToBinary,
    /// Bytes become base64 text.
    ConvertToText,
}

/// What an answer becomes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntegrationResponse {
    /// `/regular expression/` over status or error message, or `$default`.
    pub key: String,
    /// Templates by key.
    pub templates: BTreeMap<String, String>,
    /// Picks a key of `templates`.
    pub template_selection_expression: Option<String>,
    /// Whether the body changes between text and bytes.
    pub content_handling: Option<ContentHandling>,
}

/// A function that decides who may come in.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authorizer {
    /// The function, by name or ARN.
    pub function: String,
    /// Such as `route.request.querystring.token`: all must be there and not empty.
    pub identity_sources: Vec<String>,
    /// How long it may take.
    pub timeout_ms: Option<u64>,
    /// Where it was configured.
    #[serde(skip)]
    pub origin: String,
}

/// A custom domain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// The host name, without a port.
    pub name: String,
    /// First segment of the path; empty for none.
    #[serde(default)]
    pub mapping_key: String,
    /// The stage it stands for.
    pub stage: String,
}

/// A key for routes that need one.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Its name in events.
    pub id: String,
    /// What clients send. Never shown.
    pub value: String,
    /// What this key may ask in all.
    #[serde(default)]
    pub throttle: Option<Throttle>,
    /// Requests in a period.
    #[serde(default)]
    pub quota: Option<Quota>,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Requests in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// How many.
    pub limit: u64,
    /// In which time.
    pub period: Period,
}

/// A calendar period in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
}

/// Where the original is not to be followed, or leaves a choice. The defaults are the original's.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// What becomes of binary messages.
    pub binary: Binary,
    /// The largest frame, in bytes; larger ones end the connection with 1009.
    pub frame_bytes: usize,
    /// The largest message, in bytes; larger ones end the connection with 1009, or are refused with 413.
    pub message_bytes: usize,
    /// A connection without traffic ends after this; 0 never.
    pub idle_timeout_s: u64,
    /// A connection ends after this; 0 never.
    pub max_duration_s: u64,
    /// Pings of clients are traffic.
    pub idle_counts_pings: bool,
    /// Silent clients are pinged this often; 0 never.
    pub server_ping_s: u64,
    /// Messages of one connection are dealt with one after the other.
    pub ordered: bool,
    /// permessage-deflate is agreed to when a client offers it.
    pub permessage_deflate: bool,
    /// 410 comes without `x-amzn-ErrorType`, as in 2019.
    pub legacy_gone: bool,
    /// Who may use `@connections`.
    pub connections_auth: ConnectionsAuth,
    /// Numbers and booleans of an authorizer's context become text.
    pub stringify_context: bool,
    /// `integrationLatency` stands in the authorizer's context.
    pub integration_latency: bool,
    /// `/@connections/ID` is taken without a stage.
    pub accept_stageless_connections_path: bool,
    /// Clients may ask for positions and go on from one with `?fanfare_resume=`.
    pub resume: bool,
    /// Authorizers must answer within this.
    pub authorizer_timeout_ms: u64,
    /// New connections in a second; 0 without a bound.
    pub connects_per_second: u32,
    /// Requests of all kinds in a second; 0 without a bound.
    pub requests_per_second: u32,
    /// Requests at once before that rate counts.
    pub requests_burst: u32,
    /// Refused upgrades of one address in a second before it gets 429 at once; 0 without a bound.
    pub refusals_per_second: u32,
    /// Bytes that may wait towards one client; beyond, `@connections` answers 429.
    pub queue_bytes: usize,
    /// Topics that one connection may be subscribed to by results.
    pub topics_per_connection: usize,
    /// `$disconnect` is called after a crash of the server for connections that were open.
    pub persist_disconnects: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            binary: Binary::Reject,
            frame_bytes: 32_768,
            message_bytes: 131_072,
            idle_timeout_s: 600,
            max_duration_s: 7_200,
            idle_counts_pings: true,
            server_ping_s: 0,
            ordered: false,
            permessage_deflate: false,
            legacy_gone: false,
            connections_auth: ConnectionsAuth::Sigv4,
            stringify_context: true,
            integration_latency: false,
            accept_stageless_connections_path: true,
            resume: false,
            authorizer_timeout_ms: 10_000,
            connects_per_second: 500,
            requests_per_second: 10_000,
            requests_burst: 5_000,
            refusals_per_second: 20,
            queue_bytes: 1 << 20,
            topics_per_connection: 100,
            persist_disconnects: true,
        }
    }
}

/// What becomes of binary messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binary {
    /// The connection ends with 1003.
    #[default]
    Reject,
    /// They go to `$default` in base64.
    Base64,
}

/// Who may use `@connections`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionsAuth {
    /// Who signs, within policies.
    #[default]
    Sigv4,
    /// Everybody who reaches it; on the loopback and in development mode only.
    None,
}
