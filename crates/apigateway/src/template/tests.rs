use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::limits::{OUTPUT_BYTES_MAX, ROUNDS_MAX};
use super::*;
use crate::message::{MessageText, Scope};

const BODY: &str = r#"{"action": "send", "data": {"room": "r1", "n": 7, "f": 1.5, "none": null, "yes": true},
    "list": ["a", {"b": [1, "x"]}, 3], "quote": "it's \"é\"/", "a-b": 1, "empty": ""}"#;

fn render_with(template: &str, body: Option<&str>) -> Result<String, TemplateError> {
    let message = body.map(MessageText::new);
    let context = json!({
        "connectionId": "abc=", "routeKey": "send", "connectedAt": 1_738_919_103_001_u64,
        "authorizer": {"principalId": "user|1", "level": "3"}, "identity": {"sourceIp": "203.0.113.9"},
    });
    let headers = [("X-One".to_owned(), "1".to_owned()), ("X-Two".to_owned(), "2".to_owned())];
    let query = [("token".to_owned(), "t0".to_owned()), ("token".to_owned(), "t1".to_owned())];
    let scope = Scope {
        message: message.as_ref(),
        headers: &headers,
        query: &query,
        context: context.as_object().unwrap(),
        stage_variables: &BTreeMap::from([("table".to_owned(), "Orders".to_owned())]),
    };
    Template::parse(template)?.render(&TemplateData::request(&scope))
}

fn render(template: &str) -> String {
    render_with(template, Some(BODY)).unwrap_or_else(|error| panic!("{template}: {error}"))
}

fn check(table: &[(&str, &str)]) {
    for (template, expected) in table {
        assert_eq!(render(template), *expected, "{template}");
    }
}

#[test]
fn input() {
    check(&[
        ("$input.json('$.data.room')", r#""r1""#),
        ("$input.json('$.data')", r#"{"room":"r1","n":7,"f":1.5,"none":null,"yes":true}"#),
        ("$input.json('data.n')", "7"),
        ("$input.json('$.nope')", r#""""#),
        ("$input.json('$.list[1].b')", r#"[1,"x"]"#),
        ("$input.json('$..b')", r#"[[1,"x"]]"#),
        ("$input.json(\"$.list[-1]\")", "3"),
        ("$input.path('$.data.room')", "r1"),
        ("$input.path('$').data.room", "r1"),
        ("$input.path('$.data')", "{room=r1, n=7, f=1.5, none=null, yes=true}"),
        ("$input.path('$.list')", r#"["a",{"b":[1,"x"]},3]"#),
        ("[$input.path('$.nope')][$input.path('$.nope').deeper][$input.path('$').data.nope]", "[][][]"),
        ("$input.path('$.data.none')", ""),
        ("$input.path('$.list[0]')", "a"),
        ("$input.path('$.a-b')", "1"),
        ("$input.params('token') $input.params('x-one') [$input.params('nope')]", "t1 1 []"),
        ("$input.params().querystring.token $input.params().header.get('X-Two')", "t1 2"),
        ("$input.params().path", "{}"),
    ]);
    assert_eq!(render("$input.body"), BODY);
}

#[test]
fn input_that_is_no_json() {
    let table = [
        ("$input.body", Some("hi"), "hi"),
        ("$input.json('$')", Some("say \"hi\""), r#""say \"hi\"""#),
        ("$input.path('$')", Some("hi"), "hi"),
        ("[$input.path('$.a')]", Some("hi"), "[]"),
        ("$input.json('$.a')", Some("hi"), r#""""#),
        ("$input.json('$') [$input.path('$.a')] $input.body", None, "{} [] {}"),
        ("$input.json('$') $input.json('$.a') [$input.path('$.a')] $input.body", Some(""), "{} \"\" [] {}"),
        ("[$input.json('$.a').nope]", Some("hi"), "[]"),
    ];
    for (template, body, expected) in table {
        assert_eq!(render_with(template, body).unwrap(), expected, "{template} of {body:?}");
    }
}

#[test]
fn what_was_set_to_nothing_prints_nothing() {
    check(&[
        ("#set($x = $input.path('$.nope'))[$x][$x.deeper]", "[][]"),
        ("#set($x = $input.path('$'))[$x.nope][$x.data.none]", "[][]"),
        ("#foreach($x in $util.parseJson('[1, null]'))[$x]#end", "[1][]"),
    ]);
}

/// The kind of template that passes everything on, with a #define for the parts.
#[test]
fn a_whole_request() {
    let template = r##"
#set($all = $input.params())
#define($pairs)
{#foreach($name in $map.keySet())
  "$name": "$util.escapeJavaScript($map.get($name))"#if($foreach.hasNext),#end
#end}
#end
{
  "body": $input.json('$'),
  #set($map = $all.header)
  "headers": $pairs,
  #set($map = $all.querystring)
  "query": $pairs,
  #set($map = $stageVariables)
  "stage": $pairs,
  #set($map = $context.authorizer)
  "authorizer": $pairs,
  "claims": "$context.authorizer.claims.sub",
  "items": [
  #foreach($item in $input.path('$.items'))
    {"id": $item.id, "name": "$!item.name"}#if($foreach.hasNext),#end
  #end
  ]
}"##;
    let rendered = render_with(template, Some(r#"{"items": [{"id": 1, "name": "a"}, {"id": 2}]}"#)).unwrap();
    let read: serde_json::Value = serde_json::from_str(&rendered).unwrap_or_else(|error| panic!("{error}: {rendered}"));
    let expected = json!({
        "body": {"items": [{"id": 1, "name": "a"}, {"id": 2}]},
        "headers": {"X-One": "1", "X-Two": "2"},
        "query": {"token": "t1"},
        "stage": {"table": "Orders"},
        "authorizer": {"principalId": "user|1", "level": "3"},
        "claims": "",
        "items": [{"id": 1, "name": "a"}, {"id": 2, "name": ""}],
    });
    assert_eq!(read, expected);
}

#[test]
fn util() {
    check(&[
        ("$util.escapeJavaScript($input.path('$.quote'))", r#"it\'s \"\u00E9\"\/"#),
        ("$util.base64Encode('{}') $util.base64Decode('e30=')", "e30= {}"),
        ("$util.urlEncode('a b&c') $util.urlDecode('a+b%26c')", "a+b%26c a b&c"),
        (r#"$util.parseJson('{"a": {"b": [1, 2]}}').a.b[1]"#, "2"),
        (
            "Action=SendMessage&MessageBody=$util.urlEncode($input.json('$.data.room'))",
            "Action=SendMessage&MessageBody=%22r1%22",
        ),
        ("[$util.escapeJavaScript($input.path('$.nope'))]", "[]"),
    ]);
}

#[test]
fn context_and_stage_variables() {
    check(&[
        (
            "$context.connectionId $context.authorizer.principalId ${context.identity.sourceIp}",
            "abc= user|1 203.0.113.9",
        ),
        ("[$context.nope][$context.authorizer.nope.deeper][$stageVariables.nope]", "[][][]"),
        ("$stageVariables.table $stageVariables['table'] ${stageVariables.table}", "Orders Orders Orders"),
        ("$context.connectedAt", "1738919103001"),
        ("$context.authorizer['level']", "3"),
    ]);
}

#[test]
fn references() {
    check(&[
        ("$x ${x} $!x [$!{x}] $x.y", "$x ${x}  [] $x.y"),
        ("#set($x = 'v')$x ${x}s $!x $!{x} $x.", "v vs v v v."),
        ("$ 5$ $5 #x # $$", "$ 5$ $5 #x # $$"),
        ("#set($x = 1)\\$x \\\\$x \\\\\\$x", "$x \\1 \\$x"),
        ("mail@x.test #hash {\"a\": \"$\"}", "mail@x.test #hash {\"a\": \"$\"}"),
        ("#set($x = {'a': [1, {'b': 2}]})$x.a[1].b $x['a'][0] $x.get('a').get(0) $x.nope $!x.nope", "2 1 1 $x.nope "),
    ]);
    assert!(render_with("#set($a.b = 1)", None).unwrap_err().problem.contains("cannot be set"));
}

#[test]
fn set_if_and_operators() {
    check(&[
        ("#set($x = 1 + 2 * 3)$x", "7"),
        ("#set($x = (1 + 2) * 3 - 10 / 4)$x", "7"),
        ("#set($x = 7 % 4)$x #set($y = -$x)$y", "3 -3"),
        ("#set($x = 1.5 + 1)$x", "2.5"),
        ("#set($x = 'a' + 1)$x", "a1"),
        ("#set($x = \"v$input.path('$.data.n')-${context.routeKey}\")$x", "v7-send"),
        ("#set($x = '$y')$x", "$y"),
        ("#set($x = \"say \"\"hi\"\"\")$x", "say \"hi\""),
        ("#if($input.path('$.data.n') == 7)y#{else}n#end", "y"),
        ("#if($input.path('$.data.room') == \"r1\" && !$nope)y#else n#end", "y"),
        ("#if($nope)1#elseif($input.path('$.data.n') > 6)2#else 3#end", "2"),
        ("#if($nope || false)1#elseif(false)2#else 3#end", " 3"),
        ("#if('')y#{else}n#end#if(0)y#{else}n#end#if([])y#{else}n#end", "nyy"),
        ("#if(1 == 1.0)y#end#if('1' == 1)y#end#if('a' != 'b')y#end#if(2 le 3 and not false)y#end", "yyyy"),
        ("#if($input.path('$.nope') == '')y#end#if($input.path('$.empty') == $nope)y#end", "yy"),
        ("#if(!$input.path('$.nope'))y#end#if($input.path('$.data').containsKey('n'))y#end", "yy"),
        ("#if(1/0)y#{else}n#end", "n"),
        ("#set($m = {})#set($m.a = 1)#set($m['b'] = 2)#set($l = [1])#set($l[0] = 9)$m $l", "{a=1, b=2} [9]"),
    ]);
}

#[test]
fn loops() {
    check(&[
        ("#foreach($x in [1..3])$x#if($foreach.hasNext),#end#end", "1,2,3"),
        ("#foreach($x in $input.path('$.list'))$foreach.index/$foreach.count #end", "0/1 1/2 2/3 "),
        (
            "#foreach($k in $input.path('$.data').keySet())$k=$input.path('$.data').get($k);#end",
            "room=r1;n=7;f=1.5;none=;yes=true;",
        ),
        (
            "#set($m = {'a': 1, 'b': 2})#foreach($e in $m.entrySet())$e.key=$e.value,$e.getKey()=$e.getValue();#end",
            "a=1,a=1;b=2,b=2;",
        ),
        ("#foreach($v in {'a': 1, 'b': 2})$v#end", "12"),
        ("#foreach($x in [1, 2, 3])#if($x == 2)#break#end$x#end.", "1."),
        ("#foreach($x in [1, 2, 3])#if($x == 2)#stop#end$x#end.", "1"),
        ("#foreach($x in [1, 2])#foreach($y in [1, 2])$foreach.parent.index$foreach.index #end#end", "00 01 10 11 "),
        ("#set($x = 'o')#foreach($x in [1])$x#end$x #foreach($y in $nope)no#{end}$y", "1o $y"),
        ("#foreach($x in [3..1])$x$velocityCount #end", "31 22 13 "),
        ("#define($d)<$x>#end#foreach($x in [1, 2])$d#end", "<1><2>"),
    ]);
}

#[test]
fn methods_of_texts() {
    check(&[
        ("#set($t = 'a,b,,c,,')$t.length() $t.split(',').size() $t.split(',')", "8 4 [a, b, , c]"),
        (
            "#set($t = 'Hello')$t.toUpperCase() $t.toLowerCase() $t.substring(1) $t.substring(1, 3) $t.charAt(0)",
            "HELLO hello ello el H",
        ),
        (
            "#set($t = 'x1y22')$t.replaceAll('[0-9]+', '#') $t.replaceFirst('(\\d)', '<$1>') $t.replace('y', '-')",
            "x#y# x<1>y22 x1-22",
        ),
        (
            "#set($t = 'abcb')$t.indexOf('b') $t.lastIndexOf('b') $t.indexOf('z') $t.contains('bc') $t.startsWith('a') $t.endsWith('z')",
            "1 3 -1 true true false",
        ),
        (
            "#set($t = ' a ')[$t.trim()] $t.isEmpty() $t.equals(' a ') $t.equalsIgnoreCase(' A ') $t.concat('b')",
            "[a] false true true  a b",
        ),
        ("#set($t = 'abc')$t.matches('a.*') $t.matches('b') $t.toString()", "true false abc"),
        (r#"$util.escapeJavaScript($input.path('$.quote')).replaceAll("\\'", "'")"#, r#"it's \"\u00E9\"\/"#),
        ("#set($t = '😀é')$t.length() $t.substring(2)", "3 é"),
        ("#set($i = 0)#set($x = $i.parseInt('41') + 1)$x", "42"),
    ]);
}

#[test]
fn methods_of_lists_and_maps() {
    check(&[
        (
            "#set($l = [])#set($x = $l.add('a'))$l.add(2) $l $l.size() $l.isEmpty() $l.contains('a') $l.indexOf(2)",
            "true [a, 2] 2 false true 1",
        ),
        ("#set($l = [1, 2, 3])$l.remove(0) $l.get(0) $l.subList(0, 1) $l.set(1, 'z') $l", "1 2 [2] 3 [2, z]"),
        (
            "#set($m = {'a': 1})$!m.put('b', 2)$m.put('a', 3) $m.size() $m.containsKey('b') $m.keySet() $m.values()",
            "1 2 true [a, b] [3, 2]",
        ),
        ("#set($m = {'a': 1})$m.remove('a') $m.isEmpty() $m.getOrDefault('x', 5) $m.equals({})", "1 true 5 true"),
        ("$input.path('$.list').size() $input.path('$.list').get(1).b.size()", "3 2"),
        ("#set($b = $input.path('$'))#set($b.data.room = 'r2')$b.data.room", "r2"),
    ]);
}

#[test]
fn directives_take_their_lines() {
    let template =
        "{\n  #set($x = 1)\n  ## a comment\n  #if($x == 1)\n  \"x\": $x\n  #end\n}#* gone\n *#!\n#[[ $x #if ]]#";
    assert_eq!(render(template), "{\n  \"x\": 1\n}!\n $x #if ");
    assert_eq!(render("a ## gone\nb"), "a b");
}

#[test]
fn mistakes_have_a_place() {
    let table = [
        ("\n  #if($x)", 2, 3),
        ("#end", 1, 1),
        ("#set($x 1)", 1, 9),
        ("a\n$input.jsn('$')", 2, 1),
        ("$util.nope(1)", 1, 1),
        ("$input.json('$.[')", 1, 1),
        ("#foreach($x of $y)#end", 1, 13),
        ("#set($x = 'a)", 1, 11),
        ("#macro(x)#end", 1, 1),
        ("#if()x#end", 1, 5),
        ("$x.get(", 1, 8),
        ("#* no end", 1, 1),
        ("#if($x)#else#else#end", 1, 18),
    ];
    for (template, line, column) in table {
        let error = Template::parse(template).expect_err(template);
        assert_eq!((error.line, error.column), (line, column), "{template}: {error}");
    }
    for template in
        ["#set($x = 1)$x.nope()", "#set($x = [1])$x.get(1)", "$util.parseJson('{')", "'a'.x $util.base64Decode('*')"]
    {
        assert!(render_with(template, None).is_err(), "{template}");
    }
}

#[test]
fn everything_is_bounded() {
    let doubling = format!("#set($x = 'ab'){}$x", "#set($x = \"$x$x\")".repeat(30));
    let pattern =
        format!("#set($x = 'a'){}#foreach($i in [1..999])$x.matches('(a|a)*b')#end", "#set($x = $x + $x)".repeat(17));
    let replaced = format!("#set($x = '$0$0$0$0'){}$x.replaceAll('.+', $x)", "#set($x = $x + $x)".repeat(18));
    let holds_itself = "#set($l = [])#set($y = $l.add($l))$l";
    let loops = format!("{}$x{}", "#foreach($x in [1..1000])".repeat(3), "#end".repeat(3));
    let big = format!("#set($x = [1..1000])#foreach($a in $x)#foreach($b in $x){}#end#end", "y".repeat(7));
    let table = [
        (doubling.as_str(), "bytes"),
        (pattern.as_str(), "steps"),
        (replaced.as_str(), "bytes"),
        (holds_itself, "levels"),
        ("#define($d)$d#end$d", "levels"),
        (loops.as_str(), "steps"),
        (big.as_str(), "steps"),
        ("#set($x = [1..100000000])", "steps"),
        ("#set($x = 'a')$x.matches('(a{500}){500}')", "expression"),
    ];
    for (template, bound) in table {
        let error = render_with(template, None).expect_err(template);
        assert!(error.problem.contains(bound), "{}: {error}", &template[..template.len().min(60)]);
    }
    let rounds = render_with("#set($n = 0)#foreach($x in [1..5000])#set($n = $n + 1)#end$n", None).unwrap();
    assert_eq!(rounds, ROUNDS_MAX.to_string());
    let text = "z".repeat(OUTPUT_BYTES_MAX / 4);
    assert!(render_with("$input.body$input.body$input.body", Some(&text)).is_ok());
    assert!(render_with(&"$input.body".repeat(5), Some(&text)).unwrap_err().problem.contains("bytes"));
}

#[test]
fn long_lines_are_read_in_a_moment() {
    let error = Template::parse(&format!("{}#end", "$é$a".repeat(60_000))).unwrap_err();
    assert_eq!((error.line, error.column), (1, 240_001));
    let template = format!("{}\n$x\n\n  #end", "$a \"é\" $b".repeat(3));
    let error = Template::parse(&template).unwrap_err();
    assert_eq!((error.line, error.column), (4, 3));
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in
        [("#if(true)", "#end"), ("#set($x = ", ")"), ("$x[", "]"), ("#if(", ")#end"), ("#foreach($x in [", "])#end")]
    {
        for count in [30, 2_000] {
            let _ = render_with(&format!("{}{}", open.repeat(count), close.repeat(count)), None);
        }
    }
    for inner in ["(", "!", "[", "{'a':", "-", "$x[", "$x.get("] {
        assert!(Template::parse(&format!("#set($x = {}1", inner.repeat(100_000))).is_err(), "{inner}");
    }
    let rows = (0..30).fold("1".to_owned(), |inner, _| format!("({inner}){}", " + 1".repeat(60)));
    assert_eq!(render(&format!("#set($x = {rows})$x")), "1801");
    let row = format!("#set($x = {}1)$x", "1 + ".repeat(60));
    assert_eq!(render(&row), "61");
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in ".{0,200}") {
        let _ = Template::parse(&text);
    }

    #[test]
    fn no_mixture_of_its_signs_breaks_the_parser_or_a_rendering(
        parts in prop::collection::vec(prop::sample::select(vec![
            "#set", "#if", "#elseif", "#else", "#end", "#foreach", "#define", "#break", "#stop", "(", ")", "$x", "$!{x",
            "}", "[", "]", "{", ".get(", "$input", ".json('$", "')", ".path(", "$foreach.index", " in ", "=", "==", "'",
            "\"", "\\", "#", "$", "!", ",", ":", "1", "..", "-", " ", "\n", "é", "##", "#*", "*#", "#[[", "]]#", "$x.size()",
            "#set($x = [1, 'a'])", "#foreach($y in $x)", "#if($x)", "$x.add($x)", "$context.a", "+", "&&", "null",
        ]), 0..60),
    ) {
        let _ = render_with(&parts.concat(), Some(BODY));
    }
}
