//! Runs on the terminal, step by step: forward and back with the arrow keys.

use super::args::Color;
use super::exit::{Exit, Refusal, environment};
use super::screen::{Key, Screen};
use super::signals::Signals;
use super::{terminal, viewport};
use crate::report::{Report, table};
use crossbeam::channel::{RecvTimeoutError, unbounded};
use std::io::{self, IsTerminal};
use std::time::Duration;

/// How often window and signals are looked at.
const TICK: Duration = Duration::from_millis(100);
/// What takes rows of a window besides the steps.
const BESIDES: u16 = 14;

/// Whether steps can be shown one by one: keys are read and something is redrawn.
pub(super) fn is_possible() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}

/// A run that can be stepped through, with what its view is called.
pub(super) struct View {
    pub name: &'static str,
    pub report: Report,
}

/// Shows the first run until the user ends it; Tab switches to the next.
pub(super) fn show(views: &[View], color: Color, signals: &Signals) -> Result<Exit, Refusal> {
    let (sender, pressed) = unbounded();
    let screen = Screen::take(move |key| {
        // No receiver: the view has ended.
        let _ = sender.send(key);
    });
    let screen = screen.map_err(environment)?;
    let steps: Vec<usize> = views.iter().map(|view| view.report.rows.len()).collect();
    let mut at = Place::default();
    let mut drawn = None;
    loop {
        let size = crossterm::terminal::size().unwrap_or((80, 24));
        if drawn.replace((at, size)) != Some((at, size)) {
            draw(&screen, views, at, color, size).map_err(environment)?;
        }
        match pressed.recv_timeout(TICK) {
            Ok(Key::Quit) => return Ok(Exit::Success),
            Ok(Key::Interrupt) => return Ok(Exit::Interrupted),
            Ok(key) => at = at.after(key, &steps),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Environment),
        }
        if signals.interrupted() {
            return Ok(Exit::Interrupted);
        }
    }
}

/// Which step of which run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    view: usize,
    step: usize,
}

impl Place {
    /// Where a key leads among runs of these many steps. Another run begins at its first step.
    fn after(self, key: Key, steps: &[usize]) -> Self {
        let last = steps.get(self.view).map_or(0, |steps| steps.saturating_sub(1));
        let step = match key {
            Key::Forward => (self.step + 1).min(last),
            Key::Back => self.step.saturating_sub(1),
            Key::First => 0,
            Key::Last => last,
            Key::Switch => return Self { view: (self.view + 1) % steps.len().max(1), step: 0 },
            Key::Quit | Key::Interrupt => self.step,
        };
        Self { step, ..self }
    }
}

fn draw(
    screen: &Screen,
    views: &[View],
    at: Place,
    color: Color,
    size: (u16, u16),
) -> io::Result<()> {
    let Some(View { report, .. }) = views.get(at.view) else { return Ok(()) };
    let next = views.get((at.view + 1) % views.len()).filter(|_| views.len() > 1);
    let other = next.map(|view| format!("Tab {}   ", view.name)).unwrap_or_default();
    let keys = format!("← → step   Home End   {other}q quit");
    let around = usize::from(size.1.saturating_sub(BESIDES).max(1));
    let mut text = Vec::new();
    let style = terminal::style(color, false);
    table::write_step(report, at.step, around, &keys, style, &mut text)?;
    screen.draw(&viewport::fit(&String::from_utf8_lossy(&text), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_to_steps_that_there_are() {
        use Key::{Back, First, Forward, Last, Switch};
        let at = |view, step| Place { view, step };
        for (from, key, to) in [
            (at(0, 0), Forward, at(0, 1)),
            (at(0, 2), Forward, at(0, 2)),
            (at(0, 0), Back, at(0, 0)),
            (at(0, 2), Back, at(0, 1)),
            (at(0, 1), First, at(0, 0)),
            (at(0, 0), Last, at(0, 2)),
            (at(0, 2), Switch, at(1, 0)),
            (at(1, 0), Switch, at(0, 0)),
            (at(1, 0), Forward, at(1, 0)),
            (at(1, 0), Last, at(1, 0)),
        ] {
            assert_eq!(from.after(key, &[3, 0]), to, "{from:?} {key:?}");
        }
    }
}
