//! A value for every step: one number for all, a list, or a column of a CSV file beside the scenario.

use super::quantity::Quantity;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
};

/// As it is written.
#[derive(Debug, Clone)]
pub enum Series {
    All(f64),
    Each(Vec<f64>),
    Column(Column),
}

/// A column of a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    csv: PathBuf,
    column: String,
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Series;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a list of numbers, or { csv = \"FILE\", column = \"NAME\" }")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Series, E> {
                Ok(Series::All(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Series, E> {
                Ok(Series::All(value as f64))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Series, A::Error> {
                let mut each = Vec::new();
                while let Some(value) = list.next_element()? {
                    each.push(value);
                }
                Ok(Series::Each(each))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Series, A::Error> {
                Column::deserialize(MapAccessDeserializer::new(map)).map(Series::Column)
            }
        }
        from.deserialize_any(Any)
    }
}

/// A file's columns by name.
type Columns = HashMap<String, Vec<String>>;

/// Where files lie, and those read already.
pub struct Files {
    folder: PathBuf,
    read: RefCell<HashMap<PathBuf, Columns>>,
}

impl Files {
    /// Beside this scenario.
    pub fn beside(scenario: &Path) -> Self {
        let folder = scenario.parent().map(Path::to_owned).unwrap_or_default();
        Self { folder, read: RefCell::default() }
    }

    /// A series in its unit, of this many steps where one number stands for all.
    pub fn series<T: Quantity>(
        &self,
        key: &str,
        series: &Series,
        steps: usize,
    ) -> Result<Vec<T>, String> {
        let make = |at: usize, number: f64| {
            T::make(number).map_err(|e| format!("{key}, value {}: {e}", at + 1))
        };
        match series {
            Series::All(number) => Ok(vec![make(0, *number)?; steps]),
            Series::Each(each) => each.iter().enumerate().map(|(at, n)| make(at, *n)).collect(),
            Series::Column(column) => {
                let fields = self.column(column).map_err(|e| format!("{key}: {e}"))?;
                let number = |(at, field): (usize, &String)| {
                    let number = field.parse::<f64>().map_err(|_| {
                        let file = column.csv.display();
                        format!("{key}: {file} has {field:?} in row {}, no number", at + 1)
                    })?;
                    make(at, number)
                };
                fields.iter().enumerate().map(number).collect()
            }
        }
    }

    /// How many values a series brings itself.
    pub fn length(&self, key: &str, series: &Series) -> Result<Option<usize>, String> {
        Ok(match series {
            Series::All(_) => None,
            Series::Each(each) => Some(each.len()),
            Series::Column(column) => {
                Some(self.column(column).map_err(|e| format!("{key}: {e}"))?.len())
            }
        })
    }

    fn column(&self, Column { csv, column }: &Column) -> Result<Vec<String>, String> {
        let path = self.folder.join(csv);
        let mut read = self.read.borrow_mut();
        if !read.contains_key(&path) {
            read.insert(path.clone(), parse(&path)?);
        }
        let columns = read.get(&path).ok_or("a file vanished while it was read")?;
        columns.get(column).cloned().ok_or_else(|| {
            let mut names: Vec<&str> = columns.keys().map(String::as_str).collect();
            names.sort_unstable();
            format!("{} has no column {column}; it has {}", path.display(), names.join(", "))
        })
    }
}

/// Lines that begin with `#` are remarks.
fn parse(path: &Path) -> Result<Columns, String> {
    let wrong = |e: csv::Error| format!("{} is no CSV file: {e}", path.display());
    let text = crate::quote::read(path)?;
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let names = reader.headers().map_err(wrong)?.clone();
    let mut columns = vec![Vec::new(); names.len()];
    for record in reader.records() {
        for (column, field) in columns.iter_mut().zip(&record.map_err(wrong)?) {
            column.push(field.to_owned());
        }
    }
    Ok(names.iter().map(str::to_owned).zip(columns).collect())
}
