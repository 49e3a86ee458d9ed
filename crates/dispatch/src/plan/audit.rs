//! Whether a plan keeps every rule, counted from its intervals alone: a second opinion that shares
//! nothing with the model. Machines are followed one by one, oldest first.

use super::*;
use std::collections::VecDeque;

/// The rules that a plan breaks, in words.
pub(super) fn broken(p: &Problem, plan: &Plan) -> Vec<String> {
    let mut broken = Vec::new();
    let mut say = |t: usize, what: &str| broken.push(format!("step {t}: {what}"));
    let dt = p.step.as_secs_f64() / 3600.0;
    let near = |a: f64, b: f64| (a - b).abs() < 1e-4 * (1.0 + a.abs().max(b.abs()));
    let over = |a: f64, b: f64| a > b + 1e-4 * (1.0 + b.abs());
    let mut energy = p.battery.as_ref().map(|b| b.now.kilowatt_hours());
    let mut zones: Vec<f64> = p.zones.iter().map(|z| z.now.get()).collect();
    for (t, i) in plan.intervals.iter().enumerate() {
        let (import, export) = (i.import.kilowatts(), i.export.kilowatts());
        if import > 1e-4 && export > 1e-4 && p.export[t] > p.import[t] {
            say(t, "imports and exports at once");
        }
        let mut used: f64 = p.load.get(t).map_or(0.0, |w| w.get() / 1e3);
        for (k, class) in p.classes.iter().enumerate() {
            let c = &i.classes[k];
            let on: u32 = c.counts.iter().sum();
            if on > class.available(t) {
                say(t, "more machines than there are");
            }
            let running: f64 = c
                .counts
                .iter()
                .zip(&class.levels)
                .map(|(n, l)| f64::from(*n) * l.power.kilowatts())
                .sum();
            let all = running + f64::from(class.count - on) * class.off_power.kilowatts();
            if !near(all, c.power.kilowatts()) {
                say(t, "class power is not that of its machines");
            }
            let before = t
                .checked_sub(1)
                .map_or(class.kw_now(), |b| plan.intervals[b].classes[k].power.kilowatts());
            if class.ramp_up.is_some_and(|r| over(all - before, r.kilowatts()))
                || class.ramp_down.is_some_and(|r| over(before - all, r.kilowatts()))
            {
                say(t, "ramps too fast");
            }
            used += all;
        }
        used += i.zones.iter().map(|z| z.heater.kilowatts()).sum::<f64>();
        used += i.battery.map_or(0.0, |(net, _)| net.get() / 1e3);
        let made = import - export + i.pv.kilowatts() + i.genset.map_or(0.0, |w| w.kilowatts());
        if !near(used, made) {
            say(t, &format!("{used} kW used, {made} kW there"));
        }
        if over(i.pv.get(), p.pv.get(t).map_or(0.0, |w| w.get())) {
            say(t, "more sun than shines");
        }
        if p.import_limit.is_some_and(|l| over(i.import.get(), l.get()))
            || p.export_limit.is_some_and(|l| over(i.export.get(), l.get()))
            || (p.export.is_empty() && export > 1e-6)
        {
            say(t, "connection limit");
        }
        for c in p.commitments.iter().filter(|c| c.penalty.is_none()) {
            let most = c.at_most.get(t).copied().flatten();
            let least = c.at_least.get(t).copied().flatten();
            if most.is_some_and(|l| over(i.import.get(), l.get()))
                || least.is_some_and(|l| over(l.get(), i.import.get()))
            {
                say(t, "contract");
            }
        }
        if let (Some(b), Some(e), Some((net, after))) = (&p.battery, energy, i.battery) {
            let net = net.get() / 1e3;
            let expect = e + if net > 0.0 {
                net * b.charge_efficiency.get()
            } else {
                net / b.discharge_efficiency.get()
            } * dt;
            let after = after.kilowatt_hours();
            if !near(expect, after) {
                say(t, &format!("battery holds {after} instead of {expect}"));
            }
            if over(after, b.most.kilowatt_hours())
                || over(b.least.kilowatt_hours().min(b.now.kilowatt_hours()), after)
                || over(net, b.charge.kilowatts())
                || over(-net, b.discharge.kilowatts())
            {
                say(t, "battery limits");
            }
            energy = Some(after);
        }
        if let (Some(g), Some(power)) = (&p.genset, i.genset) {
            if over(power.get(), g.most.get()) || over(g.least.get(), power.get()) {
                say(t, "engine outside its band");
            }
            let before = t.checked_sub(1).map_or(g.power_now, |b| plan.intervals[b].genset);
            let change = before.map(|b| (power.get() - b.get()).abs());
            if change.zip(g.change).is_some_and(|(c, most)| over(c, most.get())) {
                say(t, "engine changes too much");
            }
        }
        for (z, zone) in p.zones.iter().enumerate() {
            let heat: f64 = p
                .classes
                .iter()
                .zip(&i.classes)
                .filter_map(|(c, plan)| {
                    c.heats
                        .filter(|(to, _)| *to == z)
                        .map(|(_, share)| share.get() * plan.power.kilowatts())
                })
                .sum();
            let heater = zone.heater.map_or(0.0, |(_, cop)| cop * i.zones[z].heater.kilowatts());
            let gains = zone.gains.get(t).map_or(0.0, |w| w.get() / 1e3);
            let around = zone.around.or(p.outdoor.get(t).copied()).map_or(0.0, |c| c.get());
            // The differential equation in 200 small steps, not the closed form of the model.
            let kw = heat + heater + gains - i.zones[z].vented.kilowatts();
            for _ in 0..200 {
                let lost = zone.loss.kilowatts() * (zones[z] - around);
                zones[z] += dt / 200.0 * (kw - lost) / zone.capacity.kilowatt_hours();
            }
            if (zones[z] - i.zones[z].temperature.get()).abs() > 0.05 {
                say(t, &format!("temperature {} instead of {}", i.zones[z].temperature, zones[z]));
            }
            zones[z] = i.zones[z].temperature.get();
        }
    }
    if let (Some(b), Some(e)) = (&p.battery, energy)
        && over(b.end_least.kilowatt_hours(), e)
    {
        say(p.steps(), "battery too empty at the end");
    }
    for (k, class) in p.classes.iter().enumerate() {
        times(p, class, plan.intervals.iter().map(|i| i.classes[k].counts.iter().sum()), &mut say);
    }
    broken
}

/// Follows each machine of a class: whoever has been on (off) longest stops (starts) first.
fn times(
    p: &Problem,
    class: &Class,
    on: impl Iterator<Item = u32>,
    say: &mut impl FnMut(usize, &str),
) {
    let mut ages: [VecDeque<Duration>; 2] = [VecDeque::new(), VecDeque::new()];
    for batch in &class.now {
        ages[usize::from(batch.level.is_some())].extend((0..batch.count).map(|_| batch.since));
    }
    let listed = ages[0].len() + ages[1].len();
    ages[0].extend((listed..class.count as usize).map(|_| Duration::from_secs(1 << 30)));
    for queue in &mut ages {
        queue.make_contiguous().sort_by(|a, b| b.cmp(a));
    }
    for (t, on) in on.enumerate() {
        while ages[1].len() != on as usize {
            let from = usize::from(ages[1].len() > on as usize);
            let Some(age) = ages[from].pop_front() else { return say(t, "no such machine") };
            let least = if from == 1 { class.min_on } else { class.min_off };
            if age < least {
                say(t, &format!("{} changes after {age:?}, not {least:?}", class.name));
            }
            ages[1 - from].push_back(Duration::ZERO);
        }
        for queue in &mut ages {
            queue.iter_mut().for_each(|age| *age += p.step);
        }
    }
}
