//! What is wrong is said with its line, all at once, and with what to do.

use super::*;

fn wrong(name: &str, text: &str) -> String {
    read_text(name, text, &options()).expect_err("a mistake").to_string()
}

#[test]
fn all_mistakes_come_at_once_with_their_lines() {
    let text = "\
service: shop
provider:
  name: aws
  runtine: python3.12
  environment: {KEY: '${ssm:/shop/key}', NONE: '${env:NOWHERE}', MISS: '${self:custom.nothing}'}
functions:
  pay:
    hander: pay.main
    timeout: 901
    runtime: java21
    events:
      - websocket: {route: $conect, autorizer: gate}
      - websockt: pay
";
    let error = read_text("serverless.yml", text, &options()).unwrap_err();
    let shown = error.to_string();
    for line in [
        "serverless.yml:4:3: provider has an unknown key \"runtine\" (did you mean \"runtime\"?)",
        "serverless.yml:5:22: the value of \"ssm:/shop/key\" is not known here; give it under `values`",
        "serverless.yml:5:48: `${env:NOWHERE}` has no value",
        "serverless.yml:5:72: `${self:custom.nothing}` has no value",
        "serverless.yml:8:5: functions.pay has no `handler`; add it",
        "serverless.yml:8:5: functions.pay has an unknown key \"hander\" (did you mean \"handler\"?)",
        "serverless.yml:9:14: `timeout` must be a whole number from 1 to 900",
        "serverless.yml:10:14: the runtime \"java21\" does not run here",
        "serverless.yml:12:21: a route cannot have the key \"$conect\" (did you mean \"$connect\"?)",
        "unknown key \"autorizer\" (did you mean \"authorizer\"?)",
        "serverless.yml:13:9: there are no \"websockt\" events (did you mean \"websocket\"?)",
        "values that are missing: ssm:/shop/key",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    assert_eq!(error.mistakes.len(), 11, "{shown}");
    assert!(
        error.mistakes.is_sorted_by_key(|one| one.origin.split(':').nth(1).map(|line| line.parse::<u32>().unwrap()))
    );
}

#[test]
fn files_that_are_no_descriptors() {
    assert!(wrong("serverless.yml", "a: [\n").starts_with("serverless.yml:2:"));
    assert!(wrong("serverless.yml", "").contains("the file is empty"));
    assert!(wrong("compose.yml", "services: {}\n").contains("neither a serverless.yml"));
    assert!(wrong("serverless.ts", "export default {}").contains("is a program"));
    let nowhere = read(Path::new("/nowhere/serverless.yml"), &options()).unwrap_err().to_string();
    assert!(nowhere.starts_with("serverless.yml: cannot be read"), "{nowhere}");
    let empty = tempfile::tempdir().unwrap();
    assert!(read(empty.path(), &options()).unwrap_err().to_string().contains("holds no descriptor"));
}

#[test]
fn included_files_say_their_own_lines() {
    let folder = tempfile::tempdir().unwrap();
    let text = "service: s\nprovider: ${file(provider.yml)}\nfunctions: {f: {handler: a.a}}\n";
    std::fs::write(folder.path().join("serverless.yml"), text).unwrap();
    std::fs::write(folder.path().join("provider.yml"), "name: aws\nruntime: python3.12\nmemroySize: 512\n").unwrap();
    let error = read(folder.path(), &options()).unwrap_err().to_string();
    assert!(error.starts_with("provider.yml:3:1: provider has an unknown key \"memroySize\""), "{error}");
}

#[test]
fn circles_end() {
    let text = "service: s\ncustom: {a: '${self:custom.b}', b: '${self:custom.a}'}\nprovider: {name: aws, runtime: \
                python3.12, environment: {A: '${self:custom.a}'}}\n";
    assert!(wrong("serverless.yml", text).contains("goes in a circle"));
}

#[test]
fn topics_and_functions_do_not_share_a_route() {
    let text = "service: s\nprovider: {name: aws, runtime: python3.12}\ncustom:\n  fanfare:\n    routes:\n      go: {topic: \
                a}\n      $connect: {topic: a}\n      stay: {}\n    options: {orderd: true}\n    functions: {g: \
                {}}\nfunctions: {f: {handler: a.a, events: [websocket: go]}}\n";
    let shown = wrong("serverless.yml", text);
    for line in [
        "serverless.yml:6:7: the route \"go\" stands at serverless.yml:11 too; keep one",
        "serverless.yml:7:7: $connect has no message",
        "serverless.yml:8:13: the route \"stay\" has no `topic`",
        "serverless.yml:9:15: unknown field `orderd`",
        "serverless.yml:10:17: there is no function \"g\"",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
}

#[test]
fn what_does_not_fit_together() {
    let text = "service: s\nprovider: {name: aws, runtime: python3.12}\ncustom: {fanfare: {domains: [{name: a.test, stage: \
                prod}]}}\nfunctions:\n  f: {name: same, handler: a.a, events: [websocket: go]}\n  g: {name: same, handler: a.a}\n";
    let shown = wrong("serverless.yml", text);
    assert!(shown.contains("the domain a.test is for the stage \"prod\", and there is none"), "{shown}");
    assert!(
        shown.contains("the functions at serverless.yml:5 and serverless.yml:6 are both called \"same\""),
        "{shown}"
    );
}

#[test]
fn quotas_of_the_original_are_kept() {
    let mut text =
        "service: s\nprovider: {name: aws, runtime: python3.12}\nfunctions:\n  f:\n    handler: a.a\n    events:\n"
            .to_owned();
    for at in 0..301 {
        text.push_str(&format!("      - websocket: r{at}\n"));
    }
    assert!(wrong("serverless.yml", &text).contains("has 301 routes; at most 300 are possible"));
}
