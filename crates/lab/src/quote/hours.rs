//! A year hour by hour: columns of a CSV file by their names, and the months that hours lie in.
//!
//! Nothing is filled in: an empty field is unknown, and what is unknown cannot be added up.

use crate::{
    LabError,
    report::{Cell, Input, Source},
};

/// A year of hours, from January's first.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    origin: String,
    len: usize,
    columns: Vec<(String, Vec<f64>)>,
}

/// Names of the months in tables.
pub(crate) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Hours {
    /// Reads a CSV text with a header line and a line for each hour of a year; columns that are no
    /// numbers (a time, a name) are left out. `origin` names the file in errors and reports.
    pub fn parse(text: &str, origin: &str) -> Result<Self, LabError> {
        let wrong = |what: String| LabError::new(format!("{origin}: {what}"));
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|e| wrong(e.to_string()))?.clone();
        let mut raw: Vec<Vec<String>> = vec![Vec::new(); headers.len()];
        for record in reader.records() {
            let record = record.map_err(|e| wrong(e.to_string()))?;
            for (column, field) in raw.iter_mut().zip(&record) {
                column.push(field.to_string());
            }
        }
        let len = raw.first().map_or(0, Vec::len);
        if len != 8760 && len != 8784 {
            return Err(wrong(format!(
                "it has {len} hours; give a line for each hour of a year: 8760, or 8784"
            )));
        }
        let mut columns = Vec::new();
        for (name, fields) in headers.iter().zip(raw) {
            if is_quantity(name) {
                columns.push((name.to_string(), numbers(name, &fields).map_err(wrong)?));
            }
        }
        Ok(Self { origin: origin.into(), len, columns })
    }

    /// Columns that were made up or are a test's.
    pub(crate) fn of(origin: impl Into<String>, columns: Vec<(&str, Vec<f64>)>) -> Self {
        let len = columns.first().map_or(0, |(_, values)| values.len());
        let columns = columns.into_iter().map(|(name, values)| (name.into(), values)).collect();
        Self { origin: origin.into(), len, columns }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A column that must be there.
    pub(crate) fn column(&self, name: &str) -> Result<&[f64], LabError> {
        self.optional(name).ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
            LabError::new(format!(
                "{}: there is no column {name}; it has {}",
                self.origin,
                if names.is_empty() { "no column of numbers".into() } else { names.join(", ") }
            ))
        })
    }

    /// A column that may be there.
    pub(crate) fn optional(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(other, _)| other == name).map(|(_, values)| values.as_slice())
    }

    /// As [`Self::optional`], with each value from `low` to `high`.
    pub(crate) fn within(
        &self,
        name: &str,
        (low, high): (f64, f64),
    ) -> Result<Option<&[f64]>, LabError> {
        let Some(values) = self.optional(name) else { return Ok(None) };
        match values.iter().position(|value| !(low..=high).contains(value)) {
            None => Ok(Some(values)),
            Some(hour) => Err(LabError::new(format!(
                "{}: {name} is {} in hour {}; give {}",
                self.origin,
                values[hour],
                hour + 1,
                if high.is_finite() {
                    format!("{low} to {high}")
                } else {
                    format!("{low} or more")
                }
            ))),
        }
    }

    /// The names before `suffix` of all columns that end with it.
    pub(crate) fn named(&self, suffix: &str) -> Vec<&str> {
        self.columns.iter().filter_map(|(name, _)| name.strip_suffix(suffix)).collect()
    }

    /// Where they come from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The line that says which year was computed with.
    pub(crate) fn input(&self) -> Input {
        Input {
            name: "hours",
            value: Cell::Count(self.len as u64),
            source: Source::File(self.origin.clone()),
        }
    }

    /// With every value of a column times `factor`.
    pub(crate) fn scaled(&self, name: &str, factor: f64) -> Self {
        let mut scaled = self.clone();
        for (_, values) in scaled.columns.iter_mut().filter(|(other, _)| other == name) {
            values.iter_mut().for_each(|value| *value *= factor);
        }
        scaled
    }

    /// The month, 0 to 11, of an hour counted from 0.
    pub(crate) fn month(&self, hour: usize) -> usize {
        let february = if self.len == 8784 { 29 } else { 28 };
        let days = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut day = hour / 24;
        for (month, length) in days.into_iter().enumerate() {
            if day < length {
                return month;
            }
            day -= length;
        }
        11
    }
}

/// Quantities carry their unit or are marks from 0 to 1; everything else is for people.
fn is_quantity(name: &str) -> bool {
    ["_mw", "_mwh", "_call", "peak", "peak_warning"].iter().any(|end| name.ends_with(end))
}

fn numbers(name: &str, fields: &[String]) -> Result<Vec<f64>, String> {
    let number = |(hour, field): (usize, &String)| {
        let value = field.parse::<f64>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| match field.as_str() {
            "" => format!("{name} is empty in hour {}; give a number, 0 if it was 0", hour + 1),
            other => format!("{name} is \"{other}\" in hour {}; give a number", hour + 1),
        })
    };
    fields.iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(header: &str, line: &str, lines: usize) -> String {
        format!("{header}\n{}", format!("{line}\n").repeat(lines))
    }

    #[test]
    fn a_year_is_read_by_the_names_of_its_columns() {
        let text = csv("time,price_usd_per_mwh", "2025-01-01T00:00, -3.5 ", 8760);
        let hours = Hours::parse(&text, "p.csv").unwrap();
        assert_eq!(hours.len(), 8760);
        assert_eq!(hours.column("price_usd_per_mwh").unwrap()[8759], -3.5);
        assert_eq!(
            hours.column("surplus_mw").unwrap_err().to_string(),
            "p.csv: there is no column surplus_mw; it has price_usd_per_mwh"
        );
        assert_eq!([0, 743, 744, 8759].map(|h| hours.month(h)), [0, 0, 1, 11]);
    }

    #[test]
    fn a_file_that_is_no_year_of_numbers_says_what_to_mend() {
        for (text, said) in [
            (String::new(), "p.csv: it has 0 hours"),
            (
                csv("price_usd_per_mwh", "3", 24),
                "p.csv: it has 24 hours; give a line for each hour",
            ),
            (csv("a_mw,b", ",x", 8760), "p.csv: a_mw is empty in hour 1; give a number, 0 if it"),
            (csv("a_mw", "NaN", 8760), "p.csv: a_mw is \"NaN\" in hour 1; give a number"),
            (csv("a_mw", "dear", 8784), "p.csv: a_mw is \"dear\" in hour 1"),
            (csv("a_mw,b", "1", 8760), "p.csv: CSV error"),
        ] {
            let error = Hours::parse(&text, "p.csv").unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
        let hours = Hours::of("p.csv", vec![("a_call", vec![0.5, 1.5])]);
        assert_eq!(
            hours.within("a_call", (0.0, 1.0)).unwrap_err().to_string(),
            "p.csv: a_call is 1.5 in hour 2; give 0 to 1"
        );
    }

    #[test]
    fn a_leap_year_has_its_day_in_february() {
        let hours = Hours::of("", vec![("a_mw", vec![0.0; 8784])]);
        assert_eq!([59 * 24, 60 * 24].map(|h| hours.month(h)), [1, 2]);
    }
}
