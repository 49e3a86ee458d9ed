//! Hot water that a household draws: the tapping profile M of the European Union, moved about by a
//! seed. It knows no tank.

use super::Noise;
use std::time::Duration;
use units::WattHours;

/// Regulation (EU) 814/2013, annex III, load profile M: minute of the day and kWh drawn.
const PROFILE_M: [(u32, f64); 23] = [
    (420, 0.105),
    (425, 1.4),
    (450, 0.105),
    (481, 0.105),
    (495, 0.105),
    (510, 0.105),
    (525, 0.105),
    (540, 0.105),
    (570, 0.105),
    (630, 0.105),
    (690, 0.105),
    (705, 0.105),
    (765, 0.315),
    (870, 0.105),
    (930, 0.105),
    (990, 0.105),
    (1080, 0.105),
    (1095, 0.105),
    (1110, 0.105),
    (1140, 0.105),
    (1230, 0.735),
    (1275, 0.105),
    (1290, 1.4),
];

/// A household's taps.
#[derive(Debug, Clone)]
pub struct Taps {
    noise: Noise,
    /// Kilowatt-hours a day against profile M's 5.845.
    scale: f64,
    /// Minutes by which each draw of today comes later or earlier, and how large it is.
    today: Vec<(f64, f64)>,
    day: Option<u64>,
}

impl Taps {
    /// The profile as it stands, `scale` times, moved by up to `JITTER` minutes and a third in size
    /// by the seed.
    pub fn new(scale: f64, seed: u64) -> Self {
        Self { noise: Noise::new(seed), scale, today: Vec::new(), day: None }
    }

    /// Minutes.
    const JITTER: f64 = 20.0;

    /// What a draw takes, W: 6 litres of 40 °C a minute, the published flow of a shower, made of water
    /// of 10 °C.
    const FLOW: f64 = 6.0 * 60.0 * 1.163 * 30.0;

    /// Heat drawn in the `dt` from this second on; seconds count from a midnight, in order.
    pub fn drawn(&mut self, from_s: u64, dt: Duration) -> WattHours {
        let day = from_s / 86_400;
        if self.day != Some(day) {
            self.day = Some(day);
            let noise = &mut self.noise;
            self.today = PROFILE_M
                .iter()
                .map(|&(minute, kwh)| {
                    let at = f64::from(minute) + noise.between(-Self::JITTER, Self::JITTER);
                    (at * 60.0, kwh * noise.between(2.0 / 3.0, 4.0 / 3.0))
                })
                .collect();
        }
        let from = (from_s % 86_400) as f64;
        let until = from + dt.as_secs_f64();
        let parts = self.today.iter().map(|&(at, kwh)| {
            let seconds = 3.6e6 * kwh / Self::FLOW;
            kwh * ((until.min(at + seconds) - from.max(at)) / seconds).max(0.0)
        });
        let kwh: f64 = parts.sum();
        WattHours::new(1e3 * self.scale * kwh).unwrap_or(WattHours::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_draws_the_published_5_845_kilowatt_hours_a_day() {
        assert!((PROFILE_M.iter().map(|(_, kwh)| kwh).sum::<f64>() - 5.845).abs() < 1e-9);
        let mut taps = Taps::new(1.0, 5);
        let minute = Duration::from_secs(60);
        const DAYS: u64 = 200;
        let drawn: f64 =
            (0..DAYS * 1440).map(|at| taps.drawn(at * 60, minute).kilowatt_hours()).sum();
        assert!((drawn / DAYS as f64 / 5.845 - 1.0).abs() < 0.02, "{drawn}");
    }

    #[test]
    fn a_shower_of_1_4_kilowatt_hours_runs_for_7_minutes_at_6_litres_a_minute() {
        let mut taps = Taps::new(1.0, 5);
        let minute = Duration::from_secs(60);
        let most = (0..1440).map(|at| taps.drawn(at * 60, minute).get()).fold(0.0, f64::max);
        // Two draws may fall together.
        let one = 6.0 * 1.163 * 30.0;
        assert!(most >= one * 0.99 && most <= 2.0 * one * 1.01, "{most}");
    }
}
