//! The JSON Schema of scenario files, for editors: made of the tables by which the reader goes. It
//! knows the members and their shapes; what only the whole file shows (names that exist, the values
//! of sums) is the reader's.

use super::action::{VERBS, Verb};
use super::actor::ActorForm;
use super::declarations::{LockForm, ParameterForm};
use super::exploration::ExplorationForm;
use super::file::FileForm;
use super::form::{Form, Member, NAME, members};
use super::step::{BESIDE_ALL, StepForm};
use super::{expect, rule};
use serde_json::{Map, Value, json};

/// The JSON Schema of scenario files.
pub fn schema() -> Value {
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
        "parameter": table(ParameterForm::MEMBERS, &[]),
        "lock": table(LockForm::MEMBERS, &[]),
        "actor": table(ActorForm::MEMBERS, &[]),
        "step": { "oneOf": VERBS.iter().map(step).collect::<Vec<_>>() },
        "rule": rule(),
        "expectation": expectation(&expect::all_members(), &["all"]),
        "expected": expectation(expect::WhatForm::MEMBERS, &[]),
        "exploration": table(ExplorationForm::MEMBERS, &[("anyOf", each_needed(&["finds", "free_of"]))]),
    });
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("A scenario of nodb-trigger")),
        ("$defs", definitions),
    ];
    table(FileForm::MEMBERS, &head)
}

/// A table with these members and no others, and what else is said of it.
fn table(members: &[Member], more: &[(&str, Value)]) -> Value {
    let needed: Vec<&str> =
        members.iter().filter(|member| member.is_needed).map(|member| member.name).collect();
    let properties: Map<String, Value> =
        members.iter().map(|member| (member.name.to_owned(), described(member))).collect();
    let mut schema = Map::new();
    let mut put = |name: &str, value: Value| schema.insert(name.to_owned(), value);
    put("type", json!("object"));
    put("additionalProperties", json!(false));
    put("properties", Value::Object(properties));
    if !needed.is_empty() {
        put("required", json!(needed));
    }
    for (name, value) in more {
        put(name, value.clone());
    }
    Value::Object(schema)
}

/// For each of these members a table that must have it.
fn each_needed(members: &[&str]) -> Value {
    members.iter().map(|member| json!({ "required": [member] })).collect()
}

fn described(member: &Member) -> Value {
    let mut schema = (member.schema)();
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(member.help));
    }
    schema
}

/// A step with this verb.
fn step(verb: &Verb) -> Value {
    let fits = |member: &&Member| {
        [&BESIDE_ALL, verb.needs, verb.beside].iter().any(|names| names.contains(&member.name))
    };
    let beside = StepForm::MEMBERS.iter().filter(fits).map(|member| {
        let is_needed = verb.needs.contains(&member.name);
        Member { is_needed, ..*member }
    });
    let members: Vec<Member> = std::iter::once(verb.member).chain(beside).collect();
    table(&members, &[])
}

fn rule() -> Value {
    let choices = [members(&rule::MATCHES), members(&rule::EFFECTS)].map(|members| {
        let names: Vec<&str> = members.iter().map(|member| member.name).collect();
        json!({ "oneOf": each_needed(&names) })
    });
    table(&rule::all_members(), &[("allOf", json!(choices))])
}

/// Something expected: one of its kinds, or one of `others`.
fn expectation(members: &[Member], others: &[&str]) -> Value {
    table(members, &[("anyOf", each_needed(&[&expect::kinds(), others].concat()))])
}
