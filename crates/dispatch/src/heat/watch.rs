//! A zone's model beside the zone itself: how far its air is above its walls now, how wrong an hour of
//! the model was in the last week, and how hot the outlet runs. It decides nothing.

use super::Body;
use std::{collections::VecDeque, time::Duration};
use units::{Celsius, Moment, Watts};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// A forecast to compare with begins so often.
const BEGINS: Duration = Duration::from_secs(600);
/// After a longer gap nothing that was forecast before counts.
const GAP: Duration = Duration::from_secs(600);
/// A day and a week, in hours.
const DAY: usize = 24;
const WEEK: usize = 7 * DAY;
/// The next hour may be worse than the worst of a week by so much.
const WORSE: f64 = 1.25;
/// The outlet follows the power within this time.
const SETTLED: Duration = Duration::from_secs(900);

/// What was seen of a zone.
#[derive(Debug, Clone)]
pub struct Watch {
    body: Body,
    /// K that the front is above the mean.
    front_k: f64,
    last: Option<Moment>,
    /// Wh since the last look, and hours.
    heat: (f64, f64),
    forecasts: VecDeque<Forecast>,
    /// The worst of each hour, latest last: K colder and warmer than forecast, K of the outlet for each W.
    hours: VecDeque<Worst>,
    hour: Option<Moment>,
    steady: Option<(Moment, f64)>,
}

#[derive(Debug, Clone)]
struct Forecast {
    begun: Moment,
    mean: f64,
    front: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Worst {
    fall: f64,
    rise: f64,
    outlet: Option<f64>,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new(body: Body) -> Self {
        Self {
            body,
            front_k: 0.0,
            last: None,
            heat: (0.0, 0.0),
            forecasts: VecDeque::new(),
            hours: VecDeque::new(),
            hour: None,
            steady: None,
        }
    }

    /// The model.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// K that the front is above the mean of the body.
    pub fn front_k(&self) -> f64 {
        self.front_k
    }

    /// How many kelvin colder and warmer than forecast the zone may be within an hour: a quarter more than at
    /// worst in the last week; at least `prior` until a day was seen.
    pub fn doubt_k(&self, prior: f64) -> (f64, f64) {
        let least = if self.hours.len() < DAY { prior } else { 0.0 };
        let worst = |of: fn(&Worst) -> f64| {
            self.hours.iter().map(|hour| WORSE * of(hour)).fold(least, f64::max)
        };
        (worst(|hour| hour.fall), worst(|hour| hour.rise))
    }

    /// Kelvin that the outlet is above the zone for each watt, at most in the last week; `None` while no
    /// machine ran for a quarter of an hour.
    pub fn outlet_k_per_w(&self) -> Option<f64> {
        self.hours.iter().filter_map(|hour| hour.outlet).reduce(f64::max)
    }

    /// Looks, once a second or less often; the forecast goes on by minutes. `outlet` only where it is
    /// measured; without `ambient` there is nothing to forecast with.
    pub fn look(
        &mut self,
        now: Moment,
        is: Option<Celsius>,
        drawn: Watts,
        ambient: Option<Celsius>,
        outlet: Option<Celsius>,
    ) {
        let Some(last) = self.last else {
            self.last = Some(now);
            return;
        };
        let since = now.since(last);
        let hours = since.as_secs_f64() / 3600.0 - self.heat.1;
        self.heat = (self.heat.0 + drawn.get() * hours, self.heat.1 + hours);
        if since < MINUTE {
            return;
        }
        let (wh, hours) = std::mem::take(&mut self.heat);
        let heat = if hours > 0.0 { wh / hours } else { 0.0 };
        self.last = Some(now);
        let ambient = ambient.map(Celsius::get);
        let (_, front) = self.body.after((0.0, self.front_k), heat, 0.0, hours);
        self.front_k = front;
        for one in &mut self.forecasts {
            let ambient = ambient.unwrap_or(one.mean);
            (one.mean, one.front) = self.body.after((one.mean, one.front), heat, ambient, hours);
        }
        let Some((is, _)) = is.map(Celsius::get).zip(ambient).filter(|_| since <= GAP) else {
            self.forecasts.clear();
            return;
        };
        self.compare(now, is);
        self.warm(now, is, heat, outlet);
    }

    fn compare(&mut self, now: Moment, is: f64) {
        self.forecasts.retain(|one| now.since(one.begun) <= HOUR);
        if self.hour.is_none_or(|hour| now.since(hour) >= HOUR) {
            self.hour = Some(now);
            self.hours.push_back(Worst::default());
            if self.hours.len() > WEEK {
                self.hours.pop_front();
            }
        }
        if let Some(worst) = self.hours.back_mut() {
            for one in &self.forecasts {
                let off = is - one.mean - one.front;
                (worst.fall, worst.rise) = (worst.fall.max(-off), worst.rise.max(off));
            }
        }
        if self.forecasts.back().is_none_or(|one| now.since(one.begun) >= BEGINS) {
            let (mean, front) = (is - self.front_k, self.front_k);
            self.forecasts.push_back(Forecast { begun: now, mean, front });
        }
    }

    /// How far the outlet is above the zone, once the same power has been drawn for long.
    fn warm(&mut self, now: Moment, is: f64, heat: f64, outlet: Option<Celsius>) {
        let same = |was: f64| (heat - was).abs() <= 0.1 * was.max(heat);
        let since = match self.steady.filter(|(_, was)| same(*was)) {
            Some((since, _)) => since,
            None => {
                self.steady = Some((now, heat));
                now
            }
        };
        let (Some(outlet), Some(worst)) = (outlet, self.hours.back_mut()) else { return };
        if now.since(since) >= SETTLED && heat >= 100.0 {
            let above = ((outlet.get() - is) / heat).max(0.0);
            worst.outlet = Some(worst.outlet.map_or(above, |most| most.max(above)));
        }
    }
}
