//! Every matcher with what it wants and what it does not.

use fanfare_events::{Pattern, limits};
use serde_json::{Value, json};

#[track_caller]
fn matches(pattern: Value, event: Value) -> bool {
    Pattern::parse(&pattern.to_string()).expect("the pattern is well formed").matches(&event)
}

/// Holds one leaf against one value.
#[track_caller]
fn leaf(matcher: Value, value: Value) -> bool {
    matches(json!({"x": [matcher]}), json!({"x": value}))
}

fn refused(pattern: &str) -> String {
    Pattern::parse(pattern).expect_err(pattern).to_string()
}

#[test]
fn matchers_of_one_value() {
    let yes_and_no = [
        (json!("a"), vec![json!("a")], vec![json!("A"), json!("ab"), json!(""), json!(1)]),
        (json!(""), vec![json!("")], vec![json!(" "), json!(null)]),
        (json!(300), vec![json!(300), json!(300.0), json!(3.0e2)], vec![json!(301), json!("300"), json!(300.5)]),
        (json!(0.5), vec![json!(0.5), json!(5e-1)], vec![json!(0), json!(1)]),
        (json!(true), vec![json!(true)], vec![json!(false), json!("true"), json!(1)]),
        (json!(null), vec![json!(null)], vec![json!(""), json!(0), json!(false)]),
        (json!({"prefix": "us-"}), vec![json!("us-"), json!("us-east-1")], vec![json!("US-east"), json!("eu-us-")]),
        (json!({"prefix": ""}), vec![json!(""), json!("any")], vec![json!(1), json!(null)]),
        (json!({"suffix": ".png"}), vec![json!("a.png"), json!(".png")], vec![json!("a.PNG"), json!("a.png ")]),
        (
            json!({"prefix": {"equals-ignore-case": "ÉVENT"}}),
            vec![json!("éVENTail"), json!("Évent")],
            vec![json!("event"), json!("éven")],
        ),
        (
            json!({"suffix": {"equals-ignore-case": ".PnG"}}),
            vec![json!("a.png"), json!("a.PNG")],
            vec![json!("png"), json!("a.pn")],
        ),
        (
            json!({"equals-ignore-case": "alice"}),
            vec![json!("Alice"), json!("ALICE")],
            vec![json!("alice "), json!("alic")],
        ),
        (json!({"exists": true}), vec![json!(null), json!(0), json!(["a"])], vec![json!({"y": 1}), json!([])]),
        (json!({"exists": false}), vec![json!({"y": 1}), json!([]), json!([{}])], vec![json!(null), json!(["a"])]),
    ];
    for (matcher, yes, no) in yes_and_no {
        for value in yes {
            assert!(leaf(matcher.clone(), value.clone()), "{matcher} wants {value}");
        }
        for value in no {
            assert!(!leaf(matcher.clone(), value.clone()), "{matcher} does not want {value}");
        }
    }
}

#[test]
fn wildcards() {
    let wild = |pattern: &str, text: &str| leaf(json!({"wildcard": pattern}), json!(text));
    assert!(wild("a*b", "ab") && wild("a*b", "a--b") && wild("a*b", "abab"));
    assert!(!wild("a*b", "abc") && !wild("a*b", "a") && !wild("a*b", "xab"));
    assert!(wild("*", "") && wild("*", "any"));
    assert!(wild("*.jpg", "dir/a.jpg") && !wild("*.jpg", "a.jpeg"));
    assert!(wild("a*a", "aa") && !wild("a*a", "a"), "the two ends do not share a letter");
    assert!(wild("*ab*ab*", "xabyabz") && !wild("*ab*ab*", "xabz"));
    assert!(wild(r"a\*b", "a*b") && !wild(r"a\*b", "axb"));
    assert!(wild(r"a\\*", r"a\x") && !wild(r"a\\*", "ax"));
    assert!(!leaf(json!({"wildcard": "*"}), json!(1)), "only strings");
    for bad in ["a**b", "**", r"a\b", r"a\"] {
        assert!(refused(&json!({"x": [{"wildcard": bad}]}).to_string()).contains("at x"), "{bad}");
    }
}

#[test]
fn anything_but() {
    let but = |denied: Value, value: Value| leaf(json!({"anything-but": denied}), value);
    assert!(but(json!("a"), json!("b")) && but(json!("a"), json!(1)) && but(json!("a"), json!(null)));
    assert!(!but(json!("a"), json!("a")));
    assert!(but(json!(5), json!(6)) && !but(json!(5), json!(5.0)) && but(json!(5), json!("5")));
    assert!(but(json!(["a", "b"]), json!("c")) && !but(json!(["a", "b"]), json!("b")));
    assert!(but(json!([1, 2]), json!(3)) && !but(json!([1, 2]), json!(2)));
    for (name, denied, fine) in [
        ("prefix", "init", "reinit"),
        ("suffix", "init", "initial"),
        ("equals-ignore-case", "INIT", "in"),
        ("wildcard", "*ni*", "in"),
    ] {
        assert!(!but(json!({name: denied}), json!("init")), "{name}");
        assert!(but(json!({name: denied}), json!(fine)), "{name}");
        assert!(!but(json!({name: ["zzz", denied]}), json!("init")), "{name} in a list");
        assert!(but(json!({name: ["zzz", denied]}), json!(fine)), "{name} in a list");
    }
    assert!(!but(json!({"prefix": {"equals-ignore-case": "IN"}}), json!("init")));
    assert!(!matches(json!({"x": [{"anything-but": "a"}]}), json!({})), "the field has to be there");
    assert!(!but(json!("a"), json!({"y": 1})), "an object is no value");
    assert!(but(json!("a"), json!(["a", "b"])), "one element that is something else is enough");
    for bad in
        [json!([]), json!(["a", 1]), json!({"prefix": ""}), json!({"prefix": []}), json!({"prefix": 1}), json!({})]
    {
        assert!(refused(&json!({"x": [{"anything-but": bad}]}).to_string()).contains("anything-but"), "{bad}");
    }
}

#[test]
fn numbers() {
    let numeric = |parts: Value, value: Value| leaf(json!({"numeric": parts}), value);
    assert!(numeric(json!([">", 0, "<=", 5]), json!(5)) && numeric(json!([">", 0, "<=", 5]), json!(0.000001)));
    assert!(!numeric(json!([">", 0, "<=", 5]), json!(0)) && !numeric(json!([">", 0, "<=", 5]), json!(5.000001)));
    assert!(numeric(json!(["=", 3.018e2]), json!(301.8)) && !numeric(json!(["=", 300]), json!(301)));
    assert!(numeric(json!(["<", -1]), json!(-1.5)) && !numeric(json!(["<", -1]), json!(-1)));
    assert!(numeric(json!([">=", 10]), json!(10)) && numeric(json!(["<=", 10]), json!(10)));
    assert!(!numeric(json!([">", 0]), json!("5")), "JSON numbers only");
    for bad in [
        json!([]),
        json!([">"]),
        json!([">", "0"]),
        json!(["!", 0]),
        json!([">", 5, "<", 5]),
        json!(["<", 5, ">", 0]),
        json!(["=", 1, "=", 1]),
        json!([">", 0, "<"]),
        json!(5),
    ] {
        assert!(refused(&json!({"x": [{"numeric": bad}]}).to_string()).contains("numeric"), "{bad}");
    }
}

#[test]
fn addresses() {
    let cidr = |network: &str, address: &str| leaf(json!({"cidr": network}), json!(address));
    assert!(cidr("10.0.0.0/24", "10.0.0.255") && !cidr("10.0.0.0/24", "10.0.1.0"));
    assert!(cidr("10.0.0.7/32", "10.0.0.7") && !cidr("10.0.0.7/32", "10.0.0.6"));
    assert!(cidr("0.0.0.0/0", "255.1.2.3") && !cidr("0.0.0.0/0", "::1"));
    assert!(cidr("2001:db8::/32", "2001:db8:ffff::1") && !cidr("2001:db8::/32", "2001:db9::1"));
    assert!(cidr("::/0", "fe80::1") && cidr("::1/128", "::1") && !cidr("::1/128", "::2"));
    assert!(!cidr("10.0.0.0/24", "10.0.0") && !cidr("10.0.0.0/24", "host"));
    for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "::/129", "10.0.0/8", "x/8", "10.0.0.0/"] {
        assert!(refused(&json!({"x": [{"cidr": bad}]}).to_string()).contains("cidr"), "{bad}");
    }
}

#[test]
fn fields_are_all_wanted_and_values_any() {
    let event = json!({"source": "aws.ec2", "detail": {"state": "running", "instance-id": "i-1"}});
    assert!(matches(json!({"source": ["aws.ec2", "aws.s3"], "detail": {"state": ["running"]}}), event.clone()));
    assert!(!matches(json!({"source": ["aws.ec2"], "detail": {"state": ["stopped"]}}), event.clone()));
    assert!(!matches(json!({"detail": {"missing": ["x"]}}), event.clone()));
    assert!(!matches(json!({"detail": ["running"]}), event.clone()), "an object is not its values");
    assert!(!matches(json!({"source": {"x": ["aws.ec2"]}}), event), "a string has no fields");
    assert!(!matches(json!({"x": [{"exists": false}]}), json!([])), "an event is an object");
}

#[test]
fn absence() {
    let absent = json!({"detail": {"a": {"b": [{"exists": false}]}}});
    assert!(matches(absent.clone(), json!({})));
    assert!(matches(absent.clone(), json!({"detail": {"a": {}}})));
    assert!(matches(absent.clone(), json!({"detail": {"a": "text"}})));
    assert!(!matches(absent.clone(), json!({"detail": {"a": {"b": 1}}})));
    assert!(!matches(absent, json!({"detail": {"a": [{"c": 1}, {"b": 1}]}})), "no element may have it");
    let here_and_not = json!({"a": {"b": [{"exists": false}], "c": [2]}});
    assert!(matches(here_and_not.clone(), json!({"a": [{"b": 1, "c": 1}, {"c": 2}]})));
    assert!(!matches(here_and_not, json!({"a": [{"c": 1}, {"b": 1, "c": 2}]})));
    assert!(matches(json!({"x": ["a", {"exists": false}]}), json!({})));
    assert!(!matches(json!({"x": ["a", {"exists": false}]}), json!({"x": "b"})));
}

#[test]
fn arrays_in_events() {
    let resources = json!({"resources": ["arn:1", "arn:2"]});
    assert!(matches(json!({"resources": ["arn:2"]}), resources.clone()));
    assert!(!matches(json!({"resources": ["arn:3"]}), resources));
    assert!(matches(json!({"x": [3]}), json!({"x": [[1, [2, 3]]]})), "arrays inside arrays");
    let people = json!({"employees": [
        {"firstName": "Anna", "lastName": "Jones", "ids": [1, 2]},
        {"firstName": "Tom", "lastName": "Smith", "ids": [3]}]});
    let asked =
        |first: &str, last: &str, id: u8| json!({"employees": {"firstName": [first], "lastName": [last], "ids": [id]}});
    assert!(matches(asked("Anna", "Jones", 2), people.clone()));
    assert!(!matches(asked("Anna", "Smith", 2), people.clone()), "from one element");
    assert!(!matches(asked("Anna", "Jones", 3), people), "from one element, arrays in it too");
    let nested = json!({"a": [[{"b": 1}], {"b": 2, "c": [{"d": 3, "e": 4}, {"d": 5, "e": 6}]}]});
    assert!(matches(json!({"a": {"b": [2], "c": {"d": [5], "e": [6]}}}), nested.clone()));
    assert!(!matches(json!({"a": {"b": [2], "c": {"d": [3], "e": [6]}}}), nested));
}

#[test]
fn alternatives() {
    let either = json!({"source": ["s"], "$or": [{"a": [1]}, {"b": {"$or": [{"c": [2]}, {"d": [3]}]}}]});
    assert!(matches(either.clone(), json!({"source": "s", "a": 1})));
    assert!(matches(either.clone(), json!({"source": "s", "b": {"c": 2}})));
    assert!(matches(either.clone(), json!({"source": "s", "b": {"d": 3}})));
    assert!(!matches(either.clone(), json!({"source": "s", "b": {"d": 2}})));
    assert!(!matches(either, json!({"source": "t", "a": 1})));
    for bad in [r#"{"$or": [{"a": [1]}]}"#, r#"{"$or": {"a": [1]}}"#, r#"{"$or": [{"a": [1]}, 2]}"#, r#"{"$or": []}"#] {
        assert!(refused(bad).contains("$or"), "{bad}");
    }
}

/// A name asked both beside an `$or` and in it still means one element.
#[test]
fn alternatives_share_an_array_with_what_is_beside_them() {
    let pattern = json!({"a": {"b": [1]}, "$or": [{"a": {"c": [2]}}, {"d": [3]}]});
    assert!(matches(pattern.clone(), json!({"a": [{"b": 1, "c": 2}]})));
    assert!(!matches(pattern.clone(), json!({"a": [{"b": 1}, {"c": 2}]})));
    assert!(matches(pattern.clone(), json!({"a": [{"b": 1}, {"c": 2}], "d": 3})));
    assert!(!matches(pattern, json!({"a": [{"b": 4, "c": 2}], "d": 3})));
    let deeper = json!({"a": {"b": [1]}, "$or": [{"a": {"$or": [{"c": [2]}, {"e": [5]}]}}, {"d": [3]}]});
    assert!(matches(deeper.clone(), json!({"a": [{"b": 1, "e": 5}]})));
    assert!(!matches(deeper, json!({"a": [{"b": 1}, {"e": 5}]})));
    let nested = json!({"$or": [{"a": {"b": [1]}, "$or": [{"a": {"c": [2]}}, {"a": {"e": [5]}}]}, {"d": [3]}]});
    assert!(matches(nested.clone(), json!({"a": [{"b": 1, "e": 5}]})));
    assert!(!matches(nested.clone(), json!({"a": [{"b": 1}, {"e": 5}]})));
    assert!(matches(nested, json!({"d": 3})));
}

#[test]
fn too_many_combinations_are_refused() {
    let or = |n: usize| Value::from((0..n).map(|i| json!({"a": [i]})).collect::<Vec<_>>());
    let three = |n: usize| json!({"x": {"$or": or(10)}, "y": {"$or": or(10)}, "z": {"$or": or(n)}});
    assert!(Pattern::from_value(&three(10)).is_ok());
    assert!(Pattern::from_value(&three(11)).expect_err("1,100").to_string().contains("1000 combinations"));
}

#[test]
fn the_last_of_a_double_key_counts() {
    let pattern = Pattern::parse(r#"{"x": ["a"], "x": ["b"]}"#).expect("double keys are JSON");
    assert!(pattern.matches(&json!({"x": "b"})) && !pattern.matches(&json!({"x": "a"})));
}

#[test]
fn what_is_no_pattern_is_refused_by_place() {
    for (bad, place) in [
        ("", "not JSON"),
        ("[]", "a JSON object"),
        ("{}", "empty object"),
        (r#"{"a": {"b": []}}"#, "at a.b"),
        (r#"{"a": {"b": {}}}"#, "at a.b"),
        (r#"{"a": "b"}"#, "put the value in [ ] at a"),
        (r#"{"a": [["b"]]}"#, "at a"),
        (r#"{"a": [{}]}"#, "exactly one key"),
        (r#"{"a": [{"prefix": "x", "suffix": "y"}]}"#, "exactly one key"),
        (r#"{"a": [{"prefixes": "x"}]}"#, r#"unrecognized match type "prefixes" at a"#),
        (r#"{"a": [{"exists": 1}]}"#, "exists"),
        (r#"{"a": [{"prefix": 1}]}"#, "prefix"),
        (r#"{"a": [{"wildcard": {"equals-ignore-case": "x"}}]}"#, "wildcard"),
    ] {
        assert!(refused(bad).contains(place), "{bad}: {}", refused(bad));
    }
    let sized = |n: usize| format!(r#"{{"a": ["{}"]}}"#, "é".repeat(n));
    let most = limits::PATTERN_CHARS_MAX - sized(0).len();
    assert!(Pattern::parse(&sized(most)).is_ok(), "characters count, not bytes");
    assert!(refused(&sized(most + 1)).contains("4096"));
    let deep = |n: usize| format!("{}[1]{}", r#"{"a":"#.repeat(n), "}".repeat(n));
    assert!(Pattern::parse(&deep(limits::PATTERN_DEPTH_MAX)).is_ok());
    assert!(refused(&deep(limits::PATTERN_DEPTH_MAX + 1)).contains("deeper"));
}

/// The scenario that needs no function and no table.
#[test]
fn tickets_of_a_shop() {
    let pattern = json!({"source": ["shop.tickets"], "detail-type": ["TicketsAvailable"]});
    let event = |kind: &str| {
        json!({"version": "0", "id": "1", "detail-type": kind, "source": "shop.tickets", "account": "000000000000",
            "time": "2026-11-21T12:00:00Z", "region": "local", "resources": [],
            "detail": {"artist": "Ed Sheeran", "seats": 120}})
    };
    assert!(matches(pattern.clone(), event("TicketsAvailable")));
    assert!(!matches(pattern, event("TicketsGone")));
}

/// Worst cases have to end: long text against many stars, tangled
/// alternatives against a long array. A search that takes steps back would
/// not come to an end in the time of a test run.
#[test]
fn hostile_patterns_end() {
    let stars = "*a".repeat(500);
    assert!(!leaf(json!({"wildcard": format!("{stars}b")}), json!("a".repeat(200_000))));
    let or = |from: usize| Value::from((0..10).map(|i| json!({"a": {"b": [from + i]}})).collect::<Vec<_>>());
    let inner = |from: usize| json!({"a": {"c": [0]}, "$or": or(from)});
    let pattern = json!({"a": {"z": [1]}, "$or": [inner(0), inner(10), inner(20)]});
    let elements: Vec<Value> = (0..2_000).map(|i| json!({"z": 1, "c": 0, "b": i + 100})).collect();
    assert!(!matches(pattern, json!({"a": elements})));
    let mut deep = json!(1);
    for _ in 0..1_000 {
        deep = json!([deep]);
    }
    assert!(leaf(json!(1), deep), "arrays are taken apart without the call stack");
}
