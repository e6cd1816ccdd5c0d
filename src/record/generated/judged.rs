//! What a recording of a workload says, compared with what happened.

use super::clients::{Fault, Run, Workload, key};
use super::server::{Heard, OWN};
use crate::record::key_snapshot::{Content, KeySnapshot};
use crate::record::model::KeysModel;
use crate::record::monitor_line::{CommandSource, MonitorLine};
use crate::record::recording::Way;
use crate::record::to_history::{Frame, to_history};
use crate::record::watch::Watch;
use lock_history::check::{Checked, Property, check};
use lock_history::history::History;

/// How it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// By MONITOR, from a server that says when a lease expires.
    Notified,
    /// By MONITOR alone.
    Monitor,
    /// By notifications alone.
    Light,
}

/// The history that a recording makes of a run.
pub(super) fn recorded(run: &Run, workload: Workload, mode: Mode) -> History {
    let key = key(workload.format);
    let mut model = KeysModel::new(Watch::new(None, &["lock:*".into()]));
    model.reports_expiry(mode != Mode::Monitor);
    model.snapshot_is_taken();
    let mut is_evicted = false;
    for heard in &run.heard {
        match (heard, mode) {
            (Heard::Line(text), Mode::Notified | Mode::Monitor) => match MonitorLine::parse(text) {
                Some(line) if line.source == CommandSource::Client(OWN.into()) => {
                    model.passed(&line);
                }
                Some(line) => model.line(&line),
                None => model.malformed(),
            },
            (Heard::Expired, Mode::Notified | Mode::Light) => model.expired(key.as_bytes()),
            (Heard::Evicted, Mode::Notified | Mode::Light) => model.evicted(key.as_bytes()),
            (Heard::Evicted, Mode::Monitor) => is_evicted = true,
            (Heard::Restarted(at), _) => {
                model.interrupt("the connection was lost");
                let gone = KeySnapshot { content: Content::Nothing, ttl: -2, flag: None };
                model.snapshot(key.as_bytes(), &gone, (*at, *at));
                model.snapshot_is_taken();
            }
            (Heard::Changed(Some((value, ttl)), at), Mode::Light) => {
                model.was_set(key.as_bytes(), value, *ttl, *at);
            }
            (Heard::Changed(None, at), Mode::Light) => model.was_deleted(key.as_bytes(), *at),
            _ => {}
        }
    }
    model.note_open(&run.open.iter().map(String::as_str).collect());
    let (seen, _, mut reasons) = model.finish();
    if mode == Mode::Light {
        reasons.add("it was recorded with --light, which does not see everything");
    }
    if is_evicted {
        reasons.add("the server evicted keys, and it is not known which");
    }
    let (began, ended) = (run.began, run.ended);
    let way = if mode == Mode::Light { Way::Light } else { Way::Monitor };
    to_history(&seen, &Frame { server: "generated".into(), way, began, ended, reasons })
}

/// How a recording of a faulty workload compares with what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing went wrong, and the recording says so.
    Clean,
    /// What went wrong was found under its name.
    Found,
    /// The recording is incomplete, and finds nothing of it.
    Undecided,
    /// The recording is complete, and something that went wrong is missing.
    Missed,
}

/// What a recording says of a run.
pub(super) struct Judged {
    pub history: History,
    pub checked: Checked,
    pub verdict: Verdict,
    /// Whether the history is complete.
    pub is_complete: bool,
    /// The properties that happened and were not found, and those that were found and did not happen.
    pub missing: Vec<Property>,
    pub untrue: Vec<Property>,
}

/// Records a run and judges the recording.
pub(super) fn judge(run: &Run, workload: Workload, mode: Mode) -> Judged {
    judge_history(recorded(run, workload, mode), run, workload)
}

/// Judges the recording of a run.
pub(super) fn judge_history(history: History, run: &Run, workload: Workload) -> Judged {
    let began = history.head.began_us.unwrap_or(run.began);
    let checked = check(&history);
    let is_complete = checked.is_complete && history.head.incomplete.is_empty();
    let mut untrue = Vec::new();
    for finding in &checked.findings {
        let at = began + finding.at / 1000;
        // Which waiter starves is a matter of definition.
        let is_true =
            finding.property == Property::Starvation || run.truth.has(finding.property, at);
        if !is_true && !untrue.contains(&finding.property) {
            untrue.push(finding.property);
        }
    }
    let mut missing = Vec::new();
    for fact in run.truth.facts.iter().filter(|fact| fact.is_certain) {
        let is_found = checked.findings.iter().any(|finding| finding.property == fact.property);
        if !is_found && !missing.contains(&fact.property) {
            missing.push(fact.property);
        }
    }
    let wanted = run.truth.facts.iter().filter(|fact| fact.is_certain);
    let wanted: Vec<Property> = wanted.map(|fact| fact.property).collect();
    let names = names(workload.fault);
    let mut found = checked.findings.iter().map(|finding| finding.property);
    let verdict = if wanted.is_empty() && is_complete {
        match found.all(|property| property == Property::Starvation) {
            true => Verdict::Clean,
            false => Verdict::Undecided,
        }
    } else if is_complete && !missing.is_empty() {
        Verdict::Missed
    } else if wanted.iter().any(|it| names.contains(it) && !missing.contains(it)) {
        Verdict::Found
    } else {
        Verdict::Undecided
    };
    Judged { history, checked, verdict, is_complete, missing, untrue }
}

/// The properties under one of which a fault has to be found.
pub(super) fn names(fault: Fault) -> &'static [Property] {
    match fault {
        Fault::None | Fault::Renewed | Fault::Killed => &[],
        Fault::ShortLease => &[Property::LeaseTooShort, Property::Overlap, Property::SilentLoss],
        Fault::BlindDelete => &[Property::ForeignRelease, Property::SilentLoss],
        Fault::ForeignRelease => &[Property::ForeignRelease],
        Fault::Overwrite => &[Property::ForeignOverwrite],
        Fault::ForeignExtend => &[Property::ForeignExtend],
        Fault::Crash | Fault::NoRelease => &[Property::StuckLock],
    }
}
