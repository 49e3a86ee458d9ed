//! What feeds the machines: breakers, PDUs and phases, each with a budget that holds at every instant,
//! also while machines are on their way from one power to another.
//!
//! ```text
//!   site 40 kW ─┬─ PDU A 7.4 kW ─┬─ S21        A machine on its way counts with the most that it
//!               │                └─ M60S       can draw meanwhile, so the sum can be too low at no
//!               └─ PDU B 7.4 kW ─── 30 Gammas  moment. Downs are sent first; ups wait for room.
//! ```

use std::{collections::BTreeMap, sync::Arc};
use units::Watts;

/// One breaker, PDU, phase or the whole site.
#[derive(Debug, Clone, PartialEq)]
pub struct Circuit {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What feeds it; `None` for the top.
    pub parent: Option<Arc<str>>,
    /// Power that it carries for ever: for a breaker 80 % of its rating, unless its maker says more.
    pub limit: Watts,
    /// Power drawn by what is no machine of ours, as configured or metered.
    pub other: Watts,
}

/// All circuits of a site: a forest, checked when made.
#[derive(Debug, Clone, Default)]
pub struct Circuits {
    by_name: BTreeMap<Arc<str>, Circuit>,
}

/// Why circuits are no forest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCircuits {
    /// Two of one name.
    #[error("there are two circuits called \"{0}\": give each a name of its own")]
    Twice(Arc<str>),
    /// A parent that is not there.
    #[error("circuit \"{0}\" hangs on \"{1}\", which is not there: add it or mend feeds_from")]
    Orphan(Arc<str>, Arc<str>),
    /// A ring.
    #[error("circuit \"{0}\" feeds itself: mend feeds_from")]
    Ring(Arc<str>),
}

impl Circuits {
    /// Checks that names are unique, parents exist and nothing feeds itself.
    pub fn new(all: Vec<Circuit>) -> Result<Self, BadCircuits> {
        let mut by_name = BTreeMap::new();
        for circuit in all {
            let name = circuit.name.clone();
            if by_name.insert(name.clone(), circuit).is_some() {
                return Err(BadCircuits::Twice(name));
            }
        }
        let circuits = Self { by_name };
        for circuit in circuits.by_name.values() {
            if let Some(parent) = &circuit.parent
                && !circuits.by_name.contains_key(parent)
            {
                return Err(BadCircuits::Orphan(circuit.name.clone(), parent.clone()));
            }
            if circuits.path(&circuit.name).take(circuits.by_name.len() + 1).count()
                > circuits.by_name.len()
            {
                return Err(BadCircuits::Ring(circuit.name.clone()));
            }
        }
        Ok(circuits)
    }

    /// One by its name.
    pub fn get(&self, name: &str) -> Option<&Circuit> {
        self.by_name.get(name)
    }

    /// All, by name.
    pub fn all(&self) -> impl Iterator<Item = &Circuit> {
        self.by_name.values()
    }

    /// A circuit and everything that feeds it, up to the top.
    pub fn path<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Circuit> {
        std::iter::successors(self.by_name.get(name), |circuit| {
            circuit.parent.as_ref().and_then(|parent| self.by_name.get(parent))
        })
    }

    /// The same circuits, each metered one with at least so much else on it as its meter shows beyond its
    /// machines and what else hangs below: (circuit of a machine, power; `None` while unknown). Where a
    /// machine's power is unknown the meter cannot tell what is else.
    pub fn metered<'a>(
        &self,
        machines: impl IntoIterator<Item = (&'a str, Option<Watts>)>,
        metered: &BTreeMap<Arc<str>, Watts>,
    ) -> Self {
        // Of each circuit: its machines, and what else is found below it.
        let mut sums: BTreeMap<&str, Option<f64>> =
            self.all().map(|circuit| (&*circuit.name, Some(0.0))).collect();
        for (name, power) in machines {
            for circuit in self.path(name) {
                if let Some(sum) = sums.get_mut(&*circuit.name) {
                    *sum = sum.zip(power).map(|(sum, power)| sum + power.get());
                }
            }
        }
        let mut deepest_first: Vec<&Circuit> = self.all().collect();
        deepest_first.sort_by_key(|circuit| std::cmp::Reverse(self.path(&circuit.name).count()));
        let mut others: BTreeMap<&str, f64> = BTreeMap::new();
        let mut loaded = self.clone();
        for circuit in deepest_first {
            let sum = sums.get(&*circuit.name).copied().flatten();
            let below = others.get(&*circuit.name).copied().unwrap_or(0.0);
            let beyond = metered
                .get(&circuit.name)
                .zip(sum)
                .and_then(|(meter, sum)| Watts::new(meter.get() - sum - below).ok());
            let other = beyond.map_or(circuit.other, |beyond| beyond.max(circuit.other));
            for above in self.path(&circuit.name).skip(1) {
                *others.entry(&*above.name).or_default() += other.get();
            }
            if let Some(own) = loaded.by_name.get_mut(&circuit.name) {
                own.other = other;
            }
        }
        loaded
    }

    /// Loads of each circuit when every machine draws as given: (circuit of the machine, power). A
    /// machine without a circuit loads none.
    pub fn loads<'a>(
        &self,
        machines: impl IntoIterator<Item = (Option<&'a str>, Watts)>,
    ) -> BTreeMap<Arc<str>, Watts> {
        let mut loads: BTreeMap<Arc<str>, Watts> =
            self.all().map(|circuit| (circuit.name.clone(), Watts::ZERO)).collect();
        for (name, power) in machines {
            for circuit in name.into_iter().flat_map(|name| self.path(name)) {
                if let Some(load) = loads.get_mut(&circuit.name) {
                    *load = *load + power;
                }
            }
        }
        // What is no machine of ours loads its circuit and all above it.
        for circuit in self.all().filter(|circuit| circuit.other > Watts::ZERO) {
            for above in self.path(&circuit.name) {
                if let Some(load) = loads.get_mut(&above.name) {
                    *load = *load + circuit.other;
                }
            }
        }
        loads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuit(name: &str, parent: Option<&str>, limit: f64) -> Circuit {
        Circuit {
            name: name.into(),
            parent: parent.map(Into::into),
            limit: Watts::new(limit).unwrap(),
            other: Watts::ZERO,
        }
    }

    #[test]
    fn a_machine_loads_its_circuit_and_all_that_feed_it() {
        let mut heater = circuit("B", Some("site"), 7400.0);
        heater.other = Watts::new(500.0).unwrap();
        let all = vec![circuit("site", None, 14e3), circuit("A", Some("site"), 7400.0), heater];
        let circuits = Circuits::new(all).unwrap();
        let w = |w| Watts::new(w).unwrap();
        let loads =
            circuits.loads([(Some("A"), w(3500.0)), (Some("B"), w(2000.0)), (None, w(9.0))]);
        let load = |name: &str| loads[name].get();
        assert_eq!((load("A"), load("B"), load("site")), (3500.0, 2500.0, 6000.0));
    }

    #[test]
    fn what_a_meter_shows_beyond_the_machines_is_something_else_on_its_circuit() {
        let all = vec![
            circuit("site", None, 14e3),
            circuit("A", Some("site"), 7400.0),
            circuit("B", Some("site"), 7400.0),
        ];
        let circuits = Circuits::new(all).unwrap();
        let w = |watts| Watts::new(watts).unwrap();
        let machines = |b| [("A", Some(w(3000.0))), ("B", b)];
        let other = |loaded: &Circuits| {
            ["site", "A", "B"].map(|name| loaded.get(name).unwrap().other.get())
        };
        let meters: BTreeMap<Arc<str>, Watts> =
            [("site".into(), w(6000.0)), ("A".into(), w(3500.0))].into();
        let loaded = circuits.metered(machines(Some(w(2000.0))), &meters);
        // 500 W more on A, and of the site's 1000 W more half are A's.
        assert_eq!(other(&loaded), [500.0, 500.0, 0.0]);
        // Nobody knows what the machine on B draws: the site's meter tells nothing of others.
        assert_eq!(other(&circuits.metered(machines(None), &meters)), [0.0, 500.0, 0.0]);
        // Less than its machines say is no less than nothing.
        let meters = [("A".into(), w(2900.0))].into();
        assert_eq!(other(&circuits.metered(machines(None), &meters)), [0.0; 3]);
    }

    #[test]
    fn circuits_that_are_no_forest_are_refused_by_name() {
        let new = |all: Vec<Circuit>| Circuits::new(all).map(|_| ()).unwrap_err();
        let twice = vec![circuit("a", None, 1.0), circuit("a", None, 1.0)];
        assert_eq!(new(twice), BadCircuits::Twice("a".into()));
        assert!(matches!(new(vec![circuit("a", Some("b"), 1.0)]), BadCircuits::Orphan(..)));
        let ring = vec![circuit("a", Some("b"), 1.0), circuit("b", Some("a"), 1.0)];
        assert!(matches!(new(ring), BadCircuits::Ring(_)));
    }
}
