//! What a run tells: a table for people, JSON for machines.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::figure::{Figure, Measure, Summary};
use crate::peer::Peer;
use crate::row::Row;
use crate::site::Site;

/// Where the JSON goes, under the directory in which the command runs.
const FILE: &str = "target/bench/results.json";

/// What was measured so far, and what could not be.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(&'static Row, Result<Vec<Figure>>)>,
}

impl Report {
    /// Measures a row and says what came of it. One that fails does not keep the others from being measured.
    pub(crate) fn measure(&mut self, row: &'static Row, site: &Site) {
        println!("\n── {}: {}", row.name, row.about);
        let start = Instant::now();
        let result = site.origins().and_then(|_origins| (row.measure)(site));
        match &result {
            Ok(figures) => figures.iter().for_each(|figure| println!("{}", line(figure))),
            Err(error) => eprintln!("bench: {}: {error:#}", row.name),
        }
        println!("── {}: {:.0} s", row.name, start.elapsed().as_secs_f64());
        self.rows.push((row, result));
    }

    /// True if every row could be measured.
    pub(crate) fn is_whole(&self) -> bool {
        self.rows.iter().all(|(_, result)| result.is_ok())
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        println!("\n{HEAD}");
        for (row, result) in &self.rows {
            match result {
                Ok(figures) => figures.iter().for_each(|figure| println!("{}", line(figure))),
                Err(error) => println!("| {} | NOT MEASURED: {error:#} |", row.about),
            }
        }
    }

    /// Writes the samples, and what follows from them.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let rows = self.rows.iter().map(|(row, result)| match result {
            Ok(figures) => json!({"row": row.name, "figures": figures.iter().map(as_json).collect::<Vec<_>>()}),
            Err(error) => json!({"row": row.name, "error": format!("{error:#}")}),
        });
        let text = serde_json::to_string_pretty(&json!({"rows": rows.collect::<Vec<_>>()}))?;
        let path = Path::new(FILE);
        let written = std::fs::create_dir_all(path.with_file_name("")).and_then(|()| std::fs::write(path, text));
        written.with_context(|| format!("cannot write {FILE}"))?;
        Ok(path.to_owned())
    }
}

const HEAD: &str = "\
| work | HAProxy | Envoy | nginx | Weft | compared | must | aim | |
|---|---|---|---|---|---|---|---|---|";

fn line(figure: &Figure) -> String {
    let mut line = format!("| {}, {} |", figure.work, figure.unit);
    for peer in Peer::ALL {
        let cell = figure.of(peer).map_or_else(|| "–".to_owned(), |summary| cell(&summary));
        let _ = write!(line, " {cell} |");
    }
    let (Some(promise), Some(value), Some(verdict)) = (figure.promise, figure.value(), figure.verdict()) else {
        line.push_str(" | | | |");
        return line;
    };
    let of = match promise.measure {
        Measure::AtMost(peer) | Measure::AtLeast(peer) => format!("{value:.2} {}", peer.letter()),
        Measure::Absolute => number(value),
    };
    let _ = write!(line, " {of} | {} | {} | {verdict} |", promise.must, promise.aim);
    line
}

fn cell(summary: &Summary) -> String {
    if summary.least == summary.most {
        return number(summary.median);
    }
    format!("{} ({}–{})", number(summary.median), number(summary.least), number(summary.most))
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn as_json(figure: &Figure) -> Value {
    let series = figure.series.iter().filter_map(|series| {
        let summary = figure.of(series.peer)?;
        Some(json!({
            "peer": series.peer.name(),
            "samples": series.samples,
            "median": summary.median,
            "least": summary.least,
            "most": summary.most,
        }))
    });
    let mut value = json!({"work": figure.work, "unit": figure.unit, "series": series.collect::<Vec<_>>()});
    if let (Some(promise), Some(compared), Some(verdict)) = (figure.promise, figure.value(), figure.verdict()) {
        let to = match promise.measure {
            Measure::AtMost(peer) | Measure::AtLeast(peer) => Some(peer.name()),
            Measure::Absolute => None,
        };
        value["promise"] = json!({
            "ratioTo": to,
            "atLeast": matches!(promise.measure, Measure::AtLeast(_)),
            "must": promise.must,
            "aim": promise.aim,
            "value": compared,
            "verdict": verdict,
        });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Promise, Series};

    #[test]
    fn a_line_has_medians_spreads_ratio_and_verdict() {
        let series = |peer, samples: &[f64]| Series { peer, samples: samples.to_vec() };
        let figure = Figure {
            work: "a hop",
            unit: "µs",
            series: vec![series(Peer::Haproxy, &[20.0, 22.0, 21.0]), series(Peer::Weft, &[10.5])],
            promise: Promise::at_most(Peer::Haproxy, 0.75, 0.5),
        };
        assert_eq!(
            line(&figure),
            "| a hop, µs | 21.0 (20.0–22.0) | – | – | 10.5 | 0.50 H | 0.75 | 0.5 | holds, and the aim |"
        );
        assert_eq!(as_json(&figure)["promise"]["value"], 0.5);
    }
}
