//! Droop closed over a grid with inertia: a unit trips, machines let go what the frequency asks, and that
//! moves the frequency. Nadir and where it settles are held against the swing equation solved on paper.
//! `cargo test -p hearth-dispatch --test droop -- --nocapture` shows the figures.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use hearth_dispatch::{
    load::{Class, Level, Load, LoadState, Times},
    local::Droop,
    site::{Inputs, Setup, Site},
};
use std::{collections::VecDeque, time::Duration};
use twin::energy::{Grid, GridSpec};
use units::{EnergyPrice, Hertz, Moment, NetWatts, Ratio, Reading, Usd, Watts};

/// The loss that ERCOT plans for, and the kinetic energy of a windy night.
const LOST: f64 = 2750e6;
const KINETIC_GWS: f64 = 150.0;
/// All machines.
const MACHINES: f64 = 3e9;
const DEAD_BAND: f64 = 0.017;
/// Frequency is read and machines are told so often; decisions are no nearer than twice that.
const TICK: Duration = Duration::from_millis(20);
const URGENT: Duration = Duration::from_millis(40);
/// When the unit trips, and when all ends.
const TRIPS: Duration = Duration::from_secs(10);
const ENDS: Duration = Duration::from_secs(250);
const MINUTE: Duration = Duration::from_secs(60);

fn w(watts: f64) -> Watts {
    Watts::new(watts.max(0.0)).unwrap()
}

fn droop(part: f64) -> Droop {
    let hz = |hertz| Hertz::new(hertz).unwrap();
    Droop::new(hz(60.0), hz(DEAD_BAND), Ratio::new(part).unwrap(), vec![])
}

/// Watts a hertz that machines with this droop let go.
fn gain(part: f64) -> f64 {
    MACHINES / (part * 60.0 - DEAD_BAND)
}

/// What a grid did.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Lowest frequency, Hz.
    nadir: f64,
    /// Mean of the last minute, Hz, and its highest less its lowest.
    settled: f64,
    swings: f64,
}

/// Closes a grid over machines that see its frequency and say what they draw.
fn close(mut draw: impl FnMut(Moment, Hertz) -> f64) -> Seen {
    let mut grid = Grid::new(GridSpec::ercot(KINETIC_GWS));
    let ticks = |time: Duration| (time.as_millis() / TICK.as_millis()) as u32;
    let (mut drawn, mut nadir) = (MACHINES, 60.0_f64);
    let mut last = Vec::new();
    for tick in 0..ticks(ENDS) {
        let now = Moment(TICK * tick);
        if tick == ticks(TRIPS) {
            grid.add(NetWatts::new(-LOST).unwrap());
        }
        let before = std::mem::replace(&mut drawn, draw(now, grid.frequency()));
        grid.add(NetWatts::new(before - drawn).unwrap());
        grid.step(TICK);
        let hertz = grid.frequency().get();
        nadir = nadir.min(hertz);
        if tick >= ticks(ENDS - MINUTE) {
            last.push(hertz);
        }
    }
    let (low, high) =
        last.iter().fold((f64::MAX, 0.0_f64), |(low, high), f| (low.min(*f), high.max(*f)));
    Seen { nadir, settled: last.iter().sum::<f64>() / last.len() as f64, swings: high - low }
}

/// Power that follows what was told after a delay, each change as a ramp.
struct Follows {
    told: VecDeque<f64>,
    ramp: usize,
}

impl Follows {
    fn new(power: f64, delay: Duration, ramp: Duration) -> Self {
        let ticks = |time: Duration| (time.as_millis() / TICK.as_millis()) as usize;
        let ramp = ticks(ramp).max(1);
        Self { told: VecDeque::from(vec![power; ticks(delay) + ramp]), ramp }
    }

    fn draw(&mut self, told: f64) -> f64 {
        self.told.pop_front();
        self.told.push_back(told);
        self.told.iter().take(self.ramp).sum::<f64>() / self.ramp as f64
    }
}

/// A hundred farms that look at the frequency each at its own time, or none of them.
fn farms(part: Option<f64>, delay: Duration, ramp: Duration) -> Seen {
    let Some(part) = part else { return close(|_, _| MACHINES) };
    let own = w(MACHINES / 100.0);
    let mut farms: Vec<_> = (0..100)
        .map(|_| (droop(part), own.get(), Follows::new(own.get(), delay, ramp), own.get()))
        .collect();
    close(move |now, hertz| {
        let tick = (now.0.as_millis() / TICK.as_millis()) as usize;
        let farms = farms.iter_mut().enumerate().map(|(at, (droop, told, follows, drawn))| {
            // Once a second, and at once when the frequency asks for something else.
            if tick % 50 == at % 50 || (droop.differs(hertz) && tick % 2 == at % 2) {
                let ask = droop.step(now, Some(Reading::new(hertz, now)), w(*drawn), own, own);
                *told = ask.and_then(|ask| ask.ceiling).map_or(own.get(), Watts::get);
            }
            *drawn = follows.draw(*told);
            *drawn
        });
        farms.sum()
    })
}

/// Deviation at the nadir and in the end, Hz: the grid's reserve lags, machines with this gain do not.
///
/// Beyond the dead band x = off - band: M x' = P - r - D x, T r' = G x - r, so that
/// X(s) = (P / M T) (1 + T s) / (s (s² + 2 ζ ω s + ω²)): the low-order model of system frequency response
/// of Anderson and Mirheydar (IEEE Trans. Power Systems 5, 1990, p. 720).
fn theory(gain: f64) -> (f64, f64) {
    let spec = GridSpec::ercot(KINETIC_GWS);
    let m = 2.0 * spec.kinetic_gws * 1e9 / spec.nominal_hz;
    let reserve = spec.reserve.get() / (spec.droop * spec.nominal_hz);
    let (d, t) = (spec.damping_w_per_hz + gain, spec.lag_s);
    let p = LOST - spec.damping_w_per_hz * spec.dead_band_hz;
    let square = (d + reserve) / (m * t);
    let decay = (m + d * t) / (2.0 * m * t);
    let omega = (square - decay.powi(2)).sqrt();
    let end = p / (d + reserve);
    let lowest = omega.atan2(decay - 1.0 / t) / omega;
    let sine = (p / m - decay * end) / omega;
    let swing = -end * (omega * lowest).cos() + sine * (omega * lowest).sin();
    let band = spec.dead_band_hz;
    (band + end + (-decay * lowest).exp() * swing, band + end)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn show(what: &str, seen: Seen) {
    println!(
        "{what:48} nadir {:.3} Hz, settles at {:.4} Hz, swings {:.1} mHz in the last minute",
        seen.nadir,
        seen.settled,
        1e3 * seen.swings
    );
}

/// The same machines as three hundred blocks of one site that runs what pays, which all do. Returns how many
/// moves there were in the last minute, too.
fn site(part: f64, delay: Duration, ramp: Duration) -> (Seen, usize) {
    let block = MACHINES / 300.0;
    let times = Times {
        min_on: Duration::from_secs(300),
        min_off: Duration::from_secs(120),
        ramp_up: delay + ramp,
        ramp_down: delay + ramp,
    };
    let level = |power: f64| Level { power: w(power), value: Usd::new(1e-4 * power).unwrap() };
    let load = |at: usize| Load {
        id: format!("block {at}").into(),
        class: Class::Miner,
        levels: vec![level(0.0), level(block)],
        times,
        start_cost: Usd::ZERO,
        zone: None,
    };
    let loads: Vec<Load> = (0..300).map(load).collect();
    let setup = Setup { price: true, droop: Some(droop(part)), ..Setup::default() };
    let mut site = Site::new(setup);
    site.set_loads(Moment::default(), &loads, |_| 1);
    let mut told = vec![block; loads.len()];
    let mut drawn = told.clone();
    let mut follow: Vec<_> = told.iter().map(|told| Follows::new(*told, delay, ramp)).collect();
    let (mut decided, mut moves) = (Moment::default(), 0);
    let seen = close(|now, hertz| {
        let passed = now.since(decided);
        if passed.as_secs() >= 1 || (passed >= URGENT && site.droop_differs(hertz)) {
            decided = now;
            let inputs = Inputs {
                now,
                frequency: Some(Reading::new(hertz, now)),
                price: Some(EnergyPrice::ZERO),
                ..Inputs::default()
            };
            let state = |drawn: &f64| LoadState {
                measured: Some(Reading::new(w(*drawn), now)),
                answers: true,
                enabled: true,
            };
            let states: Vec<LoadState> = drawn.iter().map(state).collect();
            for one in site.step(&inputs, &loads, &states).moves {
                told[one.load] = loads[one.load].power_at(one.level).get();
                moves += usize::from(now.0 >= ENDS - MINUTE);
            }
        }
        for ((drawn, follow), told) in drawn.iter_mut().zip(&mut follow).zip(&told) {
            *drawn = follow.draw(*told);
        }
        drawn.iter().sum()
    });
    (seen, moves)
}

/// What the nadir is better by than without machines, as a part of what it would be if they were no later
/// than the frequency.
fn gained(seen: Seen, part: f64) -> f64 {
    let (without, _) = theory(0.0);
    let (with, _) = theory(gain(part));
    (without - (60.0 - seen.nadir)) / (without - with)
}

#[test]
fn a_grid_without_machines_falls_and_settles_as_the_swing_equation_says() {
    let alone = farms(None, ms(0), ms(0));
    show("no machines", alone);
    let (lowest, settled) = theory(0.0);
    assert!((60.0 - lowest - alone.nadir).abs() < 5e-4, "{lowest} {alone:?}");
    assert!((60.0 - settled - alone.settled).abs() < 1e-4, "{settled} {alone:?}");
}

#[test]
fn machines_within_100_ms_gain_nineteen_twentieths_of_what_theory_says_and_nothing_swings() {
    for part in [0.05, 0.02, 0.01] {
        let seen = farms(Some(part), ms(100), ms(0));
        show(&format!("droop {part}, farms of 30 MW, 100 ms"), seen);
        let (_, settled) = theory(gain(part));
        assert!((60.0 - settled - seen.settled).abs() < 1e-4, "{settled} {seen:?}");
        assert!((0.95..1.0).contains(&gained(seen, part)), "{part}: {}", gained(seen, part));
        assert!(seen.swings < 1e-3, "{seen:?}");
    }
}

#[test]
fn a_site_does_the_same_with_whole_machines_that_rest_once_they_were_stopped() {
    let (seen, moves) = site(0.05, ms(100), ms(0));
    show("droop 0.05, one site of 300 blocks, 100 ms", seen);
    let (_, settled) = theory(gain(0.05));
    // A block of 10 MW is half a millihertz.
    assert!((60.0 - settled - seen.settled).abs() < 5e-4, "{settled} {seen:?}");
    assert!((0.94..1.0).contains(&gained(seen, 0.05)), "{}", gained(seen, 0.05));
    assert!(seen.swings < 5e-4 && moves == 0, "{moves} {seen:?}");
}

#[test]
fn the_gain_shrinks_with_the_time_that_machines_take_until_they_swing_the_grid() {
    let of = |part, delay, ramp| {
        let seen = farms(Some(part), ms(delay), ms(ramp));
        let gain = gained(seen, part);
        show(&format!("droop {part}, {delay} ms, ramp {ramp} ms: {:.0} %", 100.0 * gain), seen);
        (gain, seen)
    };
    let of_delay = [100, 500, 1_000, 2_000].map(|delay| of(0.05, delay, 0).0);
    assert!(of_delay.is_sorted_by(|a, b| a > b), "{of_delay:?}");
    assert!(of_delay[2] < 0.4 && of_delay[3] < 0.05, "{of_delay:?}");
    // A ramp counts about as a delay of half of it.
    let of_ramp = [1_000, 2_000, 5_000].map(|ramp| of(0.05, 100, ramp).0);
    assert!(of_ramp.is_sorted_by(|a, b| a > b), "{of_ramp:?}");
    assert!(of_ramp[0] > 0.6 && of_ramp[2] < 0.2, "{of_ramp:?}");
    // Late and gentle is of no use, and settles all the same; late and steep is worse than none.
    let (gain, gentle) = of(0.05, 3_000, 1_000);
    let (_, settled) = theory(self::gain(0.05));
    assert!(gain < 0.01 && (60.0 - settled - gentle.settled).abs() < 1e-3, "{gain} {gentle:?}");
    let (gain, steep) = of(0.01, 3_000, 1_000);
    assert!(gain < 0.0 && steep.swings > 0.5, "{gain} {steep:?}");
}
