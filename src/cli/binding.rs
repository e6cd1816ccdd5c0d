//! What the command line and the environment say of how a scenario is bound.

use super::args::TTL_VARIABLE;
use super::exit::{Refusal, usage};
use anyhow::{Context, anyhow};
use lock_lab::lock::Ttl;
use lock_lab::scenario::{Scenario, Value, unknown};
use std::collections::BTreeMap;
use std::time::Duration;

/// The TTL of whatever names none, from the environment.
pub(super) fn default_ttl() -> anyhow::Result<Ttl> {
    let variable = std::env::var(TTL_VARIABLE).ok();
    let Some(text) = variable.filter(|text| !text.is_empty()) else { return Ok(Ttl::DEFAULT) };
    let seconds: i64 = text.parse().map_err(|_| {
        anyhow!("{TTL_VARIABLE} is {text:?}, and should be a whole number of seconds")
    })?;
    // The reference takes anything below one second for one second (contract, section 1).
    Ttl::try_from(Duration::from_secs(seconds.max(1).unsigned_abs()))
        .with_context(|| format!("{TTL_VARIABLE} is {text:?}"))
}

/// The values of a scenario's parameters, read from text.
pub(super) fn values(
    scenario: &Scenario,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, Refusal> {
    let read = |(name, text): (&String, &String)| {
        let parameter = scenario.parameters().iter().find(|parameter| parameter.name == *name);
        let Some(parameter) = parameter else {
            let names = scenario.parameters().iter().map(|parameter| parameter.name.as_str());
            let unknown = unknown("parameter", name, names);
            return Err(usage(anyhow!("{}: {unknown}", scenario.name())));
        };
        let value = parameter.parse(text);
        let value = value.map_err(|right| usage(anyhow!("parameter {name}: {text:?}: {right}")));
        Ok((name.clone(), value?))
    };
    given.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use lock_lab::scenario::catalogue;

    fn built_in(name: &str) -> Scenario {
        catalogue().unwrap().into_iter().find(|scenario| scenario.name() == name).unwrap()
    }

    #[test]
    fn a_wrong_parameter_is_named_with_what_would_be_right() {
        let said = |name: &str, text: &str| {
            let given = BTreeMap::from([(name.to_owned(), text.to_owned())]);
            let refusal = values(&built_in("check_then_delete"), &given).unwrap_err();
            refusal.error.to_string()
        };
        assert_eq!(
            said("threads", "3"),
            "check_then_delete: unknown parameter \"threads\"; known: ttl"
        );
        assert_eq!(said("ttl", "0s"), "parameter ttl: \"0s\": a TTL is at least 1s");
    }
}
