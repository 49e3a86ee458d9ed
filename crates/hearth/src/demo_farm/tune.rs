//! One machine tuned by the work that it proves, as fast as the demonstration's clock allows.

use super::{BEFORE, SHARE_INTERVAL, Stage, hold};
use fleet::{
    Device, DeviceId, Driver,
    control::{
        Meter, Staged, Who,
        tune::{self, Journal, News, Plan},
    },
    tuner::{Entry, Envelope, Measured, Policy, Prior},
    work::Window,
};
use std::{net::IpAddr, time::Duration};
use tokio::{sync::watch, time::Instant};
use units::{Efficiency, Ratio};

impl Stage {
    pub(super) async fn tune(
        &self,
        device: &Device,
        journals: &std::path::Path,
        stopped: &mut watch::Receiver<bool>,
    ) {
        // As any other command: in its turn, and with room on the breaker.
        let Some(link) = Staged::new(self.fleet.clone(), device.id.clone()) else { return };
        let Some(endpoint) = device.endpoint else { return };
        let can = &device.capabilities;
        let (Some(frequency), Some(voltage)) = (can.frequency, can.voltage) else { return };
        // Machines reach their server in the first seconds.
        let connected = Instant::now();
        while connected.elapsed() < Duration::from_secs(10) {
            let sessions = self.meter.tallies(self.fleet.clock.now()).unwrap_or_default();
            if sessions.iter().any(|session| session.ip == endpoint.ip) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.measure_before(device, &link, endpoint.ip).await;
        let mut journal = match Journal::open(&Journal::path(journals, &device.id.to_string())) {
            Ok(journal) => journal,
            Err(error) => return self.say(format!("not tuned: {error}")),
        };
        let power = |told: &fleet::Readings, _| Some((told.power?, 0.01));
        let Ok(goal) = "efficiency".parse() else { return };
        let plan = Plan {
            goal,
            policy: policy(),
            envelope: Envelope { frequency, voltage, limits: device.limits },
            prior: Prior::GAMMA,
            who: Who::Address(endpoint.ip),
            scale: device.scale,
            power: &power,
            time: None,
            keep_on: false,
        };
        let name = self.name(&device.id);
        let mut news = |news: News| self.news(&device.id, &name, news);
        let stop = async {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let tuned = tune::tune(
            &link,
            &*self.meter,
            &self.fleet.clock,
            &plan,
            &mut journal,
            stop,
            &mut news,
        );
        if let Err(error) = tuned.await {
            self.say(format!("tune  {name}: {error}"));
        }
    }

    /// What the machine does as it was found.
    async fn measure_before(&self, device: &Device, link: &dyn Driver, ip: IpAddr) {
        self.meter.share_interval(&Who::Address(ip), Some(SHARE_INTERVAL));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let tally = || {
            let sessions = self.meter.tallies(self.fleet.clock.now()).unwrap_or_default();
            sessions.into_iter().find(|session| session.ip == ip).map(|session| session.tally)
        };
        let from = tally();
        tokio::time::sleep(BEFORE).await;
        let (to, read) = (tally(), link.read().await);
        let window = from.zip(to).and_then(|(from, to)| Window::between(&from, &to, device.scale));
        let power = read.ok().and_then(|state| state.readings.power);
        let before =
            power.zip(window).and_then(|(p, window)| Efficiency::of(p, window.rate()).ok());
        if let Some(before) = before {
            hold(&self.told).before = Some(before.joules_per_terahash());
            let name = self.name(&device.id);
            self.say(format!("tune  {name}: {before} by verified work as it was found"));
        }
    }

    fn news(&self, id: &DeviceId, name: &str, news: News) {
        match news {
            News::Step(Entry::Applying { point, .. }) => {
                hold(&self.view).forget_work(id);
                self.say(format!("tune  {name}: tries {}, {}", point.frequency, point.voltage));
            }
            News::Step(Entry::Good { point, measured, .. }) => {
                let efficiency = efficiency(&measured);
                if let Some(efficiency) = efficiency {
                    self.measured(id, efficiency.joules_per_terahash());
                }
                let shown = efficiency.map_or("not measured".into(), |e| e.to_string());
                self.say(format!(
                    "tune  {name}: {}, {} is good: {shown} by verified work",
                    point.frequency, point.voltage
                ));
            }
            News::Step(Entry::Restored { point, why, .. }) => {
                self.say(format!(
                    "tune  {name}: back to {}, {}: {why}",
                    point.frequency, point.voltage
                ));
            }
            News::Refused(why) => self.say(format!("tune  {name}: {why}")),
            News::Found(found) => {
                self.measured(id, found.efficiency.joules_per_terahash());
                hold(&self.told).after = Some(found.efficiency.joules_per_terahash());
                if let Some(tuning) = hold(&self.view).tuning.get_mut(id) {
                    tuning.phase = "found".into();
                }
                self.say(format!(
                    "tune  {name}: best is {}, {}: {} ± {:.1} %",
                    found.point.frequency,
                    found.point.voltage,
                    found.efficiency,
                    found.error * 100.0
                ));
            }
        }
    }

    fn measured(&self, id: &DeviceId, j_per_th: f64) {
        let tuning = api::fleet::Tuning {
            goal: "efficiency".into(),
            phase: "tuning".into(),
            j_per_th_before: hold(&self.told).before,
            j_per_th_now: Some(j_per_th),
        };
        hold(&self.view).tuning.insert(id.clone(), tuning);
    }
}

/// In a minute of the demonstration twenty real shares a second would decide little: there are more,
/// larger differences are looked for, and points are left sooner.
fn policy() -> Policy {
    let ratio = |r| Ratio::new(r).unwrap_or_default();
    Policy {
        share_interval: SHARE_INTERVAL,
        dwell: Duration::from_secs(180),
        worth: ratio(0.01),
        ..Policy::default()
    }
}

fn efficiency(measured: &Measured) -> Option<Efficiency> {
    Efficiency::of(measured.power?, measured.verified?).ok()
}
