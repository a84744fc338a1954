//! Names, ids and ARNs of resources, as other resources and environments see them.

use crate::scope::Scope;
use crate::template::Resource;

/// What ends the host names of AWS.
pub(crate) const URL_SUFFIX: &str = "amazonaws.com";

/// Functions' names may be this long, in characters.
pub(crate) const NAME_MAX: usize = 64;

/// The id of an API: the same at each reading, other than those of all other APIs. Looks like the original's.
pub(crate) fn api_id(stack: &str, resource: &str) -> String {
    // FNV-1a. Two APIs of one server do not meet by chance: there are 26 * 36^9 of these.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in stack.bytes().chain([0]).chain(resource.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut id = String::new();
    for at in 0..10 {
        let letters: &[u8] =
            if at == 0 { b"abcdefghijklmnopqrstuvwxyz" } else { b"abcdefghijklmnopqrstuvwxyz0123456789" };
        let count = letters.len() as u64;
        id.push(char::from(letters[(hash % count) as usize]));
        hash /= count;
    }
    id
}

pub(crate) fn function_arn(scope: &Scope<'_>, name: &str) -> String {
    arn(scope, "lambda", &format!("function:{name}"))
}

fn arn(scope: &Scope<'_>, service: &str, rest: &str) -> String {
    format!("arn:aws:{service}:{}:{}:{rest}", scope.region, scope.options.account)
}

/// Host name of an API, as AWS has it.
pub(crate) fn api_host(scope: &Scope<'_>, id: &str) -> String {
    format!("{id}.execute-api.{}.{URL_SUFFIX}", scope.region)
}

/// Which property names a resource of a type.
fn name_key(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "AWS::Lambda::Function" | "AWS::Serverless::Function" => "FunctionName",
        "AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable" | "AWS::Serverless::SimpleTable" => "TableName",
        "AWS::S3::Bucket" => "BucketName",
        "AWS::SQS::Queue" => "QueueName",
        "AWS::SNS::Topic" => "TopicName",
        "AWS::IAM::Role" => "RoleName",
        "AWS::ApiGatewayV2::Stage" => "StageName",
        "AWS::ApiGatewayV2::DomainName" | "AWS::ApiGateway::DomainName" => "DomainName",
        "AWS::Logs::LogGroup" => "LogGroupName",
        "AWS::StepFunctions::StateMachine" | "AWS::Serverless::StateMachine" => "StateMachineName",
        "AWS::Cognito::UserPoolClient" => "ClientName",
        "AWS::Events::EventBus" | "AWS::SSM::Parameter" | "AWS::Events::Rule" | "AWS::Kinesis::Stream" => "Name",
        _ => return None,
    })
}

/// The name somebody gave it, or the one it would be given.
pub(crate) fn name(scope: &Scope<'_>, resource: &Resource) -> String {
    let named = name_key(&resource.kind).and_then(|key| resource.property(scope, key));
    if let Some(name) = named.and_then(|node| scope.text(&node)) {
        return name;
    }
    if resource.kind.starts_with("AWS::ApiGateway") {
        return resource.id.to_string();
    }
    let made = format!("{}-{}", scope.stack, resource.id);
    let is_function = name_key(&resource.kind) == Some("FunctionName");
    let excess = made.chars().count().saturating_sub(NAME_MAX);
    // A long stack's name gives way, as in the original.
    if is_function && excess > 0 { made.chars().skip(excess).collect() } else { made }
}

/// What `Ref` of a resource is.
pub(crate) fn reference(scope: &Scope<'_>, resource: &Resource) -> String {
    match resource.kind.as_str() {
        "AWS::ApiGatewayV2::Api" | "AWS::Serverless::WebSocketApi" => api_id(&scope.stack, &resource.id),
        "AWS::SNS::Topic" | "AWS::StepFunctions::StateMachine" | "AWS::Serverless::StateMachine" => {
            resource_arn(scope, resource).unwrap_or_default()
        }
        "AWS::SQS::Queue" => {
            let (name, account) = (name(scope, resource), &scope.options.account);
            format!("https://sqs.{}.{URL_SUFFIX}/{account}/{name}", scope.region)
        }
        "AWS::Lambda::Alias" | "AWS::Lambda::Version" => {
            let text = |key| resource.property(scope, key).and_then(|node| scope.text(&node)).unwrap_or_default();
            let (function, alias) = (text("FunctionName"), text("Name"));
            let arn = if function.starts_with("arn:") { function } else { function_arn(scope, &function) };
            format!("{arn}:{}", if alias.is_empty() { "1" } else { &alias })
        }
        _ => name(scope, resource),
    }
}

/// What `Fn::GetAtt` of a resource is, as far as that can be known before it exists.
pub(crate) fn attribute(scope: &Scope<'_>, resource: &Resource, attribute: &str) -> Option<String> {
    match attribute {
        "Arn" | "TopicArn" => resource_arn(scope, resource),
        "FunctionArn" | "AliasArn" if resource.kind.starts_with("AWS::Lambda::") => Some(reference(scope, resource)),
        "ApiEndpoint" => Some(format!("wss://{}", api_host(scope, &reference(scope, resource)))),
        "ApiId" | "QueueUrl" => Some(reference(scope, resource)),
        "TopicName" | "QueueName" | "Name" => Some(name(scope, resource)),
        "AuthorizerId" | "IntegrationId" | "RouteId" | "ModelId" | "DeploymentId" | "APIKeyId" => {
            resource.kind.starts_with("AWS::ApiGateway").then(|| resource.id.to_string())
        }
        _ => None,
    }
}

fn resource_arn(scope: &Scope<'_>, resource: &Resource) -> Option<String> {
    let name = name(scope, resource);
    Some(match resource.kind.as_str() {
        "AWS::Lambda::Function" | "AWS::Serverless::Function" => function_arn(scope, &name),
        "AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable" => arn(scope, "dynamodb", &format!("table/{name}")),
        "AWS::SQS::Queue" => arn(scope, "sqs", &name),
        "AWS::SNS::Topic" => arn(scope, "sns", &name),
        "AWS::StepFunctions::StateMachine" | "AWS::Serverless::StateMachine" => {
            arn(scope, "states", &format!("stateMachine:{name}"))
        }
        "AWS::Events::EventBus" => arn(scope, "events", &format!("event-bus/{name}")),
        "AWS::Kinesis::Stream" => arn(scope, "kinesis", &format!("stream/{name}")),
        "AWS::Logs::LogGroup" => arn(scope, "logs", &format!("log-group:{name}:*")),
        "AWS::S3::Bucket" => format!("arn:aws:s3:::{name}"),
        "AWS::IAM::Role" => format!("arn:aws:iam::{}:role/{name}", scope.options.account),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::api_id;

    #[test]
    fn ids_of_apis_stay_and_differ() {
        let id = api_id("shop-dev", "WebsocketsApi");
        assert_eq!(id, api_id("shop-dev", "WebsocketsApi"));
        assert!(id.len() == 10 && id.starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
        assert_ne!(id, api_id("shop-prod", "WebsocketsApi"));
        assert_ne!(id, api_id("shop-devW", "ebsocketsApi"));
    }
}
