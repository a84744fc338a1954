mod mistakes;
mod requests;
mod responses;
mod routes;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::*;

fn api(value: Value) -> Api {
    serde_json::from_value(value).unwrap()
}

fn compiled(value: Value) -> Compiled {
    Compiled::new(api(value)).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// One route `r` with an integration.
fn integration(value: Value) -> Compiled {
    let stages = json!({"dev": {"variables": {"fn": "orders", "host": "b.test"}}});
    compiled(json!({"id": "a1", "stages": stages, "routes": {"r": {"integration": value}}}))
}

fn with_scope<T>(message: Option<&str>, use_it: impl FnOnce(&Scope<'_>) -> T) -> T {
    let message = message.map(MessageText::new);
    let context: Value = json!({"connectionId": "c=", "authorizer": {"principalId": "u1"}});
    let nothing = Map::new();
    use_it(&Scope {
        message: message.as_ref(),
        headers: &[("X-Tenant".to_owned(), "t/1".to_owned())],
        query: &[("token".to_owned(), "a b".to_owned())],
        context: context.as_object().unwrap_or(&nothing),
        stage_variables: &BTreeMap::from([
            ("fn".to_owned(), "orders".to_owned()),
            ("host".to_owned(), "b.test".to_owned()),
        ]),
    })
}

fn request(value: Value, message: &str) -> Result<IntegrationRequest, MappingError> {
    let api = integration(value);
    with_scope(Some(message), |scope| api.route("r").unwrap().integration_request(scope))
}

fn answer(status: u16, body: &str) -> IntegrationAnswer {
    IntegrationAnswer {
        status,
        headers: vec![("X-A".to_owned(), "1".to_owned())],
        body: Bytes::copy_from_slice(body.as_bytes()),
        error_message: None,
    }
}

fn failed(message: &str) -> IntegrationAnswer {
    let body = json!({"errorMessage": message, "errorType": "Error"}).to_string();
    IntegrationAnswer { error_message: Some(message.to_owned()), ..answer(200, &body) }
}

fn response(value: Value, message: &str, answer: &IntegrationAnswer) -> Result<(u16, String), MappingError> {
    let api = integration(value);
    let mapped = with_scope(Some(message), |scope| api.route("r").unwrap().integration_response(scope, answer))?;
    Ok((mapped.status, String::from_utf8(mapped.body).unwrap()))
}

#[test]
fn it_can_be_used_by_all_threads() {
    fn can<T: Send + Sync>() {}
    can::<Compiled>();
    can::<Scope<'_>>();
    can::<MappingError>();
}
