//! Keys of WebSocket APIs. What an API is says `fanfare-apigateway`; what may be written, this table.

use std::collections::BTreeMap;

use fanfare_apigateway::Api;
use fanfare_apigateway::model::Options;
use fanfare_identity::Secret;

use super::keys::words;
use super::schema::Kind::{Any, Count, Keyed, Map, Named, Number, Section, Sections, Switch, Text, Texts};
use super::schema::{Form, Shown, described, sections};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const YEAR_S: u64 = 31_536_000;
const MESSAGE_BYTES_MAX: u64 = 256 << 20;
const PER_SECOND_MAX: u64 = 100_000_000;
/// As Lambda's callers have it.
const INTEGRATION_MS: (u64, u64) = (50, 29_000);

const AUTHORIZATIONS: &[&str] = &["none", "aws_iam", "custom"];
const KINDS: &[&str] = &["aws_proxy", "aws", "http_proxy", "http", "mock", "topic"];
const PASSTHROUGHS: &[&str] = &["when_no_match", "when_no_templates", "never"];
const CONTENT_HANDLINGS: &[&str] = &["convert_to_binary", "convert_to_text"];
const PERIODS: &[&str] = &["day", "week", "month"];
const UNSET: Option<String> = None;

sections! {
    /// WebSocket APIs in the style of Amazon API Gateway: the options of all of them, and the APIs.
    Apigateway {
        /// Host, and port unless it is 443, at which clients reach this server: for the page at start, for
        /// addresses of APIs in the environments of an application, and for `domainName` in events when a client
        /// names another host. Default: localhost or the first address of `listen`, with its port; then `domainName`
        /// is what the client names.
        host: Option<String> = None => Text(Form::Plain);
        /// What becomes of binary messages: `reject` ends the connection with 1003, `base64` gives them to
        /// `$default`. Default: reject.
        binary: BinaryMessages = BinaryMessages::Reject => Text(Form::OneOf(BinaryMessages::WORDS));
        /// The largest frame of a client, in bytes; larger ones end the connection with 1009. Default: 32 KiB.
        frame_bytes: usize = Options::default().frame_bytes => Count(125, MESSAGE_BYTES_MAX);
        /// The largest message of a client or to one, in bytes. Default: 128 KiB.
        message_bytes: usize = Options::default().message_bytes => Count(125, MESSAGE_BYTES_MAX);
        /// A connection without traffic ends after this, in seconds; 0 is never. Default: 600.
        idle_timeout_s: u64 = Options::default().idle_timeout_s => Count(0, YEAR_S);
        /// A connection ends after this, in seconds; 0 is never. Default: 7,200.
        max_duration_s: u64 = Options::default().max_duration_s => Count(0, YEAR_S);
        /// Pings of clients are traffic. Default: true.
        idle_counts_pings: bool = Options::default().idle_counts_pings => Switch;
        /// Silent clients are pinged this often, in seconds; 0 is never. Default: 0.
        server_ping_s: u64 = Options::default().server_ping_s => Count(0, YEAR_S);
        /// Messages of one connection are dealt with one after the other. Default: false.
        ordered: bool = Options::default().ordered => Switch;
        /// Messages are compressed for clients that ask for it. Default: false.
        permessage_deflate: bool = Options::default().permessage_deflate => Switch;
        /// `@connections` answers 410 without the header `x-amzn-ErrorType`, as it did in 2019, for senders
        /// that compare the error's code with 410. Default: false.
        legacy_gone: bool = Options::default().legacy_gone => Switch;
        /// Who may use `@connections`: `sigv4` are those who sign, within policies; `none` is everybody on
        /// this machine, in development mode only. Default: sigv4.
        connections_auth: ConnectionsAuth = ConnectionsAuth::Sigv4 => Text(Form::OneOf(ConnectionsAuth::WORDS));
        /// Numbers and booleans of an authorizer's context become text. Default: true.
        stringify_context: bool = Options::default().stringify_context => Switch;
        /// `integrationLatency` stands in the authorizer's context. Default: false.
        integration_latency: bool = Options::default().integration_latency => Switch;
        /// `/@connections/ID` is taken without a stage. Default: true.
        accept_stageless_connections_path: bool = Options::default().accept_stageless_connections_path => Switch;
        /// Clients may ask for positions and go on from one. Default: false.
        resume: bool = Options::default().resume => Switch;
        /// Authorizers must answer within this, in milliseconds. Default: 10,000.
        authorizer_timeout_ms: u64 = Options::default().authorizer_timeout_ms => Count(50, 29_000);
        /// New connections in a second; 0 is no bound. Default: 500.
        connects_per_second: u32 = Options::default().connects_per_second => Count(0, PER_SECOND_MAX);
        /// Requests of all kinds in a second; 0 is no bound. Default: 10,000.
        requests_per_second: u32 = Options::default().requests_per_second => Count(0, PER_SECOND_MAX);
        /// Requests at once before that rate counts. Default: 5,000.
        requests_burst: u32 = Options::default().requests_burst => Count(1, PER_SECOND_MAX);
        /// Refused upgrades of one address in a second before it gets 429 at once; 0 is no bound. Default: 20.
        refusals_per_second: u32 = Options::default().refusals_per_second => Count(0, PER_SECOND_MAX);
        /// What may wait towards one client, in bytes; beyond it `@connections` answers 429. Default: 1 MiB.
        queue_bytes: usize = Options::default().queue_bytes => Count(4_096, 4 * MESSAGE_BYTES_MAX);
        /// Topics that one connection may be subscribed to by results. Default: 100.
        topics_per_connection: usize = Options::default().topics_per_connection => Count(0, 100_000);
        /// `$disconnect` is called after a crash of the server for connections that were open. Default: true.
        persist_disconnects: bool = Options::default().persist_disconnects => Switch;
        /// Services of AWS by name, such as `sqs`, to which integrations of the kind `aws` send.
        endpoints: BTreeMap<String, ServiceEndpoint> = BTreeMap::new() => Named(ServiceEndpoint::keys);
        /// The APIs. Default: none.
        apis: Vec<Api> = Vec::new() => Sections(api);
    }

    /// Where a service of AWS is, or one that speaks as it does.
    ServiceEndpoint {
        /// Scheme, host and port. Required.
        url: String = String::new() => Text(Form::Url);
        /// The region that requests are signed for. Default: that of the integration.
        region: Option<String> = None => Text(Form::Plain);
        /// The access key that signs requests; goes with `secret_access_key`. Default: none, not signed.
        access_key_id: Option<String> = None => Text(Form::Plain);
        /// The secret of the access key.
        secret_access_key: Option<Secret> = None => Text(Form::Secret);
    }
}

words! {
    /// What becomes of binary messages.
    BinaryMessages {
        /// The connection ends.
        Reject = "reject",
        /// They go to `$default`.
        Base64 = "base64",
    }

    /// Who may use `@connections`.
    ConnectionsAuth {
        /// Who signs.
        Sigv4 = "sigv4",
        /// Everybody on this machine.
        None = "none",
    }
}

impl Shown for Vec<Api> {
    fn shown(&self) -> Option<toml::Value> {
        None
    }
}

described! {
    /// One WebSocket API.
    api {
        /// Its id in URLs and ARNs: 1 to 32 lower-case letters and digits. Required.
        id => Text(Form::Plain);
        /// What people call it. Default: nothing.
        name = String::new() => Text(Form::Free);
        /// Picks the route of a message. Default: $request.body.action.
        route_selection_expression = "$request.body.action".to_owned() => Text(Form::Plain);
        /// Where API keys come from: `$request.header.x-api-key` or `$context.authorizer.usageIdentifierKey`.
        /// Default: $request.header.x-api-key.
        api_key_selection_expression = "$request.header.x-api-key".to_owned() => Text(Form::Plain);
        /// Request models are not checked. Default: false.
        disable_schema_validation = false => Switch;
        /// It is reached by its domains only. Default: false.
        disable_execute_api_endpoint = false => Switch;
        /// Stages by name, at least one and at most 10.
        stages = UNSET => Keyed(stage);
        /// Routes by key, such as `$connect`, `$disconnect`, `$default` and words of your own; at most 300.
        routes = UNSET => Keyed(route);
        /// Functions that decide who may come in, by name; at most 10.
        authorizers = UNSET => Keyed(authorizer);
        /// JSON Schemas (draft 4) by name: tables, or texts that hold JSON. Default: none.
        models = UNSET => Map(&Any);
        /// Domains of its own. Default: none.
        domains = UNSET => Sections(domain);
        /// Keys for routes that need one. Default: none.
        api_keys = UNSET => Sections(api_key);
        /// Options of this API, where they differ from those of `[apigateway]`.
        options = UNSET => Section(options);
    }

    /// A stage: under which name an API is reached.
    stage {
        /// Variables by name, at most 100. Default: none.
        variables = UNSET => Map(&Text(Form::Free));
        /// Requests of all routes together that are let through. Default: no bound.
        throttle = UNSET => Section(throttle);
        /// Requests of single routes that are let through, by route key. Default: no bound.
        route_throttles = UNSET => Keyed(throttle);
        /// Format of a line for each request, with `$context` variables. Default: none, no lines.
        access_log = UNSET => Text(Form::Plain);
    }

    /// How many requests are let through.
    throttle {
        /// In a second. Required.
        rate => Number(0.0, 1e8);
        /// At once. Required.
        burst => Count(0, PER_SECOND_MAX);
    }

    /// What happens with one kind of message.
    route {
        /// Who may come in: `none` is everybody, `aws_iam` who signs within policies, `custom` whom an
        /// authorizer lets in; counts on `$connect` only. Default: none.
        authorization = "none".to_owned() => Text(Form::OneOf(AUTHORIZATIONS));
        /// The authorizer's name where `authorization` is `custom`.
        authorizer = UNSET => Text(Form::Plain);
        /// An API key is needed; counts on `$connect` only. Default: false.
        api_key_required = false => Switch;
        /// Who deals with it. Without one `$connect` accepts, and messages are dropped.
        integration = UNSET => Section(integration);
        /// Picks a key of `request_models`. Default: none.
        model_selection_expression = UNSET => Text(Form::Plain);
        /// Names of models by key; `$default` is the fallback. Default: none.
        request_models = UNSET => Map(&Text(Form::Plain));
        /// Parameters such as "route.request.querystring.token", and whether they must be there; counts on
        /// `$connect` only. Default: none.
        request_parameters = UNSET => Map(&Switch);
        /// The integration's answer is sent to the client. Default: false.
        two_way = false => Switch;
    }

    /// Who deals with a message.
    integration {
        /// `aws_proxy` is a function that gets the event, `aws` a function or service with templates,
        /// `http_proxy` and `http` a web server, `mock` nobody, `topic` a topic of the core. Required.
        kind => Text(Form::OneOf(KINDS));
        /// The function, one of `[functions.NAME]` or of the application; may hold `${stageVariables.NAME}`.
        function = UNSET => Text(Form::Plain);
        /// Address for `http` and `http_proxy`; for `aws` the ARN of a service's action.
        uri = UNSET => Text(Form::Plain);
        /// Method of HTTP requests. Default: POST.
        method = "POST".to_owned() => Text(Form::Plain);
        /// Where `topic` publishes: text with expressions such as `chat/${request.body.room}`.
        topic = UNSET => Text(Form::Plain);
        /// What `topic` publishes: an expression such as `$request.body.data`. Default: the whole body.
        payload = UNSET => Text(Form::Plain);
        /// `integration.request.{header|querystring|path}.NAME` to a value's expression. Default: none.
        request_parameters = UNSET => Map(&Text(Form::Free));
        /// Templates by key. Default: none.
        request_templates = UNSET => Map(&Text(Form::Free));
        /// Picks a key of `request_templates`. Default: none.
        template_selection_expression = UNSET => Text(Form::Plain);
        /// What becomes of a body without a template: `when_no_match` passes it on, `when_no_templates` too if
        /// there are no templates at all, `never` refuses it. Default: when_no_match.
        passthrough = "when_no_match".to_owned() => Text(Form::OneOf(PASSTHROUGHS));
        /// Turns the body into bytes or text: `convert_to_binary` or `convert_to_text`. Default: neither.
        content_handling = UNSET => Text(Form::OneOf(CONTENT_HANDLINGS));
        /// How long it may take, in milliseconds. Default: 29,000.
        timeout_ms = INTEGRATION_MS.1 => Count(INTEGRATION_MS.0, INTEGRATION_MS.1);
        /// What answers become, for kinds that are not proxies. Default: nothing else.
        responses = UNSET => Sections(integration_response);
    }

    /// What an answer becomes.
    integration_response {
        /// `/regular expression/` over status or error message, or `$default`. Required.
        key => Text(Form::Plain);
        /// Templates by key. Default: none.
        templates = UNSET => Map(&Text(Form::Free));
        /// Picks a key of `templates`. Default: none.
        template_selection_expression = UNSET => Text(Form::Plain);
        /// Turns the body into bytes or text: `convert_to_binary` or `convert_to_text`. Default: neither.
        content_handling = UNSET => Text(Form::OneOf(CONTENT_HANDLINGS));
    }

    /// A function that decides who may come in.
    authorizer {
        /// The function, one of `[functions.NAME]` or of the application. Required.
        function => Text(Form::Plain);
        /// Such as "route.request.querystring.token": all must be there and not empty. Default: none.
        identity_sources = Vec::<String>::new() => Texts(Form::Plain);
        /// How long it may take, in milliseconds. Default: `authorizer_timeout_ms` of the options.
        timeout_ms = UNSET => Count(50, DAY_MS);
    }

    /// A domain of an API's own.
    domain {
        /// The host name, without a port. Required.
        name => Text(Form::Plain);
        /// First segment of the path. Default: none.
        mapping_key = UNSET => Text(Form::Free);
        /// The stage it stands for. Required.
        stage => Text(Form::Plain);
    }

    /// A key for routes that need one.
    api_key {
        /// Its name in events. Required.
        id => Text(Form::Plain);
        /// What clients send. Required.
        value => Text(Form::Secret);
        /// What this key may ask in all. Default: no bound.
        throttle = UNSET => Section(throttle);
        /// Requests in a period. Default: no bound.
        quota = UNSET => Section(quota);
    }

    /// Requests in a period.
    quota {
        /// How many. Required.
        limit => Count(0, 1 << 50);
        /// In which time, by the calendar in UTC: `day`, `week` or `month`. Required.
        period => Text(Form::OneOf(PERIODS));
    }
}

/// Keys of `[apigateway]` that are no options.
pub(super) const NO_OPTIONS: [&str; 3] = ["host", "endpoints", "apis"];

/// The options of one API: those of all.
fn options() -> Vec<super::schema::Key> {
    let mut keys = Apigateway::keys();
    keys.retain(|key| !NO_OPTIONS.contains(&key.name));
    for key in &mut keys {
        // What is not said here comes from above, not from a default.
        key.default = None;
    }
    keys
}
