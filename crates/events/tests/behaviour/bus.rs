//! The operations, as an SDK calls them.

use fanfare_events::{Address, Bus, Reply, Why, limits};
use serde_json::{Value, json};

const NOW_MS: u64 = 1_795_262_400_000;

struct Account {
    bus: Bus,
    ids: u32,
}

impl Account {
    fn new() -> Self {
        Self { bus: Bus::new("000000000000", "local"), ids: 0 }
    }

    #[track_caller]
    fn reply(&mut self, operation: &str, body: Value) -> Reply {
        self.try_call(operation, body).expect(operation)
    }

    #[track_caller]
    fn call(&mut self, operation: &str, body: Value) -> Value {
        self.reply(operation, body).body
    }

    /// The `__type` of a refusal.
    #[track_caller]
    fn refused(&mut self, operation: &str, body: Value) -> String {
        let before = self.bus.clone();
        let error = self.try_call(operation, body).expect_err(operation);
        assert_eq!(self.bus, before, "a refused operation changes nothing");
        assert!(!error.message.is_empty() && error.status() == 400);
        error.body()["__type"].as_str().expect("a name").to_owned()
    }

    fn try_call(&mut self, operation: &str, body: Value) -> Result<Reply, fanfare_events::ApiError> {
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            format!("id-{ids}")
        };
        self.bus.call(operation, body.to_string().as_bytes(), NOW_MS, &mut new_id)
    }

    fn put_rule(&mut self, name: &str, pattern: Value) {
        self.call("PutRule", json!({"Name": name, "EventPattern": pattern.to_string()}));
    }

    fn put_target(&mut self, rule: &str, target: Value) {
        let answer = self.call("PutTargets", json!({"Rule": rule, "Targets": [target]}));
        assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
    }

    fn publish(&mut self, detail: Value) -> Reply {
        self.reply(
            "PutEvents",
            json!({"Entries": [
            {"Source": "shop.tickets", "DetailType": "TicketsAvailable", "Detail": detail.to_string()}]}),
        )
    }
}

#[test]
fn tickets_reach_the_topic_of_their_artist() {
    let mut account = Account::new();
    account.put_rule("tickets", json!({"source": ["shop.tickets"], "detail-type": ["TicketsAvailable"]}));
    account.put_rule("others", json!({"source": ["shop.food"]}));
    for rule in ["tickets", "others"] {
        account.put_target(rule, json!({"Id": "t", "Arn": "arn:gw:channel:::artists/${$.detail.artist}/tickets"}));
    }
    let reply = account.publish(json!({"artist": "Ed Sheeran", "seats": 120}));
    assert_eq!(reply.body, json!({"FailedEntryCount": 0, "Entries": [{"EventId": "id-1"}]}));
    let [delivery] = reply.routed.deliveries.as_slice() else { panic!("{:?}", reply.routed) };
    assert_eq!(delivery.address, Address::Topic("artists/Ed Sheeran/tickets".to_owned()));
    assert_eq!((delivery.bus.as_str(), delivery.rule.as_str(), delivery.target.as_str()), ("default", "tickets", "t"));
    let expected = concat!(
        r#"{"version":"0","id":"id-1","detail-type":"TicketsAvailable","source":"shop.tickets","#,
        r#""account":"000000000000","time":"2026-11-21T12:00:00Z","region":"local","resources":[],"#,
        r#""detail":{"artist":"Ed Sheeran","seats":120}}"#
    );
    assert_eq!(std::str::from_utf8(&delivery.input), Ok(expected));
    let lost = account.publish(json!({"artist": "a/b"})).routed;
    assert!(lost.deliveries.is_empty() && matches!(lost.undeliverable[0].why, Why::Address(_)), "{lost:?}");
}

#[test]
fn put_events_keeps_the_order_and_fails_by_entry() {
    let mut account = Account::new();
    account.put_rule("all", json!({"source": [{"exists": true}]}));
    account.put_target("all", json!({"Id": "f", "Arn": "arn:aws:lambda:local:000000000000:function:f"}));
    let good = json!({"Source": "s", "DetailType": "t", "Detail": "{}"});
    let lost = json!({"Source": "s", "DetailType": "t", "Detail": "{}", "EventBusName": "lost"});
    let reply = account.reply("PutEvents", json!({"Entries": [good, {"Source": "s", "Detail": "{}"}, good, lost]}));
    assert_eq!(reply.body["FailedEntryCount"], 2);
    assert_eq!(reply.body["Entries"][0], json!({"EventId": "id-1"}));
    assert_eq!(reply.body["Entries"][1]["ErrorCode"], "InvalidArgument");
    assert_eq!(reply.body["Entries"][2], json!({"EventId": "id-2"}));
    assert_eq!(reply.body["Entries"][3]["ErrorCode"], "ResourceNotFoundException");
    let events: Vec<&str> = reply.routed.deliveries.iter().map(|delivery| delivery.event.id.as_str()).collect();
    assert_eq!(events, ["id-1", "id-2"]);
    assert!(!reply.changed);
    assert_eq!(account.refused("PutEvents", json!({"Entries": vec![good; 11]})), "ValidationException");
}

#[test]
fn the_life_of_a_rule() {
    let mut account = Account::new();
    let put = json!({"Name": "r", "EventPattern": "{\"a\": [1]}", "Description": "d", "Tags": []});
    let arn = "arn:aws:events:local:000000000000:rule/r";
    assert_eq!(account.call("PutRule", put.clone()), json!({"RuleArn": arn}));
    account.put_target("r", json!({"Id": "1", "Arn": "arn:gw:channel:::t"}));
    let shown = json!({"Name": "r", "Arn": arn, "EventPattern": "{\"a\": [1]}", "State": "ENABLED", "Description": "d",
        "EventBusName": "default"});
    assert_eq!(account.call("DescribeRule", json!({"Name": "r"})), shown);
    assert_eq!(account.call("ListRules", json!({})), json!({"Rules": [shown]}));

    account.call("PutRule", put);
    assert_eq!(account.bus.rule("default", "r").expect("there").targets.len(), 1, "put again, it keeps its targets");
    account.call("PutRule", json!({"Name": "r", "EventPattern": "{\"source\": [\"shop.tickets\"]}"}));
    account.call("DisableRule", json!({"Name": "r"}));
    assert!(account.publish(json!({})).routed.deliveries.is_empty());
    account.call("EnableRule", json!({"Name": "r", "EventBusName": "default"}));
    assert_eq!(account.publish(json!({})).routed.deliveries.len(), 1);

    assert_eq!(account.refused("DeleteRule", json!({"Name": "r"})), "ValidationException");
    account.call("RemoveTargets", json!({"Rule": "r", "Ids": ["1", "unknown"]}));
    assert!(account.reply("DeleteRule", json!({"Name": "r"})).changed);
    assert!(!account.reply("DeleteRule", json!({"Name": "r"})).changed, "gone already");
    assert_eq!(account.refused("DescribeRule", json!({"Name": "r"})), "ResourceNotFoundException");
}

#[test]
fn a_rule_that_cannot_be_is_refused_by_name() {
    let mut account = Account::new();
    let pattern = "{\"a\": [1]}";
    for (body, kind) in [
        (json!({"EventPattern": pattern}), "ValidationException"),
        (json!({"Name": "a b", "EventPattern": pattern}), "ValidationException"),
        (json!({"Name": "a".repeat(65), "EventPattern": pattern}), "ValidationException"),
        (json!({"Name": "r"}), "ValidationException"),
        (json!({"Name": "r", "EventPattern": "{\"a\": 1}"}), "InvalidEventPatternException"),
        (json!({"Name": "r", "EventPattern": {"a": [1]}}), "SerializationException"),
        (json!({"Name": "r", "EventPattern": pattern, "State": "ON"}), "ValidationException"),
        (json!({"Name": "r", "EventPattern": pattern, "EventBusName": "lost"}), "ResourceNotFoundException"),
        (json!({"Name": "r", "ScheduleExpression": "rate(5 minutes)"}), "ScheduleNotSupportedException"),
        (json!({"Name": "r", "EventPattern": pattern, "Description": "d".repeat(513)}), "ValidationException"),
    ] {
        assert_eq!(account.refused("PutRule", body.clone()), kind, "{body}");
    }
    assert_eq!(account.refused("StartReplay", json!({})), "UnknownOperationException");
    for i in 0..limits::RULES_MAX {
        account.put_rule(&format!("r{i}"), json!({"a": [1]}));
    }
    let one_more = json!({"Name": "more", "EventPattern": pattern});
    assert_eq!(account.refused("PutRule", one_more), "LimitExceededException");
    account.put_rule("r7", json!({"a": [2]}));
}

#[test]
fn lists_come_in_pages() {
    let mut account = Account::new();
    for name in ["a1", "a2", "a3", "b1"] {
        account.put_rule(name, json!({"x": [1]}));
    }
    let names = |page: &Value| -> Vec<String> {
        let rules = page["Rules"].as_array().expect("a list");
        rules.iter().map(|rule| rule["Name"].as_str().expect("a name").to_owned()).collect()
    };
    let first = account.call("ListRules", json!({"NamePrefix": "a", "Limit": 2}));
    assert_eq!(names(&first), ["a1", "a2"]);
    account.call("DeleteRule", json!({"Name": "a2"}));
    let second = account.call("ListRules", json!({"NamePrefix": "a", "Limit": 2, "NextToken": first["NextToken"]}));
    assert_eq!((names(&second), second.get("NextToken")), (vec!["a3".to_owned()], None));
    assert_eq!(account.refused("ListRules", json!({"Limit": 0})), "ValidationException");
    assert_eq!(account.refused("ListRules", json!({"NextToken": "%%"})), "ValidationException");
}

#[test]
fn targets_fail_one_by_one() {
    let mut account = Account::new();
    account.put_rule("r", json!({"source": ["shop.tickets"]}));
    let arn = "arn:aws:sqs:local:0:q";
    let answer = account.call(
        "PutTargets",
        json!({"Rule": "r", "Targets": [
        {"Id": "good", "Arn": arn, "RetryPolicy": {"MaximumRetryAttempts": 3}, "DeadLetterConfig": {"Arn": "arn:d"}},
        {"Id": "no arn", "Arn": "q"},
        {"Id": "two", "Arn": arn, "Input": "1", "InputPath": "$"},
        {"Id": "text", "Arn": arn, "Input": "plain"},
        {"Id": "retry", "Arn": arn, "RetryPolicy": {"MaximumEventAgeInSeconds": 59}},
        {"Id": "strange", "Arn": arn, "EcsParameters": {}}]}),
    );
    let failed: Vec<&str> =
        answer["FailedEntries"].as_array().expect("a list").iter().filter_map(|one| one["TargetId"].as_str()).collect();
    assert_eq!(
        (answer["FailedEntryCount"].as_u64(), failed),
        (Some(5), vec!["no arn", "two", "text", "retry", "strange"])
    );
    assert_eq!(
        account.call("ListTargetsByRule", json!({"Rule": "r"})),
        json!({"Targets": [{"Id": "good", "Arn": arn, "DeadLetterConfig": {"Arn": "arn:d"},
            "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 86_400}}]})
    );
    assert_eq!(account.call("ListRuleNamesByTarget", json!({"TargetArn": arn})), json!({"RuleNames": ["r"]}));
    assert_eq!(account.call("ListRuleNamesByTarget", json!({"TargetArn": "arn:x"})), json!({"RuleNames": []}));
    let delivery = &account.publish(json!({})).routed.deliveries[0];
    assert_eq!((delivery.retry.maximum_retry_attempts, delivery.dead_letter.as_deref()), (3, Some("arn:d")));
    let full: Vec<Value> = (0..limits::TARGETS_MAX).map(|i| json!({"Id": i.to_string(), "Arn": arn})).collect();
    assert_eq!(account.refused("PutTargets", json!({"Rule": "r", "Targets": full})), "LimitExceededException");
    assert_eq!(account.refused("PutTargets", json!({"Rule": "lost", "Targets": full})), "ResourceNotFoundException");
}

#[test]
fn a_target_is_sent_what_it_asks_for() {
    let mut account = Account::new();
    account.put_rule("r", json!({"source": ["shop.tickets"]}));
    for target in [
        json!({"Id": "1", "Arn": "arn:gw:users:::${$.detail.user}", "Input": "{\"a\": 1}"}),
        json!({"Id": "2", "Arn": "arn:gw:channel:::t", "InputPath": "$.detail.list[1]['b c']"}),
        json!({"Id": "3", "Arn": "arn:gw:channel:::t", "InputPath": "$.detail.gone"}),
        json!({"Id": "4", "Arn": "arn:aws:events:l:0:api-destination/hook/1", "HttpParameters": {"HeaderParameters": {"a": "b"}},
            "InputTransformer": {"InputPathsMap": {"u": "$.detail.user"},
                "InputTemplate": "{\"who\": <u>, \"rule\": \"<aws.events.rule-name>\"}"}}),
    ] {
        account.put_target("r", target);
    }
    let routed = account.publish(json!({"user": "ann", "list": [0, {"b c": "x"}]})).routed;
    let sent: Vec<&str> = routed.deliveries.iter().map(|d| std::str::from_utf8(&d.input).expect("text")).collect();
    assert_eq!(sent, ["{\"a\": 1}", "\"x\"", "null", "{\"who\": \"ann\", \"rule\": \"r\"}"]);
    assert_eq!(routed.deliveries[0].address, Address::User("ann".to_owned()));
    assert_eq!(routed.deliveries[3].address, Address::ApiDestination("hook".to_owned()));
    assert_eq!(routed.deliveries[3].http_parameters, Some(json!({"HeaderParameters": {"a": "b"}})));
}

#[test]
fn the_life_of_an_event_bus() {
    let mut account = Account::new();
    let arn = "arn:aws:events:local:000000000000:event-bus/shop";
    assert_eq!(account.call("CreateEventBus", json!({"Name": "shop"})), json!({"EventBusArn": arn}));
    assert_eq!(account.refused("CreateEventBus", json!({"Name": "shop"})), "ResourceAlreadyExistsException");
    assert_eq!(account.refused("CreateEventBus", json!({"Name": "a/b"})), "ValidationException");
    let shown = json!({"Name": "shop", "Arn": arn, "CreationTime": 1_795_262_400, "LastModifiedTime": 1_795_262_400});
    assert_eq!(account.call("DescribeEventBus", json!({"Name": arn})), shown);
    assert_eq!(account.call("DescribeEventBus", json!({}))["Name"], "default");
    assert_eq!(account.call("ListEventBuses", json!({"NamePrefix": "s"})), json!({"EventBuses": [shown]}));
    let put = json!({"Name": "r", "EventPattern": "{\"a\": [1]}", "EventBusName": "shop"});
    assert_eq!(account.call("PutRule", put)["RuleArn"], "arn:aws:events:local:000000000000:rule/shop/r");
    assert_eq!(account.refused("DeleteEventBus", json!({"Name": "shop"})), "ValidationException");
    account.call("DeleteRule", json!({"Name": "r", "EventBusName": arn}));
    account.call("DeleteEventBus", json!({"Name": "shop"}));
    assert_eq!(account.refused("DescribeEventBus", json!({"Name": "shop"})), "ResourceNotFoundException");
    assert_eq!(account.refused("DeleteEventBus", json!({"Name": "default"})), "ValidationException");
}

#[test]
fn buses_cannot_send_in_circles() {
    let mut account = Account::new();
    account.call("CreateEventBus", json!({"Name": "b"}));
    for (bus, next) in [("default", "b"), ("b", "default")] {
        let pattern = "{\"source\": [\"shop.tickets\"]}";
        account.call("PutRule", json!({"Name": "on", "EventPattern": pattern, "EventBusName": bus}));
        let targets = json!([
            {"Id": "on", "Arn": format!("arn:aws:events:local:000000000000:event-bus/{next}")},
            {"Id": "t", "Arn": format!("arn:gw:channel:::{bus}")},
            {"Id": "far", "Arn": "arn:aws:events:elsewhere:1:event-bus/far"}]);
        account.call("PutTargets", json!({"Rule": "on", "EventBusName": bus, "Targets": targets}));
    }
    let routed = account.publish(json!({})).routed;
    let addresses: Vec<Address> = routed.deliveries.into_iter().map(|delivery| delivery.address).collect();
    let (far, topic) = (Address::EventBus("far".to_owned()), |name: &str| Address::Topic(name.to_owned()));
    assert_eq!(addresses, [far.clone(), topic("default"), far, topic("b")]);
}

#[test]
fn what_a_request_causes_is_bounded() {
    let mut account = Account::new();
    let twice = json!({"InputTemplate": "<aws.events.event.json>".repeat(2)});
    for rule in ["r1", "r2"] {
        account.put_rule(rule, json!({"source": ["shop.tickets"]}));
        let target =
            |i: usize| json!({"Id": i.to_string(), "Arn": "arn:gw:channel:::t", "InputTransformer": twice.clone()});
        let targets: Vec<Value> = (0..limits::TARGETS_MAX).map(target).collect();
        account.call("PutTargets", json!({"Rule": rule, "Targets": targets}));
    }
    let detail = json!({"x": "x".repeat(120_000)}).to_string();
    let entry = json!({"Source": "shop.tickets", "DetailType": "t", "Detail": detail});
    let routed = account.reply("PutEvents", json!({"Entries": [entry.clone()]})).routed;
    assert_eq!((routed.deliveries.len(), routed.left_out), (200, 0), "48 MB are below the limit");
    let routed = account.reply("PutEvents", json!({"Entries": [entry.clone(), entry.clone()]})).routed;
    let made: usize = routed.deliveries.iter().map(|delivery| delivery.input.len()).sum();
    assert!(made < limits::MADE_BYTES_MAX + limits::INPUT_BYTES_MAX, "{made}");
    assert_eq!(routed.deliveries.len() + routed.left_out, 400);
    assert!(routed.left_out > 0);

    let thrice = json!({"InputTemplate": "<aws.events.event.json>".repeat(3)});
    account.put_target("r1", json!({"Id": "0", "Arn": "arn:gw:channel:::t", "InputTransformer": thrice}));
    let routed = account.reply("PutEvents", json!({"Entries": [entry]})).routed;
    assert!(matches!(routed.undeliverable[0].why, Why::Input(_)), "over 256 KiB for one target");
}

#[test]
fn a_pattern_can_be_tried() {
    let mut account = Account::new();
    let mut tried = |pattern: &str, event: &str| {
        account.try_call("TestEventPattern", json!({"EventPattern": pattern, "Event": event})).map(|reply| reply.body)
    };
    assert_eq!(tried("{\"a\": [1]}", "{\"a\": 1}"), Ok(json!({"Result": true})));
    assert_eq!(tried("{\"a\": [1]}", "{\"a\": 2}"), Ok(json!({"Result": false})));
    assert!(tried("{\"a\": [1]}", "[]").is_err() && tried("{\"a\": [1]}", "{").is_err() && tried("[]", "{}").is_err());
}

#[test]
fn the_state_survives_a_store() {
    let mut account = Account::new();
    account.call("CreateEventBus", json!({"Name": "shop", "Description": "d"}));
    account.put_rule("r", json!({"source": [{"prefix": "shop."}]}));
    account.put_target("r", json!({"Id": "1", "Arn": "arn:gw:channel:::a/${$.detail.x}", "InputPath": "$.detail"}));
    let kept = account.bus.to_json().expect("maps of text");
    assert_eq!(Bus::from_json(&kept).expect("its own state"), account.bus);
    assert!(Bus::from_json(b"{}").is_err());
    let broken = String::from_utf8(kept).expect("JSON").replace("arn:gw:channel", "arn-gw:channel");
    assert!(Bus::from_json(broken.as_bytes()).expect_err("a target in it is wrong").to_string().contains("Arn"));
}
