//! What each input's range does to an outcome, one input at a time: the table and the tornado that
//! every quote ends with. It never looks at two inputs together.

use super::{Capital, Market, Mining};
use crate::{
    LabError,
    report::{Axis, Cell, Chart, Column, Content, Interval, Table},
};
use units::{Efficiency, HashPrice, Usd};

/// Hash prices seen in 2025 and 2026, dollars per PH/s per day.
pub(crate) const HASH_PRICES: (f64, f64) = (28.0, 43.0);

/// An input, the range it may have, and how a question is asked with another value of it.
pub(crate) struct Knob<Q> {
    /// Name for people, with its unit: `power price, $/kWh`.
    pub name: &'static str,
    /// A low value; not above `base`.
    pub low: f64,
    /// The value that the question has.
    pub base: f64,
    /// A high value; not below `base`.
    pub high: f64,
    /// Changes the question.
    pub set: fn(&mut Q, f64) -> Result<(), LabError>,
}

impl<Q> Knob<Q> {
    /// A range of `down` and `up` times the base.
    pub fn times(
        name: &'static str,
        base: f64,
        (down, up): (f64, f64),
        set: fn(&mut Q, f64) -> Result<(), LabError>,
    ) -> Self {
        let (low, high) = (base * down, base * up);
        Self { name, low: low.min(high), base, high: low.max(high), set }
    }

    /// A published range, widened to hold the base.
    pub fn between(
        name: &'static str,
        base: f64,
        (low, high): (f64, f64),
        set: fn(&mut Q, f64) -> Result<(), LabError>,
    ) -> Self {
        Self { name, low: low.min(base), base, high: high.max(base), set }
    }
}

/// A question about machines that mine.
pub(crate) trait Mines {
    /// What they earn.
    fn mining(&mut self) -> &mut Mining;
    /// What they cost.
    fn capital(&mut self) -> &mut Capital;
}

/// The three inputs that every question about mining turns on, with the ranges seen in 2025 and
/// 2026.
pub(crate) fn mining_knobs<Q: Mines>(
    mining: &Mining,
    capital: &Capital,
) -> Result<Vec<Knob<Q>>, LabError> {
    let hash_price = mining.market.hash_price()?.usd_per_ph_day();
    let efficiency = mining.efficiency.value.joules_per_terahash();
    let capex = capital.capex_per_kw.value.get();
    Ok(vec![
        Knob::between("hash price, $/PH/day", hash_price, HASH_PRICES, |q: &mut Q, v| {
            q.mining().market = Market::flag(HashPrice::new(v)?);
            Ok(())
        }),
        Knob::times("efficiency, J/TH", efficiency, (0.7, 1.5), |q: &mut Q, v| {
            q.mining().efficiency.value = Efficiency::new(v)?;
            Ok(())
        }),
        Knob::times("price of machines, $/kW", capex, (0.5, 1.5), |q: &mut Q, v| {
            q.capital().capex_per_kw.value = Usd::price(v)?;
            Ok(())
        }),
    ])
}

/// What is computed of a question.
pub(crate) struct Outcome {
    /// Columns of the table, with the unit: `usd_per_kwh_at_low`, `usd_per_kwh_at_high`.
    pub columns: (&'static str, &'static str),
    /// Name and unit for people: `net cost of heat, $/kWh`.
    pub label: &'static str,
}

/// The table and the chart. Inputs are asked for at their low and high values, all others as they
/// are; those that matter most come first.
pub(crate) fn tornado<Q: Clone>(
    question: &Q,
    knobs: Vec<Knob<Q>>,
    outcome: Outcome,
    compute: impl Fn(&Q) -> Result<f64, LabError>,
) -> Result<(Table, Chart), LabError> {
    let base = compute(question)?;
    let at = |knob: &Knob<Q>, value: f64| {
        let mut changed = question.clone();
        (knob.set)(&mut changed, value)?;
        compute(&changed)
    };
    let mut bars = Vec::new();
    for knob in knobs {
        let (low, high) = (at(&knob, knob.low)?, at(&knob, knob.high)?);
        bars.push((knob, low, high));
    }
    bars.sort_by(|(_, a, b), (_, c, d)| (d - c).abs().total_cmp(&(b - a).abs()));

    let mut table = Table::new(
        "sensitivity",
        format!("What moves it: {}", outcome.label),
        [
            Column::new("input", "input"),
            Column::new("low", "low"),
            Column::new("base", "base"),
            Column::new("high", "high"),
            Column::new(outcome.columns.0, "outcome at low"),
            Column::new(outcome.columns.1, "outcome at high"),
        ],
    );
    for (knob, low, high) in &bars {
        table.row([
            knob.name.into(),
            Cell::Figure(knob.low),
            Cell::Figure(knob.base),
            Cell::Figure(knob.high),
            Cell::Figure(*low),
            Cell::Figure(*high),
        ]);
    }
    let name = |knob: &Knob<Q>| {
        let (name, unit) = knob.name.split_once(", ").unwrap_or((knob.name, ""));
        let range =
            format!("{} … {}", Cell::Figure(knob.low).text(), Cell::Figure(knob.high).text());
        format!("{name} {range} {unit}").trim_end().to_string()
    };
    let bars =
        bars.iter().map(|(knob, low, high)| Interval { name: name(knob), low: *low, high: *high });
    let chart = Chart {
        title: format!("What moves it: {}", outcome.label),
        x: Axis::linear(outcome.label),
        y: Axis::linear("input, from low to high"),
        content: Content::Tornado { base, bars: bars.collect() },
    };
    Ok((table, chart))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_that_moves_the_outcome_most_comes_first() {
        let knobs = vec![
            Knob::times("a", 1.0, (0.9, 1.1), |q: &mut (f64, f64), v| {
                q.0 = v;
                Ok(())
            }),
            Knob::between("b, $", 2.0, (1.0, 4.0), |q: &mut (f64, f64), v| {
                q.1 = v;
                Ok(())
            }),
        ];
        let outcome = Outcome { columns: ("x_at_low", "x_at_high"), label: "a - b, $" };
        let (table, chart) = tornado(&(1.0, 2.0), knobs, outcome, |q| Ok(q.0 - q.1)).unwrap();
        assert_eq!(table.rows[0][0], "b, $".into());
        let Content::Tornado { base, bars } = chart.content else { panic!() };
        assert_eq!((base, bars[0].low, bars[0].high), (-1.0, 0.0, -3.0));
        assert_eq!(bars[0].name, "b 1.00 … 4.00 $");
    }

    #[test]
    fn a_range_holds_its_base_whatever_the_sign() {
        let unchanged = |_: &mut (), _| Ok(());
        let knob = Knob::times("x", -2.0, (0.5, 2.0), unchanged);
        assert_eq!((knob.low, knob.high), (-4.0, -1.0));
        let knob = Knob::between("x", 50.0, (28.0, 43.0), unchanged);
        assert_eq!((knob.low, knob.high), (28.0, 50.0));
    }
}
