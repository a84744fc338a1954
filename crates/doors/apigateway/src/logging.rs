//! Access logs: a line for each request, in the stage's own format.

use fanfare_apigateway::access_log::AccessLog;
use serde_json::{Map, Value};

use crate::apis::{ServedApi, Shared};
use crate::calling::Request;

/// Where the lines go; operators turn it on and off by this name.
const TARGET: &str = "fanfare::access";

impl Shared {
    /// Writes the line of a request whose integration answered with `status`; 500 stands for one that failed.
    pub(crate) fn log_access(&self, api: &ServedApi, route_key: &str, request: &Request, status: u16) {
        let Some(log) = api.stage(&request.facts.stage).and_then(|stage| stage.access_log.as_ref()) else { return };
        let mut context = request.context(route_key);
        context.insert("status".to_owned(), status.into());
        write(log, &context);
    }
}

fn write(log: &AccessLog, context: &Map<String, Value>) {
    tracing::info!(target: TARGET, "{}", log.line(context));
}
