//! Rules in TOML.

use fanfare_events::{Address, Bus, RuleConfig};
use serde::Deserialize;
use serde_json::json;

#[derive(Debug, Deserialize)]
struct File {
    rules: Vec<RuleConfig>,
}

fn rules(text: &str) -> Result<Vec<RuleConfig>, toml::de::Error> {
    toml::from_str::<File>(text).map(|file| file.rules)
}

#[track_caller]
fn fault(rule: &str) -> String {
    let rules = rules(&format!("[[rules]]\n{rule}")).expect(rule);
    rules[0].to_rule("0", "local").expect_err(rule).to_string()
}

#[test]
fn a_rule_of_the_file_is_one_of_the_bus() {
    let file = r#"
        [[rules]]
        name = "tickets"
        pattern = { source = ["shop.tickets"], detail-type = ["TicketsAvailable"], detail = { seats = [{ numeric = [">", 0] }] } }
        targets = [
            { topic = "artists/${$.detail.artist}/tickets", input_path = "$.detail" },
            { users = "${$.detail.user}", input = { hello = true } },
            { id = "log", function = "log", input_template = '"<who> plays"', input_paths = { who = "$.detail.artist" } },
        ]

        [[rules]]
        name = "text"
        bus = "other"
        pattern = '{"source": [{"prefix": "shop."}]}'
        enabled = false
        targets = [{ arn = "arn:aws:sqs:r:0:q", retry_attempts = 3 }]
    "#;
    let mut bus = Bus::new("000000000000", "local");
    for config in rules(file).expect("the file is well formed") {
        bus.install(&config.bus, config.to_rule("000000000000", "local").expect("a rule")).expect("room");
    }
    let detail = json!({"artist": "Ed Sheeran", "seats": 120, "user": "ann"}).to_string();
    let entry = json!({"Source": "shop.tickets", "DetailType": "TicketsAvailable", "Detail": detail});
    let mut ids = || "1".to_owned();
    let body = json!({"Entries": [entry]}).to_string();
    let reply = bus.call("PutEvents", body.as_bytes(), 0, &mut ids).expect("good");
    let sent: Vec<(Address, &str)> = reply
        .routed
        .deliveries
        .iter()
        .map(|delivery| (delivery.address.clone(), std::str::from_utf8(&delivery.input).expect("JSON")))
        .collect();
    assert_eq!(
        sent,
        [
            (Address::Topic("artists/Ed Sheeran/tickets".to_owned()), detail.as_str()),
            (Address::User("ann".to_owned()), r#"{"hello":true}"#),
            (Address::Function("log".to_owned()), r#""Ed Sheeran plays""#),
        ]
    );
    assert_eq!(bus.rule("other", "text").expect("installed").targets["1"].retry_policy().maximum_retry_attempts, 3);

    let refused = bus.call("DisableRule", br#"{"Name": "tickets"}"#, 0, &mut ids).expect_err("managed");
    assert_eq!(refused.body()["__type"], "ManagedRuleException");
    let kept = bus.to_json().expect("maps of text");
    assert!(Bus::from_json(&kept).expect("its own state").rule("default", "tickets").is_none());
    bus.uninstall();
    assert!(bus.rule("default", "tickets").is_none());
}

#[test]
fn errors_name_the_rule_and_the_key() {
    let cases = [
        ("name = 'a b'\npattern = '{}'\ntargets = []", r#"rule "a b", name:"#),
        ("name = 'r'\npattern = { source = 'x' }\ntargets = []", r#"rule "r", pattern: Event pattern is not valid"#),
        ("name = 'r'\npattern = '{'\ntargets = []", r#"rule "r", pattern:"#),
        ("name = 'r'\npattern = '{\"a\": [1]}'\ntargets = []", r#"rule "r", targets: a rule has 1 to 100"#),
        ("name = 'r'\nbus = ''\npattern = '{\"a\": [1]}'\ntargets = []", r#"rule "r", bus:"#),
    ];
    for (rule, expected) in cases {
        assert!(fault(rule).contains(expected), "{}", fault(rule));
    }
    let targets = [
        ("{}", "targets[0].topic: give exactly one"),
        ("{ topic = 'a', users = 'b' }", "targets[0].topic: give exactly one"),
        ("{ topic = 'a/${x}' }", "targets[0].topic: the path"),
        ("{ users = '${' }", "targets[0].users: a ${"),
        ("{ arn = 'queue' }", "targets[0].arn: Arn"),
        ("{ function = 'a:b' }", "targets[0].function: a name"),
        ("{ topic = 'a', input = 1, input_path = '$' }", "targets[0].input: give at most one"),
        ("{ topic = 'a', input_path = 'x' }", "targets[0].input_path: the path"),
        ("{ topic = 'a', input_paths = { a = '$' } }", "targets[0].input_paths:"),
        ("{ topic = 'a', input_template = '<b>' }", "targets[0].input_template: the InputTemplate"),
        ("{ topic = 'a', retry_seconds = 1 }", "targets[0].retry_attempts: RetryPolicy"),
        ("{ topic = 'a', id = 'a b' }", "targets[0].id: Id"),
        ("{ topic = 'a', id = 'x' }, { topic = 'b', id = 'x' }", "targets[1].id: another target"),
    ];
    for (target, expected) in targets {
        let fault = fault(&format!("name = 'r'\npattern = {{ a = [1] }}\ntargets = [{target}]"));
        assert!(fault.starts_with(r#"rule "r", "#) && fault.contains(expected), "{target}: {fault}");
    }
}

#[test]
fn unknown_keys_are_refused() {
    assert!(rules("[[rules]]\nname = 'r'\npattern = '{}'\ntargets = []\nschedule = 'rate(1 minute)'").is_err());
    assert!(rules("[[rules]]\nname = 'r'\npattern = '{}'\ntargets = [{ topics = 'a' }]").is_err());
}
