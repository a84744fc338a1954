//! The life of one process, from its runtime to its end.

use std::io::{Error, ErrorKind};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use fanfare_functions::FunctionError;
use nix::sys::signal::Signal;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::api::{self, Api};
use crate::environment::{self, variables};
use crate::error::HostError;
use crate::failure;
use crate::function::{Shared, send};
use crate::logs::{Journal, Reader};
use crate::pool::ProcessId;
use crate::runtimes::Prepared;

/// A process with what belongs to it.
struct Launched {
    child: Child,
    group: i32,
    api: JoinHandle<()>,
    readers: [Reader; 2],
}

/// Begins a process and stays with it until it is gone.
pub(crate) async fn run(function: Arc<Shared>, id: ProcessId, is_provisioned: bool) {
    let launched = match launch(&function, id, is_provisioned).await {
        Ok(launched) => launched,
        Err(error) => {
            tracing::warn!(target: "fanfare::function", function = &*function.name, %error, "a function did not start");
            let error = FunctionError::Refused(error.to_string());
            function.with_pool(|pool| {
                pool.start_failed(id, &error, Instant::now());
                // It may have been told to end meanwhile, and still has its place.
                pool.exited(id, "not started", Instant::now());
            });
            function.common.place_free();
            return;
        }
    };
    let Launched { mut child, group, api, readers: [stdout, stderr] } = launched;
    function.with_pool(|pool| pool.launched(id, group, Instant::now()));
    let how = child.wait().await.map_or_else(|error| error.to_string(), failure::describe);
    // What it left behind must not outlive it, nor hold its pipes.
    send(group, Signal::SIGKILL);
    tokio::join!(stdout.finish(), stderr.finish());
    function.with_pool(|pool| pool.exited(id, &how, Instant::now()));
    // The listener goes last: a process that is about to end must not be refused.
    api.abort();
    function.common.place_free();
}

async fn launch(function: &Arc<Shared>, id: ProcessId, is_provisioned: bool) -> Result<Launched, HostError> {
    let prepared = function.common.runtimes.prepare(&function.config).await?;
    let system = |what: &str, error: &Error| HostError::system(format!("function {:?}: {what}", function.name), error);
    let listener =
        TcpListener::bind("127.0.0.1:0").await.map_err(|error| system("a port for its Runtime API", &error))?;
    let address = listener.local_addr().map_err(|error| system("a port for its Runtime API", &error))?;
    let options = &function.common.options;
    let environment = variables(&environment::Child {
        config: &function.config,
        region: &options.region,
        api: address,
        runtime_dir: &prepared.folder,
        credential: (options.credential)(&function.name),
        is_provisioned,
        ca_bundle: options.ca_bundle.as_deref(),
        common: &options.variables,
        runtime: &prepared.variables,
    });
    let journal = Arc::new(Journal::new(function.name.clone(), function.rate.clone()));
    let (stdout_end, stdout) = Reader::open("stdout", journal.clone())?;
    let (stderr_end, stderr) = Reader::open("stderr", journal.clone())?;
    let mut command = command(&prepared, function.root());
    command.env_clear().envs(environment).stdout(stdout_end).stderr(stderr_end);
    let child =
        command.spawn().map_err(|error| system(&format!("{:?} cannot be started", prepared.program), &error))?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok());
    let group = group.ok_or_else(|| system("its process has no id", &Error::from(ErrorKind::NotFound)))?;
    let flushers = [stdout.flusher(), stderr.flusher()];
    let api = Arc::new(Api { function: function.clone(), id, journal, flushers });
    let api = tokio::spawn(api::serve(listener, api));
    Ok(Launched { child, group, api, readers: [stdout, stderr] })
}

fn command(prepared: &Prepared, root: &Path) -> Command {
    let mut command = Command::new(&prepared.program);
    command.args(&prepared.arguments).current_dir(root).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    command
}
