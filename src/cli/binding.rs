//! What the command line and the environment say of how a scenario is bound.

use super::args::TTL_VARIABLE;
use super::exit::{Refusal, usage};
use super::say;
use anyhow::{Context, anyhow};
use lock_lab::lock::Ttl;
use lock_lab::scenario::{Scenario, Value, unknown};
use std::collections::BTreeMap;

/// The TTL of whatever names none, and what the user must know of it.
pub(super) struct DefaultTtl {
    pub ttl: Ttl,
    pub notice: Option<String>,
}

/// The TTL of whatever names none, from the environment, as the application reads it (contract,
/// sections 1 and 6).
pub(super) fn default_ttl() -> anyhow::Result<DefaultTtl> {
    let variable = std::env::var(TTL_VARIABLE).ok();
    ttl_of(variable.as_deref().unwrap_or_default())
}

/// The same where no report has room for the notice: it goes to stderr.
pub(super) fn default_ttl_announced() -> Result<Ttl, Refusal> {
    let DefaultTtl { ttl, notice } = default_ttl().map_err(usage)?;
    notice.inspect(|notice| say(notice));
    Ok(ttl)
}

fn ttl_of(text: &str) -> anyhow::Result<DefaultTtl> {
    let default = DefaultTtl { ttl: Ttl::DEFAULT, notice: None };
    if text.is_empty() {
        return Ok(default);
    }
    let read = Ttl::from_variable(text).with_context(|| format!("{TTL_VARIABLE} is {text:?}"))?;
    let Some(ttl) = read else {
        let notice = format!(
            "{TTL_VARIABLE} is {text:?}, which is no whole number: the application ignores it, and so \
             does this run; the default TTL is {}",
            Value::Ttl(default.ttl)
        );
        return Ok(DefaultTtl { notice: Some(notice), ..default });
    };
    let is_raised = ttl.seconds() == 1 && text.trim() != "1";
    let notice = is_raised.then(|| format!("{TTL_VARIABLE} is {text:?}, which counts as 1"));
    Ok(DefaultTtl { ttl, notice })
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
    fn a_default_ttl_that_is_not_taken_as_it_is_written_is_said() {
        for (text, seconds, notice) in [
            ("", 21_600, None),
            ("30", 30, None),
            ("1", 1, None),
            ("0", 1, Some("counts as 1")),
            ("1.5", 21_600, Some("the application ignores it")),
            (" ", 21_600, Some("the application ignores it")),
        ] {
            let default = ttl_of(text).unwrap();
            assert_eq!(default.ttl.seconds(), seconds, "{text:?}");
            let said = default.notice.unwrap_or_default();
            assert_eq!(said.is_empty(), notice.is_none(), "{text:?}: {said}");
            assert!(said.contains(notice.unwrap_or_default()), "{said}");
        }
        assert!(ttl_of("31536001").is_err());
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
