//! How a report reaches whoever asked: text, JSON or CSV on standard output, SVG in a file, and a bar
//! on standard error while it is computed.

use crate::Outcome;
use indicatif::{ProgressBar, ProgressStyle};
use lab::{Progress, Report};
use std::{
    io::{IsTerminal, Write, stdout},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

/// How to print a report.
#[derive(clap::Args)]
pub struct Output {
    /// Print one JSON object.
    #[arg(long, conflicts_with = "csv", global = true)]
    json: bool,
    /// Print the main table as CSV.
    #[arg(long, global = true)]
    csv: bool,
    /// The table that --csv prints, by its name in the JSON object.
    #[arg(long, value_name = "NAME", requires = "csv", global = true)]
    table: Option<String>,
    /// Draw the chart into this file.
    #[arg(long, value_name = "FILE", global = true)]
    svg: Option<PathBuf>,
}

impl Output {
    /// Prints it.
    pub fn print(&self, report: &Report) -> Outcome {
        if let Some(file) = &self.svg {
            let svg = report.to_svg()?;
            std::fs::write(file, svg)
                .map_err(|e| format!("{} cannot be written: {e}", file.display()))?;
        }
        let text = match (self.json, self.csv) {
            (true, _) => format!("{}\n", report.to_json()),
            (_, true) => report.to_csv(self.table.as_deref())?,
            _ => report.to_text(terminal_width()),
        };
        // A reader that closes early, such as `head`, has what it wants.
        let _ = stdout().write_all(text.as_bytes());
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs `work` on this thread, with a bar on a terminal once it takes longer than a second.
pub fn with_bar<T>(progress: &Progress, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (over, is_over) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let wait = |time| {
                is_over
                    .recv_timeout(Duration::from_millis(time))
                    .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout)
            };
            if !wait(1000) {
                return;
            }
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent} %, {eta} left") {
                bar.set_style(style);
            }
            loop {
                let (done, total) = progress.get();
                bar.set_length(total);
                bar.set_position(done);
                if !wait(100) {
                    break;
                }
            }
            bar.finish_and_clear();
        });
        let result = work();
        drop(over);
        result
    })
}

fn terminal_width() -> Option<u16> {
    let stdout = stdout();
    if !stdout.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(stdout).ok().map(|size| size.ws_col).filter(|w| *w > 0)
}
