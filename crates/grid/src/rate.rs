//! What a bitcoin is worth in dollars: several sources, their median, a guard against one that is
//! wrong; and with it what hashing earns. It never trades.

use crate::{
    BadSetting, Hub, LinkError, Quality, Signal,
    http::{self, Get},
    link::keep,
    number::Field,
};
use std::{sync::Arc, time::Duration};
use units::{Difficulty, HashPrice, Moment, Ratio, Sats, UnitError, Usd};

/// Where the rate comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// Name on the status page.
    pub name: Arc<str>,
    /// Each asked in turn; its answer's number is dollars per bitcoin.
    pub sources: Vec<(Get, Field)>,
    /// How often.
    pub every: Duration,
    /// How many must agree.
    pub quorum: usize,
    /// How far from the median a source may be; those farther off are left out.
    pub guard: Ratio,
    /// How far the agreed rate may move from one time to the next; a larger move must be seen twice
    /// in a row.
    pub jump: Ratio,
    /// The owner's own rate, taken where no sources are written.
    pub manual: Option<Usd>,
}

/// Revenue per PH/s and day at this difficulty, for the mean subsidy plus fees of a block, which the
/// own node tells. `None` where the rate is not known, or older than its limit.
pub fn hash_price(
    hub: &Hub,
    limit: Duration,
    difficulty: Difficulty,
    reward: Sats,
) -> Option<Result<HashPrice, UnitError>> {
    let now: Moment = hub.now();
    let told = hub.snapshot().bitcoin_price?;
    // What the owner wrote does not grow old.
    let limit = if told.quality == Quality::Manual { Duration::MAX } else { limit };
    let price = *told.reading.fresh(now, limit)?;
    Some(HashPrice::of_network(difficulty, reward, price))
}

/// The median of those that lie within `guard` of the median of all; a sentence where fewer than
/// `quorum` do.
pub fn agreed(quotes: &[f64], guard: Ratio, quorum: usize) -> Result<f64, BadSetting> {
    let good: Vec<f64> = quotes.iter().copied().filter(|q| q.is_finite() && *q > 0.0).collect();
    let near = median(&good)
        .map(|middle| {
            let near = |quote: &f64| (quote - middle).abs() <= middle * guard.get();
            good.iter().copied().filter(near).collect::<Vec<f64>>()
        })
        .unwrap_or_default();
    match median(&near) {
        Some(rate) if near.len() >= quorum => Ok(rate),
        _ => Err(BadSetting(format!(
            "only {} of {} exchange rates agree within {} %, {quorum} are wanted: {good:?}",
            near.len(),
            quotes.len(),
            guard.as_percent()
        ))),
    }
}

fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[middle - 1] + upper) / 2.0 })
}

impl Rates {
    /// Refuses neither sources nor a manual rate, a quorum that cannot be met, asking too often.
    pub fn validate(&self) -> Result<(), BadSetting> {
        BadSetting::unless(self.sources.is_empty() == self.manual.is_some(), || {
            "an exchange rate wants either sources or a manual rate: write one of the two".into()
        })?;
        let most = self.sources.len().max(1);
        BadSetting::unless((1..=most).contains(&self.quorum) && most <= 16, || {
            format!("{} of {most} sources cannot agree: write 1 to {most}", self.quorum)
        })?;
        BadSetting::unless(self.every >= Duration::from_secs(10), || {
            format!("exchange rates asked every {:?}: write 10 s or more", self.every)
        })?;
        self.sources.iter().try_for_each(|(get, _)| get.validate())
    }

    /// Asks for ever and publishes into the hub.
    pub async fn run(self, hub: Hub) {
        if let Some(price) = self.manual {
            return hub.tell(&self.name, Quality::Manual, &Signal::BitcoinPrice, price.get());
        }
        let rates = Arc::new(self);
        keep(hub.clone(), rates.name.clone(), || {
            let (hub, rates) = (hub.clone(), rates.clone());
            async move { rates.session(&hub).await }
        })
        .await;
    }

    async fn session(&self, hub: &Hub) -> Result<(), LinkError> {
        let client = http::client()?;
        let mut last: Option<f64> = None;
        let mut doubted: Option<f64> = None;
        loop {
            let mut quotes = Vec::with_capacity(self.sources.len());
            for (get, field) in &self.sources {
                let quote = get.body(&client).await.and_then(|body| Ok(field.read(&body)?));
                match quote {
                    Ok(quote) => quotes.push(quote),
                    Err(LinkError(sentence)) => hub.refuse(&self.name, sentence.into()),
                }
            }
            let rate = agreed(&quotes, self.guard, self.quorum)?;
            let far = |from: f64| (rate - from).abs() > from * self.jump.get();
            if last.is_some_and(far) && doubted.is_none_or(far) {
                doubted = Some(rate);
                hub.refuse(
                    &self.name,
                    format!("{rate} is far from the last rate; asked again").into(),
                );
            } else {
                (last, doubted) = (Some(rate), None);
                hub.tell(&self.name, Quality::Measured, &Signal::BitcoinPrice, rate);
            }
            tokio::time::sleep(self.every).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_source_moves_nothing_and_two_that_disagree_say_nothing() {
        let guard = Ratio::percent(2.0).unwrap();
        let cases: [(&[f64], usize, Option<f64>); 6] = [
            (&[60_000.0, 60_100.0, 6.0], 2, Some(60_050.0)),
            (&[60_000.0, 60_100.0, 60_200.0], 2, Some(60_100.0)),
            (&[60_000.0, 70_000.0], 2, None),
            (&[60_000.0, f64::NAN, -1.0], 1, Some(60_000.0)),
            (&[60_000.0], 2, None),
            (&[], 1, None),
        ];
        for (quotes, quorum, expected) in cases {
            assert_eq!(agreed(quotes, guard, quorum).ok(), expected, "{quotes:?}");
        }
    }

    /// At 38.2 $/PH/day and 25 J/TH a kilowatt-hour earns 0.064 $ (energy reference, section 2).
    #[tokio::test(start_paused = true)]
    async fn hash_price_needs_a_rate_that_is_not_too_old() {
        let hub = Hub::new(tokio::time::Instant::now());
        let difficulty = Difficulty::new(126e12).unwrap();
        let hour = Duration::from_secs(3600);
        assert!(hash_price(&hub, hour, difficulty, Sats(315_000_000)).is_none());
        let source: Arc<str> = "rate".into();
        hub.tell(&source, Quality::Measured, &Signal::BitcoinPrice, 75_950.0);
        let price = hash_price(&hub, hour, difficulty, Sats(315_000_000)).unwrap().unwrap();
        assert!((price.usd_per_ph_day() - 38.2).abs() < 0.05, "{price}");
        tokio::time::advance(hour * 2).await;
        assert!(hash_price(&hub, hour, difficulty, Sats(315_000_000)).is_none());
        hub.tell(&source, Quality::Manual, &Signal::BitcoinPrice, 75_950.0);
        tokio::time::advance(hour * 2).await;
        assert!(hash_price(&hub, hour, difficulty, Sats(315_000_000)).is_some());
    }
}
