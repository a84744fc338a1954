//! `fanfare key`: keys for Momento's SDKs.

use std::fmt::Write;
use std::process::ExitCode;

use fanfare_momento::credential::{Endpoint, Form, Order, wrap};
use fanfare_momento::limits::DISPOSABLE_SECONDS_MAX;
use fanfare_momento::name;
use fanfare_momento::permission::{Caches, Names, Permissions, Statement, TopicRole};

use crate::cli::{DataArgs, KeyAction, KeyArgs, KeyCreateArgs, KeyForm, KeyRole};
use crate::config::{Config, Flag, Sources};
use crate::endpoints::Endpoints;
use crate::exit::Misuse;
use crate::momento_keys::{KeysFile, now_s};
use crate::output;

pub(crate) fn run(args: KeyArgs) -> anyhow::Result<ExitCode> {
    match args.action {
        KeyAction::Create(args) => create(&args),
        KeyAction::List(data) => list(&KeysFile::of(&config(&data)?.data)),
        KeyAction::Revoke { name, data } => revoke(&name, &KeysFile::of(&config(&data)?.data)),
    }
}

fn config(args: &DataArgs) -> anyhow::Result<Config> {
    let data = args.data.clone().map(|data| Flag { name: "--data", key: "data", value: data.into() });
    let flags = data.into_iter().collect();
    Ok(Config::load(Sources { file: args.config.clone(), flags, ..Sources::from_environment() })?)
}

fn create(args: &KeyCreateArgs) -> anyhow::Result<ExitCode> {
    let config = config(&args.data)?;
    let endpoint = match &args.endpoint {
        Some(endpoint) => Endpoint::new(endpoint).map_err(|error| error.to_string()),
        None => config.momento.endpoint(&Endpoints::of(&config).host),
    };
    let endpoint = endpoint.map_err(Misuse)?;
    let permissions = permissions(args)?;
    if args.form == KeyForm::Disposable && permissions == Permissions::SuperUser {
        return Err(Misuse("a disposable token cannot be a super user; give it a --role".to_owned()).into());
    }
    let lifetime_s = lifetime(args)?;
    let form = match args.form {
        KeyForm::V1 => Form::V1,
        KeyForm::V2 => Form::V2,
        KeyForm::Legacy => Form::Legacy(endpoint.clone()),
        KeyForm::Disposable => Form::Disposable,
    };
    let file = KeysFile::of(&config.data);
    let key = file.create(&args.name, args.form.word(), &described(args), |authority, id| {
        let token_id = args.token_id.clone().unwrap_or_default();
        let order = Order { form, permissions, token_id, lifetime_s, id: id.to_owned() };
        let minted = authority.mint(&order, now_s()).map_err(|problem| Misuse(problem.to_string()))?;
        Ok((minted.api_key, minted.valid_until))
    })?;
    let shown = match args.form {
        KeyForm::V1 | KeyForm::Disposable => wrap(&key, &endpoint),
        KeyForm::V2 | KeyForm::Legacy => key,
    };
    output::write_to_reader(format!("{shown}\n").as_bytes())?;
    output::note(&usage(args.form, &endpoint));
    Ok(ExitCode::SUCCESS)
}

fn permissions(args: &KeyCreateArgs) -> anyhow::Result<Permissions> {
    let role = match args.role {
        KeyRole::Superuser if args.cache.is_some() || args.topic.is_some() || args.topic_prefix.is_some() => {
            let message = "a superuser may do everything everywhere; give it no cache and topic, or another --role";
            return Err(Misuse(message.to_owned()).into());
        }
        KeyRole::Superuser => return Ok(Permissions::SuperUser),
        KeyRole::Publishsubscribe => TopicRole::ReadWrite,
        KeyRole::Subscribeonly => TopicRole::ReadOnly,
        KeyRole::Publishonly => TopicRole::WriteOnly,
    };
    let wrong = |problem: fanfare_momento::Problem| Misuse(problem.to_string());
    let caches = match &args.cache {
        None => Caches::All,
        Some(cache) => Caches::Named(name::cache(cache).map_err(wrong)?.to_owned()),
    };
    let topics = match (&args.topic, &args.topic_prefix) {
        (Some(topic), _) => Names::Named(name::topic(topic).map_err(wrong)?.to_string()),
        (None, Some(prefix)) => Names::Prefix(name::topic(prefix).map_err(wrong)?.to_string()),
        (None, None) => Names::All,
    };
    Ok(Permissions::Listed(vec![Statement::Topics { role, caches, topics }]))
}

fn lifetime(args: &KeyCreateArgs) -> Result<Option<u32>, Misuse> {
    match args.ttl {
        Some(ttl) => match u32::try_from(ttl.as_secs()) {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(Misuse("--ttl is too long; leave it out for a key that does not end".to_owned())),
        },
        None if args.form == KeyForm::Disposable => Ok(Some(DISPOSABLE_SECONDS_MAX)),
        None => Ok(None),
    }
}

/// What the key allows, for people.
fn described(args: &KeyCreateArgs) -> String {
    if args.role == KeyRole::Superuser {
        return "everything".to_owned();
    }
    let cache = args.cache.as_deref().unwrap_or("*");
    let prefix = args.topic_prefix.as_ref().map(|prefix| format!("{prefix}*"));
    let topic = args.topic.clone().or(prefix).unwrap_or_else(|| "*".to_owned());
    format!("{} {cache}/{topic}", args.role.word())
}

fn usage(form: KeyForm, endpoint: &Endpoint) -> String {
    let endpoint = endpoint.as_str();
    let how = match form {
        KeyForm::V1 | KeyForm::Disposable => {
            format!(
                "  CredentialProvider.fromDisposableToken({{apiKey, endpointOverrides}})  names {endpoint} by itself"
            )
        }
        KeyForm::V2 => format!("  MOMENTO_API_KEY=...  MOMENTO_ENDPOINT={endpoint}"),
        KeyForm::Legacy => format!("  CredentialProvider.fromString({{apiKey}})  names cache.{endpoint} by itself"),
    };
    format!("\nServers with this data folder know the key within a second; it is not shown again.\n{how}")
}

fn list(file: &KeysFile) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    for key in file.keys()? {
        let end = match key.valid_until {
            0 => "for ever".to_owned(),
            at if at <= now_s() => "over".to_owned(),
            at => format!("until {at}"),
        };
        writeln!(text, "{:<24} {:<10} {}  {:<16} {}", key.name, key.form, key.created, end, key.allows)?;
    }
    if text.is_empty() {
        output::note("no keys; `fanfare key create NAME` makes one");
    }
    output::write_to_reader(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn revoke(name: &str, file: &KeysFile) -> anyhow::Result<ExitCode> {
    if !file.revoke(name)? {
        return Err(Misuse(format!("there is no key {name:?}; `fanfare key list` names them")).into());
    }
    output::note("revoked; servers refuse it and end its subscriptions within a second");
    Ok(ExitCode::SUCCESS)
}
