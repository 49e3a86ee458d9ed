//! One machine's physics, stepped by time: clock ramps, power, heat, lost hashes, trips, boots. Pure.

use super::{
    boards::{BOARDS, BoardOutput, Boards},
    spec::{Load, Spec},
};
use std::time::Duration;
use units::{Celsius, Hashrate, Megahertz, Millivolts, Ratio, Watts};

/// A T21 draws 7.3 % more or less over a day's ambient (fleet.md section 5), taken as 18 K.
const PER_KELVIN: f64 = 0.004;
/// AxeOS waits this long after a trip, at least.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// AxeOS comes back from a trip this much lower, and keeps that.
const STEP_BACK: (f64, f64) = (100.0, 100.0);
/// Lowest setting after steps back.
const LOWEST: (f64, f64) = (400.0, 1000.0);

/// What a machine is set to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Chip clock.
    pub clock: Megahertz,
    /// Core voltage.
    pub voltage: Millivolts,
    /// Fan duty.
    pub fan: Ratio,
    /// Hashing is wanted.
    pub mining: bool,
    /// MHz that each board's clock is off the common one; of no meaning under [`Load::Chip`].
    pub trim: [i16; 3],
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// No power.
    Off,
    /// Starting; hashes after this much longer.
    Booting(Duration),
    /// Hashing, perhaps still on the way to its clock.
    Running,
    /// Told to stop.
    Paused,
    /// Stopped by its firmware; tries again after this much longer, if cool enough.
    Tripped(Duration),
}

/// What comes out at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Output {
    /// Hashes that are right.
    pub good: Hashrate,
    /// Hashes tried: what firmware that trusts its chips claims.
    pub tried: Hashrate,
    /// Share of hashes lost.
    pub lost: Ratio,
    /// Power at the wall.
    pub power: Watts,
    /// Chips.
    pub chip: Celsius,
    /// Regulators.
    pub regulator: Celsius,
    /// Clock now.
    pub clock: Megahertz,
    /// What it is doing.
    pub phase: Phase,
}

/// One machine.
#[derive(Debug, Clone)]
pub struct Machine {
    spec: Spec,
    setting: Setting,
    phase: Phase,
    /// MHz.
    clock: f64,
    /// °C.
    chip: f64,
    trips: u32,
    /// Hashes.
    wrong: f64,
    workless: bool,
    boards: Boards,
}

impl Machine {
    /// As it comes from the factory, cold, without power.
    pub fn new(spec: Spec, ambient: Celsius) -> Self {
        let (clock, voltage) = (spec.clock, spec.voltage);
        Self {
            spec,
            setting: Setting { clock, voltage, fan: Ratio::ALL, mining: true, trim: [0; BOARDS] },
            phase: Phase::Off,
            clock: 0.0,
            chip: ambient.get(),
            trips: 0,
            wrong: 0.0,
            workless: false,
            boards: Boards::default(),
        }
    }

    /// Its constants.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What it is set to.
    pub fn setting(&self) -> Setting {
        self.setting
    }

    /// How often its firmware has stopped it.
    pub fn trips(&self) -> u32 {
        self.trips
    }

    /// Sets it; a pause and a resume act at once, a clock on its ramp.
    pub fn set(&mut self, setting: Setting) {
        let resumed = setting.mining && !self.setting.mining;
        self.setting = setting;
        match self.phase {
            Phase::Running if !setting.mining => self.phase = Phase::Paused,
            Phase::Paused if resumed => self.phase = Phase::Running,
            _ => {}
        }
    }

    /// Power at the plug is there, or gone.
    pub fn power(&mut self, on: bool) {
        match (on, self.phase) {
            (false, _) => (self.phase, self.clock) = (Phase::Off, 0.0),
            (true, Phase::Off) => self.restart(),
            _ => {}
        }
    }

    /// Its boards get silicon of this headroom: MHz above the common clock at which each loses half.
    pub fn silicon(&mut self, headroom: [f64; BOARDS]) {
        self.boards = Boards::of(headroom);
    }

    /// The control board starts anew. A board's own clock is lost by that: nobody saved it.
    pub fn restart(&mut self) {
        self.setting.trim = [0; BOARDS];
        (self.phase, self.clock) = (Phase::Booting(self.spec.boot), 0.0);
    }

    /// Hashing alone starts anew and takes this long.
    pub fn rehash(&mut self, time: Duration) {
        if self.phase != Phase::Off {
            (self.phase, self.clock) = (Phase::Booting(time), 0.0);
        }
    }

    /// There is nothing to hash, or there is again: without work the chips stand still.
    pub fn workless(&mut self, workless: bool) {
        self.workless = workless;
    }

    /// Time passes in this air.
    pub fn step(&mut self, time: Duration, ambient: Celsius) {
        let seconds = time.as_secs_f64();
        self.phase = self.next(time, ambient);
        let target = match self.phase {
            Phase::Running if !self.workless => self.setting.clock.get(),
            _ => 0.0,
        };
        let most = self.spec.ramp * seconds;
        // Down is at once: a PLL is simply set.
        self.clock = target.min(self.clock + most);
        // Exact for constant power: no step is too long to be stable.
        let fan = self.setting.fan.get().max(0.05);
        let resistance = self.spec.resistance.0 + self.spec.resistance.1 / fan.powf(0.8);
        let end = ambient.get() + resistance * self.watts();
        let decay = (-seconds / (resistance * self.spec.capacity)).exp();
        self.chip = end + (self.chip - end) * decay;
        self.wrong += self.tried() * self.lost() * seconds;
        let wrong = std::array::from_fn(|n| {
            let out = self.board(n);
            out.tried.hashes_per_second() * out.lost.get()
        });
        self.boards.count(wrong, time);
    }

    /// Hashes that its chips have got wrong so far: what an error counter counts.
    pub fn wrong(&self) -> f64 {
        self.wrong
    }

    /// What comes out now.
    pub fn output(&self) -> Output {
        let tried = self.tried();
        let lost = self.lost();
        let celsius = |t: f64| Celsius::new(t).unwrap_or(Celsius::ZERO);
        Output {
            good: Hashrate::from_hashes_per_second(tried * (1.0 - lost)),
            tried: Hashrate::from_hashes_per_second(tried),
            lost: Ratio::new(lost).unwrap_or_default(),
            power: Watts::new(self.watts()).unwrap_or_default(),
            chip: celsius(self.chip),
            regulator: celsius(self.chip + 8.0),
            clock: Megahertz::new(self.clock).unwrap_or_default(),
            phase: self.phase,
        }
    }

    /// What comes out of one of its boards now.
    ///
    /// # Panics
    /// If there is no such board.
    pub fn board(&self, n: usize) -> BoardOutput {
        let each = self.spec.hashes_per_clock / BOARDS as f64;
        self.boards.output(n, self.clocks()[n], each, self.setting.trim)
    }

    /// Clock of each board, MHz: on their way all have come as far as the common one.
    fn clocks(&self) -> [f64; BOARDS] {
        let common = self.setting.clock.get().max(f64::MIN_POSITIVE);
        let own = |off: i16| (self.clock + f64::from(off) * (self.clock / common)).max(0.0);
        match self.spec.load {
            Load::Chip { .. } => [self.clock; BOARDS],
            Load::Ladder { .. } => self.setting.trim.map(own),
        }
    }

    /// Hashes a second, wrong ones, too.
    fn tried(&self) -> f64 {
        let mean = self.clocks().iter().sum::<f64>() / BOARDS as f64;
        mean * 1e6 * self.spec.hashes_per_clock
    }

    fn next(&mut self, time: Duration, ambient: Celsius) -> Phase {
        let hot = self.chip > self.spec.trip.get()
            || self.spec.too_warm.is_some_and(|limit| ambient > limit);
        match self.phase {
            Phase::Booting(left) if left > time => Phase::Booting(left - time),
            Phase::Booting(_) if !self.setting.mining => Phase::Paused,
            Phase::Booting(_) => Phase::Running,
            Phase::Running if hot => {
                self.trips += 1;
                Phase::Tripped(COOL_DOWN)
            }
            Phase::Tripped(left) if left > time => Phase::Tripped(left - time),
            Phase::Tripped(_) if hot => Phase::Tripped(COOL_DOWN),
            Phase::Tripped(_) => {
                self.step_back();
                Phase::Running
            }
            phase => phase,
        }
    }

    fn step_back(&mut self) {
        if let Load::Chip { .. } = self.spec.load {
            let clock = (self.setting.clock.get() - STEP_BACK.0).max(LOWEST.0);
            let voltage = (self.setting.voltage.get() - STEP_BACK.1).max(LOWEST.1);
            self.setting.clock = Megahertz::new(clock).unwrap_or_default();
            self.setting.voltage = Millivolts::new(voltage).unwrap_or_default();
        }
    }

    /// Watts now.
    fn watts(&self) -> f64 {
        if self.phase == Phase::Off {
            return 0.0;
        }
        if self.clock == 0.0 {
            return self.spec.idle.get();
        }
        match self.spec.load {
            Load::Chip { switching, fixed, leakage } => {
                let volts = self.setting.voltage.volts();
                let warm = ((self.chip - 60.0) / 15.0).exp();
                switching * volts * volts * self.clock + fixed + leakage * volts * warm
            }
            Load::Ladder { fixed, linear, square } => {
                // The voltage follows the common clock, the switching each board's own.
                let own = self.clocks().iter().sum::<f64>() / BOARDS as f64;
                let measured = fixed + (linear + square * self.clock) * own;
                let usual = 25.0 + (self.spec.resistance.0 + self.spec.resistance.1) * measured;
                measured * (PER_KELVIN * (self.chip - usual)).exp()
            }
        }
    }

    /// Share of hashes lost now.
    fn lost(&self) -> f64 {
        let Load::Chip { .. } = self.spec.load else {
            let (clocks, lost) = (self.clocks(), self.boards.lost(self.setting.trim));
            let wrong: f64 = clocks.iter().zip(lost).map(|(mhz, lost)| mhz * lost).sum();
            return wrong / clocks.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        };
        let spec = &self.spec;
        let cliff = spec.cliff.get()
            + spec.cliff_per_mhz * (self.clock - spec.cliff_clock.get())
            + spec.cliff_per_kelvin * (self.chip - 60.0);
        1.0 / (1.0 + ((self.setting.voltage.get() - cliff) / spec.cliff_width).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farm::spec::Kind;

    fn warm() -> Celsius {
        Celsius::new(25.0).unwrap()
    }

    fn settled(mhz: f64, mv: f64) -> Output {
        let mut machine = Machine::new(Spec::of(Kind::BitaxeGamma), warm());
        machine.power(true);
        machine.set(Setting {
            clock: Megahertz::new(mhz).unwrap(),
            voltage: Millivolts::new(mv).unwrap(),
            ..machine.setting()
        });
        for _ in 0..6000 {
            machine.step(Duration::from_millis(100), warm());
        }
        machine.output()
    }

    #[test]
    fn a_gamma_draws_hashes_and_warms_as_measured() {
        // Watts within 2 %, hashrate within 4 %, chip within 5 K of fleet.md section 5: the air of that
        // measurement is not known.
        for (mhz, mv, ghs, watts, chip) in [
            (525.0, 1150.0, 1072.0, 17.02, 62.2),
            (525.0, 1100.0, 1059.0, 15.44, 59.3),
            (525.0, 1060.0, 1057.0, 14.35, 56.8),
            (600.0, 1060.0, 1176.0, 16.52, 63.5),
            (600.0, 1100.0, 1223.0, 17.61, 62.7),
            (625.0, 1060.0, 1214.0, 17.42, 66.2),
            (625.0, 1100.0, 1266.0, 18.87, 68.1),
        ] {
            let out = settled(mhz, mv);
            let near = |got: f64, want: f64, part: f64| (got / want - 1.0).abs() < part;
            assert!(near(out.power.get(), watts, 0.02), "{mhz}/{mv}: {}", out.power);
            let got = out.good.hashes_per_second() / 1e9;
            assert!(near(got, ghs, 0.04), "{mhz}/{mv}: {got} GH/s");
            assert!((out.chip.get() - chip).abs() < 5.0, "{mhz}/{mv}: {}", out.chip);
        }
        let over_the_cliff = settled(525.0, 1000.0).good.hashes_per_second() / 1e9;
        assert!((650.0..850.0).contains(&over_the_cliff), "{over_the_cliff}");
    }

    #[test]
    fn an_s19k_pro_draws_what_its_ladder_says() {
        for (mhz, ths, watts) in [
            (190.0, 39.2, 784.0),
            (340.0, 70.2, 1414.0),
            (590.0, 121.8, 2794.0),
            (790.0, 163.1, 4195.0),
        ] {
            let mut machine = Machine::new(Spec::of(Kind::LuxS19kPro), warm());
            machine.power(true);
            machine.set(Setting { clock: Megahertz::new(mhz).unwrap(), ..machine.setting() });
            for _ in 0..20_000 {
                machine.step(Duration::from_millis(100), warm());
            }
            let out = machine.output();
            assert!((out.good.terahashes_per_second() / ths - 1.0).abs() < 0.01, "{mhz}");
            assert!((out.power.get() / watts - 1.0).abs() < 0.05, "{mhz}: {}", out.power);
        }
    }

    #[test]
    fn a_hot_gamma_stops_cools_and_comes_back_lower() {
        let mut machine = Machine::new(Spec::of(Kind::BitaxeGamma), warm());
        machine.power(true);
        let hot = Celsius::new(40.0).unwrap();
        let mut least = machine.setting().clock;
        for _ in 0..6000 {
            machine.step(Duration::from_millis(100), hot);
            least = if machine.setting().clock < least { machine.setting().clock } else { least };
        }
        assert!(machine.trips() >= 1 && least.get() == 425.0, "{} {least}", machine.trips());
    }

    #[test]
    fn a_ramp_of_475_megahertz_takes_as_long_as_axeos_takes() {
        let mut machine = Machine::new(Spec::of(Kind::BitaxeGamma), warm());
        machine.power(true);
        let step = Duration::from_millis(100);
        let mut at_50 = None;
        for i in 0..1000u32 {
            machine.step(step, warm());
            let clock = machine.output().clock.get();
            if clock >= 50.0 && at_50.is_none() {
                at_50 = Some(i);
            }
            if clock >= 525.0 {
                let seconds = f64::from(i - at_50.unwrap()) * 0.1;
                assert!((seconds - 7.6).abs() < 0.2, "{seconds}");
                return;
            }
        }
        panic!("never arrived");
    }
}
