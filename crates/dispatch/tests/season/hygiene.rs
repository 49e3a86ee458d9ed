//! A tank's hygienic cycle with hydronic machines, whose outlet may not pass 65 °C: what they can lift
//! themselves, and what they cannot. It compares no cost.

use super::{c, watts};
use hearth_dispatch::heat::{
    Control, Cycle, Guard, Heater, Hygiene, Medium, Pi, Safety, Times, Wanted, Zone,
};
use std::time::Duration;
use twin::energy::{Circuit, CircuitSpec, Tank, TankSpec, Taps};
use units::{HeatCapacity, HeatLoss, Moment, Reading, Usd, Watts};

const MINUTE: Duration = Duration::from_secs(60);
const DAYS: usize = 28;
const SET: f64 = 48.0;

#[derive(Debug, Default)]
struct Weeks {
    /// Minutes in which a cycle was under way, and overdue.
    cycle: usize,
    overdue: usize,
    /// Cycles done.
    done: usize,
    /// Minutes of the backup heater.
    backup: usize,
    /// Hottest outlet, °C.
    outlet: f64,
}

/// Four weeks of a household with machines of 3.6 kW that cannot run below the lowest power, so much of
/// the usual exchanger, and an element of 2 kW in the tank if there is one.
fn weeks(lowest: f64, exchanger: f64, element: bool) -> Weeks {
    let usd = |value| Usd::new(value).unwrap();
    let points = vec![(watts(lowest), usd(0.1)), (watts(3600.0), usd(0.27))];
    let heater = Heater::of_points(watts(15.0), points).unwrap();
    let spec = TankSpec::class_c().unwrap();
    let capacity = HeatCapacity::of_water(spec.litres).unwrap();
    let mut tank = Tank::new(spec, c(55.0));
    let mut circuit = CircuitSpec::hydronic(heater.highest()).unwrap();
    circuit.exchanger = HeatLoss::new(exchanger * circuit.exchanger.get()).unwrap();
    let mut circuit = Circuit::new(circuit);
    let mut taps = Taps::new(2.0, 7);
    let pi = Pi::new(50.0, Duration::from_secs(12 * 3600));
    let safety = Safety::new(Medium::Fluid);
    let mut zone = Zone::new(Control::Pi(pi), Guard::new(Times::default()), safety);
    let mut hygiene = Hygiene::new(Duration::from_secs(7 * 86_400));
    let (mut drawn, mut was) = (Watts::ZERO, None::<Cycle>);
    let mut weeks = Weeks::default();
    for minute in 0..DAYS * 1440 {
        let now = Moment::from_secs(60 * minute as u64);
        hygiene.observe(now, Some(tank.bottom()));
        let cycle = hygiene.cycle(now, tank.mean(), capacity, heater.lowest());
        weeks.cycle += usize::from(cycle.is_some());
        weeks.overdue += usize::from(minute >= 1440 && hygiene.left(now).is_zero());
        weeks.done += usize::from(was.is_some() && cycle.is_none());
        was = cycle;
        weeks.outlet = weeks.outlet.max(circuit.outlet().get());
        let wanted = Wanted {
            is: Some(Reading::new(tank.mean(), now)),
            outlet: Some(Reading::new(circuit.outlet(), now)),
            set_point: c(SET),
            hygiene: cycle,
            drawn,
            ahead: &[],
        };
        let heating = zone.step(now, &wanted, &heater);
        drawn = heating.power;
        // Not when it is too cold for its owner, which a shower may make it; and its own thermostat is
        // beside it, at the bottom.
        let warm = tank.mean() > c(SET - 0.75);
        let backup = heating.backup && warm && tank.bottom() < c(62.0);
        weeks.backup += usize::from(backup);
        let lifted = if backup && element { watts(2000.0) } else { Watts::ZERO };
        let given = circuit.step(MINUTE, drawn, tank.bottom());
        tank.step(MINUTE, given + lifted, taps.drawn(60 * minute as u64, MINUTE));
    }
    weeks
}

#[test]
fn machines_that_can_run_low_heat_a_tank_to_60_degrees_without_a_cut_and_without_the_backup_heater()
{
    let weeks = weeks(900.0, 1.0, true);
    assert!(weeks.done >= 4 && weeks.overdue == 0 && weeks.backup == 0, "{weeks:?}");
    // Full power would be 8.3 K above the tank.
    assert!(weeks.outlet > 62.0 && weeks.outlet < 68.0, "{weeks:?}");
}

#[test]
fn machines_that_cannot_run_low_leave_the_last_degrees_to_the_backup_heater() {
    let alone = weeks(3000.0, 0.5, false);
    // Cut again and again below 60 °C, but for a lucky start.
    assert!(alone.overdue > 14 * 1440 && alone.outlet >= 68.0, "{alone:?}");
    let helped = weeks(3000.0, 0.5, true);
    assert!(helped.done >= 4 && helped.overdue == 0 && helped.backup > 0, "{helped:?}");
    // Not from the start of each cycle, only for its end.
    assert!(helped.backup < helped.cycle / 2, "{helped:?}");
}
