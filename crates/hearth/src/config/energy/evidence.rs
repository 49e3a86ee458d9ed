//! `[energy.evidence]`: what is signed and kept, and by which rules a call's baseline is made. It knows the
//! rules of markets by their names; what they say is `dispatch`'s.

use super::{label, lines::texts, percent};
use crate::config::{
    HOUR, MINUTE, SECOND,
    section::{Fault, Read, Section},
    value,
};
use dispatch::baseline::{
    METER_CLASS_1, MeterError,
    calendar::Calendar,
    like_days::{CAISO_5_OF_10, CAISO_10_OF_10, ERCOT_MIDDLE_8_OF_10, NYISO_5_OF_10, Rule},
};
use ledger::evidence::{Grid, Label, Method, Resolution};
use std::time::Duration;
use toml::de::DeValue;
use units::{Date, Efficiency, EmissionFactor, Ratio, UtcOffset};

/// Less than any machine needs, J/TH: 9.5 is the best nameplate in the catalogue (Antminer S23 Hydro), and
/// at low power a machine needs up to a fifth less than its nameplate says.
const BEST: f64 = 7.5;
/// As many as a record may name.
const CERTIFICATES: usize = 16;

/// The rules of markets by name.
const RULES: [(&str, Rule); 4] = [
    ("caiso 10 of 10", CAISO_10_OF_10),
    ("caiso 5 of 10", CAISO_5_OF_10),
    ("nyiso 5 of 10", NYISO_5_OF_10),
    ("ercot middle 8 of 10", ERCOT_MIDDLE_8_OF_10),
];
const PRIOR: &str = "metered prior interval";

/// The signed record.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub meter: String,
    pub interval: Duration,
    /// What a kilowatt-hour from the grid emits, and who says so.
    pub grid: Option<Grid>,
    pub certificates: Vec<Label>,
    pub basis: Basis,
    /// The meter's limit of error.
    pub meter_error: MeterError,
    /// Of the best machine that there is, anywhere.
    pub best: Efficiency,
}

/// What a baseline is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Basis {
    /// What was metered just before the call.
    Prior,
    /// Days like the call's.
    LikeDays {
        /// As records name it.
        name: &'static str,
        rule: Rule,
        calendar: Calendar,
    },
}

impl Basis {
    /// As records name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prior => PRIOR,
            Self::LikeDays { name, .. } => name,
        }
    }
}

impl Evidence {
    /// Sums by the usual intervals, for a site without a record.
    pub fn unrecorded() -> Self {
        Self {
            meter: String::new(),
            interval: 5 * MINUTE,
            grid: None,
            certificates: Vec::new(),
            basis: Basis::Prior,
            meter_error: MeterError(Ratio::new(METER_CLASS_1).unwrap_or_default()),
            best: best(BEST),
        }
    }
}

fn best(joules_per_terahash: f64) -> Efficiency {
    Efficiency::new(joules_per_terahash).unwrap_or(Efficiency::ONE)
}

pub(super) fn read(mut section: Section<'_, '_>, offset: UtcOffset) -> Option<Evidence> {
    let usual = Evidence::unrecorded();
    let enabled = section.or("enabled", false, value::flag);
    let meter = section.or("meter", "main".into(), label);
    let interval = section.or("interval", usual.interval, value::duration(10 * SECOND, HOUR));
    let grid = read_grid(&mut section);
    let certificates = section.or("certificates", Vec::new(), references);
    let basis = read_basis(&mut section, interval, offset);
    let meter_error =
        MeterError(percent(&mut section, "meter_error_percent", METER_CLASS_1 * 100.0));
    let best = best(section.or("best_j_per_th", BEST, value::number(0.1, 100.0)));
    enabled.then_some(Evidence { meter, interval, grid, certificates, basis, meter_error, best })
}

fn read_grid(section: &mut Section<'_, '_>) -> Option<Grid> {
    let grams = section.optional("grams_co2_per_kwh", value::number(0.0, 3000.0));
    let source = section.optional("factor_source", reference);
    let method = section.or("factor_method", Method::Location, |value| match value.as_str() {
        Some("location") => Ok(Method::Location),
        Some("market") => Ok(Method::Market),
        _ => Err(Fault::MustBe("\"location\" or \"market\"".into())),
    });
    let resolution =
        section.or("factor_resolution", Resolution::Annual, |value| match value.as_str() {
            Some("annual") => Ok(Resolution::Annual),
            Some("monthly") => Ok(Resolution::Monthly),
            Some("hourly") => Err(Fault::Sentence(
                "cannot be \"hourly\": a factor that stands in this file is not another one each hour; \
                 give the mean of the month or year"
                    .into(),
            )),
            _ => Err(Fault::MustBe("\"annual\" or \"monthly\"".into())),
        });
    if grams.is_some() != source.is_some() && section.clean() {
        section.fault("factor_source", "and grams_co2_per_kwh are needed together");
    }
    let (grams, source) = grams.zip(source)?;
    let factor = EmissionFactor::grams_per_kwh(grams).ok()?;
    Some(Grid { factor, source, method, resolution })
}

fn read_basis(section: &mut Section<'_, '_>, interval: Duration, offset: UtcOffset) -> Basis {
    let named = |value: &DeValue| {
        let text = value.as_str().unwrap_or_default();
        let rule = RULES.into_iter().find(|(name, _)| *name == text);
        match rule {
            Some(rule) => Ok(Some(rule)),
            None if text == PRIOR => Ok(None),
            None => {
                let names = RULES.map(|(name, _)| format!("\"{name}\"")).join(", ");
                Err(Fault::MustBe(format!("\"{PRIOR}\" or one of {names}")))
            }
        }
    };
    let rule = section.or("baseline", None, named);
    let holidays = section.or("holidays", Vec::new(), dates);
    let cap = section.optional("adjustment_percent", value::number(0.0, 100.0));
    let Some((name, mut rule)) = rule else {
        return Basis::Prior;
    };
    if let Some(cap) = cap.and_then(|cap| Ratio::percent(cap).ok()) {
        if rule.adjustment.is_none() {
            let words = format!("has no meaning: \"{name}\" is not adjusted");
            section.fault("adjustment_percent", &words);
        }
        rule = rule.capped(cap);
    }
    let seconds = interval.as_secs();
    let whole = seconds.is_multiple_of(60) && HOUR.as_secs().is_multiple_of(seconds);
    if !whole && section.clean() {
        section.fault(
            "interval",
            "must be whole minutes of which an hour is a multiple, for days to be compared",
        );
    } else if section.clean() && offset.0 % seconds as i64 != 0 {
        section.fault("interval", "must divide energy.utc_offset_h: days begin where intervals do");
    }
    let calendar = Calendar { clock: offset, holidays: holidays.into_iter().collect() };
    Basis::LikeDays { name, rule, calendar }
}

/// What a record can hold as a text.
fn reference(value: &DeValue) -> Read<Label> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.ok_or_else(|| {
        Fault::MustBe("a text in quotes of 1 to 120 plain ASCII characters without \\\"".into())
    })
}

fn references(value: &DeValue) -> Read<Vec<Label>> {
    let read: Option<Vec<Label>> =
        texts(value)?.into_iter().map(|text| text.parse().ok()).collect();
    read.filter(|all| all.len() <= CERTIFICATES).ok_or_else(|| {
        Fault::MustBe(format!(
            "a list of up to {CERTIFICATES} texts of 1 to 120 plain ASCII characters without \\\""
        ))
    })
}

fn dates(value: &DeValue) -> Read<Vec<Date>> {
    let read: Option<Vec<Date>> = texts(value)?.iter().map(|text| text.parse().ok()).collect();
    read.ok_or_else(|| Fault::MustBe("a list of dates in quotes, such as [\"2026-12-25\"]".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    fn told(keys: &str) -> Result<Evidence, String> {
        told_at(0.0, keys)
    }

    fn told_at(hours: f64, keys: &str) -> Result<Evidence, String> {
        let text =
            format!("[energy]\nutc_offset_h = {hours}\n[energy.evidence]\nenabled = true\n{keys}");
        let config = Config::parse(&text, Path::new("."));
        config.map(|config| config.energy.evidence.unwrap()).map_err(|problems| {
            problems.iter().map(|problem| format!("{}\n", problem.sentence)).collect()
        })
    }

    #[test]
    fn a_markets_rule_comes_by_its_name_with_its_days_and_the_contracts_limits() {
        assert_eq!(told("").unwrap().basis, Basis::Prior);
        let keys = "baseline = \"nyiso 5 of 10\"\nholidays = [\"2026-12-25\"]\n\
                    adjustment_percent = 30\n";
        let Basis::LikeDays { name, rule, calendar } = told_at(-4.5, keys).unwrap().basis else {
            panic!("like days")
        };
        assert_eq!((name, calendar.clock), ("nyiso 5 of 10", UtcOffset(-16_200)));
        assert!(!calendar.works("2026-12-25".parse::<Date>().unwrap().days()));
        assert!(calendar.works("2026-12-24".parse::<Date>().unwrap().days()));
        assert_eq!(rule, NYISO_5_OF_10.capped(Ratio::percent(30.0).unwrap()));
        for (name, rule) in RULES {
            let Basis::LikeDays { rule: read, .. } =
                told(&format!("baseline = \"{name}\"\n")).unwrap().basis
            else {
                panic!("{name}")
            };
            assert_eq!(read, rule, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_evidence_is_refused_with_a_remedy() {
        let many = format!("certificates = [{}]", "\"x\", ".repeat(17));
        for (keys, words) in [
            ("baseline = \"caiso\"", "or one of \"caiso 10 of 10\""),
            ("baseline = \"caiso 10 of 10\"\ninterval = \"90s\"", "whole minutes"),
            ("baseline = \"caiso 10 of 10\"\ninterval = \"7m\"", "whole minutes"),
            (
                "baseline = \"ercot middle 8 of 10\"\nadjustment_percent = 20",
                "\"ercot middle 8 of 10\" is not adjusted",
            ),
            ("holidays = [\"25.12.2026\"]", "a list of dates"),
            ("factor_resolution = \"hourly\"", "the mean of the month or year"),
            ("factor_method = \"mine\"", "\"location\" or \"market\""),
            ("grams_co2_per_kwh = 12", "needed together"),
            ("grams_co2_per_kwh = 12\nfactor_source = \"Übertragungsnetz\"", "plain ASCII"),
            ("certificates = [\"\"]", "plain ASCII"),
            (many.as_str(), "up to 16"),
            ("best_j_per_th = 0", "a number from 0.1 to 100"),
        ] {
            let said = told(keys).err().unwrap_or_default();
            assert!(said.contains(words), "{keys}: {said}");
        }
        let keys = "baseline = \"caiso 10 of 10\"\ninterval = \"1h\"";
        let said = told_at(5.5, keys).err().unwrap_or_default();
        assert!(said.contains("days begin where intervals do"), "{said}");
    }
}
