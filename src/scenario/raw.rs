//! The raw Redis command of a `redis` step: what a careless client sends. It can name no key but
//! the scenario's own lock key, and no field but its flag.

use super::error::{ScenarioError, list, quoted, unknown};
use super::read::Field;
use super::sum::{Binding, Parameters, Sum};

/// A command with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) struct Raw(Vec<Word>);

#[derive(Debug, Clone)]
enum Word {
    Text(String),
    /// A duration, written in whole seconds.
    Seconds(Sum),
    /// A duration, written in milliseconds.
    Milliseconds(Sum),
}

/// A command that can be sent: what it is about, and how many words it has.
struct Command {
    name: &'static str,
    about: &'static [&'static str],
    least: usize,
    most: usize,
}

const fn of_key(name: &'static str, least: usize, most: usize) -> Command {
    Command { name, about: &["{key}"], least, most }
}

const COMMANDS: [Command; 7] = [
    of_key("SET", 3, 7),
    of_key("EXPIRE", 3, 4),
    of_key("PEXPIRE", 3, 4),
    of_key("PERSIST", 2, 2),
    of_key("DEL", 2, 2),
    of_key("GET", 2, 2),
    Command { name: "HSET", about: &["{runid}", "{flag}"], least: 4, most: 4 },
];

/// What stands for the payload of the actor's own acquisition.
const PAYLOAD: &str = "{payload}";

impl Raw {
    pub(super) fn read(
        field: Field<'_>,
        parameters: &mut Parameters<'_>,
    ) -> Result<Self, ScenarioError> {
        let items = field.items()?;
        let Some((first, rest)) = items.split_first() else {
            return Err(field.error("a command is missing: [\"DEL\", \"{key}\"]"));
        };
        let name = first.text()?;
        let names = COMMANDS.map(|command| command.name);
        let command = COMMANDS.iter().find(|command| command.name == name);
        let command = command.ok_or_else(|| first.error(unknown("command", name, names)))?;
        let Command { least, most, .. } = *command;
        if !(least..=most).contains(&items.len()) {
            let words = if least == most { String::new() } else { format!(" to {most}") };
            let count = items.len();
            let message = format!("{name} has {least}{words} words here, not {count}");
            return Err(field.error(message));
        }
        let mut words = vec![Word::Text(name.to_owned())];
        let mut before = name;
        for (position, item) in rest.iter().enumerate() {
            let text = item.text()?;
            let is_about = command.about.get(position);
            if is_about.is_some_and(|about| *about != text) {
                let about = list(command.about);
                return Err(item.error(format!("{name} is sent about {about} here, nothing else")));
            }
            let is_milliseconds = name == "PEXPIRE" || before == "PX";
            words.push(Word::read(*item, is_about.is_some(), is_milliseconds, parameters)?);
            before = text;
        }
        Ok(Self(words))
    }

    /// The command's words; what stands in braces is for the runtime to put in.
    pub(super) fn bind(&self, binding: &Binding) -> Result<Vec<String>, ScenarioError> {
        let word = |word: &Word| {
            Ok(match word {
                Word::Text(text) => text.clone(),
                Word::Seconds(sum) => sum.to_ttl(binding)?.seconds().to_string(),
                Word::Milliseconds(sum) => sum.to_duration(binding)?.as_millis().to_string(),
            })
        };
        self.0.iter().map(word).collect()
    }
}

impl Word {
    fn read(
        item: Field<'_>,
        is_about: bool,
        is_milliseconds: bool,
        parameters: &mut Parameters<'_>,
    ) -> Result<Self, ScenarioError> {
        let text = item.line()?;
        if text.starts_with('$') {
            let sum = Sum::time(item, parameters)?;
            return Ok(if is_milliseconds { Self::Milliseconds(sum) } else { Self::Seconds(sum) });
        }
        if text.contains(['{', '}']) && !is_about && text != PAYLOAD {
            let text = quoted(&text);
            let known = format!("{PAYLOAD} is the only thing that can be put in here, not {text}");
            return Err(item.error(known));
        }
        Ok(Self::Text(text))
    }
}
