//! A replay as a bash script of redis-cli lines, in the order of the schedule, for readers without
//! this program and without the client: each actor is a terminal.

mod command;

use super::table::Style;
use super::table::grid::{Page, Tone};
use super::wording::round;
use super::{FindingRow, Replay, escape};
use crate::report::exploration::Row;
use lock_history::history::{Change, Command, Event, EventKind, FailureKind, History, Verb};
use lock_lab::lock::script_text;
use lock_lab::server::Exchange;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// A lease that is shorter can expire while a reader types, in nanoseconds.
const SHORT: u64 = 600_000_000_000;

/// What a reader needs before the first command.
const NEEDED: &str = r#"
redis-cli() { command ${REDIS_CLI:-redis-cli} "$@"; }
if [ "$(redis-cli --raw DBSIZE)" != 0 ]; then
    echo "this needs a Redis that answers and whose database 0 is empty" >&2
    exit 1
fi
"#;

/// A replay, and what its actors exchanged with the server.
pub struct Script<'a> {
    /// The schedule.
    pub schedule: &'a str,
    /// The outcome.
    pub replay: &'a Replay,
    /// What happened.
    pub history: &'a History,
    /// Each exchange, by the order of the moment at which its reply was received.
    pub exchanges: &'a BTreeMap<u64, Exchange>,
}

/// Writes the script.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write(script: &Script<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer {
        script,
        text: String::new(),
        steps: BTreeMap::new(),
        held: BTreeSet::new(),
        has_jumped: false,
    };
    writer.head();
    writer.text.push_str(NEEDED);
    writer.scripts();
    let rows: BTreeMap<usize, &Row> =
        script.replay.lanes.iter().map(|row| (row.position, row)).collect();
    for (position, event) in script.history.events.iter().enumerate() {
        writer.event(event, rows.get(&position).copied());
    }
    writer.end();
    out.write_all(writer.text.as_bytes())
}

struct Writer<'a> {
    script: &'a Script<'a>,
    text: String,
    /// The steps in which each actor is, the innermost last.
    steps: BTreeMap<Option<usize>, Vec<Verb>>,
    /// The locks that are held, as far as events say.
    held: BTreeSet<usize>,
    /// Whether the server's clock has jumped: leases expire by that without an event.
    has_jumped: bool,
}

impl Writer<'_> {
    /// A comment, wrapped.
    fn comment(&mut self, text: &str) {
        let mut page = Page::new(Style { width: 90, color: false });
        page.paragraph(escape(text), Tone::Plain);
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        let _ = page.write(&mut bytes);
        for line in String::from_utf8_lossy(&bytes).lines() {
            self.text.push_str(format!("# {line}").trim_end());
            self.text.push('\n');
        }
    }

    fn line(&mut self, words: &[&str], reply: &str) {
        self.text.push_str(&command::line(words));
        self.reply(reply);
    }

    fn reply(&mut self, printed: &str) {
        for line in printed.lines() {
            self.text.push_str(&format!("# -> {line}\n"));
        }
    }

    fn head(&mut self) {
        let script = self.script;
        let report = &script.replay.report;
        self.text.push_str("#!/usr/bin/env bash\n");
        self.comment(&format!("{}: {}", report.scenario, report.title));
        self.text.push_str("#\n");
        self.comment(&format!(
            "What the clients sent (lock protocol: {}), in the order of a schedule. Each client is a \
             terminal:",
            report.protocol
        ));
        for (number, name) in self.terminals() {
            self.comment(&format!("terminal {number}: {name}"));
        }
        self.comment(
            "Below each command stands the reply that was seen, after \"->\", as redis-cli prints it \
             on a terminal.",
        );
        self.text.push_str(
            "#\n# Needs a Redis whose database 0 is empty, and leaves its keys there:\n\
             #   redis-server --port 6400 --save ''\n\
             #   REDIS_CLI='redis-cli -p 6400' bash -v THIS_FILE\n\
             # Or type each command in its terminal.\n",
        );
        self.caveats();
        self.text.push_str("#\n");
        self.text.push_str(&format!("# Made by nodb-trigger of {}\n", script.schedule));
    }

    /// The terminals of actors, by number.
    fn terminals(&self) -> BTreeMap<usize, String> {
        let rows = self.script.replay.lanes.iter();
        let actors = rows.filter(|row| self.actor(row).is_some());
        actors.map(|row| (row.column + 1, row.lane.clone())).collect()
    }

    fn actor(&self, row: &Row) -> Option<usize> {
        self.script.history.events.get(row.position)?.actor
    }

    fn caveats(&mut self) {
        let (exchanges, events) = (self.script.exchanges, &self.script.history.events);
        let effects = events.iter().flat_map(|event| event.kind.effects());
        let leases = effects.filter_map(|effect| match effect.change {
            Change::Took { lease, .. } | Change::Overwrote { lease, .. } => lease,
            Change::Extended { lease } => Some(lease),
            _ => None,
        });
        if let Some(shortest) = leases.min().filter(|lease| *lease < SHORT) {
            let shortest = round(shortest);
            self.comment(&format!(
                "The shortest lease is {shortest}: a slower run sees it expire by itself."
            ));
        }
        if exchanges.values().any(command::watches) {
            self.comment(
                "WATCH ends with its connection, and each redis-cli below has one of its own: a \
                 transaction that a WATCH stopped is left out.",
            );
        }
    }

    /// Loads the scripts that are called by their digests.
    fn scripts(&mut self) {
        let mut digests = BTreeSet::new();
        for exchange in self.script.exchanges.values() {
            for request in exchange.requests() {
                if let [name, digest, ..] = request.as_slice()
                    && name.eq_ignore_ascii_case(b"EVALSHA")
                {
                    digests.insert(digest.to_ascii_lowercase());
                }
            }
        }
        let texts = digests.iter().filter_map(|digest| Some((digest, script_text(digest)?)));
        for (number, (digest, text)) in texts.enumerate() {
            self.text.push('\n');
            if number == 0 {
                self.comment("The clients have loaded their scripts before.");
            }
            let digest = String::from_utf8_lossy(digest);
            self.line(&["SCRIPT", "LOAD", &text], &format!("\"{digest}\""));
        }
    }

    fn event(&mut self, event: &Event, row: Option<&Row>) {
        let steps = self.steps.entry(event.actor).or_default();
        match &event.kind {
            EventKind::Invoked(operation) => steps.push(operation.verb.clone()),
            EventKind::Completed(_) | EventKind::Failed { .. } => drop(steps.pop()),
            _ => {}
        }
        match (&event.kind, row) {
            (EventKind::Command(command), Some(row)) => self.command(event, command, row),
            (EventKind::Fault { expired_key: Some(key), .. }, Some(row)) => {
                self.title(row, None);
                self.comment("The key expires here; DEL has the same effect at once:");
                self.line(&["DEL", key], "(integer) 1");
            }
            (EventKind::Fault { in_value: true, .. }, Some(row)) => {
                self.title(row, None);
                self.comment("Time passes here until the lease in the value is over: the rest must run later,");
                self.comment("or by clients whose clocks are ahead.");
            }
            (EventKind::Fault { is_restart, lease_of, .. }, Some(row)) => {
                self.title(row, None);
                if lease_of.is_some() {
                    self.comment("The lease expires here; DEL has the same effect at once:");
                }
                self.fault(event, *is_restart);
            }
            // The row of the command before it says that its reply is lost.
            (EventKind::Fault { .. }, None) => {
                let names = &self.script.history.head.actors;
                let name = event.actor.and_then(|actor| names.get(actor));
                let name = name.map(String::as_str).unwrap_or_default();
                self.comment(&format!("{name} never gets this reply."));
            }
            (EventKind::Ended { failure: Some(failure) }, Some(row))
                if failure.kind == FailureKind::Crashed =>
            {
                self.title(&Row { text: "crashes here".into(), ..row.clone() }, None);
            }
            // Of a client from outside it says what will be left when all leases are over.
            (EventKind::Left(_), Some(row)) => {
                if let Some(mark) = &row.mark {
                    self.text.push('\n');
                    self.comment(&format!("{}. All clients have ended: {mark}.", row.step));
                }
            }
            (_, Some(row)) => self.title(row, None),
            (_, None) => {}
        }
        for effect in event.kind.effects() {
            match effect.change {
                Change::Took { .. } | Change::Overwrote { .. } => self.held.insert(effect.lock),
                Change::Deleted { .. } => self.held.remove(&effect.lock),
                _ => false,
            };
        }
    }

    /// What a step is, and whose.
    fn title(&mut self, row: &Row, verb: Option<&Verb>) {
        let place = match self.actor(row) {
            Some(_) => format!("Terminal {} ({})", row.column + 1, row.lane),
            None => "The server".into(),
        };
        let verb = verb.map(|verb| format!(", {}", verb.word())).unwrap_or_default();
        let mark = row.mark.as_ref().map(|mark| format!("   <-- {mark}")).unwrap_or_default();
        // On one line: a part of it that begins with "->" would look like a reply.
        let title = format!("{}. {place}{verb}: {}{mark}", row.step, row.text);
        self.text.push_str(&format!("\n# {}\n", escape(&title)));
    }

    fn command(&mut self, event: &Event, command: &Command, row: &Row) {
        let innermost = self.steps.get(&event.actor).and_then(|steps| steps.last()).cloned();
        self.title(row, command.late.as_ref().or(innermost.as_ref()));
        if command.late.is_some() {
            self.comment(&format!("The command that {} gave up arrives now:", row.lane));
        }
        self.vanish(event);
        let Some(exchange) = self.script.exchanges.get(&event.moment.order) else { return };
        if let Some(why) = command::left_out(exchange) {
            self.comment(&format!("Left out: {} ({why}).", exchange.asked()));
            return;
        }
        if command::is_absolute(exchange) {
            self.comment(
                "It names a time of the day by the replay's clock; put a current one there.",
            );
        }
        if command::counts_down(exchange) {
            self.comment("What is left of a TTL is less by the time that has passed.");
        }
        self.text.push_str(&command::lines(exchange));
        self.reply(&exchange.printed());
    }

    /// What was done to the server, by commands with the same effect.
    fn fault(&mut self, event: &Event, is_restart: bool) {
        let effects = event.kind.effects();
        if is_restart {
            self.line(&["FLUSHDB"], "OK");
            self.line(&["SCRIPT", "FLUSH"], "OK");
            return;
        }
        self.has_jumped |= event.actor.is_none() && effects.is_empty();
        effects.iter().for_each(|effect| self.delete(effect.lock));
    }

    /// Deletes what a command finds gone although no event says so.
    fn vanish(&mut self, event: &Event) {
        for effect in event.kind.effects() {
            let finds_it_gone =
                matches!(effect.change, Change::Took { .. } | Change::Saw { token: None });
            if self.has_jumped && finds_it_gone && self.held.remove(&effect.lock) {
                self.comment("The lock has expired by now, as the server's clock jumped:");
                self.delete(effect.lock);
            }
        }
    }

    fn delete(&mut self, lock: usize) {
        if let Some(key) = self.script.history.head.locks.get(lock) {
            self.line(&["DEL", key], "(integer) 1");
        }
    }

    /// What is wrong now: what the schedule shows, or else all that was found.
    fn end(&mut self) {
        let Replay { report, shows, .. } = self.script.replay;
        let is_shown = |finding: &&FindingRow| Some(finding.property) == *shows;
        let mut findings: Vec<&FindingRow> = report.findings.iter().filter(is_shown).collect();
        self.text.push('\n');
        if let (Some(missing), true) = (shows, findings.is_empty()) {
            self.comment(&format!(
                "This schedule was found for {}, and did not show it.",
                missing.word()
            ));
        }
        if findings.is_empty() {
            findings = report.findings.iter().collect();
        }
        self.comment(if findings.is_empty() { "Nothing is wrong." } else { "What is wrong:" });
        for finding in findings {
            self.comment(&format!("{}: {}", finding.property.word(), finding.text));
        }
    }
}
