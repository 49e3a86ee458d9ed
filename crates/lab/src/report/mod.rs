//! The shape every analysis answers in: a finding, the inputs it rests on, tables, and one chart.
//!
//! It owns how these become text, JSON, CSV and SVG. It never computes a figure.

mod chart;
mod table;

pub use chart::{Axis, Chart, Content, Interval, Scale, Series};
pub use table::{Cell, Column, Table};

use crate::LabError;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// What an analysis found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The analysis, as its command is called: `landscape`, `quote heat`.
    pub name: &'static str,
    /// The finding in one or a few sentences, with its figures.
    pub finding: String,
    /// Everything the figures rest on.
    pub inputs: Vec<Input>,
    /// The main table first.
    pub tables: Vec<Table>,
    /// The picture of the main table.
    pub chart: Option<Chart>,
}

/// One input and where it came from.
#[derive(Debug, Clone)]
pub struct Input {
    /// Name in JSON, with its unit as a suffix: `hashprice_usd_per_ph_day`.
    pub name: &'static str,
    /// What was used.
    pub value: Cell,
    /// Where it came from.
    pub source: Source,
}

/// Where an input came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// The own node, at this height.
    Node(u64),
    /// A file that was named.
    File(String),
    /// Follows from other inputs in the list.
    Computed,
    /// A default: where it was published, and of what date (`2025-10`).
    Default {
        /// The publication.
        origin: &'static str,
        /// Year, or year and month.
        date: &'static str,
    },
}

impl Source {
    fn text(&self) -> String {
        match self {
            Self::Flag => "given".into(),
            Self::Node(height) => format!("own node, height {height}"),
            Self::File(name) => name.clone(),
            Self::Computed => "computed from the others".into(),
            Self::Default { origin, date } => format!("default: {origin}, {date}"),
        }
    }
}

impl Report {
    /// For people: finding, tables, inputs with their sources. `width` in columns, if known.
    pub fn to_text(&self, width: Option<u16>) -> String {
        let mut text = format!("{}\n", broken(&self.finding, width));
        for table in &self.tables {
            let _ = write!(text, "\n{}\n\n{}\n", broken(&table.title, width), table.to_text(width));
        }
        if !self.inputs.is_empty() {
            let mut inputs = Table::new(
                "inputs",
                "Inputs",
                [
                    Column::new("input", "input"),
                    Column::new("value", "value"),
                    Column::new("source", "source"),
                ],
            );
            for input in &self.inputs {
                inputs.row([input.name.into(), input.value.clone(), input.source.text().into()]);
            }
            let _ = write!(text, "\n{}\n\n{}\n", inputs.title, inputs.to_text(width));
        }
        text
    }

    /// One object: `finding`, `inputs` (value and source by name) and every table by its name as a
    /// list of rows.
    pub fn to_json(&self) -> Value {
        let inputs: Map<String, Value> = self
            .inputs
            .iter()
            .map(|i| {
                (i.name.into(), json!({ "value": i.value.to_json(), "source": i.source.text() }))
            })
            .collect();
        let mut all = Map::new();
        all.insert("report".into(), self.name.into());
        all.insert("finding".into(), self.finding.clone().into());
        all.insert("inputs".into(), inputs.into());
        for table in &self.tables {
            all.insert(table.name.into(), table.to_json());
        }
        all.into()
    }

    /// The table of this name, or the main one, with a header line of column names.
    pub fn to_csv(&self, name: Option<&str>) -> Result<String, LabError> {
        let table = match name {
            None => self.tables.first(),
            Some(name) => self.tables.iter().find(|t| t.name == name),
        };
        let names = || self.tables.iter().map(|t| t.name).collect::<Vec<_>>().join(", ");
        table
            .map(Table::to_csv)
            .ok_or_else(|| LabError::new(format!("no such table; {} has: {}", self.name, names())))
    }

    /// The chart as an SVG document.
    pub fn to_svg(&self) -> Result<String, LabError> {
        self.chart
            .as_ref()
            .ok_or_else(|| LabError::new(format!("{} has no chart", self.name)))?
            .to_svg()
    }
}

/// The text in lines of at most this width, broken between words.
fn broken(text: &str, width: Option<u16>) -> String {
    let Some(width) = width.map(usize::from) else { return text.into() };
    let (mut lines, mut used) = (String::new(), 0);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push('\n');
            used = 0;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_broken_between_words() {
        assert_eq!(broken("one two three", Some(8)), "one two\nthree");
        assert_eq!(broken("one two three", Some(3)), "one\ntwo\nthree");
        assert_eq!(broken("one two three", None), "one two three");
    }
}
