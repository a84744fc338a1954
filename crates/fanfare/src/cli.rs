//! The command line, word by word. What the words do is in `commands`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, Flag, LogFormat, Secret, Sources};
use crate::credentials::Purpose;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed while working or mistakes found by `check`, 2 wrong usage, wrong \
configuration or a port that is taken.";

/// A self-hosted real-time gateway.
///
/// Without a command it serves, as with `serve`. Settings come from defaults, fanfare.toml,
/// FANFARE_* variables and flags, the later ones before the earlier ones.
#[derive(Debug, Parser)]
#[command(name = "fanfare", version, after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `serve`, which may be left out.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (also without this word)
    Serve(ServeArgs),
    /// Print the messages of a topic, one a line
    Sub(SubArgs),
    /// Publish a message, or each line of standard input
    Pub(PubArgs),
    /// Make a token
    Token(TokenArgs),
    /// Make, list and revoke access keys for programs that use AWS SDKs
    Credentials(CredentialsArgs),
    /// Make, list and revoke keys for Momento's SDKs
    Key(KeyArgs),
    /// Make an entry of the file of MQTT users, from a password on standard input
    Passwd(PasswdArgs),
    /// Drive load at a Fanfare and measure
    Bench(fanfare_load::BenchArgs),
    /// Tell all mistakes in a configuration file or an application
    Check(CheckArgs),
    /// Print a commented fanfare.toml with every key and its default
    Config,
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

/// Flags of `serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// Configuration file; ./fanfare.toml if it is there
    #[arg(long, value_name = "FILE", env = "FANFARE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address for HTTP and WebSocket; may repeat [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// Address for MQTT; may repeat [default: 127.0.0.1:1883]
    #[arg(long, value_name = "ADDR")]
    pub mqtt_listen: Vec<String>,
    /// Folder for everything that is kept [default: ./.fanfare]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Keep messages in memory only
    #[arg(long)]
    pub in_memory: bool,
    /// Threads that own connections [default: one for each core]
    #[arg(long, value_name = "N")]
    pub shards: Option<u32>,
    /// Certificate chain, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// The application.
    #[command(flatten)]
    pub app: AppArgs,
    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = clap::builder::PossibleValuesParser::new(LogFormat::WORDS))]
    pub log_format: Option<String>,
}

impl ServeArgs {
    /// The configuration that results from these flags, the environment and the file.
    ///
    /// # Errors
    /// All mistakes of all of them.
    pub fn load(self) -> Result<Config, ConfigError> {
        let flags = self.flags();
        Config::load(Sources { file: self.config, flags, ..Sources::from_environment() })
    }

    fn flags(&self) -> Vec<Flag> {
        let list = |items: &[String]| (!items.is_empty()).then(|| items.to_vec().into());
        let text = |text: &Option<String>| text.clone().map(toml::Value::String);
        let given: [(&'static str, &'static str, Option<toml::Value>); 8] = [
            ("--listen", "listen", list(&self.listen)),
            ("--mqtt-listen", "mqtt_listen", list(&self.mqtt_listen)),
            ("--data", "data", text(&self.data)),
            ("--in-memory", "in_memory", self.in_memory.then(|| true.into())),
            ("--shards", "shards", self.shards.map(Into::into)),
            ("--tls-cert", "tls.cert", text(&self.tls_cert)),
            ("--tls-key", "tls.key", text(&self.tls_key)),
            ("--log-format", "log.format", text(&self.log_format)),
        ];
        let flags = given.into_iter().filter_map(|(name, key, value)| value.map(|value| Flag { name, key, value }));
        flags.chain(self.app.flags()).collect()
    }
}

/// Which application, and what its deployment would be told.
#[derive(Args, Clone, Debug, Default)]
pub struct AppArgs {
    /// Application to serve: a serverless.yml, a template of SAM or CloudFormation, or a folder with one
    #[arg(long, value_name = "FILE")]
    pub app: Option<String>,
    /// Stage of the application [default: the one that it names]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Parameter of the application; may repeat
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub param: Vec<(String, String)>,
    /// Value that the application takes from elsewhere, such as 'ssm:/chat/key=...'; may repeat
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub value: Vec<(String, String)>,
}

impl AppArgs {
    /// As flags of the configuration.
    pub fn flags(&self) -> Vec<Flag> {
        let text = |text: &Option<String>| text.clone().map(toml::Value::String);
        let table = |pairs: &[(String, String)]| {
            let pairs: toml::Table = pairs.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
            (!pairs.is_empty()).then(|| pairs.into())
        };
        let given: [(&'static str, &'static str, Option<toml::Value>); 4] = [
            ("--app", "app", text(&self.app)),
            ("--stage", "app_stage", text(&self.stage)),
            ("--param", "app_params", table(&self.param)),
            ("--value", "app_values", table(&self.value)),
        ];
        let flags = given.into_iter().filter_map(|(name, key, value)| value.map(|value| Flag { name, key, value }));
        flags.collect()
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// How `sub` and `pub` reach the server.
#[derive(Args, Clone, Debug)]
pub struct ConnectArgs {
    /// Server: http(s):// or ws(s)://
    #[arg(long, env = "FANFARE_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Token that says who you are
    #[arg(long, env = "FANFARE_TOKEN", hide_env_values = true)]
    pub token: Option<Secret>,
    /// Certificate authorities to trust instead of the public ones, PEM
    #[arg(long, value_name = "FILE", env = "FANFARE_CA")]
    pub ca: Option<PathBuf>,
}

/// Flags of `sub`.
#[derive(Args, Debug)]
pub struct SubArgs {
    /// Topic, or pattern: `+` is one level, `#` as the last one everything below
    pub topic: String,
    /// Space of the topic
    #[arg(long, default_value = "default")]
    pub space: String,
    /// Start before now: `all` that is kept, or after a position
    #[arg(long, value_name = "all|POSITION")]
    pub since: Option<String>,
    /// End after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Print whole messages as JSON objects, not only payloads
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Flags of `pub`.
#[derive(Args, Debug)]
pub struct PubArgs {
    /// Topic to publish to
    pub topic: String,
    /// The message, or `-` for each line of standard input
    #[arg(allow_hyphen_values = true)]
    pub payload: String,
    /// Space of the topic
    #[arg(long, default_value = "default")]
    pub space: String,
    /// Keep as the topic's last message for later subscribers
    #[arg(long)]
    pub retain: bool,
    /// Publish once, however often this is repeated with the same key; with `-`, the number of
    /// each line is added to it
    #[arg(long)]
    pub key: Option<String>,
    /// Payloads are JSON values, not text
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Flags of `token`.
#[derive(Args, Debug)]
pub struct TokenArgs {
    /// The user that the token speaks for
    #[arg(long, value_name = "USER")]
    pub sub: Option<String>,
    /// What it allows, such as 'subscribe:default/room-*'; may repeat
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<String>,
    /// What it forbids; may repeat
    #[arg(long, value_name = "RULE")]
    pub deny: Vec<String>,
    /// How long it counts: 90s, 15m, 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = crate::commands::token::parse_ttl)]
    pub ttl: std::time::Duration,
    /// Key to sign with [default: the first one that can]
    #[arg(long, value_name = "ID")]
    pub key_id: Option<String>,
    /// Configuration file; ./fanfare.toml if it is there
    #[arg(long, value_name = "FILE", env = "FANFARE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder with the key of development mode [default: ./.fanfare]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
}

/// What `credentials` does.
#[derive(Args, Debug)]
pub struct CredentialsArgs {
    /// The action.
    #[command(subcommand)]
    pub action: CredentialsAction,
}

/// The actions of `credentials`.
#[derive(Debug, Subcommand)]
pub enum CredentialsAction {
    /// Make an access key and print it; running servers know it within a second
    Create(CreateArgs),
    /// Print names, keys and what they may do
    List(DataArgs),
    /// Remove an access key
    Revoke {
        /// Its name
        name: String,
        /// Where.
        #[command(flatten)]
        data: DataArgs,
    },
}

/// Flags of `credentials create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// What to call it
    pub name: String,
    /// What it may do; may repeat [default: manage-connections, unless there is a policy file]
    #[arg(long, value_enum)]
    pub policy: Vec<Purpose>,
    /// A policy document that says what it may do, JSON
    #[arg(long, value_name = "FILE")]
    pub policy_file: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value = "env")]
    pub format: CredentialsFormat,
    /// Where.
    #[command(flatten)]
    pub data: DataArgs,
}

/// How `credentials create` prints a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CredentialsFormat {
    /// Variables, one a line
    Env,
    /// As `credential_process` of SDKs reads it
    Json,
    /// Keys and values
    Toml,
}

/// What `key` does.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// The action.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// The actions of `key`.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Make a key and print it; running servers know it within a second
    Create(KeyCreateArgs),
    /// Print names of keys and what they allow
    List(DataArgs),
    /// Revoke a key; its subscriptions end
    Revoke {
        /// Its name
        name: String,
        /// Where.
        #[command(flatten)]
        data: DataArgs,
    },
}

/// Flags of `key create`.
#[derive(Args, Debug)]
pub struct KeyCreateArgs {
    /// What to call it
    pub name: String,
    /// What it allows
    #[arg(long, value_enum, default_value = "superuser")]
    pub role: KeyRole,
    /// In which cache [default: all]
    #[arg(long)]
    pub cache: Option<String>,
    /// On which topic [default: all]
    #[arg(long, conflicts_with = "topic_prefix")]
    pub topic: Option<String>,
    /// On topics that begin so
    #[arg(long, value_name = "PREFIX")]
    pub topic_prefix: Option<String>,
    /// Whom it speaks for: the publisher that subscribers see
    #[arg(long, value_name = "ID")]
    pub token_id: Option<String>,
    /// How long it counts: 90s, 15m, 12h or 30d [default: for ever; disposable ones 25h]
    #[arg(long, value_name = "TIME", value_parser = crate::commands::token::parse_ttl)]
    pub ttl: Option<std::time::Duration>,
    /// Base domain that SDKs find in it, perhaps with a port [default: momento.endpoint]
    #[arg(long, value_name = "HOST")]
    pub endpoint: Option<String>,
    /// How it looks
    #[arg(long, value_enum, default_value = "v1")]
    pub form: KeyForm,
    /// Where.
    #[command(flatten)]
    pub data: DataArgs,
}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyRole {
    /// Everything, caches and keys included
    Superuser,
    /// Publish and subscribe
    Publishsubscribe,
    /// Subscribe
    Subscribeonly,
    /// Publish
    Publishonly,
}

impl KeyRole {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Superuser => "superuser",
            Self::Publishsubscribe => "publishsubscribe",
            Self::Subscribeonly => "subscribeonly",
            Self::Publishonly => "publishonly",
        }
    }
}

/// How a key looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyForm {
    /// With the endpoint inside, for `fromDisposableToken` and `fromString`
    V1,
    /// Without, for `fromApiKeyV2`
    V2,
    /// For old SDKs
    Legacy,
    /// Such as v1, and it ends within 25 hours
    Disposable,
}

impl KeyForm {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Legacy => "legacy",
            Self::Disposable => "disposable",
        }
    }
}

/// Which data folder.
#[derive(Args, Clone, Debug, Default)]
pub struct DataArgs {
    /// Configuration file; ./fanfare.toml if it is there
    #[arg(long, value_name = "FILE", env = "FANFARE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data folder of the server [default: ./.fanfare]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
}

/// Flags of `passwd`.
#[derive(Args, Debug)]
pub struct PasswdArgs {
    /// The user's name
    #[arg(default_value = "user")]
    pub name: String,
}

/// Flags of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Configuration file [default: ./fanfare.toml; with --app only if it is there]
    pub file: Option<PathBuf>,
    /// The application.
    #[command(flatten)]
    pub app: AppArgs,
}

/// Flags of `completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}
