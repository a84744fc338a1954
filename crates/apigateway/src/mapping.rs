//! What integrations are sent, and what their answers become.

mod integration;
mod parameters;
mod request;
mod response;
mod service;
mod stage_text;
mod templates;

use bytes::Bytes;

pub(crate) use integration::CompiledIntegration;

use crate::template::TemplateError;

/// What an integration is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntegrationRequest {
    /// A function is called.
    Function {
        /// Its name or ARN.
        name: String,
        /// What it gets; where there is none, the event of a proxy.
        event: Option<Bytes>,
    },
    /// A web server is asked.
    Http {
        /// In upper case.
        method: String,
        /// With the query.
        url: String,
        /// Each name once.
        headers: Vec<(String, String)>,
        /// As it is to be sent.
        body: Bytes,
    },
    /// An AWS service is asked.
    Aws(AwsRequest),
    /// Nobody is asked.
    Mock {
        /// The status that selects the response.
        status: u16,
    },
    /// Something is published.
    Topic(TopicRequest),
}

/// A request to an AWS service; whoever sends it knows where the service is, and signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsRequest {
    /// Such as `sqs`.
    pub service: String,
    /// Such as `eu-west-1`.
    pub region: String,
    /// In upper case.
    pub method: String,
    /// Begins with `/`; with the query.
    pub path: String,
    /// Each name once.
    pub headers: Vec<(String, String)>,
    /// As it is to be sent.
    pub body: Bytes,
}

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRequest {
    /// Where to; not checked yet.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// It is JSON; otherwise text.
    pub is_json: bool,
}

/// What an integration has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationAnswer {
    /// The HTTP status; 200 of functions.
    pub status: u16,
    /// In any case.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: Bytes,
    /// What a function says of its failure; absent where it did not fail.
    pub error_message: Option<String>,
}

impl IntegrationAnswer {
    /// The values of a header, in their order.
    pub(crate) fn header_values(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.as_str()).collect()
    }
}

/// What an answer becomes for the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// Decides about `$connect`.
    pub status: u16,
    /// A frame of a two-way route; empty for none.
    pub body: Vec<u8>,
}

/// A request that cannot be made, or an answer that becomes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// There is no template, and nothing is passed on without one.
    #[error("no template fits, and nothing is passed on without one; add a template $default or change passthrough")]
    UnsupportedMediaType,
    /// A template could not be carried out.
    #[error("template {key:?}, {problem}")]
    Template {
        /// The template's key.
        key: String,
        /// What went wrong, and where.
        problem: TemplateError,
    },
    /// A variable of the stage that is not there.
    #[error("the stage has no variable {0:?}; add it, or change the integration")]
    StageVariable(String),
    /// Functions understand JSON only.
    #[error("the event for the function is not JSON: {0}; change the template")]
    NotJson(String),
    /// `convert_to_binary` of something else than base64.
    #[error("the body is not base64, so that it cannot be converted to binary")]
    NotBase64,
    /// The template of a mock integration gave no status.
    #[error("the template of a mock integration gives {{\"statusCode\": 200}} or another status, not {0:?}")]
    MockStatus(String),
    /// A variable in a topic has no value.
    #[error("the topic {0:?} has a variable that is missing or empty in this message")]
    Topic(String),
    /// A payload has no value.
    #[error("the payload {0:?} is missing in this message")]
    Payload(String),
    /// An answer that no response is for.
    #[error("no response is for {0:?}; add a response with the key $default")]
    Response(String),
    /// A function failed, and there are no responses that say what becomes of it.
    #[error("the function failed: {0}")]
    Function(String),
}

/// At most so much of a text is shown in an error.
const SHOWN_CHARS: usize = 100;

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}
