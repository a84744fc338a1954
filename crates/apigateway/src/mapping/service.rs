//! Requests to AWS services: `arn:aws:apigateway:REGION:SERVICE:path/...` or `:action/...`.

use bytes::Bytes;

use super::parameters::Parameters;
use super::stage_text::StageText;
use super::{AwsRequest, MappingError};
use crate::message::Scope;

/// Services that are asked with `X-Amz-Target` and JSON: the target's prefix and the JSON version.
const JSON_SERVICES: [(&str, &str, &str); 10] = [
    ("dynamodb", "DynamoDB_20120810", "1.0"),
    ("events", "AWSEvents", "1.1"),
    ("firehose", "Firehose_20150804", "1.1"),
    ("kinesis", "Kinesis_20131202", "1.1"),
    ("kms", "TrentService", "1.1"),
    ("logs", "Logs_20140328", "1.1"),
    ("secretsmanager", "secretsmanager", "1.1"),
    ("sqs", "AmazonSQS", "1.0"),
    ("ssm", "AmazonSSM", "1.1"),
    ("states", "AWSStepFunctions", "1.0"),
];

/// Versions of services that are asked with forms.
const FORM_VERSIONS: [(&str, &str); 3] = [("sns", "2010-03-31"), ("ses", "2010-12-01"), ("sts", "2011-06-15")];

const RULE: &str = "write arn:aws:apigateway:REGION:SERVICE:path/PATH or :action/ACTION, or name a function";

/// Where an `aws` integration leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AwsTarget {
    Function(StageText),
    Service(Service),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Service {
    region: String,
    name: String,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Path(StageText),
    Action(String),
}

/// The function within `...:lambda:path/2015-03-31/functions/FUNCTION/invocations`; other texts are
/// the function's name or ARN themselves.
pub(super) fn function_of(text: &str) -> &str {
    let inner = text.split_once(":lambda:path/").and_then(|(_, path)| path.split_once("/functions/"));
    inner.map_or(text, |(_, function)| function.strip_suffix("/invocations").unwrap_or(function))
}

impl AwsTarget {
    /// Reads the ARN of an action.
    pub(super) fn parse(uri: &str) -> Result<Self, String> {
        let fields: Vec<&str> = uri.splitn(6, ':').collect();
        let &["arn", _, "apigateway", region, service, rest] = fields.as_slice() else {
            return Err(RULE.to_owned());
        };
        if service == "lambda" {
            return StageText::parse(function_of(uri)).map(Self::Function);
        }
        // A subdomain may stand before the service.
        let name = service.rsplit('.').next().unwrap_or(service);
        if name.is_empty() || region.is_empty() {
            return Err(RULE.to_owned());
        }
        let what = match rest.split_once('/') {
            Some(("path", path)) => What::Path(StageText::parse(path)?),
            Some(("action", action)) if !action.is_empty() => What::Action(action.to_owned()),
            _ => return Err(RULE.to_owned()),
        };
        Ok(Self::Service(Service { region: region.to_owned(), name: name.to_owned(), what }))
    }
}

impl Service {
    pub(super) fn variables(&self) -> Vec<&str> {
        match &self.what {
            What::Path(path) => path.variables().collect(),
            What::Action(_) => Vec::new(),
        }
    }

    pub(super) fn request(
        &self,
        method: &str,
        parameters: &Parameters,
        scope: &Scope<'_>,
        body: Bytes,
    ) -> Result<AwsRequest, MappingError> {
        let mut headers = parameters.headers(scope);
        let (method, path) = match &self.what {
            What::Path(path) => {
                let path = path.text(scope.stage_variables)?;
                add_header(&mut headers, "Content-Type", "application/json");
                (method, format!("/{}", path.trim_start_matches('/')))
            }
            What::Action(action) => ("POST", self.action(action, &mut headers)),
        };
        Ok(AwsRequest {
            service: self.name.clone(),
            region: self.region.clone(),
            method: method.to_owned(),
            path: parameters.complete(path, scope),
            headers,
            body,
        })
    }

    /// The path of an action, and the headers that it needs.
    fn action(&self, action: &str, headers: &mut Vec<(String, String)>) -> String {
        if let Some((_, target, version)) = JSON_SERVICES.iter().find(|(name, ..)| *name == self.name) {
            add_header(headers, "Content-Type", &format!("application/x-amz-json-{version}"));
            add_header(headers, "X-Amz-Target", &format!("{target}.{action}"));
            return "/".to_owned();
        }
        add_header(headers, "Content-Type", "application/x-www-form-urlencoded");
        match FORM_VERSIONS.iter().find(|(name, _)| *name == self.name) {
            Some((_, version)) => format!("/?Action={action}&Version={version}"),
            None => format!("/?Action={action}"),
        }
    }
}

/// Adds a header that is not there yet.
fn add_header(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name)) {
        headers.push((name.to_owned(), value.to_owned()));
    }
}
