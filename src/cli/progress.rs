//! The progress bar on stderr: how many actors or runs have ended, or how far an exploration has
//! come, and that time passes.
//!
//! It is drawn only where stderr is a terminal, and gone before anything else is printed.

use crate::report::escape;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// A bar that disappears when it is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that expects nothing yet; `quiet` draws none.
    pub fn new(title: &str, quiet: bool) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len} {elapsed} {wide_msg}")
        {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(escape(title));
        if !bar.is_hidden() {
            // Actors that hold a lock for long end seldom; the elapsed time moves all the same.
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar }
    }

    /// Says how many there are.
    pub fn expect(&self, number: usize) {
        self.bar.set_length(number as u64);
    }

    /// Prints in the bar's place, and lets the bar go on below.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// One more has ended. Cheap, and for any thread.
    pub fn finished_one(&self) {
        self.bar.inc(1);
    }

    /// Takes the bar off the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// A line that shows the progress of work with an unknown end.
#[derive(Debug)]
pub struct ProgressLine(Progress);

impl ProgressLine {
    /// An empty line; `quiet` draws none.
    pub fn new(quiet: bool) -> Self {
        let progress = Progress::new("", quiet);
        if let Ok(style) = ProgressStyle::with_template("{elapsed} {wide_msg}") {
            progress.bar.set_style(style);
        }
        Self(progress)
    }

    /// Says how far it has come now.
    pub fn show(&self, how_far: &str) {
        self.0.bar.set_message(escape(how_far));
    }

    /// Prints in the line's place, and lets it go on below.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Takes the line off the screen.
    pub fn clear(&self) {
        self.0.clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_bar_counts_from_all_threads_and_draws_nothing() {
        let progress = Progress::new("a\nherd", true);
        assert!(progress.bar.is_hidden());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| progress.finished_one());
            }
        });
        assert_eq!(progress.bar.position(), 8);
    }
}
