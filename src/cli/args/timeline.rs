//! `--timeline` wherever there is a history, and the command `timeline`.

use super::commands::history_file;
use super::flags::{Color, color_flag, value};
use super::one;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Arg, ArgMatches, Command, ValueHint};
use std::path::{Path, PathBuf};

/// Where a timeline is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// `-`: with characters, on stdout.
    Terminal,
    /// Into a file.
    File {
        /// The file, as it was given.
        path: PathBuf,
        /// As its ending says.
        format: PictureFormat,
    },
}

/// What a file with a timeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// `.svg`.
    Svg,
    /// `.html` or `.htm`.
    Html,
}

/// What `timeline` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineArgs {
    /// The history, as it was given.
    pub history: PathBuf,
    /// `--output`.
    pub output: Picture,
    /// `--color`.
    pub color: Color,
}

/// `--timeline`.
pub(super) fn timeline() -> Arg {
    picture("timeline", "FILE").help("Draw what happened (.svg, .html; - draws it here)")
}

pub(super) fn timeline_args(given: &ArgMatches) -> Option<TimelineArgs> {
    Some(TimelineArgs {
        history: one(given, "file")?,
        output: one(given, "output").unwrap_or(Picture::Terminal),
        color: one(given, "color").unwrap_or(Color::Auto),
    })
}

pub(super) fn command() -> Command {
    Command::new("timeline")
        .about("Draw a history that --history has saved")
        .after_help(
            "Examples:\n  nodb-trigger timeline herd.jsonl\n  \
             nodb-trigger timeline herd.jsonl --output herd.html",
        )
        .arg(history_file())
        .arg(picture("output", "FILE").help("Draw to this .svg or .html file instead of stdout"))
        .arg(color_flag())
}

fn picture(name: &'static str, value_name: &'static str) -> Arg {
    value(name, value_name)
        .value_hint(ValueHint::FilePath)
        .value_parser(PathBufValueParser::new().try_map(read))
}

fn read(path: PathBuf) -> Result<Picture, &'static str> {
    if path == Path::new("-") {
        return Ok(Picture::Terminal);
    }
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    let format = match ending.as_deref().and_then(|ending| ending.to_str()) {
        Some("svg") => PictureFormat::Svg,
        Some("html" | "htm") => PictureFormat::Html,
        _ => return Err("name a file that ends in .svg or .html, or - to draw on stdout"),
    };
    Ok(Picture::File { path, format })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_what_is_drawn() {
        let format = |path: &str| match read(path.into()) {
            Ok(Picture::File { format, .. }) => Ok(Some(format)),
            Ok(Picture::Terminal) => Ok(None),
            Err(why) => Err(why),
        };
        assert_eq!(format("a.svg"), Ok(Some(PictureFormat::Svg)));
        assert_eq!(format("a b/c.d.HTML"), Ok(Some(PictureFormat::Html)));
        assert_eq!(format("./-.htm"), Ok(Some(PictureFormat::Html)));
        assert_eq!(format("-"), Ok(None));
        for wrong in ["", "svg", ".svg", "a.png", "a.svg.gz", "./-"] {
            assert!(format(wrong).is_err_and(|why| why.contains(".svg or .html")), "{wrong}");
        }
    }
}
