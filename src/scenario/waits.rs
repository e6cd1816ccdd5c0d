//! Waits that can never end, as far as a plan shows it without being run.

use super::plan::{Action, Plan, Start, Step};
use std::collections::{BTreeMap, BTreeSet};

/// What an actor does about names, in order.
enum Event<'a> {
    Awaits(&'a str),
    Ends(&'a str),
}

/// The group of actors and the name that it waits for in vain, if there is one. Looks at the plan
/// with kind eyes: every rule matches at once, every step that can go on does. So whoever is stuck
/// here is stuck in every run that comes so far; not everyone who is stuck in a run is seen here.
pub(super) fn stuck(plan: &Plan) -> Option<(&str, &str)> {
    let mut groups: Vec<(&str, Start, Vec<Event<'_>>)> = Vec::new();
    for actor in &plan.actors {
        if groups.last().is_none_or(|(group, ..)| *group != actor.group) {
            let mut events = Vec::new();
            list_events(&actor.steps, &mut events);
            groups.push((&actor.group, actor.start, events));
        }
    }
    let mut happened: BTreeSet<&str> = plan.rules.iter().map(|rule| &*rule.name).collect();
    let mut waiting: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut taken = vec![0; groups.len()];
    let is_next = |number: usize| {
        let start = groups.get(number).map(|(_, start, _)| *start);
        matches!(start, Some(Start::InSequence { .. }))
    };
    let mut ready: Vec<usize> =
        (0..groups.len()).filter(|number| *number == 0 || !is_next(*number)).collect();
    while let Some(number) = ready.pop() {
        let (Some((_, _, events)), Some(taken)) = (groups.get(number), taken.get_mut(number))
        else {
            continue;
        };
        let stopped = events.iter().skip(*taken).find_map(|event| {
            *taken += 1;
            match event {
                Event::Awaits(name) => (!happened.contains(name)).then_some(*name),
                Event::Ends(name) => {
                    if happened.insert(name) {
                        ready.extend(waiting.remove(name).unwrap_or_default());
                    }
                    None
                }
            }
        });
        match stopped {
            Some(name) => waiting.entry(name).or_default().push(number),
            None if is_next(number + 1) => ready.push(number + 1),
            None => {}
        }
    }
    let first = waiting.iter().flat_map(|(name, who)| who.iter().map(move |who| (*who, *name)));
    let (number, name) = first.min()?;
    groups.get(number).map(|(group, ..)| (*group, name))
}

fn list_events<'a>(steps: &'a [Step], events: &mut Vec<Event<'a>>) {
    for step in steps {
        let body: &[Step] = match &step.action {
            Action::Await { signal } => {
                events.push(Event::Awaits(signal));
                &[]
            }
            Action::Repeat { times: 0, .. } => &[],
            Action::Locked { body, .. } | Action::Repeat { body, .. } => body,
            _ => &[],
        };
        // A step may fail before its body's end, and has then ended too.
        if let Some(name) = &step.name {
            events.push(Event::Ends(name));
        }
        list_events(body, events);
    }
}
