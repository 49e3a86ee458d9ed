//! The table of machines as a CSV text, and its reader.

use crate::{Cooling, Machine, Price};
use serde::Deserialize;
use std::{sync::LazyLock, time::Duration};
use units::{Efficiency, Hashrate, Usd, Watts};

/// Nameplates and list prices as published by makers and dealers in 2025; limits of coinbases and
/// ramps as read in firmware and logs.
const TABLE: &str = include_str!("../data/machines.csv");

/// Why a text is no table of machines, or names no machine in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// Not a CSV text with the columns of the catalogue.
    #[error(
        "this is no table of machines: {0}; its first line must name the columns as \
         `hearth catalogue --csv` does"
    )]
    Unreadable(String),
    /// A line says what cannot be.
    #[error("line {line} of the table of machines: {what}")]
    Line {
        /// Counted from 1, the header included.
        line: u64,
        /// What to mend.
        what: String,
    },
    /// No such machine.
    #[error("the catalogue has no machine \"{0}\"; `hearth catalogue` lists those it has")]
    Unknown(String),
    /// More than one.
    #[error("\"{0}\" could be several machines; name one of: {1}")]
    Ambiguous(String, String),
}

/// The machines that this program knows, in the order of the table.
pub fn machines() -> &'static [Machine] {
    // That the table reads is a test.
    static MACHINES: LazyLock<Vec<Machine>> = LazyLock::new(|| parse(TABLE).unwrap_or_default());
    &MACHINES
}

/// Reads a table of machines; columns may come in any order, and those of unknown name are ignored.
/// An empty field is unknown.
pub fn parse(text: &str) -> Result<Vec<Machine>, CatalogueError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(unreadable)?.clone();
    for column in ["model", "hashrate_ths"] {
        if !headers.iter().any(|header| header == column) {
            return Err(CatalogueError::Unreadable(format!("it has no column {column}")));
        }
    }
    let mut machines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |what: String| CatalogueError::Line { line, what };
        let row: Row = record.deserialize(Some(&headers)).map_err(|e| wrong(e.to_string()))?;
        machines.push(row.machine().map_err(wrong)?);
    }
    Ok(machines)
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    maker: String,
    model: String,
    cooling: Option<String>,
    hashrate_ths: f64,
    power_w: Option<f64>,
    efficiency_j_per_th: Option<f64>,
    price_usd: Option<f64>,
    price_date: Option<String>,
    coinbase_limit_bytes: Option<u32>,
    ramp_down_s: Option<f64>,
    ramp_up_s: Option<f64>,
    noise_db: Option<f64>,
    #[serde(default)]
    note: String,
}

impl Row {
    fn machine(self) -> Result<Machine, String> {
        let of = |e: units::UnitError| format!("{}: {e}", self.model);
        if !(self.hashrate_ths.is_finite() && self.hashrate_ths > 0.0) {
            return Err(format!("{}: hashrate_ths must be a positive finite number", self.model));
        }
        let hashrate = Hashrate::from_hashes_per_second(self.hashrate_ths * 1e12);
        let power = self.power_w.map(Watts::new).transpose().map_err(of)?;
        let printed = self.efficiency_j_per_th.map(Efficiency::new).transpose().map_err(of)?;
        let drawn = power.map(|p| Efficiency::of(p, hashrate)).transpose().map_err(of)?;
        let seconds = |name: &str, value: Option<f64>| match value {
            None => Ok(None),
            Some(s) => Duration::try_from_secs_f64(s)
                .map(Some)
                .map_err(|_| format!("{}: {name} must be zero or more seconds", self.model)),
        };
        if self.noise_db.is_some_and(|db| !db.is_finite()) {
            return Err(format!("{}: noise_db must be a finite number", self.model));
        }
        Ok(Machine {
            cooling: match self.cooling.as_deref() {
                None | Some("" | "air") => Cooling::Air,
                Some("hydro") => Cooling::Hydro,
                Some("immersion") => Cooling::Immersion,
                Some(other) => {
                    return Err(format!(
                        "{}: cooling is \"{other}\"; write air, hydro or immersion",
                        self.model
                    ));
                }
            },
            hashrate,
            power,
            efficiency: printed.or(drawn),
            price: self
                .price_usd
                .map(Usd::price)
                .transpose()
                .map_err(of)?
                .map(|usd| Price { usd, date: self.price_date.clone().unwrap_or_default() }),
            coinbase_limit_bytes: self.coinbase_limit_bytes,
            ramp_down: seconds("ramp_down_s", self.ramp_down_s)?,
            ramp_up: seconds("ramp_up_s", self.ramp_up_s)?,
            noise_db: self.noise_db,
            maker: self.maker,
            model: self.model,
            note: self.note,
        })
    }
}

fn unreadable(error: csv::Error) -> CatalogueError {
    CatalogueError::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read() {
        let read = parse(TABLE).unwrap();
        assert_eq!(read.len(), TABLE.lines().count() - 1);
        assert_eq!(read, machines());
        for machine in &read {
            assert!(!machine.maker.is_empty() && !machine.model.is_empty());
            let price = machine.price.as_ref();
            assert!(price.is_none_or(|p| p.usd.get() > 0.0 && p.date.starts_with("20")));
            assert_eq!(machine.power.is_some(), machine.efficiency.is_some(), "{}", machine.model);
        }
    }

    #[test]
    fn nameplate_power_and_hashrate_agree_with_nameplate_efficiency_within_its_last_digit() {
        for machine in machines() {
            let (Some(power), Some(printed)) = (machine.power, machine.efficiency) else {
                continue;
            };
            let drawn = Efficiency::of(power, machine.hashrate).unwrap();
            let apart = drawn.joules_per_terahash() - printed.joules_per_terahash();
            assert!(apart.abs() <= 0.0501, "{}: {apart:.3} J/TH apart", machine.model);
        }
    }

    #[test]
    fn what_is_not_known_is_none_and_never_zero() {
        let machine = |model: &str| machines().iter().find(|m| m.model == model).unwrap();
        let supra = machine("Bitaxe Supra");
        assert_eq!((supra.power, supra.efficiency, supra.price.clone()), (None, None, None));
        let s21 = machine("Antminer S21");
        assert_eq!(s21.price.as_ref().unwrap().usd.get(), 4830.0);
        assert_eq!(s21.price.as_ref().unwrap().date, "2025");
        assert_eq!(s21.coinbase_limit_bytes, Some(2250));
        assert_eq!((s21.ramp_up, s21.noise_db), (None, None));
    }

    #[test]
    fn a_wrong_table_says_which_line_to_mend() {
        for (text, said) in [
            ("", "it has no column model"),
            ("model,power_w\nX,3\n", "it has no column hashrate_ths"),
            (
                "model,hashrate_ths\nX,0\n",
                "line 2 of the table of machines: X: hashrate_ths must be",
            ),
            ("model,hashrate_ths\nX,NaN\n", "line 2 of the table"),
            ("model,hashrate_ths,power_w\nX,1,20\nY,1,-3\n", "line 3 of the table of machines: Y"),
            ("model,hashrate_ths,cooling\nX,1,steam\n", "write air, hydro or immersion"),
            ("model,hashrate_ths,ramp_up_s\nX,1,-1\n", "ramp_up_s must be zero or more seconds"),
            ("model,hashrate_ths\nX,fast\n", "line 2"),
            ("model,hashrate_ths\nX\n", "no table of machines"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_efficiency_that_is_not_printed_comes_from_power_and_hashrate() {
        let read = parse("model,hashrate_ths,power_w\nX,2,30\n").unwrap();
        assert_eq!(read[0].efficiency.unwrap().joules_per_terahash(), 15.0);
    }
}
