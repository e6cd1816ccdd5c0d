//! The JSON Schema says yes to what the reader takes and no to plain mistakes.

use super::{EXAMPLE, RACE};
use crate::scenario::catalogue::FILES;
use crate::scenario::schema;
use serde_json::Value;

#[test]
fn what_the_reader_takes_fits_the_schema() {
    let examples = [("example", EXAMPLE), ("race", RACE)];
    for (file, text) in FILES.iter().chain(&examples) {
        let value: Value = toml::from_str(text).unwrap();
        assert_eq!(fits(&schema(), &schema(), &value), Ok(()), "{file}");
    }
}

#[test]
fn plain_mistakes_do_not_fit_the_schema() {
    for (old, new) in [
        ("format = 1", "format = 2"),
        ("title = \"A race.\"", ""),
        ("title = \"A race.\"", "title = 5"),
        ("[locks.main]", "[locks.main]\nsuffix = \"x\""),
        ("name = \"late release\", go_on", "name = \"late release\", goon"),
        ("{ pause = \"10ms\" }", "{ pause = \"10ms\", sleep = \"1s\" }"),
        ("{ pause = \"10ms\" }", "{ pause = \"10ms\", ttl = \"1s\" }"),
        ("{ pause = \"10ms\" }", "{ pause = true }"),
        ("{ crash = true }", "{ crash = false }"),
        ("{ crash = true }", "{ locked = \"main\" }"),
        ("{ crash = true }", "{ name = \"x\" }"),
        ("hold_until = \"rival has it\"", "crash = true\ndelay = \"1s\""),
        ("operation = \"release\"", "operation = \"unlock\""),
        ("operation = \"release\"", ""),
        ("instance = \"racy\"", "instance = \"both\""),
        ("finds = \"foreign_release\"", "finds = \"foreign\""),
        ("finds = \"foreign_release\"", ""),
        ("name = \"slow write\"", ""),
        ("timing = \"strict\"", "timing = \"sync\""),
        ("free_of = \"lost_update\"", "free_of = \"starvation\""),
        ("{ tries = 2, ttl = \"40s\" }", "{ tries = [2] }"),
    ] {
        assert_eq!(RACE.matches(old).count(), 1, "{old}");
        let value: Value = toml::from_str(&RACE.replace(old, new)).unwrap();
        assert!(fits(&schema(), &schema(), &value).is_err(), "{old} -> {new}");
    }
}

/// Whether a value fits a schema, as far as ours use the language; patterns are left out.
fn fits(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{value}: {why}"));
    if let Some(name) = schema["$ref"].as_str() {
        return fits(root, root.pointer(&name[1..]).unwrap(), value);
    }
    if let Some(wanted) = schema["type"].as_str() {
        let is_one = match wanted {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "boolean" => value.is_boolean(),
            other => panic!("unknown type {other}"),
        };
        if !is_one {
            return wrong(wanted);
        }
    }
    if schema.get("const").is_some_and(|wanted| wanted != value) {
        return wrong("another constant");
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return wrong("no such word");
    }
    let how_many = |name: &str| {
        let schemas = schema[name].as_array()?;
        Some(schemas.iter().filter(|schema| fits(root, schema, value).is_ok()).count())
    };
    if how_many("anyOf") == Some(0) || how_many("oneOf").is_some_and(|count| count != 1) {
        return wrong("none of the choices, or several");
    }
    for each in schema["allOf"].as_array().into_iter().flatten() {
        fits(root, each, value)?;
    }
    for item in value.as_array().into_iter().flatten() {
        if let Some(items) = schema.get("items") {
            fits(root, items, item)?;
        }
    }
    for needed in schema["required"].as_array().into_iter().flatten() {
        if value.get(needed.as_str().unwrap()).is_none() {
            return wrong(&format!("lacks {needed}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(property), _) => fits(root, property, member)?,
            (None, Some(Value::Bool(false))) => return wrong(&format!("has {name}")),
            (None, Some(other)) => fits(root, other, member)?,
            (None, None) => {}
        }
    }
    Ok(())
}

#[test]
fn the_readme_names_every_member() {
    let readme = include_str!("../../../scenarios/README.md");
    let mut names: Vec<String> = Vec::new();
    let mut schemas = vec![schema()];
    while let Some(schema) = schemas.pop() {
        names.extend(schema["properties"].as_object().into_iter().flatten().map(|it| it.0.clone()));
        schemas.extend(schema["$defs"].as_object().into_iter().flatten().map(|it| it.1.clone()));
        schemas.extend(schema["oneOf"].as_array().into_iter().flatten().cloned());
    }
    for name in &names {
        let forms = [
            format!("`{name}`"),
            format!("`{name} ="),
            format!("{name} = "),
            format!("[{name}."),
            format!("[[{name}]]"),
        ];
        let is_there = forms.iter().any(|form| readme.contains(form))
            || readme.contains("min and max") && ["min", "max"].contains(&&**name);
        assert!(is_there, "{name}");
    }
    assert!(names.len() > 80, "{}", names.len());
}
