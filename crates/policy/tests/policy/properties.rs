//! What holds for all policies.

use fanfare_policy::{
    ConnectRequest, Context, Decision, Document, Effect, Glob, GlobToken, Limits, Operation, PolicySet, RuleAction,
    Scope, compile,
};
use proptest::prelude::*;

use crate::arbitrary::{context, pattern, statements, text};
use crate::set::{outcome, policies};

const SCOPE: Scope<'static> = Scope { region: "r", account: "1", space: "default" };

/// Failures print their seed; none is written to a file.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Matching as it is defined, however long it takes.
fn matches_naively(tokens: &[GlobToken], text: &[char]) -> bool {
    match (tokens.split_first(), text.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((GlobToken::AnyRun, tail)), rest) => {
            matches_naively(tail, text) || rest.is_some_and(|(_, rest)| matches_naively(tokens, rest))
        }
        (Some(_), None) => false,
        (Some((GlobToken::AnyChar, tail)), Some((_, rest))) => matches_naively(tail, rest),
        (Some((GlobToken::Char(c), tail)), Some((first, rest))) => c == first && matches_naively(tail, rest),
    }
}

/// What the rules for the core say, read as the core reads them.
fn allows_by_rules(rules: &[fanfare_policy::TextRule], action: RuleAction, text: &str) -> bool {
    let found =
        |effect| rules.iter().any(|rule| rule.action == action && rule.effect == effect && rule.pattern.matches(text));
    found(Effect::Allow) && !found(Effect::Deny)
}

/// [`PolicySet::decide`] about the same as a compiled rule.
fn decide(set: &PolicySet, action: RuleAction, text: &str, context: &Context) -> Decision {
    let operation = match action {
        RuleAction::Publish => Operation::Publish(text),
        RuleAction::Retain => Operation::RetainPublish(text),
        RuleAction::Subscribe => Operation::Subscribe(text),
        RuleAction::Receive => Operation::Receive(text),
    };
    set.decide_operation(operation, &SCOPE, context)
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn globs_match_as_defined(pattern in "[ab*?ä]{0,10}", text in "[abä]{0,12}") {
        let glob = Glob::parse(&pattern);
        let chars: Vec<_> = text.chars().collect();
        prop_assert_eq!(glob.matches(&text), matches_naively(glob.tokens(), &chars));
    }

    #[test]
    fn compiled_policies_decide_alike(
        statements in statements(),
        context in context(),
        texts in prop::collection::vec(text(), 1..8),
    ) {
        let set = policies(&statements);
        let compiled = compile(&set, &context, &SCOPE);
        let rules: Vec<_> = compiled.rules().collect();
        for (action, text) in RuleAction::ALL.into_iter().flat_map(|action| texts.iter().map(move |text| (action, text))) {
            let expected = decide(&set, action, text, &context);
            prop_assert_eq!(allows_by_rules(&rules, action, text), expected.is_allowed(), "{:?} {}", action, text);
            prop_assert_eq!(compiled.about(action, text), expected, "{:?} {}", action, text);
        }
    }

    #[test]
    fn compiled_policies_let_connect_alike(
        statements in statements(),
        context in context(),
        client_id in "[ab/]{0,6}",
        is_persistent: bool,
        is_strict: bool,
    ) {
        let set = policies(&statements).strict_connect_attributes(is_strict);
        let request = ConnectRequest { client_id: &client_id, is_persistent, will: None };
        let compiled = compile(&set, &context, &SCOPE).connect(&request);
        let context = context.connect_attributes(is_persistent, false);
        prop_assert_eq!(compiled, set.decide_operation(Operation::Connect(&client_id), &SCOPE, &context));
    }

    #[test]
    fn a_further_deny_never_allows_and_a_further_allow_never_denies(
        (first, second, text, context) in (statements(), pattern(), text(), context()),
        gives: bool,
    ) {
        let effect = if gives { "Allow" } else { "Deny" };
        let more = format!(r#"{{"Effect":"{effect}","Action":"*","Resource":"*{second}"}}"#);
        let before = decide(&policies(&first), RuleAction::Publish, &text, &context);
        let after = decide(&policies(&format!("{first},{more}")), RuleAction::Publish, &text, &context);
        match gives {
            true => prop_assert!(!before.is_allowed() || after == before),
            false => prop_assert!(!after.is_allowed() || after == before),
        }
        prop_assert_eq!(outcome(&before).0 == 'd' && outcome(&after).0 != 'd', false);
    }

    #[test]
    fn anything_may_be_read(text in "\\PC{0,60}") {
        let _ = Document::parse(&text);
    }

    #[test]
    fn documents_that_are_damaged_are_read_or_refused(
        statements in statements(),
        context in context(),
        at in 0_usize..400,
        damage in "[\\[\\]{}\",:$a*\\\\ ]{0,3}",
    ) {
        let mut text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        let at = at.min(text.len() - 1);
        text.replace_range(at..=at, &damage);
        if let Ok(document) = Document::parse_within(&text, Limits { chars_max: 10_000, bytes_max: 10_000 }) {
            let mut set = PolicySet::new();
            set.attach("p", document.into()).unwrap();
            for resource in ["", "*", "arn:aws:iot:r:1:topic/a"] {
                let _ = set.decide("iot:Publish", resource, &context);
            }
            let _ = compile(&set, &context, &SCOPE).publish("a");
        }
    }
}
