//! A table whose cells know their precision.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, TableComponent, Width, presets,
};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Rows under named columns.
#[derive(Debug, Clone)]
pub struct Table {
    /// Name in JSON and for `--table`: `tiers`.
    pub name: &'static str,
    /// Heading for people.
    pub title: String,
    /// Columns, left to right.
    pub columns: Vec<Column>,
    /// One cell per column in each.
    pub rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Name in JSON and CSV, unit as a suffix: `power_w`.
    pub name: Cow<'static, str>,
    /// Heading for people, with its unit.
    pub heading: String,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number, and how many digits after the point people see.
    Number(f64, usize),
    /// A number that people see in three significant digits, whatever its size.
    Figure(f64),
    /// A count.
    Count(u64),
    /// Unknown, or without meaning here.
    Missing,
}

impl Column {
    /// A column.
    pub fn new(name: impl Into<Cow<'static, str>>, heading: impl Into<String>) -> Self {
        Self { name: name.into(), heading: heading.into() }
    }
}

impl Table {
    /// An empty table.
    pub fn new(
        name: &'static str,
        title: impl Into<String>,
        columns: impl IntoIterator<Item = Column>,
    ) -> Self {
        Self { name, title: title.into(), columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row: one cell per column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.columns.len(), "table {}", self.name);
        self.rows.push(cells);
    }

    pub(super) fn to_text(&self, width: Option<u16>) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING);
        table.set_style(TableComponent::HeaderLines, '─');
        table.set_style(TableComponent::MiddleHeaderIntersections, '─');
        if let Some(width) = width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        let aligned = |text: String, words: bool| {
            let alignment = if words { CellAlignment::Left } else { CellAlignment::Right };
            comfy_table::Cell::new(text).set_alignment(alignment)
        };
        let words: Vec<bool> = (0..self.columns.len()).map(|i| self.has_words(i)).collect();
        let headings = self.columns.iter().zip(&words);
        table.set_header(headings.map(|(c, words)| aligned(c.heading.clone(), *words)));
        for row in &self.rows {
            table.add_row(row.iter().zip(&words).map(|(cell, words)| aligned(cell.text(), *words)));
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 1));
            // A number is never broken; what is too wide is broken between words.
            let least = self.least_width(i);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least + 1)));
        }
        // Lines end with the spaces that align them.
        let text = table.to_string();
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// Whether a column holds words rather than numbers.
    fn has_words(&self, column: usize) -> bool {
        self.rows.iter().any(|row| matches!(row.get(column), Some(Cell::Text(_))))
    }

    /// Of the longest word of a column, or its longest number.
    fn least_width(&self, column: usize) -> u16 {
        let longest = |text: &str| text.split_whitespace().map(|w| w.chars().count()).max();
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(Cell::text);
        let headings = self.columns.get(column).map(|c| c.heading.clone());
        let widths = cells.chain(headings).filter_map(|text| longest(&text));
        widths.max().unwrap_or(1).min(40) as u16
    }

    pub(super) fn to_json(&self) -> Value {
        let row = |cells: &Vec<Cell>| -> Value {
            let pairs = self.columns.iter().zip(cells);
            pairs
                .map(|(c, cell)| (c.name.to_string(), cell.to_json()))
                .collect::<Map<_, _>>()
                .into()
        };
        self.rows.iter().map(row).collect()
    }

    pub(super) fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory cannot fail; a row of the wrong length is caught by `row`.
        let _ = writer.write_record(self.columns.iter().map(|c| c.name.as_ref()));
        for row in &self.rows {
            let _ = writer.write_record(row.iter().map(Cell::plain));
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}

impl Cell {
    /// A number that people see with as many digits as it was given with.
    pub fn exact(value: f64) -> Self {
        let text = value.to_string();
        let decimals = text.split_once('.').map_or(0, |(_, part)| part.len());
        Self::Number(value, decimals)
    }

    /// For people.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(value, decimals) => grouped(&format!("{value:.decimals$}")),
            Self::Figure(value) => figure(*value),
            Self::Count(value) => grouped(&value.to_string()),
            Self::Missing => "–".into(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Number(value, _) | Self::Figure(value) => (*value).into(),
            Self::Count(value) => (*value).into(),
            Self::Missing => Value::Null,
        }
    }

    fn plain(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(value, _) | Self::Figure(value) => value.to_string(),
            Self::Count(value) => value.to_string(),
            Self::Missing => String::new(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

/// Three significant digits; very large and very small in scientific notation.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return if value > 0.0 { "∞".into() } else { value.to_string() };
    }
    match size {
        0.0 => "0".into(),
        s if !(1e-4..1e9).contains(&s) => format!("{value:.2e}"),
        s => {
            let decimals = (2.0 - s.log10().floor()).max(0.0) as usize;
            grouped(&format!("{value:.decimals$}"))
        }
    }
}

/// Thousands apart: `12,345.6`.
pub(super) fn grouped(number: &str) -> String {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, part) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    if !whole.bytes().all(|b| b.is_ascii_digit()) {
        return number.into();
    }
    let mut text = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_three_digits_and_thousands_apart() {
        for (cell, text) in [
            (Cell::Figure(0.0), "0"),
            (Cell::Figure(1234.5), "1,234"),
            (Cell::Figure(0.012345), "0.0123"),
            (Cell::Figure(5.79e6), "5,790,000"),
            (Cell::Figure(1e21), "1.00e21"),
            (Cell::Number(-12345.678, 1), "-12,345.7"),
            (Cell::Number(f64::INFINITY, 2), "inf"),
            (Cell::Count(52_560), "52,560"),
            (Cell::exact(0.0), "0"),
            (Cell::exact(0.005), "0.005"),
            (Cell::exact(3.125), "3.125"),
            (Cell::exact(f64::NAN), "NaN"),
            (Cell::Missing, "–"),
        ] {
            assert_eq!(cell.text(), text);
        }
    }

    #[test]
    fn a_narrow_table_breaks_words_and_no_number() {
        let heading = "a heading of many words that is too wide";
        let mut table = Table::new("t", "T", [Column::new("a", "name"), Column::new("b", heading)]);
        table.row(["several words in a cell".into(), Cell::Count(1_234_567_890)]);
        let text = table.to_text(Some(30));
        assert!(text.contains("1,234,567,890"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 30), "{text}");
        assert_eq!(table.to_text(None).lines().count(), 3);
    }

    #[test]
    fn unknown_is_null_in_json_and_empty_in_csv() {
        let mut table = Table::new("t", "T", [Column::new("a", "a"), Column::new("b_w", "b, W")]);
        table.row([Cell::Count(1), Cell::Missing]);
        assert_eq!(table.to_csv(), "a,b_w\n1,\n");
        assert_eq!(table.to_json().to_string(), r#"[{"a":1,"b_w":null}]"#);
    }
}
