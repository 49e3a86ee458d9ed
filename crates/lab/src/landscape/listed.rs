//! Pools and farms from a table that somebody keeps.

use super::{
    Network,
    population::{Part, Population},
};
use crate::{LabError, luck::BLOCKS_PER_YEAR};
use std::collections::HashMap;
use units::Hashrate;

/// Rows of a CSV file with the columns `name`, one of `share` (0 to 1), `share_percent` and `hashrate`
/// (with its unit: `120 EH/s`), and if wanted `miners`: how many equal ones a row stands for together.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    name: String,
    miners: u64,
    size: Size,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    Share(f64),
    Hashrate(Hashrate),
}

/// How far published shares, each rounded, may sum from one.
const ROUNDING: f64 = 0.005;

impl Listed {
    /// Reads the text of a CSV file; errors name the line.
    pub fn read(text: &str) -> Result<Self, LabError> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(text.as_bytes());
        let unreadable = |e: csv::Error| LabError::new(format!("the CSV cannot be read: {e}"));
        let headers = reader.headers().map_err(unreadable)?.clone();
        let columns: HashMap<String, usize> = headers
            .iter()
            .enumerate()
            .map(|(i, name)| (name.trim_start_matches('\u{feff}').to_lowercase(), i))
            .collect();
        let name = *columns.get("name").ok_or_else(|| {
            LabError::new("the CSV has no column \"name\"; add one to its first line")
        })?;
        let (size, kind) = ["share", "share_percent", "hashrate"]
            .into_iter()
            .find_map(|kind| columns.get(kind).map(|i| (*i, kind)))
            .ok_or_else(|| {
                LabError::new(
                    "the CSV has no column \"share\", \"share_percent\" or \"hashrate\"; add one of them",
                )
            })?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |i: usize| record.get(i).unwrap_or_default();
            let miners = match columns.get("miners").map(|i| field(*i)) {
                None | Some("") => 1,
                Some(count) => count.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
                    LabError::new(format!(
                        "line {line} has \"{count}\" miners; give a whole number above zero"
                    ))
                })?,
            };
            let size = read_size(field(size), kind, line)?;
            rows.push(Row { name: field(name).into(), miners, size });
        }
        if rows.is_empty() {
            return Err(LabError::new("the CSV lists zero miners; add a line for each"));
        }
        Ok(Self { rows })
    }

    /// These miners on this network. Refuses shares that do not sum to one and hashrates that exceed
    /// the network's.
    pub fn population(&self, network: &Network) -> Result<Population, LabError> {
        let parts = self.named(network)?.into_iter();
        Population::new(
            parts
                .map(|(_, miners, rate)| Part::Equal { miners, rate: rate / miners as f64 })
                .collect(),
        )
    }

    /// Name, miners, and blocks that they expect together a year.
    pub(super) fn named(&self, network: &Network) -> Result<Vec<(&str, u64, f64)>, LabError> {
        let part = |size: Size| match size {
            Size::Share(share) => share,
            Size::Hashrate(rate) => network.blocks_per_year(rate) / BLOCKS_PER_YEAR,
        };
        let sum: f64 = self.rows.iter().map(|row| part(row.size)).sum();
        let shares = matches!(self.rows.first(), Some(Row { size: Size::Share(_), .. }));
        if shares && (sum - 1.0).abs() > ROUNDING {
            return Err(LabError::new(format!(
                "the shares in the CSV sum to {sum:.4} and not to 1; mend them or add a line for the rest"
            )));
        }
        if sum > 1.0 + ROUNDING {
            return Err(LabError::new(format!(
                "the hashrates in the CSV sum to {:.2} times the network's {}; mend them or give the \
                 network's with --network",
                sum, network.hashrate.value
            )));
        }
        // What rounding left over is spread evenly; an unlisted rest of hashrate is not.
        let scale = if shares || sum > 1.0 { BLOCKS_PER_YEAR / sum } else { BLOCKS_PER_YEAR };
        Ok(self
            .rows
            .iter()
            .map(|row| (row.name.as_str(), row.miners, part(row.size) * scale))
            .collect())
    }
}

fn read_size(text: &str, kind: &str, line: u64) -> Result<Size, LabError> {
    if kind == "hashrate" {
        let rate: Hashrate =
            text.parse().map_err(|e| LabError::new(format!("line {line} of the CSV: {e}")))?;
        return if rate > Hashrate::ZERO {
            Ok(Size::Hashrate(rate))
        } else {
            Err(LabError::new(format!("line {line} of the CSV has no hashrate; remove it")))
        };
    }
    let whole = if kind == "share" { 1.0 } else { 100.0 };
    let number = text.strip_suffix('%').filter(|_| whole > 1.0).unwrap_or(text).trim();
    let share = number.parse::<f64>().ok().map(|n| n / whole).filter(|s| *s > 0.0 && *s <= 1.0);
    share.map(Size::Share).ok_or_else(|| {
        LabError::new(format!(
            "line {line} of the CSV has the {kind} \"{text}\"; give a number above 0 and up to {whole}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Given;
    use units::Efficiency;

    fn population(text: &str) -> Result<Population, LabError> {
        let network = Network::new(Given::flag(Efficiency::new(17.5).unwrap()));
        Listed::read(text)?.population(&network)
    }

    #[test]
    fn shares_percentages_and_hashrates_say_the_same() {
        let shares = population("name,share\na,0.3\nb,0.7\n").unwrap();
        assert_eq!(shares, population("Name, Share_Percent\na, 30\nb,70%\n").unwrap());
        let rates = population("pool,hashrate,name\nx,300 EH/s,a\ny,0.7ZH,b\n").unwrap();
        assert!((rates.blocks_per_year() - shares.blocks_per_year()).abs() < 1e-6);
        let crowd = population("name,share,miners\na,0.5,\nmany,0.5,1000\n").unwrap();
        assert_eq!(crowd.miners(), 1001);
    }

    #[test]
    fn an_unlisted_rest_of_hashrate_finds_its_blocks_unseen() {
        let half = population("name,hashrate\na,500 EH/s\n").unwrap();
        assert!((half.blocks_per_year() - BLOCKS_PER_YEAR / 2.0).abs() < 1e-6);
    }

    #[test]
    fn a_bad_table_is_refused_in_a_sentence_that_names_what_to_mend() {
        for (text, says) in [
            ("", "no column \"name\""),
            ("name,size\na,1\n", "no column \"share\""),
            ("name,share\n", "zero miners"),
            ("name,share\na,0.3\nb,0.6\n", "sum to 0.9000"),
            ("name,share\na,-0.3\nb,1.3\n", "line 2"),
            ("name,share\na,1\nb,NaN\n", "line 3"),
            ("name,share\na\n", "line 2"),
            ("name,hashrate\na,fast\n", "line 2 of the CSV: \"fast\" is not a hashrate"),
            ("name,hashrate\na,0 EH/s\n", "no hashrate"),
            ("name,hashrate\na,3 ZH/s\n", "--network"),
            ("name,share,miners\na,1,0\n", "\"0\" miners"),
            ("name,share,miners\na,1,20000000\n", "too many"),
        ] {
            let said = population(text).unwrap_err().to_string();
            assert!(said.contains(says), "{text:?}: {said}");
        }
    }
}
