//! Substitution templates.

use fanfare_iot::sql::{EvalError, Input, Template};

fn render(template: &str) -> Result<String, EvalError> {
    let input = Input::new(br#"{"a": "x/y", "n": 5, "o": {"k": [1, 2]}, "nil": null}"#, "s/d7/t");
    Template::parse(template).unwrap().render(&input)
}

#[test]
fn values_take_the_place_of_expressions() {
    for (template, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("out/${topic(2)}", "out/d7"),
        ("${a}/${n + 1}/end", "x/y/6/end"),
        ("${o}", r#"{"k":[1,2]}"#),
        ("${{'x': '}'}.x}!", "}!"),
        ("${o.k[1]}", "2"),
        ("${nil}", "null"),
        ("cost: $5 {x}", "cost: $5 {x}"),
        ("é${n}", "é5"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn what_is_undefined_cannot_be_rendered() {
    assert_eq!(render("a/${missing}"), Err(EvalError::UndefinedTemplate { expression: "missing".to_owned() }));
}
