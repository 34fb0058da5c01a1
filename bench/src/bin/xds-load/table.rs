//! What was measured, beside what is promised and what is aimed at.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

/// A row of the table: what must hold and what is aimed at, in `unit`; less is better. Infinite is without a bound.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) must: f64,
    pub(crate) aim: f64,
    pub(crate) measured: f64,
}

/// All rows.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Row {
    fn verdict(&self) -> &'static str {
        match self.measured {
            _ if self.must.is_infinite() => "none",
            measured if measured <= self.aim => "aim",
            measured if measured <= self.must => "must",
            _ => "MISSED",
        }
    }
}

impl Table {
    /// Adds a row, and says so.
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("{}: {:.3} {} ({})", row.name, row.measured, row.unit, row.verdict());
        self.0.push(row);
    }

    /// Prints it in Markdown.
    pub(crate) fn print(&self) {
        println!("\n| work | measured | must | aim | verdict |\n|---|---|---|---|---|");
        for row in &self.0 {
            let Row { name, unit, must, aim, measured } = row;
            let (must, aim) = (bound(*must), bound(*aim));
            println!("| {name} | {} {unit} | {must} | {aim} | {} |", short(*measured), row.verdict());
        }
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let rows: Vec<_> = self.0.iter().map(|row| {
            let Row { name, unit, must, aim, measured } = row;
            json!({"name": name, "unit": unit, "must": must, "aim": aim, "measured": measured, "verdict": row.verdict()})
        }).collect();
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).with_context(|| format!("{}", directory.display()))?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?).with_context(|| format!("{}", path.display()))
    }
}

fn bound(value: f64) -> String {
    if value.is_infinite() { "–".to_owned() } else { value.to_string() }
}

/// Three digits that say something.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
