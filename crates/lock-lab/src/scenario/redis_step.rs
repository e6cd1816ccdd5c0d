//! The raw Redis command of a `redis` step: what a careless client sends. It can name no key but
//! the scenario's own lock key and the fence of its run, and no field but its flag.

use super::error::{list, quoted, unknown};
use super::expr::Sum;
use super::flaw::{Result, Unread};
use super::read::Field;
use super::scope::Scope;

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

const COMMANDS: [Command; 9] = [
    of_key("SET", 3, 8),
    of_key("EXPIRE", 3, 4),
    of_key("PEXPIRE", 3, 4),
    of_key("PERSIST", 2, 2),
    of_key("DEL", 2, 2),
    of_key("DELEX", 2, 4),
    of_key("DELIFEQ", 3, 3),
    of_key("GET", 2, 2),
    Command { name: "HSET", about: &["{runid}", "{flag}"], least: 4, most: 4 },
];

/// What stands for the fence before the locks of a run, in the commands that can be about it.
pub(crate) const FENCE: &str = "{replacement}";
const OF_FENCE: [&str; 2] = ["SET", "DEL"];

/// What stands for the payload of the actor's own acquisition, and for a token that the actor draws for its
/// raw commands.
const OWN: [&str; 2] = ["{payload}", "{token}"];

/// A command's words; what stands in braces is for the runtime to put in.
pub(super) fn command(field: Field<'_>, scope: &mut Scope<'_>) -> Result<Vec<String>> {
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
        return Err(field.error(format!("{name} has {least}{words} words here, not {count}")));
    }
    let mut words = vec![Some(name.to_owned())];
    for (position, (before, item)) in items.iter().zip(rest).enumerate() {
        let read = argument(*item, command, position, before.as_text(), scope);
        words.push(scope.note(read));
    }
    words.into_iter().collect::<Option<_>>().ok_or(Unread::Noted)
}

/// The word at this position, from 0 after the command's name.
fn argument(
    item: Field<'_>,
    command: &Command,
    position: usize,
    before: Option<&str>,
    scope: &mut Scope<'_>,
) -> Result<String> {
    let text = item.text()?;
    let name = command.name;
    let is_about = command.about.get(position);
    let is_fence = text == FENCE && position == 0 && OF_FENCE.contains(&name);
    if is_about.is_some_and(|about| *about != text && !is_fence) {
        let about = list(command.about);
        return Err(item.error(format!("{name} is sent about {about} here, nothing else")));
    }
    let is_milliseconds = name == "PEXPIRE" || before == Some("PX");
    word(item, is_about.is_some(), is_milliseconds, scope)
}

/// A sum is written in whole seconds or in milliseconds.
fn word(
    item: Field<'_>,
    is_about: bool,
    is_milliseconds: bool,
    scope: &mut Scope<'_>,
) -> Result<String> {
    let text = item.line()?;
    if text.starts_with('$') {
        let sum = Sum::time(item, scope)?;
        return Ok(match is_milliseconds {
            true => sum.duration(scope)?.as_millis().to_string(),
            false => sum.ttl(scope)?.seconds().to_string(),
        });
    }
    if text.contains(['{', '}']) && !is_about && !OWN.contains(&&*text) {
        let (own, text) = (OWN.join(" and "), quoted(&text));
        let known = format!("only {own} can be put in here, not {text}");
        return Err(item.error(known));
    }
    Ok(text)
}
