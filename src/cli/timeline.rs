//! `timeline`, and `--timeline` wherever there is a history: draws what happened.

use super::args::{Color, Format, Picture, PictureFormat, ReportOptions, TimelineArgs};
use super::exit::{Exit, Refusal, usage};
use super::output::Output;
use super::{input, say, terminal};
use crate::report::timeline::{Timeline, html, svg, text};
use anyhow::anyhow;
use lock_history::check::{Checked, check};
use lock_history::history::History;

/// Draws a saved history.
pub(super) fn draw(args: &TimelineArgs) -> Result<Exit, Refusal> {
    let (name, history) = input::history(&args.file)?;
    let checked = check(&history);
    if !checked.is_complete && args.output != Picture::Terminal {
        say(&format!("{name} is not whole; drawn as far as it goes"));
    }
    let drawing = Drawing::begin(Some(&args.output), args.color, OutputPlace::Alone)?;
    drawing.draw_checked(&history, &checked)?;
    Ok(Exit::Success)
}

/// A timeline that is to be drawn, once there is a history; nowhere, if none was asked for.
#[must_use]
pub(super) struct Drawing {
    output: Output,
    form: Form,
}

enum Form {
    /// With characters.
    Text(Color, OutputPlace),
    Picture(PictureFormat),
}

/// What stands on stdout before the picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputPlace {
    /// Nothing.
    Alone,
    /// A readable report.
    BelowReport,
}

impl Drawing {
    /// Opens the file, if one is named, before there is anything to draw.
    pub(super) fn open(to: Option<&Picture>, report: &ReportOptions) -> Result<Self, Refusal> {
        if report.output.is_some() || report.quiet {
            return Self::begin(to, report.color, OutputPlace::Alone);
        }
        Self::is_possible(to, report.format != Format::Table)?;
        Self::begin(to, report.color, OutputPlace::BelowReport)
    }

    /// Refuses to draw among data that a program is to read from stdout.
    pub(super) fn is_possible(to: Option<&Picture>, has_data: bool) -> Result<(), Refusal> {
        match to {
            Some(Picture::Terminal) if has_data => Err(usage(anyhow!(
                "--timeline - would draw into the data on stdout; name a file, as in \
                 --timeline FILE.svg"
            ))),
            _ => Ok(()),
        }
    }

    /// Opens the file, if one is named; what goes to stdout is known to go well together.
    pub(super) fn begin(
        to: Option<&Picture>,
        color: Color,
        place: OutputPlace,
    ) -> Result<Self, Refusal> {
        let text = Form::Text(color, place);
        Ok(match to {
            None => Drawing { output: Output::Nowhere, form: text },
            Some(Picture::Terminal) => Drawing { output: Output::Stdout, form: text },
            Some(Picture::File { path, format }) => {
                Drawing { output: Output::file(path, "timeline")?, form: Form::Picture(*format) }
            }
        })
    }

    /// The command that removes a file that was created here.
    pub(super) fn by_hand(&self) -> Option<String> {
        self.output.by_hand()
    }

    /// Draws this history, with what the checkers find in it.
    pub(super) fn draw(self, history: &History) -> Result<(), Refusal> {
        match self.output {
            Output::Nowhere => Ok(()),
            _ => self.draw_checked(history, &check(history)),
        }
    }

    /// Draws this history, with what was found in it.
    pub(super) fn draw_checked(self, history: &History, checked: &Checked) -> Result<(), Refusal> {
        let Self { output, form } = self;
        output.write(|out| {
            let timeline = Timeline::new(history, checked);
            match form {
                Form::Text(color, place) => {
                    if place == OutputPlace::BelowReport {
                        writeln!(out)?;
                    }
                    text::write(&timeline, terminal::style(color, false), out)
                }
                Form::Picture(PictureFormat::Svg) => svg::write(&timeline, out),
                Form::Picture(PictureFormat::Html) => html::write(&timeline, out),
            }
        })?;
        Ok(())
    }

    /// Leaves no file, and says why, if one was asked for.
    pub(super) fn has_nothing_to_draw(self, why: &str) {
        if !matches!(self.output, Output::Nowhere) {
            say(&format!("{why}, so there is no timeline"));
        }
    }
}
