//! Years that never were, for trying a question without data of one's own. They look like a market
//! with much sun and wind and like a plant in it; they are nobody's record and are labelled so.

use super::hours::Hours;
use rand::{Rng, SeedableRng};
use rand_distr::StandardNormal;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::f64::consts::{PI, TAU};

const HOURS: usize = 8760;

/// Prices of energy and of reserve, calls and coincident peaks: `price_usd_per_mwh`,
/// `reserve_usd_per_mw`, `reserve_call`, `peak`, `peak_warning`.
pub fn market(seed: u64) -> Hours {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut slow, mut fast) = (0.0_f64, 0.0_f64);
    let mut price = Vec::with_capacity(HOURS);
    let mut load = Vec::with_capacity(HOURS);
    for hour in 0..HOURS {
        let (day, time) = calendar(hour);
        slow = 0.995 * slow + 0.1 * random.sample::<f64, _>(StandardNormal);
        fast = 0.7 * fast + 0.7 * random.sample::<f64, _>(StandardNormal);
        let summer = ((day - 15.0) / 365.0 * TAU - PI).cos();
        let evening = (-((time - 19.0) / 2.2).powi(2)).exp();
        let morning = (-((time - 7.5) / 1.8).powi(2)).exp();
        let sun = (PI * (time - 6.0) / 12.0).sin().max(0.0) * (0.7 + 0.3 * summer);
        let demand = 0.55 * summer * evening + 0.35 * evening + 0.2 * morning - 0.35 * sun
            + 0.12 * summer.abs()
            + 0.12 * slow
            + 0.05 * fast;
        let mut now = 36.0 + 55.0 * demand + 4.0 * fast;
        // Scarcity: rare, in the evenings of hot and cold weeks.
        let tight = demand - 0.85;
        if tight > 0.0 && random.random::<f64>() < 0.35 {
            now +=
                150.0 * (1.0 + 6.0 * tight) * (1.1 * random.sample::<f64, _>(StandardNormal)).exp();
        }
        price.push(now.clamp(-30.0, 5000.0));
        load.push(demand);
    }
    let reserve: Vec<f64> =
        price.iter().map(|p| (2.0 + 0.12 * (p - 35.0).max(0.0)).min(900.0)).collect();
    let call = price.iter().map(|p| if *p > 400.0 { 1.0 } else { 0.0 }).collect();
    // The highest load of each of the four summer months, and a margin of hours that might have
    // been.
    let hours = Hours::of("", vec![("price_usd_per_mwh", price.clone())]);
    let mut peak = vec![0.0; HOURS];
    let mut warning = vec![0.0; HOURS];
    for month in 5..9 {
        let mut of_month: Vec<usize> = (0..HOURS).filter(|h| hours.month(*h) == month).collect();
        of_month.sort_by(|a, b| load[*b].total_cmp(&load[*a]));
        of_month.iter().take(1).for_each(|h| peak[*h] = 1.0);
        of_month.iter().take(12).for_each(|h| warning[*h] = 1.0);
    }
    Hours::of(
        label("year of prices", seed),
        vec![
            ("price_usd_per_mwh", price),
            ("reserve_usd_per_mw", reserve),
            ("reserve_call", call),
            ("peak", peak),
            ("peak_warning", warning),
        ],
    )
}

/// A photovoltaic plant with 1.4 MW of panels behind each megawatt of inverter, of 10 MW, beside a
/// wind farm that is told to stand still when the grid is full: `clipped_mw`, `surplus_mw`,
/// `price_usd_per_mwh`.
pub fn surplus(seed: u64) -> Hours {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let market = market(seed);
    let price = market.optional("price_usd_per_mwh").unwrap_or_default().to_vec();
    let mut wind = 0.0_f64;
    let mut clouds = 0.0_f64;
    let (mut clipped, mut surplus) = (Vec::with_capacity(HOURS), Vec::with_capacity(HOURS));
    for (hour, price) in price.iter().enumerate() {
        let (day, time) = calendar(hour);
        let summer = ((day - 15.0) / 365.0 * TAU - PI).cos();
        let half_day = 6.0 + 1.6 * summer;
        let height = (PI * (time - 12.0) / (2.0 * half_day)).cos();
        let height = if (time - 12.0).abs() < half_day { height.max(0.0) } else { 0.0 };
        if time < 1.0 {
            clouds = 0.6 * clouds + 0.8 * random.sample::<f64, _>(StandardNormal);
        }
        let clear = (0.85 - 0.25 * clouds.max(0.0)).clamp(0.1, 0.95);
        let panels = 14.0 * height * (0.8 + 0.2 * summer) * clear;
        clipped.push((panels - 10.0).max(0.0));
        wind = 0.97 * wind + 0.24 * random.sample::<f64, _>(StandardNormal);
        let blowing = 10.0 / (1.0 + (-1.5 * (wind - 0.4)).exp());
        surplus.push(if *price < 25.0 { blowing * 0.6 } else { 0.0 });
    }
    Hours::of(
        label("year of a plant", seed),
        vec![("clipped_mw", clipped), ("surplus_mw", surplus), ("price_usd_per_mwh", price)],
    )
}

/// Day of the year and hour of the day, in the middle of the hour.
fn calendar(hour: usize) -> (f64, f64) {
    ((hour / 24) as f64, (hour % 24) as f64 + 0.5)
}

fn label(what: &str, seed: u64) -> String {
    format!("MADE UP: a {what} that never was, seed {seed}; give your own file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_year_is_the_same_for_the_same_seed_and_says_that_it_is_made_up() {
        assert_eq!(market(1), market(1));
        assert_ne!(market(1), market(2));
        assert!(market(3).origin().starts_with("MADE UP"));
        assert!(surplus(3).origin().contains("seed 3"));
    }

    #[test]
    fn made_up_prices_look_like_a_market_with_sun_and_scarcity() {
        for seed in 1..6 {
            let hours = market(seed);
            let mut price = hours.column("price_usd_per_mwh").unwrap().to_vec();
            let mean = price.iter().sum::<f64>() / 8760.0;
            price.sort_by(f64::total_cmp);
            let median = price[4380];
            assert!((30.0..60.0).contains(&median), "{seed}: median {median}");
            assert!((median..90.0).contains(&mean), "{seed}: mean {mean}");
            let dear = price.iter().filter(|p| **p > 200.0).count();
            assert!((10..400).contains(&dear), "{seed}: {dear} hours above 200");
            assert!(price[0] < 10.0, "{seed}: lowest {}", price[0]);
            assert_eq!(hours.column("peak").unwrap().iter().sum::<f64>(), 4.0);
        }
    }

    #[test]
    fn made_up_panels_clip_at_noon_only_and_wind_is_left_over_when_power_is_cheap() {
        let hours = surplus(1);
        let clipped = hours.column("clipped_mw").unwrap();
        let noons = |(hour, mw): (usize, &f64)| *mw > 0.0 && !(6..18).contains(&(hour % 24));
        assert!(!clipped.iter().enumerate().any(noons));
        let sum: f64 = clipped.iter().sum();
        assert!((100.0..5000.0).contains(&sum), "{sum} MWh");
        let left: f64 = hours.column("surplus_mw").unwrap().iter().sum();
        assert!((500.0..20_000.0).contains(&left), "{left} MWh");
    }
}
