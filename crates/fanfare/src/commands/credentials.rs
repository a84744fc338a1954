//! `fanfare credentials`: access keys for programs that call AWS-style interfaces of a server.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use fanfare_iam::{Access, Policies, Realm};
use serde_json::json;

use crate::cli::{CreateArgs, CredentialsAction, CredentialsArgs, CredentialsFormat, DataArgs};
use crate::config::{Config, Flag, Sources};
use crate::credentials::{CredentialsFile, MadeKey, Purpose};
use crate::exit::Misuse;
use crate::output;

pub(crate) fn run(args: CredentialsArgs) -> anyhow::Result<ExitCode> {
    match args.action {
        CredentialsAction::Create(args) => create(&args),
        CredentialsAction::List(data) => list(&CredentialsFile::of(&config(&data)?.data)),
        CredentialsAction::Revoke { name, data } => revoke(&name, &CredentialsFile::of(&config(&data)?.data)),
    }
}

fn config(args: &DataArgs) -> anyhow::Result<Config> {
    let data = args.data.clone().map(|data| Flag { name: "--data", key: "data", value: data.into() });
    let flags = data.into_iter().collect();
    Ok(Config::load(Sources { file: args.config.clone(), flags, ..Sources::from_environment() })?)
}

fn create(args: &CreateArgs) -> anyhow::Result<ExitCode> {
    let config = config(&args.data)?;
    let document = args.policy_file.as_deref().map(read_policy).transpose()?;
    let purposes = match (&args.policy[..], &document) {
        ([], None) => vec![Purpose::ManageConnections],
        (given, _) => given.to_vec(),
    };
    let made = CredentialsFile::of(&config.data).create(&args.name, purposes, document)?;
    output::write_to_reader(shown(&made, args.format, &config.aws.region)?.as_bytes())?;
    output::note(&usage(&config));
    Ok(ExitCode::SUCCESS)
}

/// The document, once it is known that a server can read it.
fn read_policy(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut access = Access::new(Realm::new("local", "000000000000", "default"), Policies::default());
    let example = fanfare_aws::credentials::Credential::new("A", "s", "a");
    let read = access.add_with_documents(example, std::slice::from_ref(&text));
    read.map_err(|error| Misuse(format!("{}: {error}", file.display())))?;
    Ok(text)
}

fn shown(made: &MadeKey, format: CredentialsFormat, region: &str) -> anyhow::Result<String> {
    let (id, secret) = (&made.access_key_id, made.secret_access_key.expose());
    Ok(match format {
        CredentialsFormat::Env => {
            format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\nAWS_DEFAULT_REGION={region}\n")
        }
        // What `credential_process` of SDKs reads; they leave the region aside.
        CredentialsFormat::Json => {
            let key = json!({ "Version": 1, "AccessKeyId": id, "SecretAccessKey": secret, "Region": region });
            format!("{key:#}\n")
        }
        CredentialsFormat::Toml => {
            let text = |text: &str| toml::Value::from(text).to_string();
            let (id, secret, region) = (text(id), text(secret), text(region));
            format!("access_key_id = {id}\nsecret_access_key = {secret}\nregion = {region}\n")
        }
    })
}

fn usage(config: &Config) -> String {
    let port = config.listen.first().map_or(8080, std::net::SocketAddr::port);
    let mut text = "\nServers with this data folder know the key within a second; it is not shown again.\n".to_owned();
    text += "Set these variables where the key is needed, and name the server:\n";
    text += &format!("  boto3.client('events', endpoint_url='http://localhost:{port}')\n");
    text += &format!("  boto3.client('apigatewaymanagementapi', endpoint_url='http://localhost:{port}/STAGE')");
    text
}

fn list(file: &CredentialsFile) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    for key in file.read()? {
        let purposes = key.purposes.iter().filter_map(ValueEnum::to_possible_value);
        let mut may: Vec<String> = purposes.map(|word| word.get_name().to_owned()).collect();
        may.extend(key.document.is_some().then(|| "a policy of its own".to_owned()));
        writeln!(text, "{:<24} {}  {}  {}", key.name, key.access_key_id, key.created, may.join(", "))?;
    }
    if text.is_empty() {
        output::note("no credentials; `fanfare credentials create NAME` makes one");
    }
    output::write_to_reader(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn revoke(name: &str, file: &CredentialsFile) -> anyhow::Result<ExitCode> {
    if !file.revoke(name)? {
        return Err(Misuse(format!("there is no credential {name:?}; `fanfare credentials list` names them")).into());
    }
    output::note("revoked; servers refuse the key within a second (in development mode strangers are let in)");
    Ok(ExitCode::SUCCESS)
}
