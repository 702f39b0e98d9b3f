//! JSON held against a schema of `docs/schema`: as much of JSON Schema 2020-12 as these use.

use std::path::Path;

use serde_json::Value;

/// Fails with the place where `text` is not as `docs/schema/<name>` says.
#[track_caller]
pub fn conforms(name: &str, text: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/schema")
        .join(name);
    let schema = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"));
    if let Err(why) = check(&schema, &value, "$") {
        panic!("not as {name} says: {why}");
    }
    value
}

fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = schema
        .as_object()
        .ok_or(format!("{at}: the schema is no object"))?;
    for (word, rule) in schema {
        let holds = match word.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => types(rule).iter().any(|name| is_of(value, name)),
            "enum" => rule.as_array().is_some_and(|all| all.contains(value)),
            "minimum" => value.as_i64().is_none_or(|n| Some(n) >= rule.as_i64()),
            "pattern" => value
                .as_str()
                .is_none_or(|text| fits(text, rule.as_str().unwrap())),
            "required" => missing(rule, value).is_none(),
            "properties" | "additionalProperties" => {
                fields(schema, value, at)?;
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            other => return Err(format!("{at}: `{other}` is not understood here")),
        };
        if !holds {
            return Err(format!("{at}: {value} against {word} {rule}"));
        }
    }
    Ok(())
}

fn types(rule: &Value) -> Vec<&str> {
    match rule {
        Value::String(name) => vec![name],
        rule => rule
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn missing<'r>(rule: &'r Value, value: &Value) -> Option<&'r str> {
    let object = value.as_object()?;
    let names = rule
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    names.into_iter().find(|name| !object.contains_key(*name))
}

fn fields(schema: &serde_json::Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let known = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    for (name, field) in value.as_object().into_iter().flatten() {
        let place = format!("{at}.{name}");
        match (known.and_then(|known| known.get(name)), others) {
            (Some(rule), _) => check(rule, field, &place)?,
            (None, Some(Value::Bool(false))) => return Err(format!("{place} is not in it")),
            (None, Some(rule)) => check(rule, field, &place)?,
            (None, None) => {}
        }
    }
    Ok(())
}

/// `^[a-b…]{n}$`, the only form that is used.
fn fits(text: &str, pattern: &str) -> bool {
    let inner = pattern
        .strip_prefix("^[")
        .and_then(|p| p.strip_suffix("}$"))
        .unwrap();
    let (set, count) = inner.split_once("]{").unwrap();
    let set: Vec<char> = set.chars().collect();
    let inside = |c: char| {
        set.chunks(3)
            .any(|range| (range[0]..=range[2]).contains(&c))
    };
    text.chars().count() == count.parse::<usize>().unwrap() && text.chars().all(inside)
}
