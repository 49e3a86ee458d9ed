//! What a machine's sensors said, and when. Unknown is `None` and never zero; a failed reading leaves
//! the last good one in place to grow old.

use std::time::Duration;
use units::{Celsius, Efficiency, Hashrate, Millivolts, Ratio, Rpm, Watts};

pub use units::{Moment, Reading};

/// One answer of a machine, as its driver read it: what is missing was not told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings {
    /// What the machine says that it hashes at. Believed by nobody here; see [`crate::work`].
    pub hashrate: Option<Hashrate>,
    /// Power that the machine measures or estimates.
    pub power: Option<Watts>,
    /// Hottest chip.
    pub chip: Option<Celsius>,
    /// Hottest voltage regulator.
    pub regulator: Option<Celsius>,
    /// Air or water at the inlet.
    pub inlet: Option<Celsius>,
    /// Air or water at the outlet.
    pub outlet: Option<Celsius>,
    /// Input voltage of the board.
    pub input: Option<Millivolts>,
    /// Share of hashes that the chips got wrong, by the machine's own error counters.
    pub errors: Option<Ratio>,
    /// Fastest fan.
    pub fan: Option<Rpm>,
    /// Time since the control board started.
    pub uptime: Option<Duration>,
    /// Per-chip hashrates, where told, in the order of the board.
    pub chips: Vec<Hashrate>,
    /// What the weakest of its boards hashes of that board's own nominal, by the machine's account. May
    /// warn of a setting, never speaks for one.
    pub weakest_board: Option<Ratio>,
    /// Each board by the firmware's number, where the firmware tells of all.
    pub boards: Vec<BoardReading>,
}

/// What a machine says of one of its boards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoardReading {
    /// Hashes that were right, over some minutes.
    pub rate: Hashrate,
    /// What its clock would bring with none lost.
    pub nominal: Hashrate,
    /// Share of its hashes that were wrong, by its error counter.
    pub errors: Option<Ratio>,
}

/// The weakest of several boards: what it hashes of its nominal. A board without a nominal is left out.
pub fn weakest_board(boards: impl IntoIterator<Item = (Hashrate, Hashrate)>) -> Option<Ratio> {
    let parts = boards.into_iter().filter_map(|(rate, nominal)| {
        let (rate, nominal) = (rate.hashes_per_second(), nominal.hashes_per_second());
        (nominal > 0.0).then(|| (rate / nominal).min(1.0))
    });
    parts.min_by(f64::total_cmp).and_then(|part| Ratio::new(part).ok())
}

/// The last good value of each reading, each with its age.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// See [`Readings::hashrate`].
    pub hashrate: Option<Reading<Hashrate>>,
    /// See [`Readings::power`].
    pub power: Option<Reading<Watts>>,
    /// See [`Readings::chip`].
    pub chip: Option<Reading<Celsius>>,
    /// See [`Readings::regulator`].
    pub regulator: Option<Reading<Celsius>>,
    /// See [`Readings::inlet`].
    pub inlet: Option<Reading<Celsius>>,
    /// See [`Readings::outlet`].
    pub outlet: Option<Reading<Celsius>>,
    /// See [`Readings::input`].
    pub input: Option<Reading<Millivolts>>,
    /// See [`Readings::errors`].
    pub errors: Option<Reading<Ratio>>,
    /// See [`Readings::fan`].
    pub fan: Option<Reading<Rpm>>,
    /// See [`Readings::uptime`].
    pub uptime: Option<Reading<Duration>>,
}

impl Known {
    /// Takes what a machine told; what it did not tell keeps its last value and its age.
    pub fn take(&mut self, told: &Readings, at: Moment) {
        fn put<T: Copy>(known: &mut Option<Reading<T>>, told: Option<T>, at: Moment) {
            if let Some(value) = told {
                *known = Some(Reading::new(value, at));
            }
        }
        put(&mut self.hashrate, told.hashrate, at);
        put(&mut self.power, told.power, at);
        put(&mut self.chip, told.chip, at);
        put(&mut self.regulator, told.regulator, at);
        put(&mut self.inlet, told.inlet, at);
        put(&mut self.outlet, told.outlet, at);
        put(&mut self.input, told.input, at);
        put(&mut self.errors, told.errors, at);
        put(&mut self.fan, told.fan, at);
        put(&mut self.uptime, told.uptime, at);
    }

    /// Joules per terahash by the machine's own account.
    pub fn claimed_efficiency(&self) -> Option<Efficiency> {
        Efficiency::of(self.power?.value, self.hashrate?.value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_reading_is_an_old_one_and_not_a_zero() {
        let mut known = Known::default();
        let told = Readings { power: Watts::new(17.0).ok(), ..Readings::default() };
        known.take(&told, Moment::from_secs(10));
        known.take(&Readings::default(), Moment::from_secs(70));
        let power = known.power.unwrap();
        assert_eq!(power.value.get(), 17.0);
        assert_eq!(power.age(Moment::from_secs(70)), Duration::from_secs(60));
        assert_eq!(power.fresh(Moment::from_secs(70), Duration::from_secs(30)), None);
        assert!(known.hashrate.is_none() && known.claimed_efficiency().is_none());
    }

    #[test]
    fn one_dead_board_is_not_hidden_by_its_neighbours() {
        let ths = |ths: f64| Hashrate::from_hashes_per_second(ths * 1e12);
        let boards = [(ths(38.4), ths(38.3)), (ths(0.0), ths(38.3)), (ths(7.0), ths(0.0))];
        assert_eq!(weakest_board(boards), Ratio::new(0.0).ok());
        assert_eq!(weakest_board([boards[0]]), Ratio::new(1.0).ok());
        assert_eq!(weakest_board([boards[2]]), None);
    }

    #[test]
    fn a_clock_that_steps_back_makes_no_negative_age() {
        assert_eq!(Moment::from_secs(5).since(Moment::from_secs(9)), Duration::ZERO);
    }
}
