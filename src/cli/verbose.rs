//! `--verbose`: each Redis command and its reply, one line each on stderr. Live for the commands
//! that talk to Redis themselves; after a run for what its actors did, because printing in between
//! would disturb what should race.

use super::say;
use crate::report::{duration, escape};
use lock_history::history::{EventKind, Head, History, Moment};
use lock_lab::server::{Exchange, Listener, Server};
use redis_sim::clock::WallClock;
use std::io::{self, Write};
use std::sync::Arc;

/// The server; if asked to, all that passes over its connections is shown while it does.
pub(super) fn heard(server: Server, verbose: bool) -> Server {
    if !verbose {
        return server;
    }
    let clock = Arc::new(WallClock::new(None));
    server.heard_by(Listener::new(clock, |exchange| {
        print(&live(exchange));
    }))
}

/// Shows the commands of a run that has ended. `title` says whose they are.
pub(super) fn show(title: &str, history: &History) {
    let lines = commands(history);
    let number = lines.lines().count();
    say(&format!("{title}: {number} commands (when sent, until the reply, by whom, what)"));
    print(&lines);
}

fn print(lines: &str) {
    // In one write, so that no other line gets between.
    let _ = io::stderr().write_all(lines.as_bytes());
}

fn live(exchange: &Exchange) -> String {
    line(exchange.sent, exchange.received, "", &exchange.asked(), &exchange.answered())
}

fn commands(history: &History) -> String {
    let Head { actors, .. } = &history.head;
    let name = |actor: Option<usize>| actors.get(actor?).map(|name| escape(name));
    let width = actors.iter().map(|name| escape(name).chars().count()).max().unwrap_or_default();
    let mut lines = String::new();
    for event in &history.events {
        if let EventKind::Command(command) = &event.kind {
            let actor = name(event.actor).unwrap_or_default();
            let actor = format!("{actor:<width$}  ");
            lines += &line(command.sent, event.moment, &actor, &command.text, &command.reply);
        }
    }
    lines
}

fn line(sent: Moment, received: Moment, actor: &str, asked: &str, answered: &str) -> String {
    let took = received.time().saturating_sub(sent.time());
    let at = format!("{:.6} s", sent.time().as_secs_f64());
    let took = duration(took.as_secs_f64() * 1000.0);
    format!("{at:>12} {took:>8}  {actor}{} → {}\n", escape(asked), escape(answered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lock_history::history::{Command, Event};
    use redis::{Commands, cmd};
    use redis_sim::clock::VirtualClock;
    use std::sync::Mutex;

    #[test]
    fn a_line_has_the_time_the_wait_and_what_passed_in_safe_characters() {
        let head = Head { actors: vec!["a\n".into(), "longer".into()], ..Head::default() };
        let command = |actor, sent, received, text: &str, reply: &str| Event {
            moment: Moment { order: received, at: received },
            actor,
            kind: EventKind::Command(Command {
                sent: Moment { order: sent, at: sent },
                text: text.into(),
                reply: reply.into(),
                ..Command::default()
            }),
        };
        let events = vec![
            command(Some(0), 1_500_000, 1_584_000, "GET \u{1b}[2J", "nil"),
            Event { moment: Moment::default(), actor: Some(0), kind: EventKind::Started },
            command(Some(1), 21_600_000_000_000, 21_600_350_000_000, "PING", "x\r\ny"),
        ];
        let shown = commands(&History { head, events, is_complete: true });
        assert_eq!(
            shown,
            "  0.001500 s    84 us  a\\n     GET \\u{1b}[2J → nil\n\
             21600.000000 s   350 ms  longer  PING → x\\r\\ny\n"
        );
    }

    #[test]
    fn what_passes_is_heard_while_it_does_and_failures_are_too() {
        let heard = Arc::new(Mutex::new(String::new()));
        let clock = Arc::new(VirtualClock::new(None));
        let hear = {
            let heard = heard.clone();
            move |exchange: &Exchange| *heard.lock().unwrap() += &live(exchange)
        };
        let connection = Server::embedded(clock.clone()).connect(0).unwrap();
        let mut connection = connection.heard_by(Listener::new(clock, hear));
        let _: () = connection.set("key", "value").unwrap();
        let shown = heard.lock().unwrap().clone();
        assert_eq!(shown, "  0.000000 s     0 us  SET key value → OK\n");
        cmd("LPOP").arg("key").exec(&mut connection).unwrap_err();
        let shown = heard.lock().unwrap().clone();
        assert_eq!(shown.lines().count(), 2, "{shown}");
    }
}
