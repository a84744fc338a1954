//! Reads serverless.yml, SAM and CloudFormation templates: functions and WebSocket APIs.

use fanfare_apigateway::Api;
use fanfare_runtime::HandlerConfig;

/// What a descriptor describes.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// The service's or stack's name.
    pub name: String,
    /// Region in ARNs, if the descriptor names one.
    pub region: Option<String>,
    /// Functions that run here.
    pub functions: Vec<HandlerConfig>,
    /// WebSocket APIs.
    pub apis: Vec<Api>,
    /// What was read and has no effect here, for the log.
    pub notes: Vec<Note>,
}

/// Something in a descriptor that has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// File and line, such as `serverless.yml:12`.
    pub origin: String,
    /// What it is, and what to do.
    pub text: String,
}
