//! The manual pages: one for the program, one for each command and each scenario.

use super::super::exit::Exit;
use super::commands::{commands, grouped};
use super::detail::{Detail, argument};
use super::help;
use super::values::{NAME, TTL_VARIABLE};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use lock_lab::scenario::Scenario;
use std::io;

/// What the environment may say.
const ENVIRONMENT: [(&str, &str); 9] = [
    ("REDIS_URL", "The server where no --redis is given: redis://, rediss:// or unix:."),
    ("RQ_REDIS_URL, SESSION_REDIS_URL", "The same, where those before them are not set."),
    ("REDIS_HOST, REDIS_PORT", "The same in two parts; 'localhost' and 6379, if one is missing."),
    ("REDIS_PASSWORD", "The password, where the URL has none."),
    (TTL_VARIABLE, "How long a lock lives of which nobody says it, in seconds; 21600, if unset."),
    ("SSL_CERT_FILE", "The authority that signed the server's certificate."),
    ("NO_COLOR", "Not empty: no colours, unless --color always asks for them."),
    ("TERM", "'dumb': no colours."),
    ("GITHUB_ACTIONS", "Not empty: what went wrong is told as annotations, too."),
];

const DESCRIPTION: [&str; 3] = [
    "Fires the races that locks in Redis have, shows what happened, judges it, and replays it: on an \
     embedded server, or on a real Redis.",
    "A scenario says who wants which lock, and what must come of it. It is a file; many are built in, \
     and each of those is a command of its own.",
    "It deletes and changes nothing that it did not create, unless a flag that names it says so.",
];

/// The files of the manual, by name.
pub fn manual(scenarios: &[&Scenario]) -> io::Result<Vec<(String, Vec<u8>)>> {
    let in_full = |command: Command| command.mut_args(|arg| argument(Detail::Full, arg));
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name()).collect();
    let mut command = help::command(&names, scenarios).disable_help_subcommand(true);
    command = command.mut_subcommands(in_full);
    command.build();
    let mut pages = vec![(file(NAME), program(&command, scenarios)?)];
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("{NAME}-{}", command.get_name());
        pages.push((file(&name), page(command, &name)?));
    }
    Ok(pages)
}

fn file(name: &str) -> String {
    format!("{name}.1")
}

fn program(command: &Command, scenarios: &[&Scenario]) -> io::Result<Vec<u8>> {
    let man = man(command.clone(), NAME);
    let mut page = Vec::new();
    head().to_writer(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    let mut text = Roff::new();
    text.control("SH", ["DESCRIPTION"]);
    paragraphs(&mut text, DESCRIPTION);
    text.control("SH", ["COMMANDS"]);
    for (title, command) in grouped(&commands(&[], &[])) {
        if let Some(title) = title {
            text.control("SS", [title]);
        }
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        tagged(&mut text, &format!("{NAME} {}", command.get_name()), &about);
    }
    text.control("SH", ["SCENARIOS"]);
    for scenario in scenarios {
        tagged(&mut text, &format!("{NAME} {}", scenario.name()), scenario.title());
    }
    text.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut text = Roff::new();
    text.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        tagged(&mut text, &exit.code().to_string(), exit.meaning());
    }
    text.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in ENVIRONMENT {
        tagged(&mut text, name, meaning);
    }
    let example = scenarios.first().map_or("list", |scenario| scenario.name());
    text.control("SH", ["EXAMPLES"]);
    as_it_is(&mut text, [&*format!("{NAME} {example} --virtual"), "nodb-trigger list"]);
    text.control("SH", ["SEE ALSO"]);
    text.text([bold("redis-cli"), roman("(1); each command and each scenario has a page: ")]);
    text.text([bold(format!("{NAME}-{example}")), roman("(1)")]);
    text.to_writer(&mut page)?;
    Ok(page)
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let man = man(command.clone(), name);
    let mut page = Vec::new();
    head().to_writer(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut text = Roff::new();
    let after = command.get_after_long_help().or(command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    let (examples, notes): (Vec<&str>, Vec<&str>) = after
        .split("\n\n")
        .filter(|part| !part.is_empty())
        .partition(|part| part.starts_with("Example"));
    if !notes.is_empty() {
        text.control("SH", ["NOTES"]);
        paragraphs(&mut text, notes);
    }
    text.control("SH", ["EXAMPLES"]);
    as_it_is(&mut text, examples.iter().flat_map(|part| part.lines().skip(1)).map(str::trim));
    text.control("SH", ["SEE ALSO"]);
    text.text([bold(NAME), roman("(1) for the exit status and the environment")]);
    text.to_writer(&mut page)?;
    Ok(page)
}

/// The head of a page. It has no date: the same version gives the same bytes.
fn head() -> Roff {
    let source = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    let mut text = Roff::new();
    text.control("TH", [&*NAME.to_uppercase(), "1", " ", source]);
    text
}

fn man(command: Command, name: &str) -> Man {
    Man::new(command.display_name(name.to_owned()))
}

fn paragraphs<'a>(text: &mut Roff, paragraphs: impl IntoIterator<Item = &'a str>) {
    for paragraph in paragraphs {
        text.control("PP", []);
        paragraph.lines().for_each(|line| {
            text.text([roman(line.trim())]);
        });
    }
}

fn tagged(text: &mut Roff, tag: &str, meaning: &str) {
    text.control("TP", []);
    text.text([bold(tag)]);
    text.text([roman(meaning)]);
}

/// Lines that are not filled.
fn as_it_is<'a>(text: &mut Roff, lines: impl IntoIterator<Item = &'a str>) {
    text.control("PP", []);
    text.control("nf", []);
    for line in lines {
        text.text([roman(line)]);
    }
    text.control("fi", []);
}
