//! How each actor fared. Many actors are folded: what is rare is shown, what repeats is counted.

use super::grid::{Page, Tone, cell};
use crate::report::wording::{count, duration, status_word};
use crate::report::{ActorRow, escape};
use lock_lab::scenario::Status;
use std::collections::BTreeSet;

/// The most actors that are shown one by one.
const WHOLE: usize = 20;
/// The most actors with the same status that are shown, if there are more.
const FEW: usize = 6;
/// Instead of an error message that the line above has, too.
const AS_ABOVE: &str = "as above";

/// A line of the table.
#[derive(Debug, PartialEq)]
enum TableLine<'a> {
    Actor(&'a ActorRow),
    Folded(Folded),
}

impl TableLine<'_> {
    fn status(&self) -> Status {
        match self {
            TableLine::Actor(row) => row.status,
            TableLine::Folded(folded) => folded.status,
        }
    }
}

/// Actors of one status that are counted instead of shown.
#[derive(Debug, PartialEq)]
struct Folded {
    status: Status,
    count: usize,
    longest_ms: f64,
    /// Error messages that no line of the table shows.
    unseen: usize,
}

/// Writes the table.
pub(super) fn write(actors: &[ActorRow], page: &mut Page) {
    let is_narrow = page.style.is_narrow();
    let mut grid = page.grid();
    let names = if is_narrow { &["Result"][..] } else { &["Status", "Error"] };
    grid.header(&[&["Actor", "Time"], names].concat());
    grid.right(1);
    let mut above = None;
    for line in lines(actors) {
        let (name, time) = match &line {
            TableLine::Actor(row) => (escape(&row.name), duration(row.duration_ms)),
            TableLine::Folded(folded) => {
                (format!("… {} more", folded.count), format!("≤ {}", duration(folded.longest_ms)))
            }
        };
        let (status, tone) = (status_word(line.status()), tone(line.status()));
        let error = message(&line, &mut above);
        let mut row = vec![cell(name, Tone::Plain), cell(time, Tone::Plain)];
        if is_narrow {
            row.push(match error.as_deref() {
                Some(AS_ABOVE) if line.status() == Status::AlreadyLocked => cell(status, tone),
                Some(error) => cell(format!("{status}: {error}"), tone),
                None => cell(status, tone),
            });
        } else {
            row.extend([cell(status, tone), cell(error.unwrap_or_default(), Tone::Plain)]);
        }
        grid.row(row);
    }
    page.print(grid);
}

/// What a line says about its error, and remembers for the lines below.
fn message<'a>(line: &TableLine<'a>, above: &mut Option<&'a str>) -> Option<String> {
    match line {
        TableLine::Actor(row) => {
            let error = row.error.as_deref()?;
            let known = above.replace(error) == Some(error);
            Some(if known { AS_ABOVE.into() } else { escape(error) })
        }
        TableLine::Folded(folded) if folded.unseen > 0 => {
            *above = None;
            Some(count(folded.unseen, "other message", "other messages"))
        }
        TableLine::Folded(folded) => (folded.status != Status::Success).then(|| AS_ABOVE.into()),
    }
}

fn tone(status: Status) -> Tone {
    match status {
        Status::Success => Tone::Good,
        Status::AlreadyLocked => Tone::Odd,
        Status::Error => Tone::Bad,
    }
}

/// A few actors in the order of the plan; of many, errors first, then those that succeeded, then
/// those that found the lock taken.
fn lines(actors: &[ActorRow]) -> Vec<TableLine<'_>> {
    if actors.len() <= WHOLE {
        return actors.iter().map(TableLine::Actor).collect();
    }
    [Status::Error, Status::Success, Status::AlreadyLocked]
        .into_iter()
        .flat_map(|status| {
            let rows: Vec<_> = actors.iter().filter(|row| row.status == status).collect();
            fold(status, &rows)
        })
        .collect()
}

/// The first few of one status, how many there are besides, and the last. Whose error message is
/// new goes before whose isn't.
fn fold<'a>(status: Status, rows: &[&'a ActorRow]) -> Vec<TableLine<'a>> {
    let [front @ .., last] = rows else { return Vec::new() };
    if rows.len() <= FEW + 1 {
        return rows.iter().copied().map(TableLine::Actor).collect();
    }
    let mut messages = BTreeSet::from([&last.error]);
    let mut shown = BTreeSet::new();
    for (index, row) in front.iter().enumerate() {
        if messages.insert(&row.error) && shown.len() < FEW - 1 {
            shown.insert(index);
        }
    }
    let shown_messages = shown.len() + 1;
    for index in 0..front.len() {
        if shown.len() < FEW - 1 {
            shown.insert(index);
        }
    }
    let (few, rest): (Vec<_>, Vec<_>) =
        front.iter().enumerate().partition(|(index, _)| shown.contains(index));
    let folded = Folded {
        status,
        count: rest.len(),
        longest_ms: rest.iter().map(|(_, row)| row.duration_ms).fold(0.0, f64::max),
        unseen: messages.len().saturating_sub(shown_messages),
    };
    let mut lines: Vec<_> = few.into_iter().map(|(_, row)| TableLine::Actor(row)).collect();
    lines.extend([TableLine::Folded(folded), TableLine::Actor(last)]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(index: usize, status: Status, error: Option<&str>) -> ActorRow {
        let name = format!("thread {}", index + 1);
        let error = error.map(str::to_owned);
        ActorRow { name, index, status, duration_ms: index as f64, error }
    }

    fn shown(lines: &[TableLine<'_>]) -> Vec<usize> {
        let index = |line: &TableLine<'_>| match line {
            TableLine::Actor(row) => Some(row.index),
            TableLine::Folded(_) => None,
        };
        lines.iter().filter_map(index).collect()
    }

    #[test]
    fn twenty_actors_are_shown_in_the_order_of_the_plan() {
        let actors: Vec<_> = (0..20).map(|index| actor(index, Status::Error, Some("x"))).collect();
        assert_eq!(shown(&lines(&actors)), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn every_actor_is_shown_or_counted() {
        for number in [21, 22, 29, 100] {
            let statuses = [Status::Success, Status::AlreadyLocked, Status::Error];
            let actors: Vec<_> =
                (0..number).map(|index| actor(index, statuses[index % 3], None)).collect();
            let counted = lines(&actors)
                .iter()
                .map(|line| match line {
                    TableLine::Actor(_) => 1,
                    TableLine::Folded(folded) => folded.count,
                })
                .sum::<usize>();
            assert_eq!(counted, number);
        }
    }

    #[test]
    fn a_rare_error_is_shown_among_many_equal_ones() {
        let error = |index| if index == 70 { "connection lost" } else { "not locked" };
        let actors: Vec<_> =
            (0..100).map(|index| actor(index, Status::Error, Some(error(index)))).collect();
        let lines = lines(&actors);
        assert_eq!(shown(&lines), [0, 1, 2, 3, 70, 99]);
        let folded = Folded { status: Status::Error, count: 94, longest_ms: 98.0, unseen: 0 };
        assert!(lines.contains(&TableLine::Folded(folded)));
    }

    #[test]
    fn error_messages_that_are_not_shown_are_counted() {
        let actors: Vec<_> = (0..50)
            .map(|index| actor(index, Status::Error, Some(&format!("error {}", index % 10))))
            .collect();
        let folded = Folded { status: Status::Error, count: 44, longest_ms: 48.0, unseen: 4 };
        assert!(lines(&actors).contains(&TableLine::Folded(folded)));
    }
}
