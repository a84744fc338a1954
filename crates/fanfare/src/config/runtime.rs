//! Keys of functions, and of what runs those that run here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fanfare_identity::Secret;

use super::schema::Form;
use super::schema::Kind::{Count, Map, Switch, Text};
use super::schema::sections;

const HOUR_MS: u64 = 60 * 60 * 1_000;

sections! {
    /// What runs the functions that have a `handler`: child processes of the server, which speak the
    /// Runtime API of Lambda. None runs without work for long.
    Runtime {
        /// Folder for what runtimes need beside the interpreter, such as the Lambda client of Python; the
        /// server installs it there. Default: `runtimes` in the data folder.
        folder: Option<PathBuf> = None => Text(Form::Path);
        /// The interpreter of Python functions. Default: the one of the version asked for, else `python3`.
        python: Option<PathBuf> = None => Text(Form::File);
        /// The interpreter of Node functions. Default: `node`.
        node: Option<PathBuf> = None => Text(Form::File);
        /// Processes of all functions at once. Default: 1,000.
        concurrency_max: usize = 1_000 => Count(1, 100_000);
        /// Folder in which `require` of Node functions looks for packages that they do not bring, such as the
        /// AWS SDK. Default: none.
        node_path: Option<PathBuf> = None => Text(Form::Path);
        /// Whether the packages of AWS's SDK (`@aws-sdk/..`, version 3) that Node functions import and do not bring
        /// are installed by npm on first use, since Lambda has them for all. Default: true.
        node_sdk: bool = true => Switch;
        /// Whether a Node function's own `aws-lambda-ric` runs it, where it brings one. Default: false.
        official_node_client: bool = false => Switch;
        /// A process ends when it had no work for so long, in seconds. Default: 300.
        idle_timeout_s: u64 = 300 => Count(1, 86_400);
        /// Whether processes without work are stopped, so that they take no time of the processor until the
        /// next call. Default: true.
        freeze: bool = true => Switch;
        /// So long after it had work a process is stopped, in milliseconds. Default: 1,000.
        freeze_after_ms: u64 = 1_000 => Count(0, HOUR_MS);
        /// Whether new processes are started when files of a function change. Default: true in development
        /// mode, otherwise false.
        reload: Option<bool> = None => Switch;
    }

    /// One function: it runs here (`handler`), is a web server that events are posted to (`url`), or is
    /// called through the Invoke interface of Lambda (`endpoint`).
    Function {
        /// What is called in a function that runs here, as its runtime understands it: `module.function` for
        /// Python, `path/file.export` for Node, the name of a program for `provided`.
        handler: Option<String> = None => Text(Form::Plain);
        /// What runs `handler`: a name of Lambda's such as python3.12, nodejs20.x or provided.al2023.
        runtime: Option<String> = None => Text(Form::Plain);
        /// The folder of the code of `handler`. Default: the working folder.
        code: Option<PathBuf> = None => Text(Form::Path);
        /// Variables of the processes of `handler`. Default: none.
        environment: BTreeMap<String, String> = BTreeMap::new() => Map(&Text(Form::Free));
        /// Memory of one process of `handler`, in MiB; a process that takes more is ended. Default: 1,024.
        memory_mb: Option<u32> = None => Count(128, 10_240);
        /// Calls of `handler` at once at most, which other functions cannot take from it; 0 switches it off.
        /// Default: none of its own, `runtime.concurrency_max` counts.
        reserved_concurrency: Option<u32> = None => Count(0, 100_000);
        /// Processes of `handler` that are always ready. Default: 0.
        provisioned_concurrency: Option<u32> = None => Count(0, 10_000);
        /// As `runtime.idle_timeout_s`, for this function.
        idle_timeout_s: Option<u64> = None => Count(1, 86_400);
        /// Where events are posted to.
        url: Option<String> = None => Text(Form::Url);
        /// Scheme, host and port of a server that speaks as Lambda does.
        endpoint: Option<String> = None => Text(Form::Url);
        /// The function's name behind `endpoint`. Default: the name it has here.
        remote_name: Option<String> = None => Text(Form::Plain);
        /// The region that calls of `endpoint` are signed for. Default: `aws.region`.
        region: Option<String> = None => Text(Form::Plain);
        /// The access key that signs calls of `endpoint`; goes with `secret_access_key`. Default: none,
        /// not signed.
        access_key_id: Option<String> = None => Text(Form::Plain);
        /// The secret of the access key.
        secret_access_key: Option<Secret> = None => Text(Form::Secret);
        /// `endpoint` is AWS's Runtime Interface Emulator, as in Lambda's container images; the name there is
        /// `function`, and it takes one call at a time. Default: false.
        emulator: bool = false => Switch;
        /// PEM file of the only authorities that are trusted with `url` and `endpoint`. Default: the
        /// public ones.
        ca: Option<PathBuf> = None => Text(Form::File);
        /// How long a call may take, in milliseconds; 1,000 to 900,000 with `handler`. Default: 29,000;
        /// 3,000 with `handler`.
        timeout_ms: Option<u64> = None => Count(1, HOUR_MS);
        /// Calls of `url` or `endpoint` at once. Default: 100.
        concurrency: usize = 100 => Count(1, 100_000);
        /// Further tries of calls that nobody waits for, when the function failed. Default: 2.
        retries: u32 = 2 => Count(0, 2);
        /// Such a call is given up when it is older than this, in milliseconds. Default: 21,600,000, six hours.
        event_age_ms: u64 = 6 * HOUR_MS => Count(60_000, 6 * HOUR_MS);
        /// Topic of the default space that is told of such calls that were given up. Default: none.
        dead_letter_topic: Option<String> = None => Text(Form::Plain);
    }
}
