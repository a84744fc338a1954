//! Whatever stands in a file, reading it ends, and ends well.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

const SERVERLESS: &str = include_str!("../fixtures/chat/serverless.yml");
const TEMPLATE: &str = include_str!("../fixtures/classic/template.yaml");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn lines_may_be_lost_or_moved(seed in any::<u64>(), is_template in any::<bool>(), changes in 1..12_usize) {
        let (name, text) = if is_template { ("template.yaml", TEMPLATE) } else { ("serverless.yml", SERVERLESS) };
        let mut lines: Vec<&str> = text.lines().collect();
        let mut state = seed;
        for _ in 0..changes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (from, to) = ((state >> 33) as usize % lines.len(), (state >> 13) as usize % lines.len());
            if state & 1 == 0 { lines.swap(from, to) } else { lines[from] = "" }
        }
        if let Err(error) = read_text(name, &lines.join("\n"), &options()) {
            prop_assert!(!error.mistakes.is_empty());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n]{0,200}") {
        if let Err(error) = read_text("serverless.yml", &format!("service: {text}"), &options()) {
            prop_assert!(error.mistakes.iter().all(|one| one.origin.starts_with("serverless.yml")));
        }
    }
}

#[test]
fn what_multiplies_is_bounded() {
    let mut doubling = "service: s\nprovider: {name: aws, runtime: python3.12, environment: {A: '${self:custom.v60}'}}\ncustom:\n  v0: x\n"
        .to_owned();
    for level in 1..=60 {
        doubling.push_str(&format!("  v{level}: '${{self:custom.v{0}}}${{self:custom.v{0}}}'\n", level - 1));
    }
    let mut conditions =
        "Resources: {X: {Type: AWS::SNS::Topic, Condition: C25}}\nConditions:\n  C0: !Equals [a, a]\n".to_owned();
    for level in 1..=25 {
        conditions.push_str(&format!("  C{level}: !And [!Condition C{0}, !Condition C{0}]\n", level - 1));
    }
    for (name, text) in [("serverless.yml", doubling), ("template.yaml", conditions)] {
        let began = Instant::now();
        let shown = read_text(name, &text, &options()).unwrap_err().to_string();
        assert!(shown.contains("takes too much"), "{shown}");
        assert!(began.elapsed().as_secs() < 20, "{name} took {:?}", began.elapsed());
    }
}

#[test]
fn circles_of_a_template_end() {
    let text = "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref B}}\n  B: {Type: AWS::SQS::Queue, Properties: \
                {QueueName: !Ref A}}\n  Key: {Type: AWS::Lambda::Function, Properties: {FunctionName: !Ref A, Handler: a.b, \
                Runtime: python3.12, Code: .}}\nConditions: {C: !Not [!Condition C]}\n";
    let shown = read_text("template.yaml", text, &options()).unwrap_err().to_string();
    assert!(shown.contains("goes in a circle"), "{shown}");
}
