//! What makes a function, in a serverless.yml and in a template.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fanfare_runtime::{HandlerConfig, RuntimeKind};

use crate::nearest::hint;
use crate::node::{Node, Place};
use crate::physical::{self, NAME_MAX};
use crate::scope::Scope;

/// What a function has where nothing is said.
pub(crate) struct Defaults {
    pub(crate) timeout_s: u64,
    pub(crate) memory_mb: u32,
}

/// Of the Serverless Framework.
pub(crate) const OF_SERVERLESS: Defaults = Defaults { timeout_s: 6, memory_mb: 1_024 };

/// Of Lambda.
pub(crate) const OF_LAMBDA: Defaults = Defaults { timeout_s: 3, memory_mb: 128 };

/// A process without work ends after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Seconds of a function's timeout.
pub(crate) const TIMEOUT_S: std::ops::RangeInclusive<u64> = 1..=900;

/// MiB of a function's memory.
pub(crate) const MEMORY_MB: std::ops::RangeInclusive<u64> = 128..=10_240;

/// Calls of one function at once.
pub(crate) const CONCURRENCY: std::ops::RangeInclusive<u64> = 0..=100_000;

/// A descriptor may have this many functions; CloudFormation takes no more resources.
pub(crate) const FUNCTIONS_MAX: usize = 500;

/// A function of which nothing but its name is known.
pub(crate) fn config(name: String, alias: &str, root: PathBuf, defaults: &Defaults, place: &Place) -> HandlerConfig {
    HandlerConfig {
        alias: (name != alias).then(|| alias.to_owned()),
        name,
        runtime: RuntimeKind::Provided,
        handler: String::new(),
        root,
        environment: Default::default(),
        timeout: Duration::from_secs(defaults.timeout_s),
        memory_mb: defaults.memory_mb,
        reserved_concurrency: None,
        provisioned_concurrency: 0,
        idle_timeout: IDLE_TIMEOUT,
        freeze_after: None,
        retries: 2,
        event_age_max: Duration::from_secs(6 * 3_600),
        dead_letter_topic: None,
        origin: place.origin(),
    }
}

/// A number that its bounds keep small.
pub(crate) fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Complains about names that two functions have.
pub(crate) fn check_all(scope: &Scope<'_>, functions: &[HandlerConfig], place: &Place) {
    let mut seen: BTreeMap<&str, &HandlerConfig> = BTreeMap::new();
    for function in functions {
        if let Some(other) = seen.insert(&function.name, function) {
            let (name, one, two) = (&function.name, &other.origin, &function.origin);
            scope.mistake(place, format!("the functions at {one} and {two} are both called {name:?}; rename one"));
        }
    }
}

/// Complains about names that functions cannot have.
pub(crate) fn check_name(scope: &Scope<'_>, name: &str, place: &Place) {
    let is_good = !name.is_empty()
        && name.chars().count() <= NAME_MAX
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !is_good {
        let text = format!("a function cannot be called {name:?}: letters, digits, `-` and `_`, at most {NAME_MAX}");
        scope.mistake(place, text);
    }
}

/// What runs a function, from Lambda's name of it.
pub(crate) fn runtime(scope: &Scope<'_>, name: &str, place: &Place) -> Option<RuntimeKind> {
    let kind = RuntimeKind::parse(name);
    if kind.is_none() {
        let near = hint(name, ["python3.12", "nodejs22.x", "provided.al2023"]);
        let text =
            format!("the runtime {name:?} does not run here{near}; there are python3.*, nodejs*.x and provided.*");
        scope.mistake(place, text);
    }
    kind
}

/// Complains about a folder of code that is not there.
pub(crate) fn check_folder(scope: &Scope<'_>, root: &Path, shown: &str, place: &Place) {
    if root.is_file() {
        let text = format!("{shown:?} is a file, and code runs from folders; unpack it and name the folder");
        scope.mistake(place, text);
    } else if !root.is_dir() {
        scope.mistake(
            place,
            format!("there is no folder {shown:?} beside the descriptor; build the code, or correct it"),
        );
    }
}

/// The function that an ARN or the address of an invocation means: by name if it is of this account, region and
/// reading, as an ARN otherwise.
pub(crate) fn of_address(scope: &Scope<'_>, functions: &[HandlerConfig], node: &Node) -> Option<String> {
    let written = scope.text(node)?;
    let arn = written.split_once(":lambda:path/").map_or(written.as_str(), |(_, rest)| {
        let rest = rest.split_once("/functions/").map_or(rest, |(_, rest)| rest);
        rest.strip_suffix("/invocations").unwrap_or(rest)
    });
    let own = physical::function_arn(scope, "");
    // A version or an alias may follow; here is one version of everything.
    let name = arn.strip_prefix(&own).unwrap_or(arn);
    let name = if name.starts_with("arn:") { name } else { before_colon(name) };
    let is_here = functions.iter().any(|one| one.name == name || one.alias.as_deref() == Some(name));
    if !is_here && !name.contains("${") {
        let near = hint(name, functions.iter().map(|one| one.name.as_str()));
        let text =
            format!("{name:?} is no function of this descriptor{near}; calls fail unless it is hosted otherwise");
        scope.note(&node.place, text);
    }
    Some(name.to_owned())
}

fn before_colon(name: &str) -> &str {
    name.split_once(':').map_or(name, |(name, _)| name)
}

/// Turns addresses that AWS would give the APIs into those of this server.
pub(crate) fn bring_home(scope: &Scope<'_>, functions: &mut [HandlerConfig], apis: &[fanfare_apigateway::Api]) {
    for api in apis {
        let host = physical::api_host(scope, &api.id);
        // A server with one API needs no id in its paths.
        let home = scope.options.endpoint.as_ref().map(|endpoint| match apis {
            [_] => endpoint.clone(),
            _ => format!("{endpoint}/{}", api.id),
        });
        for function in functions.iter_mut() {
            for value in function.environment.values_mut().filter(|value| value.contains(&host)) {
                if let Some(home) = &home {
                    *value = value.replace(&host, home);
                }
            }
        }
    }
}
