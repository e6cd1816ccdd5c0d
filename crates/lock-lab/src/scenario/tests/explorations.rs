//! What files ask of exploration.

use super::{RACE, check_in, parse, seconds, ttl};
use crate::lock::Ttl;
use crate::scenario::{Exploration, Timing, Value};
use lock_history::check::Property;
use std::collections::BTreeMap;

fn explorations(text: &str, given: &[(&str, Value)], protocol: &str) -> Vec<Exploration> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    parse(text).unwrap().explorations(&given, protocol, Ttl::DEFAULT).unwrap()
}

fn with(values: &[(&str, Value)]) -> BTreeMap<String, Value> {
    values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn an_exploration_is_bound_with_its_own_values() {
    assert_eq!(explorations(RACE, &[], "legacy"), []);
    let expected = Exploration {
        timing: Timing::Strict,
        crashes: 1,
        faults: 1,
        preemptions: Some(4),
        max_time: Some(seconds(60)),
        finds: vec![Property::StuckLock, Property::TokenDrift],
        free_of: vec![Property::LostUpdate],
        with: with(&[("tries", Value::Count(2)), ("ttl", Value::Ttl(ttl(40)))]),
    };
    assert_eq!(explorations(RACE, &[], "hardened"), [expected]);
}

#[test]
fn given_values_go_before_those_of_the_file() {
    let found = explorations(RACE, &[("tries", Value::Count(7))], "hardened");
    assert_eq!(found[0].crashes, 6);
    let values = [("tries", Value::Count(7)), ("ttl", Value::Ttl(ttl(40)))];
    assert_eq!(found[0].with, with(&values));
    let error = parse(RACE).unwrap().explorations(
        &with(&[("tires", Value::Count(1))]),
        "hardened",
        Ttl::DEFAULT,
    );
    assert!(error.unwrap_err().to_string().contains("did you mean \"tries\"?"));
}

#[test]
fn what_is_left_out_is_the_default() {
    let (before, _) = RACE.split_once("[[explore]]").unwrap();
    let text = format!("{before}[[explore]]\nfinds = \"overlap\"\n");
    let expected = Exploration {
        timing: Timing::Async,
        crashes: 0,
        faults: 0,
        preemptions: None,
        max_time: None,
        finds: vec![Property::Overlap],
        free_of: vec![],
        with: BTreeMap::new(),
    };
    for protocol in ["legacy", "hardened"] {
        assert_eq!(explorations(&text, &[], protocol), std::slice::from_ref(&expected));
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    let check = |old: &str, new: &str, message: &str| check_in(RACE, old, new, message);
    check("\"strict\"", "^\"sync\"", "unknown timing \"sync\"; did you mean \"async\"?");
    check(
        "faults = 1\n",
        "^fault = 1\n",
        "unknown member of an exploration \"fault\"; did you mean \"faults\"?",
    );
    check(
        "\"$tries - 1\"",
        "^\"$tries - 3\"",
        "\"$tries - 3\" is -1 with tries = 2; a count here is from 0 to 10000",
    );
    check("\"$ttl + 20s\"", "^20", "add a unit, as in \"20s\" or \"20ms\"");
    check(
        "free_of = \"lost_update\"",
        "free_of = [\"lost_update\", ^\"starvation\"]",
        "\"starvation\" is not explored: it is a matter of how long, not of an ordering",
    );
    check("\"lost_update\"", "^\"stuck_lock\"", "\"stuck_lock\" is named twice");
    check(
        "{ tries = 2, ttl",
        "{ ^tires = 2, ttl",
        "unknown parameter \"tires\"; did you mean \"tries\"?",
    );
    check("tries = 2,", "tries = ^0,", "give a whole number from 1 to 10000");
    check("tries = 2,", "tries = ^\"2\",", "\"tries\" must be a whole number, not a string");
    check("{ tries = 2, ttl = \"40s\" }", "^2", "\"with\" must be a table, not a whole number");
    let (_, entry) = RACE.split_once("[[explore]]").unwrap();
    let many = format!("{}^[[explore]]{entry}", format!("[[explore]]{entry}").repeat(100));
    check(&format!("[[explore]]{entry}"), &many, "at most 100 explorations");
    let message = "an exploration needs \"finds\" or \"free_of\"";
    check(&format!("[[explore]]{entry}"), "^[[explore]]\nfaults = 1\n", message);
}

#[test]
fn values_that_make_no_plan_are_a_mistake_in_the_file() {
    let text = RACE.replacen("repeat = \"$tries\"", "repeat = \"$tries - 3\"", 1);
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.contains("\"$tries - 3\" is -1 with tries = 2"), "{error}");
}
