//! Every key of `fanfare.toml`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use fanfare_core::{CoreLimits, HistorySettings, SpaceSettings};

use super::access::{Aws, Iot, MqttCertificate};
use super::apigateway::Apigateway;
use super::momento::Momento;
use super::runtime::{Function, Runtime};
use super::schema::Kind::{Count, Map, Named, Section, Sections, Switch, Tables, Text, Texts};
use super::schema::{Form, Shown, sections};
use fanfare_identity::{ClaimRules, KeyAlgorithm, Secret};
use fanfare_mqtt::MqttOptions;

/// As many as anyone will write; keeps every number far from overflow.
const COUNT_MAX: u64 = 1_000_000_000;
const BYTES_MAX: u64 = 1 << 50;
const MESSAGE_BYTES_MAX: u64 = 256 << 20;
const HOUR_MS: u64 = 60 * 60 * 1_000;
const YEARS_MS: u64 = 10 * 366 * 24 * HOUR_MS;

/// What API destinations may be asked with.
const METHODS: &[&str] = &["POST", "PUT", "PATCH", "GET", "DELETE", "HEAD", "OPTIONS"];
/// What `fanfare-identity` verifies.
const ALGORITHMS: &[&str] = &["HS256", "RS256", "ES256", "EdDSA"];

fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]
}

sections! {
    /// The whole configuration, complete with defaults.
    Config {
        /// Addresses for HTTP and WebSocket. Default: 127.0.0.1:8080.
        listen: Vec<SocketAddr> = loopback(8080) => Texts(Form::Address);
        /// Addresses for MQTT over TCP; an empty list turns it off. Default: 127.0.0.1:1883.
        mqtt_listen: Vec<SocketAddr> = loopback(1883) => Texts(Form::Address);
        /// Folder for everything that is kept. Relative paths start at the working folder.
        /// Default: ./.fanfare.
        data: PathBuf = PathBuf::from("./.fanfare") => Text(Form::Path);
        /// Keeps messages in memory only: a restart forgets them. Default: false.
        in_memory: bool = false => Switch;
        /// Threads that own connections; 0 is one for each core. Default: 0.
        shards: usize = 0 => Count(0, 1_024);
        /// An application to serve: a serverless.yml, a template of SAM or CloudFormation, or a folder with one.
        /// Its functions and WebSocket APIs come beside those of this file. Default: none.
        app: Option<PathBuf> = None => Text(Form::Path);
        /// The stage of the application that is served. Default: the one that it names itself.
        app_stage: Option<String> = None => Text(Form::Plain);
        /// Parameters of the application, such as `{ domain = "ws.example" }`. Default: none.
        app_params: BTreeMap<String, String> = BTreeMap::new() => Map(&Text(Form::Free));
        /// Values that the application takes from elsewhere, under the names that `fanfare check --app` tells,
        /// such as `{ "ssm:/chat/key" = "..." }`. Default: none.
        app_values: BTreeMap<String, Secret> = BTreeMap::new() => Map(&Text(Form::Secret));
        /// TLS on all listeners, which speak plain text on the same ports. See docs/tls.md.
        tls: Tls = Tls::default() => Section(Tls::keys);
        /// Logging, to standard error.
        log: Log = Log::default() => Section(Log::keys);
        /// Traces.
        otlp: Otlp = Otlp::default() => Section(Otlp::keys);
        /// Who may do what.
        auth: Auth = Auth::default() => Section(Auth::keys);
        /// What peers may use.
        limits: Limits = Limits::default() => Section(Limits::keys);
        /// WebSocket.
        websocket: Websocket = Websocket::default() => Section(Websocket::keys);
        /// MQTT.
        mqtt: Mqtt = Mqtt::default() => Section(Mqtt::keys);
        /// Interfaces in the style of AWS.
        aws: Aws = Aws::default() => Section(Aws::keys);
        /// Devices in the style of AWS IoT Core. See docs/iot.md and docs/rules.md.
        iot: Iot = Iot::default() => Section(Iot::keys);
        /// Event buses for callers of EventBridge. See docs/events.md.
        events: Events = Events::default() => Section(Events::keys);
        /// WebSocket APIs in the style of Amazon API Gateway. The keys beside `apis` are the options of
        /// all APIs; each API may have `options` of its own.
        apigateway: Apigateway = Apigateway::default() => Section(Apigateway::keys);
        /// Momento Topics for its SDKs. See docs/momento.md.
        momento: Momento = Momento::default() => Section(Momento::keys);
        /// What runs the functions that have a `handler`.
        runtime: Runtime = Runtime::default() => Section(Runtime::keys);
        /// Functions by name, which APIs, rules and authorizers call. With `handler` a function runs here,
        /// with `url` it is a web server, with `endpoint` it runs behind the Invoke interface of Lambda.
        functions: BTreeMap<String, Function> = BTreeMap::new() => Named(Function::keys);
        /// Settings of single spaces, by name. What a space does not set comes from the built-in
        /// defaults below, not from the space named `default`, which is a space like any other.
        spaces: BTreeMap<String, Space> = BTreeMap::new() => Named(Space::keys);
    }

    /// TLS on all listeners, which speak plain text on the same ports. Without a certificate the server
    /// makes one, and an authority that vouches for it, in the folder `ca` of its data.
    Tls {
        /// Certificate chain, a PEM file. Default: none, one is made.
        cert: Option<PathBuf> = None => Text(Form::File);
        /// Private key of the certificate, a PEM file. Default: none.
        key: Option<PathBuf> = None => Text(Form::File);
        /// Certificates of authorities that vouch for clients, a PEM file. Default: none.
        client_ca: Option<PathBuf> = None => Text(Form::File);
        /// Certificates of clients that they have revoked (CRL), a PEM file. Default: none.
        client_crl: Option<PathBuf> = None => Text(Form::File);
        /// Whether clients show a certificate: `off`, `optional` or `required`. Default: off.
        client_certificates: ClientCertificates = ClientCertificates::Off => Text(Form::OneOf(ClientCertificates::WORDS));
        /// Whether a certificate is made when none is configured; `false` leaves plain text alone.
        /// Default: true.
        local_ca: Option<bool> = None => Switch;
        /// More names and addresses that the certificate stands for when it is made, such as
        /// "build.example" or "10.1.2.3". Default: none but this machine's.
        local_names: Vec<String> = Vec::new() => Texts(Form::Plain);
    }

    /// Logging, to standard error.
    Log {
        /// `text` for people, `json` for machines, one object a line. Default: text.
        format: LogFormat = LogFormat::Text => Text(Form::OneOf(LogFormat::WORDS));
        /// The least serious level shown. Default: info.
        level: LogLevel = LogLevel::Info => Text(Form::OneOf(LogLevel::WORDS));
    }

    /// Traces.
    Otlp {
        /// URL of an OTLP/HTTP collector, such as http://127.0.0.1:4318. Default: none, no traces.
        endpoint: Option<String> = None => Text(Form::Url);
    }

    /// Who may do what. Without `keys`, `jwks` and `anonymous_allow`, and without MQTT users,
    /// certificates, authorizers and access keys, the server is in development mode: everything is
    /// allowed, and only from this machine.
    Auth {
        /// Keys that sign tokens. Default: none.
        keys: Vec<SigningKey> = Vec::new() => Sections(SigningKey::keys);
        /// URLs of key sets (JWKS) of an identity provider. Default: none.
        jwks: Vec<String> = Vec::new() => Texts(Form::Url);
        /// What tokens must say in `iss`: one of these. Default: anything.
        issuer: Vec<String> = Vec::new() => Texts(Form::Plain);
        /// What tokens must say in `aud`: at least one of these. Default: anything.
        audience: Vec<String> = Vec::new() => Texts(Form::Plain);
        /// How far clocks may be apart when times in tokens are checked, in seconds. Default: 5.
        leeway_s: u64 = ClaimRules::default().leeway_ms / 1_000 => Count(0, 3_600);
        /// Refuses tokens that never expire. Default: true.
        require_exp: bool = true => Switch;
        /// What tokens that say nothing about rules may do, such as "subscribe:default/news/#";
        /// `${sub}` stands for the user. Default: nothing.
        default_allow: Vec<String> = Vec::new() => Texts(Form::Rule);
        /// What they may not, whatever is allowed. Default: nothing.
        default_deny: Vec<String> = Vec::new() => Texts(Form::Rule);
        /// What connections without a token may do. Default: nothing.
        anonymous_allow: Vec<String> = Vec::new() => Texts(Form::Rule);
        /// What they may not, whatever is allowed. Default: nothing.
        anonymous_deny: Vec<String> = Vec::new() => Texts(Form::Rule);
        /// Bearer secrets of operators: they may do everything. Default: none.
        admin_keys: Vec<Secret> = Vec::new() => Texts(Form::Secret);
        /// Lets everybody read `/metrics` without an admin key. Default: false.
        metrics_open: bool = false => Switch;
        /// Origins of web pages that may connect, such as "https://example.com"; "*" is all.
        /// Default: none but the server's own.
        allowed_origins: Vec<String> = Vec::new() => Texts(Form::WebOrigin);
    }

    /// One key that signs tokens: a shared secret (HS256) or a public key (all others).
    SigningKey {
        /// Its name, which tokens carry as `kid`. Required.
        id: String = String::new() => Text(Form::Plain);
        /// HS256, RS256, ES256 or EdDSA; the only algorithm that the key verifies. Default: HS256.
        algorithm: KeyAlgorithm = KeyAlgorithm::HS256 => Text(Form::OneOf(ALGORITHMS));
        /// The shared secret itself, 32 bytes or more.
        secret: Option<Secret> = None => Text(Form::Secret);
        /// File that holds the shared secret; white space around it does not count.
        secret_file: Option<PathBuf> = None => Text(Form::File);
        /// The public key itself, PEM.
        public_key: Option<String> = None => Text(Form::Plain);
        /// PEM file that holds the public key.
        public_key_file: Option<PathBuf> = None => Text(Form::File);
    }

    /// What peers may use.
    Limits {
        /// Connections from one address at once; 0 is no bound. Default: 10,000.
        connections_per_address: usize = 10_000 => Count(0, COUNT_MAX);
        /// WebSocket handshakes and MQTT connections in a second, all addresses together; those beyond it
        /// are told to come back later (503 with `Retry-After`). Plain HTTP requests are not counted.
        /// 0 is no bound. Default: 5,000.
        handshakes_per_second: u32 = 5_000 => Count(0, 1_000_000);
        /// From accepting a connection until it has said who it is, in milliseconds.
        /// Default: 10,000.
        handshake_timeout_ms: u64 = 10_000 => Count(100, HOUR_MS);
        /// Head of an HTTP request, in bytes. Default: 16 KiB.
        head_bytes: usize = 16 << 10 => Count(1_024, 1 << 20);
        /// One frame or request body from a peer, in bytes. Larger than `message_bytes`, because
        /// JSON and base64 add to a message. Default: 2 MiB.
        frame_bytes: usize = 2 << 20 => Count(1_024, 2 * MESSAGE_BYTES_MAX);
        /// Payload and properties of a message, in bytes, where the space says nothing else.
        /// Default: 1 MiB.
        message_bytes: usize = SpaceSettings::default().message_bytes_max => Count(1, MESSAGE_BYTES_MAX);
        /// Length of a topic, in bytes. Default: 1,024.
        topic_bytes: usize = 1_024 => Count(1, 1_024);
        /// Subscriptions of one connection. Default: 1,000.
        subscriptions: usize = 1_000 => Count(1, 1_000_000);
        /// Messages that one connection may publish in a second; 0 is no bound. Default: 100,000.
        publish_per_second: u32 = 100_000 => Count(0, 100_000_000);
        /// Messages that it may publish at once before the rate counts. Default: 100,000.
        publish_burst: u32 = 100_000 => Count(1, 100_000_000);
        /// What may wait to be sent to one connection, in bytes. Default: 1 MiB.
        outbox_bytes: usize = 1 << 20 => Count(4_096, 4 * MESSAGE_BYTES_MAX);
        /// How long it may wait, in milliseconds. Default: 10,000.
        outbox_age_ms: u64 = 10_000 => Count(100, HOUR_MS);
        /// Number of spaces. Default: 10,000.
        spaces: usize = CoreLimits::default().spaces_max => Count(1, 10_000_000);
        /// Time between pings; a peer that is silent for twice that long is gone.
        /// In milliseconds. Default: 25,000.
        ping_interval_ms: u64 = 25_000 => Count(100, HOUR_MS);
        /// Clients wait a random time up to this before they come back, in milliseconds.
        /// Default: 5,000.
        reconnect_spread_ms: u64 = 5_000 => Count(0, HOUR_MS);
        /// How long a stopping server says that it is not ready before it says goodbye, so that load
        /// balancers notice; in milliseconds. Default: 0.
        drain_grace_ms: u64 = 0 => Count(0, HOUR_MS);
        /// How long a stopping server waits for connections to leave, in milliseconds.
        /// Default: 10,000.
        drain_timeout_ms: u64 = 10_000 => Count(0, HOUR_MS);
    }

    /// WebSocket.
    Websocket {
        /// Compresses messages for clients that ask for it (permessage-deflate); costs CPU time.
        /// Default: false.
        deflate: bool = false => Switch;
    }

    /// MQTT.
    Mqtt {
        /// `standard` follows the OASIS standards, `aws-iot` the limits and departures of AWS IoT Core.
        /// Default: standard.
        profile: MqttProfile = MqttProfile::Standard => Text(Form::OneOf(MqttProfile::WORDS));
        /// Longest keep alive, in seconds; clients that ask for more, or for none, get it (MQTT 3
        /// clients are held to it without a word). 0 is no bound. Default: 0.
        max_keepalive_s: u16 = 0 => Count(0, 65_535);
        /// Messages of quality 1 and 2 that a client may have under way towards the server. Default: 256.
        receive_maximum: u16 = MqttOptions::default().receive_maximum => Count(1, 65_535);
        /// Messages of quality 1 and 2 under way towards one client, whatever it asks for. Default: 128.
        inflight_messages: u16 = MqttOptions::default().inflight_messages => Count(1, 10_000);
        /// Highest topic alias that clients may use. Default: 16.
        topic_alias_maximum: u16 = MqttOptions::default().topic_alias_maximum => Count(0, 65_535);
        /// How long a session lasts without a connection, in seconds; 4,294,967,295 is for ever.
        /// Default: 86,400, one day.
        session_expiry_max_s: u32 = MqttOptions::default().session_expiry_max_s => Count(0, 4_294_967_295);
        /// Sessions without a connection, in all; whoever leaves when there are as many leaves no
        /// session. Default: 1,000,000.
        sessions: usize = MqttOptions::default().sessions_max => Count(0, COUNT_MAX);
        /// The largest packet, in bytes. Default: 1 MiB + 64 KiB.
        packet_bytes: usize = MqttOptions::default().packet_bytes => Count(1_024, MESSAGE_BYTES_MAX);
        /// Longest client id, in bytes. Default: 256.
        client_id_bytes: usize = MqttOptions::default().client_id_bytes => Count(23, 1_024);
        /// Messages that wait in memory for one client; beyond, it reads on from the log. Default: 1,000.
        queue_messages: usize = MqttOptions::default().queue_messages => Count(1, 1_000_000);
        /// The reason code of subscriptions that are not allowed: `specific` is 0x87, `unspecified`
        /// 0x80. Default: specific.
        deny_code: MqttDenyCode = MqttDenyCode::Specific => Text(Form::OneOf(MqttDenyCode::WORDS));
        /// How often the counters below `$SYS/broker` are published, in seconds; 0 is never. Default: 10.
        sys_interval_s: u32 = MqttOptions::default().sys_interval_s => Count(0, 86_400);
        /// Users with passwords, a TOML file; `fanfare passwd` makes its entries. Default: none.
        users_file: Option<PathBuf> = None => Text(Form::File);
        /// Names of `[[iot.policies]]` for clients that prove nothing. Default: none, then
        /// `auth.anonymous_allow` counts.
        anonymous_policies: Vec<String> = Vec::new() => Texts(Form::Plain);
        /// What client certificates stand for. Default: nothing.
        certificates: Vec<MqttCertificate> = Vec::new() => Sections(MqttCertificate::keys);
        /// How long a connection lasts whose upgrade was signed (SigV4), in seconds; 0 is no bound.
        /// Default: 86,400 with the profile aws-iot, otherwise 0.
        sigv4_session_max_s: Option<u32> = None => Count(0, 31_536_000);
    }

    /// Event buses for callers of EventBridge.
    Events {
        /// Rules, as tables `[[events.rules]]` with `name`, `pattern` and `targets`. Default: none.
        rules: Vec<toml::Table> = Vec::new() => Tables;
        /// Web servers by name, which rules send to as `api_destination`.
        destinations: BTreeMap<String, Destination> = BTreeMap::new() => Named(Destination::keys);
    }

    /// A web server that rules send events to.
    Destination {
        /// Its address; each `*` in it stands for one of a target's path parameters. Required.
        url: String = String::new() => Text(Form::Url);
        /// The method of requests. Default: POST.
        method: String = "POST".to_owned() => Text(Form::OneOf(METHODS));
        /// Headers of every request, such as "x-api-key: secret". Default: none.
        headers: Vec<Secret> = Vec::new() => Texts(Form::Secret);
        /// How long one try may take, in milliseconds. Default: 5,000.
        timeout_ms: u64 = 5_000 => Count(1, HOUR_MS);
    }

    /// Settings of one space.
    Space {
        /// What is kept.
        history: History = History::default() => Section(History::keys);
        /// Payload and properties of a message, in bytes. Default: `limits.message_bytes`.
        message_bytes: Option<usize> = None => Count(1, MESSAGE_BYTES_MAX);
        /// What happens to a connection that reads too slowly: `disconnect` (it resumes where it
        /// was), `drop-oldest` or `keep-latest` (of each topic). Default: disconnect.
        slow_consumer: SlowConsumer = SlowConsumer::Disconnect => Text(Form::OneOf(SlowConsumer::WORDS));
        /// How long a member may be away before others are told, in milliseconds. Default: 15,000.
        presence_lease_ms: u64 = SpaceSettings::default().presence_lease_ms => Count(0, HOUR_MS);
        /// How long a repeated idempotency key is recognised, in milliseconds. Default: 120,000.
        idempotency_window_ms: u64 = SpaceSettings::default().idempotency_window_ms => Count(0, 24 * HOUR_MS);
    }

    /// How much history a space keeps.
    History {
        /// Messages kept of each topic; 0 turns history off. Default: 1,000.
        count: usize = HistorySettings::default().count => Count(0, COUNT_MAX);
        /// How long messages are kept, in milliseconds. Default: 86,400,000, one day.
        age_ms: u64 = HistorySettings::default().age_ms => Count(1, YEARS_MS);
        /// All kept messages of the space together, in bytes; the oldest go first. Default: 1 GiB.
        bytes: u64 = HistorySettings::default().bytes => Count(0, BYTES_MAX);
        /// How much of it is held in memory, in bytes. Default: 64 MiB.
        memory_bytes: u64 = HistorySettings::default().memory_bytes => Count(0, BYTES_MAX);
        /// Messages kept of a topic to which a durable session (MQTT) subscribes, where `count` is
        /// less: what is beyond it is lost to sessions that stay away. Default: 100,000.
        held_count: usize = HistorySettings::default().held_count => Count(0, COUNT_MAX);
    }
}

/// A choice between words: the enum, and its words as they are written.
macro_rules! words {
    ($( $(#[doc = $about:literal])* $name:ident { $( $(#[doc = $doc:literal])* $variant:ident = $word:literal, )* } )*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, serde::Deserialize, PartialEq, Eq)]
        pub enum $name {
            $( $(#[doc = $doc])* #[serde(rename = $word)] $variant, )*
        }

        impl $name {
            /// The words that stand for it in a file.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// Its word.
            pub fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }

        impl $crate::config::schema::Shown for $name {
            fn shown(&self) -> Option<toml::Value> {
                Some(self.word().into())
            }
        }
    )*};
}

pub(super) use words;

words! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// One object a line.
        Json = "json",
    }

    /// The least serious level shown.
    LogLevel {
        /// Something failed.
        Error = "error",
        /// Something may fail soon.
        Warn = "warn",
        /// What an operator wants to know.
        Info = "info",
        /// What a developer wants to know.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }

    /// Whether clients show a certificate.
    ClientCertificates {
        /// They are not asked for one.
        Off = "off",
        /// They may.
        Optional = "optional",
        /// They must.
        Required = "required",
    }

    /// Whose rules count for MQTT.
    MqttProfile {
        /// The OASIS standards.
        Standard = "standard",
        /// AWS IoT Core.
        AwsIot = "aws-iot",
    }

    /// The reason code of subscriptions that are not allowed.
    MqttDenyCode {
        /// 0x87.
        Specific = "specific",
        /// 0x80.
        Unspecified = "unspecified",
    }

    /// What happens to a connection that reads too slowly.
    SlowConsumer {
        /// It is told where to resume and closed.
        Disconnect = "disconnect",
        /// The oldest waiting messages are dropped.
        DropOldest = "drop-oldest",
        /// Of each topic only the newest waiting message is kept.
        KeepLatest = "keep-latest",
    }
}

impl Shown for Vec<SigningKey> {
    fn shown(&self) -> Option<toml::Value> {
        None
    }
}

impl Shown for KeyAlgorithm {
    fn shown(&self) -> Option<toml::Value> {
        Some(self.name().into())
    }
}
