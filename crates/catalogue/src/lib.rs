//! Known machines and their nameplates, kept as data.
//!
//! This crate owns the table and how it is read, searched and ranked. It never talks to a machine
//! and never fetches a price.

mod machine;
mod table;

pub use machine::{Cooling, Machine, Price};
pub use table::{CatalogueError, machines, parse};

use std::cmp::Ordering;

/// What a ranking goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// J/TH, lowest first.
    Efficiency,
    /// Dollars per TH/s, lowest first.
    Price,
}

/// The machines whose maker, model or kind of cooling contain every word of `text`, whatever its
/// case.
pub fn matching<'a>(machines: &'a [Machine], text: &str) -> Vec<&'a Machine> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let has = |m: &&Machine| {
        let all = format!("{} {} {}", m.maker, m.model, m.cooling).to_lowercase();
        words.iter().all(|word| all.contains(word))
    };
    machines.iter().filter(has).collect()
}

/// The one machine that `text` means: the model itself, its last words, or the only match.
///
/// # Errors
/// None, or several; the text says which.
pub fn find<'a>(machines: &'a [Machine], text: &str) -> Result<&'a Machine, CatalogueError> {
    let wanted = text.trim().to_lowercase();
    let ends = |m: &&Machine| {
        let model = m.model.to_lowercase();
        model == wanted || model.strip_suffix(&wanted).is_some_and(|rest| rest.ends_with(' '))
    };
    let mut named = machines.iter().filter(ends);
    if let (Some(machine), None) = (named.next(), named.next()) {
        return Ok(machine);
    }
    match matching(machines, text).as_slice() {
        [machine] => Ok(machine),
        [] => Err(CatalogueError::Unknown(text.into())),
        many => Err(CatalogueError::Ambiguous(
            text.into(),
            many.iter().map(|m| m.model.clone()).collect::<Vec<_>>().join(", "),
        )),
    }
}

/// Sorts, best first; what is unknown comes last, equals by model.
pub fn rank(machines: &mut [&Machine], by: By) {
    let key = |machine: &Machine| match by {
        By::Efficiency => machine.efficiency.map(|e| e.joules_per_terahash()),
        By::Price => machine.price_per_terahash().map(|p| p.get()),
    };
    machines.sort_by(|a, b| unknown_last(key(a), key(b)).then_with(|| a.model.cmp(&b.model)));
}

fn unknown_last(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_found_by_its_name_its_last_words_or_the_only_match() {
        for (text, model) in [
            ("S21", "Antminer S21"),
            ("antminer s21 pro", "Antminer S21 Pro"),
            ("S19 XP", "Antminer S19 XP"),
            ("mini", "Avalon Mini 3"),
            ("bitaxe gamma", "Bitaxe Gamma"),
            ("immersion microbt", "Whatsminer M66S"),
        ] {
            assert_eq!(find(machines(), text).unwrap().model, model, "{text}");
        }
        let said = find(machines(), "heatbit").unwrap_err().to_string();
        assert_eq!(
            said,
            "\"heatbit\" could be several machines; name one of: Heatbit Trio, Heatbit Maxi"
        );
        let said = find(machines(), "S99").unwrap_err().to_string();
        assert_eq!(
            said,
            "the catalogue has no machine \"S99\"; `hearth catalogue` lists those it has"
        );
    }

    #[test]
    fn a_ranking_puts_the_best_first_and_the_unknown_last() {
        let mut all: Vec<&Machine> = machines().iter().collect();
        rank(&mut all, By::Efficiency);
        assert_eq!(all[0].model, "Antminer S23 Hyd");
        assert!(all.last().unwrap().efficiency.is_none());
        rank(&mut all, By::Price);
        assert_eq!(all[0].model, "Antminer S19 XP Hyd");
        assert!(all.last().unwrap().price.is_none());
    }

    #[test]
    fn words_match_maker_model_and_cooling_in_any_order_and_case() {
        assert_eq!(matching(machines(), "hydro bitmain").len(), 7);
        assert_eq!(matching(machines(), "").len(), machines().len());
        assert!(matching(machines(), "steam").is_empty());
    }
}
