//! Home Assistant: the site and its loads go out, what people there want comes back and is told to the loop.
//! It steers nothing itself.

mod load;
mod site;

use super::{Owner, Shared, hold};
use crate::{bridge::Bridge, config::Energy};
use grid::{
    BadSetting, Hub,
    homeassistant::{Command, MOST_COMMANDS, Mode, Shown, Site, States, Want},
};
use load::{Load, Part, loads};
use site::frost;
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use units::Watts;

const EVERY: Duration = Duration::from_secs(2);

/// Starts the link and what feeds it.
pub fn start(
    told: &crate::config::HomeAssistant,
    energy: &Arc<Energy>,
    hub: &Hub,
    bridge: Arc<Bridge>,
    owner: Shared<Owner>,
) -> Result<Vec<JoinHandle<()>>, BadSetting> {
    let site = Site {
        name: "home assistant".into(),
        address: told.address.clone(),
        discovery: told.discovery.clone(),
        base: format!("{}/{}", told.base, energy.site),
    };
    site.validate()?;
    let first = shown(energy, &[], &api::Energy::default());
    first.validate()?;
    let (states, shown) = watch::channel(first);
    let (wants, wanted) = mpsc::channel(MOST_COMMANDS);
    Ok(vec![
        tokio::spawn(site.run(hub.clone(), shown, wants)),
        tokio::spawn(show(bridge.clone(), owner.clone(), energy.clone(), states)),
        tokio::spawn(listen(wanted, owner, energy.clone(), bridge)),
    ])
}

/// All entities, without their states.
fn shown(energy: &Energy, loads: &[Load], tree: &api::Energy) -> Shown {
    let mut all = site::entities(energy, tree);
    all.extend(loads.iter().flat_map(|load| load.entities(&energy.site)));
    Shown { entities: all.into(), states: States::new() }
}

async fn show(
    bridge: Arc<Bridge>,
    owner: Shared<Owner>,
    energy: Arc<Energy>,
    to: watch::Sender<Shown>,
) {
    let mut every = tokio::time::interval(EVERY);
    while !to.is_closed() {
        every.tick().await;
        let tree = bridge.energy.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(tree) = tree else { continue };
        let owner = hold(&owner).clone();
        let fleet = bridge.fleet();
        let loads = loads(&tree, fleet.as_ref());
        let mut now = site::states(&energy, &tree, fleet.as_ref(), &owner);
        for load in &loads {
            now.extend(load.states(&tree, fleet.as_ref(), &owner));
        }
        let new = shown(&energy, &loads, &tree);
        let changed = to.borrow().entities != new.entities;
        let good = match new.validate() {
            Ok(()) => true,
            Err(bad) if changed => {
                tracing::warn!("Home Assistant is not told of all loads: {bad}");
                false
            }
            Err(_) => false,
        };
        to.send_modify(|shown| {
            if changed && good {
                shown.entities = new.entities;
            }
            shown.states = now;
        });
    }
}

async fn listen(
    mut wanted: mpsc::Receiver<Command>,
    owner: Shared<Owner>,
    energy: Arc<Energy>,
    bridge: Arc<Bridge>,
) {
    while let Some(command) = wanted.recv().await {
        tracing::info!(entity = %command.entity, want = ?command.want, "Home Assistant");
        let tree = bridge.energy.read().unwrap_or_else(PoisonError::into_inner).clone();
        let loads = tree.map_or_else(Vec::new, |tree| loads(&tree, None));
        take(&mut hold(&owner), &energy, &loads, &command);
    }
}

/// What a command changes in what the owner wants.
fn take(owner: &mut Owner, energy: &Energy, loads: &[Load], command: &Command) {
    let Command { entity, want } = command;
    let zone = energy.zones.iter().find(|zone| zone.body.name == *entity);
    let load = loads.iter().find_map(|load| Some((load, load.part(entity)?)));
    match (&**entity, *want, zone, load) {
        ("power", Want::Number(watts), ..) => owner.power = Watts::new(watts).ok(),
        ("mining", Want::Switch(on), ..) => owner.power = (!on).then_some(Watts::ZERO),
        ("aggregator", Want::Switch(on), ..) => owner.opted_out = !on,
        (_, Want::Target(target), Some(zone), _) => {
            owner.set_points.insert(zone.body.name.clone(), target);
        }
        (_, Want::Mode(mode), Some(zone), _) => {
            let name = zone.body.name.clone();
            let is_frost = owner.set_points.get(&name).is_some_and(|set| *set <= frost());
            match mode {
                Mode::Off => {
                    owner.set_points.insert(name.clone(), frost());
                }
                // What somebody wanted before stays, but for the frost protection of being off.
                Mode::Heat | Mode::Auto if is_frost => {
                    owner.set_points.insert(name.clone(), zone.body.set_point);
                }
                Mode::Heat | Mode::Auto => {}
            }
            match mode {
                Mode::Heat => owner.at_once.insert(name),
                Mode::Off | Mode::Auto => owner.at_once.remove(&name),
            };
        }
        (_, Want::Switch(on), _, Some((load, Part::Switch))) => {
            match on {
                true => owner.off.remove(&load.id),
                false => owner.off.insert(load.id.clone()),
            };
        }
        (_, Want::Number(watts), _, Some((load, Part::Limit))) => {
            if watts >= load.full_w {
                owner.most.remove(&load.id);
            } else if let Ok(watts) = Watts::new(watts) {
                owner.most.insert(load.id.clone(), watts);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    fn say(owner: &mut Owner, energy: &Energy, loads: &[Load], entity: &str, want: Want) {
        take(owner, energy, loads, &Command { entity: entity.into(), want });
    }

    #[test]
    fn a_machine_is_switched_and_limited_by_its_own_entities() {
        let ids = ["name:a", "mac:02:54:D5:AA:DA:07", "mac:02:54:d5:aa:da:08", "name:a_b"];
        let loads = ids.map(load::tests::miner);
        let mut owner = Owner::default();
        let mut say = |entity: &str, want| {
            say(&mut owner, &Energy::default(), &loads, entity, want);
            (owner.off.clone(), owner.most.clone())
        };
        let (off, _) = say("mac_02_54_d5_aa_da_07_mining", Want::Switch(false));
        assert!(off.contains("mac:02:54:D5:AA:DA:07") && off.len() == 1);
        let (off, _) = say("mac_02_54_d5_aa_da_07_mining", Want::Switch(true));
        assert!(off.is_empty());
        let (_, most) = say("mac_02_54_d5_aa_da_08_limit", Want::Number(1200.0));
        assert_eq!(most.get("mac:02:54:d5:aa:da:08"), Watts::new(1200.0).ok().as_ref());
        let (_, most) = say("mac_02_54_d5_aa_da_08_limit", Want::Number(3500.0));
        assert!(most.is_empty(), "its full power is no limit");
        let (off, _) = say("name_a_b_mining", Want::Switch(false));
        assert!(off.contains("name:a_b") && off.len() == 1);
    }

    #[test]
    fn the_whole_site_is_switched_limited_and_taken_from_the_aggregator_by_its_own() {
        let (energy, mut owner) = (Energy::default(), Owner::default());
        let mut say = |entity: &str, want| {
            say(&mut owner, &energy, &[], entity, want);
            (owner.power.map(Watts::get), owner.opted_out)
        };
        assert_eq!(say("power", Want::Number(1500.0)), (Some(1500.0), false));
        assert_eq!(say("mining", Want::Switch(false)), (Some(0.0), false));
        assert_eq!(say("mining", Want::Switch(true)), (None, false), "on is no limit");
        assert_eq!(say("aggregator", Want::Switch(false)), (None, true));
        assert_eq!(say("aggregator", Want::Switch(true)), (None, false));
    }

    #[test]
    fn a_thermostat_card_sets_target_and_mode_and_off_keeps_it_from_freezing() {
        let text = "[energy]\nenabled = true\n[[energy.heat]]\nname = \"room\"\n\
                    temperature = \"room\"\nset = \"20 C\"\nmachines = [\"m\"]\n";
        let energy = Config::parse(text, Path::new(".")).unwrap().energy;
        let room: Arc<str> = "room".into();
        let mut owner = Owner::default();
        let mut say = |want| {
            say(&mut owner, &energy, &[], "room", want);
            (owner.set_points.get(&room).map(|set| set.get()), owner.at_once.contains(&room))
        };
        let warm = units::Celsius::new(22.5).unwrap();
        assert_eq!(say(Want::Target(warm)), (Some(22.5), false));
        assert_eq!(say(Want::Mode(Mode::Heat)), (Some(22.5), true));
        assert_eq!(say(Want::Mode(Mode::Off)), (Some(5.0), false));
        assert_eq!(say(Want::Mode(Mode::Auto)), (Some(20.0), false), "as configured");
    }
}
