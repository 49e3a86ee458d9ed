//! A gas engine with a generator, alone on its bus: rotating mass, governor, fuel. Frequency sags when
//! load is added. It protects itself, and knows nothing of what draws its power.

use super::{hertz, split, watts};
use std::time::Duration;
use units::{Hertz, Ratio, Watts};

/// An engine's constants.
#[derive(Debug, Clone, Copy)]
pub struct GensetSpec {
    /// What it is built for.
    pub rated: Watts,
    /// 50 or 60.
    pub nominal_hz: f64,
    /// Kinetic energy at nominal speed over rated power, seconds.
    pub inertia_s: f64,
    /// From throttle to torque, seconds.
    pub lag_s: f64,
    /// The throttle moves by this much of rated power a second.
    pub throttle_per_s: f64,
    /// Governor: power for speed, and for speed and time (a second), as parts of rated.
    pub governor: (f64, f64),
    /// The most it gives for a while at full fuel pressure, as a part of rated.
    pub overload: f64,
    /// Below this part of rated for long it fouls.
    pub minimum: Ratio,
    /// From standstill to nominal speed.
    pub start: Duration,
}

impl GensetSpec {
    /// 500 kW at 60 Hz. Inertia and lag are typical of turbocharged gas engines; with this governor a
    /// load step of 10 % stays well within performance class G1 of ISO 8528-5.
    pub fn gas_500_kw() -> Self {
        Self {
            rated: watts(500e3),
            nominal_hz: 60.0,
            inertia_s: 1.0,
            lag_s: 0.25,
            throttle_per_s: 0.4,
            governor: (3.0, 1.5),
            overload: 1.1,
            minimum: Ratio::new(0.3).unwrap_or_default(),
            start: Duration::from_secs(20),
        }
    }
}

/// Why an engine stopped itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trip {
    /// Slower than G1 allows after a load step: 15 % below nominal (ISO 8528-5, table 4).
    UnderSpeed,
    /// Faster than G1 allows after load is lost: 18 % above nominal.
    OverSpeed,
    /// Fuel pressure below what it burns at.
    NoFuel,
}

/// What an engine is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Engine {
    /// Standing.
    Stopped,
    /// At nominal speed after this much longer.
    Starting(Duration),
    /// On its governor.
    Running,
    /// Stopped by its protection; starts only when told to.
    Tripped(Trip),
}

/// An engine with its generator.
#[derive(Debug, Clone)]
pub struct Genset {
    spec: GensetSpec,
    engine: Engine,
    fuel: f64,
    /// Speed, throttle, torque, integral of the governor, load: parts of nominal.
    speed: f64,
    throttle: f64,
    torque: f64,
    integral: f64,
    load: f64,
}

impl Genset {
    /// Below this fuel pressure, as a part of what it should be, it does not burn.
    pub const NO_FUEL: f64 = 0.2;

    /// Standing, with full fuel pressure.
    pub fn new(spec: GensetSpec) -> Self {
        Self {
            spec,
            engine: Engine::Stopped,
            fuel: 1.0,
            speed: 0.0,
            throttle: 0.0,
            torque: 0.0,
            integral: 0.0,
            load: 0.0,
        }
    }

    /// Running at nominal speed without load.
    pub fn running(spec: GensetSpec) -> Self {
        Self { engine: Engine::Running, speed: 1.0, ..Self::new(spec) }
    }

    /// Begins to start, unless it runs.
    pub fn start(&mut self) {
        if !matches!(self.engine, Engine::Running | Engine::Starting(_)) {
            self.engine = Engine::Starting(self.spec.start);
        }
    }

    /// Pressure of its fuel as a part of what it should be: it gives no more than this part of its
    /// overload.
    pub fn set_fuel(&mut self, pressure: Ratio) {
        self.fuel = pressure.get();
    }

    /// Its constants.
    pub fn spec(&self) -> &GensetSpec {
        &self.spec
    }

    /// What it is doing.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Fuel pressure as a part of what it should be.
    pub fn fuel(&self) -> Ratio {
        Ratio::new(self.fuel).unwrap_or_default()
    }

    /// Of its bus; `None` for a dead one.
    pub fn frequency(&self) -> Option<Hertz> {
        (self.engine == Engine::Running).then(|| hertz(self.speed * self.spec.nominal_hz))
    }

    /// Power it gives.
    pub fn power(&self) -> Watts {
        watts(self.load * self.spec.rated.get())
    }

    /// Passes time with this load on its bus; a load on a dead bus draws nothing.
    pub fn step(&mut self, dt: Duration, load: Watts) {
        if let Engine::Starting(left) = self.engine {
            let left = left.saturating_sub(dt);
            self.engine = Engine::Starting(left);
            if left.is_zero() {
                *self = Self { fuel: self.fuel, ..Self::running(self.spec) };
            }
            return;
        }
        if self.engine != Engine::Running {
            return;
        }
        self.load = load.get() / self.spec.rated.get();
        let (parts, seconds) = split(dt, 0.05);
        for _ in 0..parts {
            self.turn(seconds);
            let trip = match () {
                () if self.speed < 0.85 => Trip::UnderSpeed,
                () if self.speed > 1.18 => Trip::OverSpeed,
                () if self.fuel < Self::NO_FUEL => Trip::NoFuel,
                () => continue,
            };
            *self = Self { fuel: self.fuel, engine: Engine::Tripped(trip), ..Self::new(self.spec) };
            return;
        }
    }

    fn turn(&mut self, seconds: f64) {
        let spec = &self.spec;
        let most = spec.overload * self.fuel.min(1.0);
        let (gain, reset) = spec.governor;
        let slow = 1.0 - self.speed;
        let wanted = gain * slow + self.integral;
        let given = wanted.clamp(0.0, most);
        // The integral stands still while the throttle is at an end.
        if given == wanted || (wanted > given) != (slow > 0.0) {
            self.integral += reset * slow * seconds;
        }
        let move_by = spec.throttle_per_s * seconds;
        self.throttle += (given - self.throttle).clamp(-move_by, move_by);
        self.torque += (self.throttle - self.torque) * (seconds / spec.lag_s).min(1.0);
        self.speed += (self.torque - self.load) / (2.0 * spec.inertia_s) * seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(50);

    /// An engine that carries this part of its rating steadily.
    fn carrying(part: f64) -> Genset {
        let mut genset = Genset::running(GensetSpec::gas_500_kw());
        for step in 0..=20 {
            let load = watts(500e3 * part * f64::from(step) / 20.0);
            genset.step(Duration::from_secs(15), load);
        }
        genset
    }

    /// Lowest and highest speed after the load became this part, and seconds until it stays within
    /// half a percent.
    fn after(mut genset: Genset, part: f64) -> (f64, f64, f64) {
        let (mut low, mut high, mut settled) = (1.0_f64, 1.0_f64, 0.0);
        for tick in 0..1200 {
            genset.step(TICK, watts(500e3 * part));
            let Some(frequency) = genset.frequency() else { return (0.0, 0.0, f64::INFINITY) };
            let speed = frequency.get() / 60.0;
            (low, high) = (low.min(speed), high.max(speed));
            if (speed - 1.0).abs() > 0.005 {
                settled = f64::from(tick + 1) * TICK.as_secs_f64();
            }
        }
        (low, high, settled)
    }

    #[test]
    fn a_step_of_a_tenth_stays_within_g1_and_recovers_within_its_ten_seconds() {
        for (from, to) in [(0.0, 0.1), (0.3, 0.4), (0.9, 1.0), (1.0, 0.9)] {
            let (low, high, settled) = after(carrying(from), to);
            assert!(low > 0.95 && high < 1.05, "{from} to {to}: {low} {high}");
            assert!((0.5..10.0).contains(&settled), "{from} to {to}: {settled} s");
        }
    }

    #[test]
    fn speed_falls_at_first_by_the_step_over_twice_the_inertia() {
        let mut genset = carrying(0.4);
        genset.step(TICK, watts(500e3 * 0.5));
        let rate = (1.0 - genset.frequency().unwrap().get() / 60.0) / 0.05;
        assert!((rate / (0.1 / 2.0) - 1.0).abs() < 0.05, "{rate}");
    }

    #[test]
    fn a_step_that_is_far_too_large_trips_the_engine_and_it_starts_again_when_told() {
        let mut genset = carrying(0.2);
        for _ in 0..200 {
            genset.step(TICK, watts(500e3));
        }
        assert_eq!(genset.engine(), Engine::Tripped(Trip::UnderSpeed));
        assert_eq!((genset.power(), genset.frequency()), (Watts::ZERO, None));
        genset.start();
        genset.step(Duration::from_secs(21), Watts::ZERO);
        assert_eq!(genset.engine(), Engine::Running);
        let mut carrying = carrying(1.0);
        carrying.step(Duration::from_secs(5), Watts::ZERO);
        assert_eq!(carrying.engine(), Engine::Tripped(Trip::OverSpeed));
    }

    #[test]
    fn weak_fuel_carries_only_its_part_and_none_stops_the_engine() {
        let mut genset = carrying(0.5);
        genset.set_fuel(Ratio::new(0.6).unwrap());
        genset.step(Duration::from_secs(60), watts(500e3 * 0.6));
        assert_eq!(genset.engine(), Engine::Running);
        genset.step(Duration::from_secs(60), watts(500e3 * 0.75));
        assert_eq!(genset.engine(), Engine::Tripped(Trip::UnderSpeed));
        let mut genset = carrying(0.1);
        genset.set_fuel(Ratio::new(0.1).unwrap());
        genset.step(TICK, watts(50e3));
        assert_eq!(genset.engine(), Engine::Tripped(Trip::NoFuel));
    }
}
