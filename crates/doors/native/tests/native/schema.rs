//! The part of JSON Schema that our OpenAPI document uses. A keyword that is not known here fails
//! the test: nothing in the document goes unchecked.

use serde_json::Value;

/// Checks `value` and says where it is not what `schema` says.
pub(crate) fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    check_at(document, schema, value, "$")
}

fn check_at(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        check_keyword(document, schema, (keyword, rule), value, at)?;
    }
    Ok(())
}

fn check_keyword(
    document: &Value,
    schema: &Value,
    (keyword, rule): (&str, &Value),
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let fail = |what: String| Err(format!("{at}: {what} in {value}"));
    match keyword {
        "description" | "default" | "examples" => Ok(()),
        "$ref" => check_at(document, resolve(document, schema), value, at),
        "type" if !is_type(rule, value) => fail(format!("not {rule}")),
        "const" if rule != value => fail(format!("not {rule}")),
        "minimum" if value.as_f64() < rule.as_f64() => fail(format!("less than {rule}")),
        "maximum" if value.as_f64() > rule.as_f64() => fail(format!("more than {rule}")),
        "minItems" if value.as_array().map(Vec::len) < rule.as_u64().map(|n| n as usize) => fail("too few".into()),
        "maxItems" if value.as_array().map(Vec::len) > rule.as_u64().map(|n| n as usize) => fail("too many".into()),
        "type" | "const" | "minimum" | "maximum" | "minItems" | "maxItems" => Ok(()),
        "required" => match rule.as_array().unwrap().iter().find(|name| value.get(name.as_str().unwrap()).is_none()) {
            Some(name) => fail(format!("{name} is missing")),
            None => Ok(()),
        },
        "items" => {
            let mut items = value.as_array().into_iter().flatten().enumerate();
            items.try_for_each(|(index, item)| check_at(document, rule, item, &format!("{at}[{index}]")))
        }
        "properties" => {
            let known = rule.as_object().unwrap().iter();
            let mut given = known.filter_map(|(name, schema)| value.get(name).map(|value| (name, schema, value)));
            given.try_for_each(|(name, schema, value)| check_at(document, schema, value, &format!("{at}.{name}")))
        }
        "additionalProperties" => {
            let known = &schema["properties"];
            let mut others = value.as_object().into_iter().flatten().filter(|(name, _)| known.get(name).is_none());
            others.try_for_each(|(name, value)| match rule {
                Value::Bool(false) => Err(format!("{at}: {name} is not in the document")),
                schema => check_at(document, schema, value, &format!("{at}.{name}")),
            })
        }
        "anyOf" => {
            let tried: Vec<_> =
                rule.as_array().unwrap().iter().map(|schema| check_at(document, schema, value, at)).collect();
            if tried.iter().any(Result::is_ok) { Ok(()) } else { fail(format!("none of {tried:?}")) }
        }
        unknown => panic!("the validator does not know {unknown}"),
    }
}

fn is_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        unknown => panic!("the validator does not know the type {unknown}"),
    }
}

/// What an object stands for that may be a reference.
pub(crate) fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        None => value,
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap();
            resolve(document, document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere")))
        }
    }
}
