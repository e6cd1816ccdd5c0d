//! The arguments of what reads a saved history: `check` and `timeline`.

use super::values::{CheckFormat, Color, FailIfFound, Picture, fail_if_found, pattern, picture};
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// Judge a history that --history has saved, or a MONITOR log
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "\
Examples:
  nodb-trigger thundering_herd --history herd.jsonl
  nodb-trigger check herd.jsonl
  redis-cli monitor > monitor.log
  nodb-trigger check monitor.log --pattern 'lock:*'")]
pub struct CheckArgs {
    /// History file, or output of redis-cli monitor, or - for stdin
    #[arg(value_name = "HISTORY", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// In a MONITOR log, watch these keys as locks, too (repeatable)
    #[arg(long = "pattern", value_name = "GLOB", value_parser = pattern)]
    pub patterns: Vec<String>,
    /// End with 1 only if this was found: any, PROPERTY or lease-use=80% (repeatable)
    #[arg(long = "fail-if", value_name = "WHAT", value_parser = fail_if_found)]
    pub fail_if: Vec<FailIfFound>,
    /// table or json
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub format: CheckFormat,
    /// Draw what happened (.svg, .html; - draws it here)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = picture())]
    pub timeline: Option<Picture>,
}

/// Draw a history that --history has saved
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "\
Examples:
  nodb-trigger timeline herd.jsonl
  nodb-trigger timeline herd.jsonl --output herd.html")]
pub struct TimelineArgs {
    /// History file, or - for stdin
    #[arg(value_name = "HISTORY", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Draw to this .svg or .html file instead of stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = picture())]
    #[arg(default_value = "-", hide_default_value = true)]
    pub output: Picture,
    /// Colour: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    #[arg(hide_short_help = true)]
    pub color: Color,
}
