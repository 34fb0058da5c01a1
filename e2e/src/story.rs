//! What a person sees of a walk through the mesh: each step with what it does, what it expects and what it measured,
//! closed by a tick or a cross.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;

/// Tells a walk, step by step.
#[derive(Debug)]
pub struct Story {
    colour: bool,
    steps: usize,
    failed: Vec<String>,
    start: Instant,
}

impl Default for Story {
    fn default() -> Self {
        Self { colour: std::io::stdout().is_terminal(), steps: 0, failed: Vec::new(), start: Instant::now() }
    }
}

impl Story {
    /// Says a line of its own.
    pub fn say(&self, line: impl Display) {
        println!("{line}");
        let _ = std::io::stdout().flush();
    }

    /// Walks one step. `expected` says what should be true; `work` makes it true and returns what it measured.
    /// A failure is told and remembered, and the walk goes on. True if there was none.
    pub fn step(&mut self, title: &str, expected: &str, work: impl FnOnce() -> Result<String>) -> bool {
        self.steps += 1;
        self.say(format_args!("\n{} {}", self.paint("1", &format!("{:>2}.", self.steps)), self.paint("1", title)));
        self.say(format_args!("    expected  {expected}"));
        let start = Instant::now();
        match work() {
            Ok(measured) => {
                self.say(format_args!("    measured  {measured}"));
                self.say(format_args!("    {} {:.1} s", self.paint("32", "✓"), start.elapsed().as_secs_f64()));
                true
            }
            Err(error) => {
                self.say(format_args!("    {} {error:#}", self.paint("31", "✗")));
                self.failed.push(title.to_owned());
                false
            }
        }
    }

    /// Closes the walk; true if every step was ticked.
    pub fn close(&self) -> bool {
        let seconds = self.start.elapsed().as_secs_f64();
        let passed = self.steps - self.failed.len();
        self.say("");
        self.failed.iter().for_each(|title| self.say(format_args!("{} {title}", self.paint("31", "✗"))));
        self.say(format_args!("{passed} passed, {} failed", self.failed.len()));
        self.say(format_args!("in {seconds:.0} s"));
        self.failed.is_empty() && self.steps > 0
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Tries `attempt` again and again until it succeeds, at most for `patience`; then fails with its last reason.
/// For effects that come by themselves, such as a configuration that becomes live: returns how long that took.
pub fn eventually(patience: Duration, mut attempt: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return Ok(start.elapsed()),
            Err(error) if start.elapsed() >= patience => {
                return Err(error.context(format!("still so after {patience:?}")));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
