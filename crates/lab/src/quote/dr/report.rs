//! The demand-response quote as a report.

use super::{Answer, Dr};
use crate::{
    LabError, Report,
    quote::{
        Capital, Given, Mining, finished,
        hours::MONTHS,
        mining::usd,
        sensitivity::{Knob, Mines, Outcome, mining_knobs, tornado},
    },
    report::{Cell, Column, Input, Table},
};
use units::{HashPrice, Usd, Watts};

impl Dr {
    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        let answer = self.answer()?;
        let outcome = Outcome {
            columns: ("gain_usd_year_at_low", "gain_usd_year_at_high"),
            label: "gain over always on, $ a year",
        };
        let (sensitivity, chart) = tornado(self, self.knobs()?, outcome, |q| {
            let answer = q.answer()?;
            Ok(answer.all.net() - answer.always_on.net())
        })?;
        finished(Report {
            name: "quote dr",
            finding: self.finding(&answer)?,
            inputs: self.inputs()?,
            tables: vec![ways(&answer), self.months(&answer), self.bids()?, sensitivity],
            chart: Some(chart),
        })
    }

    fn finding(&self, answer: &Answer) -> Result<String, LabError> {
        let gain = answer.all.net() - answer.always_on.net();
        let mut sorted = answer.gains.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let hundredth = sorted.len().div_ceil(100);
        let top: f64 = sorted.iter().take(hundredth).sum();
        let positive: f64 = sorted.iter().filter(|gain| **gain > 0.0).sum();
        let peaky = if positive > 0.0 {
            format!(
                " {:.0} % of what is gained comes from 1 % of the hours",
                100.0 * top / positive
            )
        } else {
            " Nothing is gained in any hour".into()
        };
        let mean = usd(answer.by_mean - answer.always_on.net());
        let bid = match &self.bid {
            Some(bid) if bid.value < self.least_bid(self.mining.market.hash_price()?)? => format!(
                " The bid of {} is below what hashing and a start are worth ({}): each call loses.",
                bid.value,
                self.least_bid(self.mining.market.hash_price()?)?,
            ),
            _ => String::new(),
        };
        Ok(format!(
            "Hour by hour, {} brings {} more a year than machines that always run: {} from \
             programmes, the rest from hours that were too dear and peaks that \
             were missed.{peaky}; by mean prices the gain would be {mean}.{bid} Year: {}.",
            self.power.value,
            usd(gain),
            usd(answer.all.programmes),
            self.hours.origin(),
        ))
    }

    fn months(&self, answer: &Answer) -> Table {
        let mut table = Table::new(
            "months",
            "By month, by price, programmes and peaks",
            [
                Column::new("month", "month"),
                Column::new("drawn_mwh", "drawn, MWh"),
                Column::new("hashing_usd", "hashing, $"),
                Column::new("power_usd", "power, $"),
                Column::new("programmes_usd", "programmes, $"),
                Column::new("peaks_usd", "peaks, $"),
                Column::new("net_usd", "left, $"),
                Column::new("gain_usd", "over always on, $"),
            ],
        );
        let mut gains = [0.0; 12];
        for (hour, gain) in answer.gains.iter().enumerate() {
            gains[self.hours.month(hour)] += gain;
        }
        for ((name, month), gain) in MONTHS.iter().zip(&answer.months).zip(gains) {
            table.row([
                (*name).into(),
                Cell::Number(month.drawn_mwh, 0),
                Cell::Number(month.hashing, 0),
                Cell::Number(month.power, 0),
                Cell::Number(month.programmes, 0),
                Cell::Number(month.peaks, 0),
                Cell::Number(month.net(), 0),
                Cell::Number(gain, 0),
            ]);
        }
        table
    }

    fn bids(&self) -> Result<Table, LabError> {
        let mut table = Table::new(
            "bids",
            "The least a firm offer to switch off should ask, by the hash price then",
            [
                Column::new("hashprice_usd_per_ph_day", "hash price, $/PH/day"),
                Column::new("least_bid_usd_per_mwh", "least bid, $/MWh"),
            ],
        );
        let now = self.mining.market.hash_price()?.usd_per_ph_day();
        for times in [0.8, 1.0, 1.2, 1.5] {
            let hash_price = HashPrice::new(now * times)?;
            let bid = self.least_bid(hash_price)?;
            table.row([Cell::Number(now * times, 2), Cell::Number(bid.usd_per_mwh(), 1)]);
        }
        Ok(table)
    }

    fn inputs(&self) -> Result<Vec<Input>, LabError> {
        let mw = |given: &Given<Watts>| Given {
            value: given.value.megawatts(),
            source: given.source.clone(),
        };
        let mut inputs =
            vec![mw(&self.power).line("power_mw"), mw(&self.promised).line("promised_mw")];
        for offer in &self.offers {
            let text = format!("{} {}", offer.programme, offer.power);
            inputs.push(Given::flag(text).line("offer"));
        }
        inputs.extend(self.bid.iter().map(|bid| bid.line("bid_usd_per_kwh")));
        inputs.extend(self.mining.inputs()?);
        inputs.extend([
            self.peak_charge_per_kw_year.line("peak_charge_usd_per_kw_year"),
            self.start_minutes.line("start_minutes"),
            self.hours.input(),
        ]);
        Ok(inputs)
    }

    fn knobs(&self) -> Result<Vec<Knob<Self>>, LabError> {
        let charge = self.peak_charge_per_kw_year.value.get();
        let mut knobs = mining_knobs(&self.mining, &self.capital)?;
        // The machines are the same either way.
        knobs.pop();
        knobs.extend([
            Knob::times("all prices of energy, times", 1.0, (0.7, 1.3), |q: &mut Self, v| {
                q.hours = q.hours.scaled("price_usd_per_mwh", v);
                Ok(())
            }),
            Knob::times("pay of all programmes, times", 1.0, (0.5, 1.5), |q, v| {
                let names: Vec<String> =
                    q.hours.named("_call").into_iter().map(|n| format!("{n}_usd_per_mw")).collect();
                for name in names {
                    q.hours = q.hours.scaled(&name, v);
                }
                Ok(())
            }),
            Knob::between("charge for peaks, $/kW-year", charge, (50.0, 150.0), |q, v| {
                q.peak_charge_per_kw_year.value = Usd::price(v)?;
                Ok(())
            }),
            Knob::between(
                "lost with a start, min",
                self.start_minutes.value,
                (0.2, 25.0),
                |q, v| {
                    q.start_minutes.value = v;
                    Ok(())
                },
            ),
        ]);
        Ok(knobs)
    }
}

fn ways(answer: &Answer) -> Table {
    let mut table = Table::new(
        "ways",
        "A year of the power that is not promised elsewhere",
        [
            Column::new("way", "way"),
            Column::new("drawn_mwh", "drawn, MWh"),
            Column::new("hashing_usd", "hashing, $"),
            Column::new("power_usd", "power, $"),
            Column::new("programmes_usd", "programmes, $"),
            Column::new("peaks_usd", "peaks, $"),
            Column::new("starts_usd", "starts, $"),
            Column::new("net_usd", "left, $"),
        ],
    );
    for (way, year) in [
        ("always on", answer.always_on),
        ("off when too dear", answer.by_price),
        ("price, programmes, peaks", answer.all),
    ] {
        table.row([
            way.into(),
            Cell::Number(year.drawn_mwh, 0),
            Cell::Number(year.hashing, 0),
            Cell::Number(year.power, 0),
            Cell::Number(year.programmes, 0),
            Cell::Number(year.peaks, 0),
            Cell::Number(year.starts, 0),
            Cell::Number(year.net(), 0),
        ]);
    }
    let mut mean = vec!["by mean prices (misleads)".into()];
    mean.extend(vec![Cell::Missing; 6]);
    mean.push(Cell::Number(answer.by_mean, 0));
    table.row(mean);
    table
}

impl Mines for Dr {
    fn mining(&mut self) -> &mut Mining {
        &mut self.mining
    }

    fn capital(&mut self) -> &mut Capital {
        &mut self.capital
    }
}
