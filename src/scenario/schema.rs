//! The JSON Schema of scenario files, for editors: made of the tables by which the reader goes. It
//! knows the members and their shapes; what only the whole file tells (names that exist, sums that
//! come to something) is the reader's.

use super::action::VERBS;
use super::step::{BESIDE, BESIDE_ALL};
use super::vocabulary::{Member, Shape};
use super::{actor, declared, expect, exploration, file, rule};
use serde_json::{Map, Value, json};

/// The JSON Schema of scenario files.
pub fn schema() -> Value {
    let mut schema = table(&file::MEMBERS);
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("A scenario of nodb-trigger")),
    ];
    let definitions = json!({
        "name": { "type": "string", "pattern": NAME },
        "count": {
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": u32::MAX },
                { "type": "string", "description": "a sum: \"$threads - 1\"" },
            ],
        },
        "time": {
            "anyOf": [
                { "type": "string", "description": "\"2s\", or a sum: \"$ttl + 300ms\"" },
                { "const": 0 },
            ],
        },
        "parameter": table(&declared::PARAMETER),
        "lock": table(&declared::LOCK),
        "actor": table(&actor::MEMBERS),
        "step": { "oneOf": VERBS.iter().map(step).collect::<Vec<_>>() },
        "rule": rule(),
        "expectation": expectation(&[&expect::CASE, &expect::WHAT], &["all"]),
        "expected": expectation(&[&expect::WHAT], &[]),
        "exploration": exploration(),
    });
    for (name, value) in head {
        put(&mut schema, name, value);
    }
    put(&mut schema, "$defs", definitions);
    schema
}

const NAME: &str = "^[a-z][a-z0-9_]{0,39}$";
const NAME_WITH_HYPHENS: &str = "^[a-z][a-z0-9-]{0,39}$";

fn put(schema: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = schema {
        members.insert(name.to_owned(), value);
    }
}

/// A table with these members and no others.
fn table(members: &[Member]) -> Value {
    let needed: Vec<&str> =
        members.iter().filter(|member| member.is_needed).map(|member| member.name).collect();
    let properties: Map<String, Value> = members
        .iter()
        .map(|member| (member.name.to_owned(), described(member.shape, member.help)))
        .collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false });
    put(&mut schema, "properties", Value::Object(properties));
    if !needed.is_empty() {
        put(&mut schema, "required", json!(needed));
    }
    schema
}

fn described(shape: Shape, help: &str) -> Value {
    let mut schema = of(shape);
    put(&mut schema, "description", json!(help));
    schema
}

fn of(shape: Shape) -> Value {
    let value = || json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] });
    let one_or_more = |one: Value| json!({ "anyOf": [one, { "type": "array", "items": one }] });
    match shape {
        Shape::Format => json!({ "const": file::FORMAT }),
        Shape::Name => reference("name"),
        Shape::Hazards => list(json!({ "type": "string", "pattern": NAME_WITH_HYPHENS })),
        Shape::Line | Shape::Lines | Shape::Reference => json!({ "type": "string" }),
        Shape::Whole => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        Shape::Value => value(),
        Shape::Count => reference("count"),
        Shape::Time => reference("time"),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::True => json!({ "const": true }),
        Shape::Word(words) => json!({ "enum": words() }),
        Shape::Words(words) => one_or_more(json!({ "enum": words() })),
        Shape::Command => json!({ "type": "string", "pattern": "^[A-Z]{1,20}$" }),
        Shape::Texts => list(json!({ "type": "string" })),
        Shape::Conditions => one_or_more(json!({ "type": "string" })),
        Shape::Values => json!({ "type": "object", "additionalProperties": value() }),
        Shape::List(name) => list(reference(name)),
        Shape::Table(name) => json!({
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": reference(name),
        }),
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// A step with this verb.
fn step(verb: &super::action::Verb) -> Value {
    let value = Member { name: verb.name, shape: verb.shape(), is_needed: true, help: verb.help };
    let fits = |member: &Member| {
        [&BESIDE_ALL, verb.needs, verb.beside].iter().any(|names| names.contains(&member.name))
    };
    let beside = BESIDE.into_iter().filter(fits).map(|member| {
        let is_needed = verb.needs.contains(&member.name);
        Member { is_needed, ..member }
    });
    let members: Vec<Member> = std::iter::once(value).chain(beside).collect();
    table(&members)
}

fn rule() -> Value {
    let mut schema = all(&[&rule::MATCHES, &rule::EFFECTS, &rule::DETAILS]);
    let choices = [one_of(&rule::MATCHES), one_of(&rule::EFFECTS)];
    put(&mut schema, "allOf", json!(choices));
    schema
}

/// Something expected: one of its kinds, or one of `others`.
fn expectation(members: &[&[Member]], others: &[&str]) -> Value {
    let mut schema = all(members);
    let kinds = expect::KINDS.iter().chain(others);
    let kinds: Vec<Value> = kinds.map(|kind| json!({ "required": [kind] })).collect();
    put(&mut schema, "anyOf", json!(kinds));
    schema
}

fn exploration() -> Value {
    let mut schema = table(&exploration::MEMBERS);
    let needed = ["finds", "free_of"].map(|member| json!({ "required": [member] }));
    put(&mut schema, "anyOf", json!(needed));
    schema
}

/// A table with the members of several lists.
fn all(members: &[&[Member]]) -> Value {
    table(&members.concat())
}

/// Exactly one of these members is there.
fn one_of(members: &[Member]) -> Value {
    let each = members.iter().map(|member| json!({ "required": [member.name] }));
    json!({ "oneOf": each.collect::<Vec<_>>() })
}
