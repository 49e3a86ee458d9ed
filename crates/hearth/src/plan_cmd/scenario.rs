//! A scenario: a site, its prices and forecasts in a TOML file, made into a problem. Power is in kW,
//! energy in kWh, time in minutes; the name of a key ends with its unit.

use super::{
    quantity::{Of, Quantity},
    series::{Files, Series},
};
use dispatch::plan::{
    Batch, Battery, Class, Coincident, Commitment, DemandCharge, Earns, Genset, Level, Problem,
    Reserve, Zone,
};
use serde::Deserialize;
use std::{path::Path, sync::Arc, time::Duration};
use toml::value::Datetime;
use units::{Celsius, EnergyPrice, Hashrate, Ratio, UnixTime, Usd, WattHours, Watts};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// When the first step begins.
    start: Datetime,
    step_min: Of<Duration>,
    /// How many; needed only where every series is a single number.
    steps: Option<usize>,
    import_usd_per_kwh: Series,
    export_usd_per_kwh: Option<Series>,
    hashprice_usd_per_ph_day: Option<Series>,
    pv_kw: Option<Series>,
    load_kw: Option<Series>,
    outdoor_c: Option<Series>,
    import_limit_kw: Option<Of<Watts>>,
    export_limit_kw: Option<Of<Watts>>,
    #[serde(default)]
    class: Vec<ClassText>,
    battery: Option<BatteryText>,
    genset: Option<GensetText>,
    #[serde(default)]
    zone: Vec<ZoneText>,
    #[serde(default)]
    demand: Vec<DemandText>,
    coincident: Option<CoincidentText>,
    #[serde(default)]
    contract: Vec<ContractText>,
    #[serde(default)]
    reserve: Vec<ReserveText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassText {
    name: Arc<str>,
    #[serde(default = "one")]
    count: Of<u32>,
    available: Option<Series>,
    level: Vec<LevelText>,
    #[serde(default)]
    off_kw: Of<Watts>,
    #[serde(default)]
    min_on_min: Of<Duration>,
    #[serde(default)]
    min_off_min: Of<Duration>,
    #[serde(default)]
    start_usd: Of<Usd>,
    #[serde(default)]
    stop_usd: Of<Usd>,
    ramp_up_kw: Option<Of<Watts>>,
    ramp_down_kw: Option<Of<Watts>>,
    /// Name of a zone.
    heats: Option<String>,
    heat_share: Option<Of<Ratio>>,
    #[serde(default)]
    now: Vec<BatchText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelText {
    power_kw: Of<Watts>,
    hashrate_ths: Option<Of<Hashrate>>,
    usd_per_hour: Option<Of<Usd>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchText {
    count: Of<u32>,
    /// Counted from 1, as levels are listed; without it they are off.
    level: Option<usize>,
    since_min: Of<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatteryText {
    now_kwh: Of<WattHours>,
    #[serde(default)]
    least_kwh: Of<WattHours>,
    most_kwh: Of<WattHours>,
    charge_kw: Of<Watts>,
    discharge_kw: Of<Watts>,
    charge_efficiency: Of<Ratio>,
    discharge_efficiency: Of<Ratio>,
    #[serde(default)]
    wear_usd_per_kwh: Of<EnergyPrice>,
    #[serde(default)]
    end_value_usd_per_kwh: Of<EnergyPrice>,
    #[serde(default)]
    end_least_kwh: Of<WattHours>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GensetText {
    least_kw: Of<Watts>,
    most_kw: Of<Watts>,
    change_kw: Option<Of<Watts>>,
    fuel_usd_per_kwh: Of<EnergyPrice>,
    #[serde(default)]
    usd_per_hour: Of<Usd>,
    #[serde(default)]
    start_usd: Of<Usd>,
    #[serde(default)]
    min_on_min: Of<Duration>,
    #[serde(default)]
    min_off_min: Of<Duration>,
    now_kw: Option<Of<Watts>>,
    since_min: Of<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneText {
    name: Arc<str>,
    capacity_kwh_per_k: Of<WattHours>,
    loss_kw_per_k: Of<Watts>,
    around_c: Option<Of<Celsius>>,
    gains_kw: Option<Series>,
    now_c: Of<Celsius>,
    low_c: Series,
    high_c: Series,
    cold_usd_per_k_hour: Of<Usd>,
    hot_usd_per_k_hour: Of<Usd>,
    heater_kw: Option<Of<Watts>>,
    heater_cop: Option<f64>,
    #[serde(default)]
    vented: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DemandText {
    name: Arc<str>,
    usd_per_kw: Of<Usd>,
    interval_min: Of<Duration>,
    #[serde(default)]
    so_far_kw: Of<Watts>,
    applies: Option<Series>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CoincidentText {
    usd_per_kw: Of<Usd>,
    interval_min: Of<Duration>,
    chance: Series,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContractText {
    name: Arc<str>,
    at_most_kw: Option<Of<Watts>>,
    at_least_kw: Option<Of<Watts>>,
    /// 1 for steps it holds in; all without it.
    applies: Option<Series>,
    penalty_usd_per_kwh: Option<Of<EnergyPrice>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReserveText {
    name: Arc<str>,
    duration_min: Of<Duration>,
    usd_per_kw_hour: Series,
    sold_kw: Option<Series>,
    most_kw: Of<Watts>,
    penalty_usd_per_kw_hour: Option<Of<EnergyPrice>>,
    /// Names of classes.
    classes: Vec<String>,
    #[serde(default)]
    battery: bool,
}

fn one() -> Of<u32> {
    Of(1)
}

/// The problem in this file. Errors name the file and the key.
pub fn load(path: &Path) -> Result<Problem, String> {
    let text = crate::quote::read(path)?;
    let wrong = |e: String| format!("{}: {e}", path.display());
    let scenario: Scenario = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    Reader::new(path, &scenario).and_then(|reader| reader.problem(&scenario)).map_err(wrong)
}

struct Reader {
    files: Files,
    steps: usize,
}

impl Reader {
    fn new(path: &Path, scenario: &Scenario) -> Result<Self, String> {
        let files = Files::beside(path);
        let steps = match (
            scenario.steps,
            files.length("import_usd_per_kwh", &scenario.import_usd_per_kwh)?,
        ) {
            (Some(steps), _) | (None, Some(steps)) => steps,
            (None, None) => return Err("import_usd_per_kwh is one number: give steps too".into()),
        };
        // A number that stands for all steps is written out, so their count is bounded before.
        if steps > 100_000 {
            return Err(format!("steps: {steps} are more than any plan has"));
        }
        Ok(Self { files, steps })
    }

    fn series<T: Quantity>(&self, key: &str, series: &Series) -> Result<Vec<T>, String> {
        let values = self.files.series(key, series, self.steps)?;
        if values.len() != self.steps {
            let (got, steps) = (values.len(), self.steps);
            return Err(format!("{key} has {got} values for {steps} steps: give one per step"));
        }
        Ok(values)
    }

    /// Empty where nothing is given.
    fn some<T: Quantity>(&self, key: &str, series: Option<&Series>) -> Result<Vec<T>, String> {
        series.map_or(Ok(Vec::new()), |series| self.series(key, series))
    }

    fn problem(&self, s: &Scenario) -> Result<Problem, String> {
        Ok(Problem {
            start: unix(s.start)?,
            step: s.step_min.0,
            import: self.series("import_usd_per_kwh", &s.import_usd_per_kwh)?,
            export: self.some("export_usd_per_kwh", s.export_usd_per_kwh.as_ref())?,
            hash_price: self
                .some("hashprice_usd_per_ph_day", s.hashprice_usd_per_ph_day.as_ref())?,
            pv: self.some("pv_kw", s.pv_kw.as_ref())?,
            load: self.some("load_kw", s.load_kw.as_ref())?,
            outdoor: self.some("outdoor_c", s.outdoor_c.as_ref())?,
            import_limit: s.import_limit_kw.map(|w| w.0),
            export_limit: s.export_limit_kw.map(|w| w.0),
            classes: s.class.iter().map(|c| self.class(s, c)).collect::<Result<_, _>>()?,
            battery: s.battery.as_ref().map(battery),
            genset: s.genset.as_ref().map(genset),
            zones: s.zone.iter().map(|z| self.zone(z)).collect::<Result<_, _>>()?,
            demand: s.demand.iter().map(|d| self.demand(d)).collect::<Result<_, _>>()?,
            coincident: s.coincident.as_ref().map(|c| self.coincident(c)).transpose()?,
            commitments: s.contract.iter().map(|c| self.contract(c)).collect::<Result<_, _>>()?,
            reserves: s.reserve.iter().map(|r| self.reserve(s, r)).collect::<Result<_, _>>()?,
        })
    }

    fn class(&self, s: &Scenario, c: &ClassText) -> Result<Class, String> {
        let name = &c.name;
        let key = |key: &str| format!("{key} of class {name}");
        let level = |l: &LevelText| {
            let earns = match (l.hashrate_ths, l.usd_per_hour) {
                (Some(rate), None) => Earns::Hash(rate.0),
                (None, Some(usd)) => Earns::PerHour(usd.0),
                _ => {
                    let level = key("level");
                    return Err(format!("{level}: give hashrate_ths, or usd_per_hour"));
                }
            };
            Ok(Level { power: l.power_kw.0, earns })
        };
        let batch = |b: &BatchText| {
            let from_one = |level: usize| {
                level.checked_sub(1).ok_or_else(|| format!("{}: levels count from 1", key("now")))
            };
            let level = b.level.map(from_one).transpose()?;
            Ok::<_, String>(Batch { count: b.count.0, level, since: b.since_min.0 })
        };
        let heats = match (&c.heats, c.heat_share) {
            (Some(zone), share) => {
                let at = s
                    .zone
                    .iter()
                    .position(|z| *z.name == **zone)
                    .ok_or_else(|| format!("{}: there is no zone {zone}", key("heats")))?;
                let share = share
                    .map_or_else(|| Ratio::new(1.0).map_err(|e| e.to_string()), |s| Ok(s.0))?;
                Some((at, share))
            }
            (None, Some(_)) => {
                return Err(format!("{}: say which zone it heats", key("heat_share")));
            }
            (None, None) => None,
        };
        Ok(Class {
            name: Arc::clone(name),
            count: c.count.0,
            available: self.some(&key("available"), c.available.as_ref())?,
            levels: c.level.iter().map(level).collect::<Result<_, _>>()?,
            off_power: c.off_kw.0,
            min_on: c.min_on_min.0,
            min_off: c.min_off_min.0,
            start_cost: c.start_usd.0,
            stop_cost: c.stop_usd.0,
            ramp_up: c.ramp_up_kw.map(|w| w.0),
            ramp_down: c.ramp_down_kw.map(|w| w.0),
            heats,
            now: c.now.iter().map(batch).collect::<Result<_, _>>()?,
        })
    }

    fn zone(&self, z: &ZoneText) -> Result<Zone, String> {
        let key = |key: &str| format!("{key} of zone {}", z.name);
        Ok(Zone {
            name: Arc::clone(&z.name),
            capacity: z.capacity_kwh_per_k.0,
            loss: z.loss_kw_per_k.0,
            around: z.around_c.map(|c| c.0),
            gains: self.some(&key("gains_kw"), z.gains_kw.as_ref())?,
            now: z.now_c.0,
            low: self.series(&key("low_c"), &z.low_c)?,
            high: self.series(&key("high_c"), &z.high_c)?,
            cold: z.cold_usd_per_k_hour.0,
            hot: z.hot_usd_per_k_hour.0,
            heater: z.heater_kw.map(|w| (w.0, z.heater_cop.unwrap_or(1.0))),
            vented: z.vented,
        })
    }

    fn demand(&self, d: &DemandText) -> Result<DemandCharge, String> {
        Ok(DemandCharge {
            name: Arc::clone(&d.name),
            per_kw: d.usd_per_kw.0,
            interval: d.interval_min.0,
            so_far: d.so_far_kw.0,
            applies: self.some(&format!("applies of demand {}", d.name), d.applies.as_ref())?,
        })
    }

    fn coincident(&self, c: &CoincidentText) -> Result<Coincident, String> {
        Ok(Coincident {
            per_kw: c.usd_per_kw.0,
            interval: c.interval_min.0,
            chance: self.series("chance of coincident", &c.chance)?,
        })
    }

    fn contract(&self, c: &ContractText) -> Result<Commitment, String> {
        let applies = match &c.applies {
            Some(applies) => self.series(&format!("applies of contract {}", c.name), applies)?,
            None => vec![true; self.steps],
        };
        let limit = |kw: Option<Of<Watts>>| -> Vec<Option<Watts>> {
            applies.iter().map(|applies| kw.filter(|_| *applies).map(|w| w.0)).collect()
        };
        Ok(Commitment {
            name: Arc::clone(&c.name),
            at_most: limit(c.at_most_kw),
            at_least: limit(c.at_least_kw),
            penalty: c.penalty_usd_per_kwh.map(|p| p.0),
        })
    }

    fn reserve(&self, s: &Scenario, r: &ReserveText) -> Result<Reserve, String> {
        let key = |key: &str| format!("{key} of reserve {}", r.name);
        let class = |name: &String| {
            let at = s.class.iter().position(|c| *c.name == **name);
            at.ok_or_else(|| format!("{}: there is no class {name}", key("classes")))
        };
        Ok(Reserve {
            name: Arc::clone(&r.name),
            duration: r.duration_min.0,
            price: self.series(&key("usd_per_kw_hour"), &r.usd_per_kw_hour)?,
            sold: self.some(&key("sold_kw"), r.sold_kw.as_ref())?,
            most: r.most_kw.0,
            penalty: r.penalty_usd_per_kw_hour.map(|p| p.0),
            classes: r.classes.iter().map(class).collect::<Result<_, _>>()?,
            battery: r.battery,
        })
    }
}

fn battery(b: &BatteryText) -> Battery {
    Battery {
        now: b.now_kwh.0,
        least: b.least_kwh.0,
        most: b.most_kwh.0,
        charge: b.charge_kw.0,
        discharge: b.discharge_kw.0,
        charge_efficiency: b.charge_efficiency.0,
        discharge_efficiency: b.discharge_efficiency.0,
        wear: b.wear_usd_per_kwh.0,
        end_value: b.end_value_usd_per_kwh.0,
        end_least: b.end_least_kwh.0,
    }
}

fn genset(g: &GensetText) -> Genset {
    Genset {
        least: g.least_kw.0,
        most: g.most_kw.0,
        change: g.change_kw.map(|w| w.0),
        fuel: g.fuel_usd_per_kwh.0,
        per_hour: g.usd_per_hour.0,
        start_cost: g.start_usd.0,
        min_on: g.min_on_min.0,
        min_off: g.min_off_min.0,
        power_now: g.now_kw.map(|w| w.0),
        since: g.since_min.0,
    }
}

/// Days from civil (Howard Hinnant): the year begins in March, so that leap days come last.
fn unix(start: Datetime) -> Result<UnixTime, String> {
    let (Some(date), Some(time)) = (start.date, start.time) else {
        return Err("start: give a date and a time, such as 2026-01-15T00:00:00Z".into());
    };
    let offset = match start.offset {
        Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
        _ => 0,
    };
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
        - 719_468;
    let minutes = i64::from(time.hour) * 60 + i64::from(time.minute) - offset;
    let seconds = days * 86_400 + minutes * 60 + i64::from(time.second.unwrap_or(0));
    u64::try_from(seconds).map(UnixTime).map_err(|_| "start: it lies before 1970".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_with_its_offset() {
        let at = |text: &str| unix(text.parse().unwrap()).unwrap().0;
        assert_eq!(at("1970-01-01T00:00:00Z"), 0);
        assert_eq!(at("2000-02-29T12:00:00Z"), 951_825_600);
        assert_eq!(at("2026-01-15T01:00:00+01:00"), 1_768_435_200);
    }
}
