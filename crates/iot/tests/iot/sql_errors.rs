//! Statements that cannot be parsed, and where the error points.

use fanfare_iot::sql::{DEPTH_MAX, ITEMS_MAX, Input, STATEMENT_CHARS_MAX, SqlProblem, Statement, Template};

#[test]
fn errors_say_where_and_what() {
    for (statement, expected) in [
        ("", "column 1: expected SELECT, found the end"),
        ("INSERT x", "column 1: expected SELECT, found INSERT"),
        ("SELECT", "column 7: expected an expression, found the end"),
        ("SELECT FROM 'x'", "column 8: expected an expression, found FROM"),
        ("SELECT a, FROM 'x'", "column 11: expected an expression, found FROM"),
        ("SELECT a b", "column 10: expected FROM, WHERE, ',' or the end, found b"),
        ("SELECT * FROM x", "column 15: expected a topic filter in quotes, found x"),
        ("SELECT * FROM 'a/#/b'", "column 15: this is no topic filter: '#' must be the last level"),
        ("SELECT * FROM 'x' WHERE", "column 24: expected an expression, found the end"),
        ("SELECT * FROM 'x' WHERE a >", "column 28: expected an expression, found the end"),
        ("SELECT 1 +", "column 11: expected an expression, found the end"),
        ("SELECT (1", "column 10: expected ')', found the end"),
        ("SELECT [1, 2", "column 13: expected ']', found the end"),
        ("SELECT {'a' 1}", "column 13: expected ':', found 1"),
        ("SELECT a[1", "column 11: expected ']', found the end"),
        ("SELECT a. FROM 'x'", "column 16: expected FROM, WHERE, ',' or the end, found the string 'x'"),
        ("SELECT a.1", "column 10: expected a name, found 1"),
        ("SELECT a AS 5", "column 13: expected a name, found 5"),
        ("SELECT 'abc", "column 8: this ' is not closed"),
        ("SELECT a ; b", "column 10: ';' means nothing here; strings need quotes, unusual field names backquotes"),
        ("SELECT nope(1) AS x", "column 8: there is no function nope()"),
        ("SELECT floor() AS x", "column 8: floor() takes 1 arguments, not 0"),
        ("SELECT substring('x') AS x", "column 8: substring() takes 2 to 3 arguments, not 1"),
        ("SELECT cast(1 AS Date) AS x", "column 18: Date is no type; use String, Int, Decimal or Boolean"),
        ("SELECT CASE a END AS x", "column 15: expected WHEN, found END"),
        ("SELECT CASE a WHEN 1 THEN 2 AS x", "column 29: expected END, found AS"),
        (
            "SELECT a + 1",
            "column 8: expected a field, or AS and a name behind the expression, found an expression without a name",
        ),
        ("SELECT (SELECT a) AS x", "column 17: expected FROM, found ')'"),
        ("SELECT é, a b", "column 13: expected FROM, WHERE, ',' or the end, found b"),
    ] {
        match Statement::parse(statement) {
            Ok(_) => panic!("{statement} was parsed"),
            Err(error) => assert_eq!(error.to_string(), expected, "{statement}"),
        }
    }
}

#[test]
fn functions_of_other_services_are_named() {
    let error = Statement::parse("SELECT aws_lambda('arn', *) AS x").unwrap_err();
    assert_eq!(error.problem, SqlProblem::UnsupportedFunction("aws_lambda".to_owned()));
}

#[test]
fn literal_patterns_are_checked_early() {
    let error = Statement::parse("SELECT regexp_matches(a, '(x') AS x").unwrap_err();
    assert_eq!((error.column, matches!(error.problem, SqlProblem::Pattern(_))), (26, true));
    assert!(Statement::parse("SELECT regexp_matches(a, '((\\w{100}){100}){100}') AS x").is_err());
}

#[test]
fn sizes_are_bounded() {
    let problem = |text: &str| Statement::parse(text).unwrap_err().problem;
    assert_eq!(problem(&"x".repeat(STATEMENT_CHARS_MAX + 1)), SqlProblem::TooLong(STATEMENT_CHARS_MAX + 1));
    for open in ["(", "[", "-", "NOT ", "abs(", "{'a':", "CASE ", "(SELECT VALUE ", "a[", "cast("] {
        let text = format!("SELECT VALUE {}", open.repeat(260));
        assert_eq!(problem(&text), SqlProblem::TooDeep, "{open}");
    }
    let items = |count: usize| format!("SELECT [{}] AS x", vec!["1"; count].join(","));
    assert!(Statement::parse(&items(ITEMS_MAX)).is_ok());
    assert_eq!(problem(&items(ITEMS_MAX + 1)), SqlProblem::TooManyItems);
}

#[test]
fn the_deepest_statements_run() {
    let payload = format!("{}7{}", "{\"a\":".repeat(120), "}".repeat(120));
    let input = Input::new(payload.as_bytes(), "t");
    for (open, inner, close) in [
        ("(", "a", ")"),
        ("[", "a", "]"),
        ("{'k': ", "a", "}"),
        ("abs(", "a", ")"),
        ("-", "1", ""),
        ("NOT ", "true", ""),
        ("CASE 1 WHEN 1 THEN ", "a", " END"),
        ("a[", "0", "]"),
        ("1 + ((", "1", "))"),
    ] {
        let run = |levels: usize| {
            let text = format!("SELECT VALUE {}{inner}{}", open.repeat(levels), close.repeat(levels));
            Statement::parse(&text).map(|statement| drop(statement.run(&input)))
        };
        let deepest = (1..=DEPTH_MAX).rev().find(|levels| run(*levels).is_ok());
        assert!(deepest.is_some_and(|levels| levels > 20), "{open} {deepest:?}");
    }
    let nested = (0..30).fold("*".to_owned(), |inner, _| format!("(SELECT VALUE {inner} FROM a)"));
    assert!(Statement::parse(&format!("SELECT VALUE {nested}")).unwrap().run(&input).unwrap().is_some());
}

#[test]
fn long_chains_are_not_deep() {
    let sum = format!("SELECT {} AS x", vec!["1"; 2_000].join("+"));
    assert!(Statement::parse(&sum).is_ok());
    let path = format!("SELECT {} AS x", vec!["a"; 2_000].join("."));
    assert!(Statement::parse(&path).is_ok());
}

#[test]
fn errors_in_templates_count_from_the_start_of_the_text() {
    for (template, expected) in [
        ("out/${topic(2", "column 6: this { is not closed"),
        ("out/${}", "column 7: expected an expression, found the end"),
        ("a/${x}/${y z}", "column 12: expected an operator or '}', found z"),
    ] {
        assert_eq!(Template::parse(template).unwrap_err().to_string(), expected, "{template}");
    }
}
