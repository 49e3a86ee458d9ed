//! Net export of a plant that must run: the plant stays constant, the machines take what the grid does
//! not, no faster than the plant could itself. It knows no single machine and no price.

use std::time::Duration;
use units::{Moment, NetWatts, Ratio, Reading, Watts};

/// A plant and its machines.
#[derive(Debug, Clone, Copy)]
pub struct Plant {
    /// What it is to hold.
    pub output: Watts,
    /// Change of export in a minute, at most, of `output`: 3 to 5 % between 50 and 100 % (European
    /// Utility Requirements).
    pub ramp_per_minute: Ratio,
    /// The most that the machines can draw.
    pub machines: Watts,
}

/// What the machines are to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// All machines together.
    pub machines: Watts,
    /// Export now scheduled: on its ramp to what was asked.
    pub export: Watts,
    /// What the machines cannot take, positive, or cannot let go, negative: the plant must move by it.
    pub left: NetWatts,
}

/// Keeps one plant constant. It holds the only integrator on its export: whoever shares out the power
/// must not trim on the same meter.
#[derive(Debug, Clone)]
pub struct NetExport {
    plant: Plant,
    /// W on the ramp.
    scheduled: Option<f64>,
    /// W of loads and losses that nobody counts.
    trim: f64,
    last: Option<Moment>,
    at_limit: bool,
}

impl NetExport {
    /// Not exporting to a schedule yet.
    pub fn new(plant: Plant) -> Self {
        Self { plant, scheduled: None, trim: 0.0, last: None, at_limit: false }
    }

    /// A reading of the meter older than this is none: the trim stands still, the last one holds.
    const STALE: Duration = Duration::from_secs(10);
    /// Seconds in which the trim takes up a lasting error: several times as long as machines take.
    const TRIM_S: f64 = 120.0;

    /// Decides. `asked` is what the grid wants; `meter` is the connection point, where export is
    /// negative; `output` is what the plant gives, taken as constant where nobody reads it; `ceiling` is
    /// what others leave to the machines: while that is less than they are to draw, the trim is frozen.
    pub fn step(
        &mut self,
        now: Moment,
        asked: Watts,
        meter: Option<Reading<NetWatts>>,
        output: Option<Reading<Watts>>,
        ceiling: Option<Watts>,
    ) -> Share {
        let given = output.and_then(|output| output.fresh(now, Self::STALE).copied());
        let output = self.plant.output.get();
        let given = given.map_or(output, Watts::get);
        let seconds = self.last.map_or(0.0, |last| now.since(last).as_secs_f64());
        self.last = Some(now);
        let asked = asked.get().min(output);
        let before = self.scheduled.unwrap_or(asked);
        let most = self.plant.ramp_per_minute.get() * output * seconds / 60.0;
        let scheduled = before + (asked - before).clamp(-most, most);
        self.scheduled = Some(scheduled);
        // One integrator; it stands still on the ramp, at the machines' limits, while others hold
        // them, and without a reading.
        let metered = meter.and_then(|meter| meter.fresh(now, Self::STALE).copied());
        if let Some(net) = metered
            && !self.at_limit
            && scheduled == asked
            && before == asked
        {
            // What stays on the site, wanted less real: right whether or not the plant gives way.
            let off = (output - scheduled) - (given + net.get());
            self.trim += off * (seconds / Self::TRIM_S).min(1.0);
            self.trim = self.trim.clamp(-0.1 * output, 0.1 * output);
        }
        let wanted = output - scheduled + self.trim;
        let machines = wanted.clamp(0.0, self.plant.machines.get());
        self.at_limit = machines != wanted || ceiling.is_some_and(|most| most.get() < machines);
        let watts = |value: f64| Watts::new(value.max(0.0)).unwrap_or(Watts::ZERO);
        Share {
            machines: watts(machines),
            export: watts(scheduled),
            left: NetWatts::new(wanted - machines).unwrap_or(NetWatts::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watts(megawatts: f64) -> Watts {
        Watts::new(megawatts * 1e6).unwrap()
    }

    fn control() -> NetExport {
        NetExport::new(Plant {
            output: watts(300.0),
            ramp_per_minute: Ratio::new(0.03).unwrap(),
            machines: watts(120.0),
        })
    }

    #[test]
    fn export_ramps_at_the_plants_rate_and_the_machines_take_the_difference() {
        let mut control = control();
        control.step(Moment::default(), watts(300.0), None, None, None);
        for minute in 1..=15 {
            let share =
                control.step(Moment::from_secs(60 * minute), watts(200.0), None, None, None);
            let export = (300.0 - 9.0 * minute as f64).max(200.0);
            assert!((share.export.megawatts() - export).abs() < 1e-9, "{share:?}");
            assert!((share.machines.megawatts() - (300.0 - export)).abs() < 1e-9, "{share:?}");
            assert_eq!(share.left, NetWatts::ZERO);
        }
    }

    #[test]
    fn what_the_machines_cannot_take_is_said() {
        let mut control = control();
        let share = control.step(Moment::default(), watts(150.0), None, None, None);
        assert_eq!((share.machines, share.left.get()), (watts(120.0), 30e6));
    }

    #[test]
    fn a_lasting_error_is_trimmed_away_and_the_trim_holds_while_the_meter_is_lost() {
        let mut control = control();
        // The site itself draws 3 MW that nobody counts.
        let mut machines = 0.0;
        for second in 0..1800 {
            let now = Moment::from_secs(second);
            let net = NetWatts::new(-(300e6 - 3e6 - machines)).unwrap();
            let meter = Some(Reading::new(net, now));
            machines = control.step(now, watts(250.0), meter, None, None).machines.get();
        }
        assert!((machines - 47e6).abs() < 1e4, "{machines}");
        let blind = control.step(Moment::from_secs(3000), watts(250.0), None, None, None);
        assert!((blind.machines.get() - machines).abs() < 1.0);
    }
}
