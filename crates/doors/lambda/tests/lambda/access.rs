//! Who may call.

use bytes::Bytes;
use fanfare_aws::credentials::Credential;
use fanfare_iam::{Access, Attached, Policies};
use fanfare_identity::Revocation;

use crate::world::{World, realm};

const INVOKE: &str = "/2015-03-31/functions/echo/invocations";
const LIST: &str = "/2015-03-31/functions/";

fn key(name: &str) -> Credential {
    Credential::new(format!("AKID{name}"), "a-secret", name)
}

/// A server where `policed` has a policy, `ruled` may publish, `operator` administers.
fn closed() -> World {
    let mut policies = Policies::default();
    let text = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "lambda:Invoke*", "Resource": "arn:aws:lambda:*:*:function:echo"},
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "arn:aws:lambda:*:*:function:echo:live"}]}"#;
    policies.add("echo", text).unwrap();
    let mut access = Access::new(realm(), policies);
    let rules = |rules: &[&str]| Attached {
        allow: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        ..Attached::default()
    };
    let policed = Attached { policies: vec!["echo".to_owned()], ..Attached::default() };
    access.add(key("policed"), &policed).unwrap();
    access.add(key("ruled"), &rules(&["publish:default/#"])).unwrap();
    access.add(key("narrow"), &rules(&["publish:default/a/#"])).unwrap();
    access.add(key("operator"), &rules(&["admin:default/#"])).unwrap();
    let world = World::with(access);
    world.echo();
    world.add("other", |event, _| Ok(event));
    world
}

#[tokio::test]
async fn a_request_is_signed_for_lambda_by_a_key_that_is_known() {
    let world = closed();
    let right = key("policed");
    let unsigned = world.invoke("echo", &[], "{}").await;
    assert_eq!(unsigned.error(), (403, "MissingAuthenticationTokenException"));
    let strangers = Credential::new("AKIDother", "a-secret", "policed");
    let wrong = Credential::new("AKIDpoliced", "another", "policed");
    for (who, service, exception) in [
        (&strangers, "lambda", "UnrecognizedClientException"),
        (&wrong, "lambda", "InvalidSignatureException"),
        (&right, "events", "InvalidSignatureException"),
    ] {
        let heard = world.ask_as(who, service, "POST", INVOKE).await;
        assert_eq!(heard.error(), (403, exception));
        assert!(heard.json()["message"].is_string());
    }
    assert_eq!(world.ask_as(&right, "lambda", "POST", INVOKE).await.status(), 200);
    let revocation = Revocation::Token { token_id: "AKIDpoliced".to_owned() };
    world.server.gateway.revoke(revocation, None).await.unwrap();
    let heard = world.ask_as(&right, "lambda", "POST", INVOKE).await;
    assert_eq!(heard.error(), (403, "UnrecognizedClientException"));
}

#[tokio::test]
async fn policies_name_operations_and_functions() {
    let world = closed();
    let ask = async |target: &str| world.ask_as(&key("policed"), "lambda", "POST", target).await;
    assert_eq!(ask(INVOKE).await.status(), 200);
    assert_eq!(ask(&format!("{INVOKE}?Qualifier=live")).await.status(), 200);
    let encoded = "arn%3Aaws%3Alambda%3Alocal%3A000000000000%3Afunction%3Aecho";
    assert_eq!(ask(&format!("/2015-03-31/functions/{encoded}/invocations")).await.status(), 200);
    for refused in ["other", "echo:next", "nobody"] {
        let heard = ask(&format!("/2015-03-31/functions/{refused}/invocations")).await;
        assert_eq!(heard.error(), (403, "AccessDeniedException"), "{refused}");
        let told = heard.json()["Message"].as_str().unwrap().to_owned();
        let action = "User: policed is not authorized to perform: lambda:InvokeFunction on resource: ";
        let expected = format!("{action}arn:aws:lambda:local:000000000000:function:{refused}");
        assert_eq!(told, expected);
    }
    assert_eq!(world.ask_as(&key("policed"), "lambda", "GET", LIST).await.error(), (403, "AccessDeniedException"));
}

#[tokio::test]
async fn where_rules_say_what_is_allowed_a_call_is_a_publication_to_everything() {
    let world = closed();
    for (who, invokes, lists) in [("ruled", 200, 403), ("narrow", 403, 403), ("operator", 403, 200)] {
        let ask = async |method: &str, target: &str| {
            world.ask_as(&key(who), "lambda", method, target).await.status() //
        };
        assert_eq!((ask("POST", INVOKE).await, ask("GET", LIST).await), (invokes, lists), "{who}");
    }
}

#[tokio::test]
async fn development_mode_is_open_to_this_machine() {
    let world = World::open();
    world.echo();
    assert_eq!(world.invoke("echo", &[], "{}").await.status(), 200);
    assert_eq!(world.ask_as(&key("anybody"), "lambda", "POST", INVOKE).await.status(), 200);
    // A stranger's page, under a name that leads here.
    let heard = world.ask("POST", INVOKE, &[("host", "evil.example")], Bytes::from_static(b"{}")).await;
    assert_eq!(heard.status(), 403);
    let heard = world.ask("POST", INVOKE, &[("origin", "http://evil.example")], Bytes::from_static(b"{}")).await;
    assert_eq!(heard.status(), 403);
}
