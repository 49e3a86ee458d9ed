//! All homes as one: what they draw, could draw and for how long, and who takes part. It decides nothing.

use super::{
    Setup,
    home::{Home, Role, Way},
};
use std::time::Duration;
use units::{Moment, NetWatts, Watts};

/// Room is told for these times.
pub const HORIZONS: [Duration; 4] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(4 * 3600),
];

/// How much less or more could be drawn, held for each of the [`HORIZONS`].
pub type Room = [Watts; HORIZONS.len()];

/// How many homes take part, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Told, and counted on.
    pub ready: usize,
    /// Told, but not doing so.
    pub astray: usize,
    /// Their owners do not take part.
    pub opted_out: usize,
    /// Left alone for comparison.
    pub control: usize,
    /// Left alone so that they can be compared with in the next period.
    pub resting: usize,
    /// Not heard of lately.
    pub silent: usize,
}

/// All homes at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Telemetry {
    /// What they are to draw together; `None` while nothing is wanted.
    pub wanted: Option<NetWatts>,
    /// What they draw: as metered, and as expected of those that are silent.
    pub drawn: NetWatts,
    /// The part of it that a meter shows.
    pub metered: NetWatts,
    /// What they would draw left alone.
    pub own: NetWatts,
    /// What it comes to once everyone does as told; as `own` while nothing is wanted.
    pub set: NetWatts,
    /// What is set less what is wanted: positive where more is drawn than wanted and no home can change
    /// that.
    pub shortfall: NetWatts,
    /// How much less than left alone those who are counted on can draw.
    pub down: Room,
    /// How much more.
    pub up: Room,
    /// Who takes part.
    pub homes: Counts,
}

/// What a look at all homes found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub telemetry: Telemetry,
    /// What those draw, W, that are not counted on, and what the others would draw left alone.
    pub others: f64,
    pub own: f64,
    /// What those that are counted on draw beyond what they were told, W, and how many can be compared.
    pub missed: f64,
    pub compared: usize,
}

/// Adds up all homes, and notes how each takes part while they are `called`. The only pass over all of
/// them but the one that offers and the one that tells.
pub(super) fn look(
    homes: &mut [Home],
    roles: &mut Vec<Role>,
    now: Moment,
    setup: &Setup,
    called: bool,
) -> Seen {
    let (mut drawn, mut metered, mut own) = (0.0, 0.0, 0.0);
    let mut room = [[0.0; HORIZONS.len()]; 2];
    let mut seen = Seen::default();
    let counts = &mut seen.telemetry.homes;
    roles.clear();
    for home in homes {
        let role = home.role(now, setup);
        roles.push(role);
        let power = home.drawn(role, now);
        drawn += power;
        own += home.report.own.get();
        if role != Role::Silent {
            metered += power;
        }
        let (count, took) = match role {
            Role::Ready => (&mut counts.ready, Some(&mut home.took.called)),
            Role::Astray => (&mut counts.astray, Some(&mut home.took.called)),
            Role::OptedOut => (&mut counts.opted_out, None),
            Role::Control => (&mut counts.control, Some(&mut home.took.control)),
            Role::Resting => (&mut counts.resting, Some(&mut home.took.resting)),
            Role::Silent => (&mut counts.silent, None),
        };
        *count += 1;
        if let Some(took) = took {
            *took |= called || matches!(role, Role::Control | Role::Resting);
        }
        if role != Role::Ready {
            seen.others += power;
            continue;
        }
        seen.own += home.report.own.get();
        for (room, way) in room.iter_mut().zip([Way::Down, Way::Up]) {
            home.sustains_each(way, &HORIZONS, now, room);
        }
        if let Some(missed) = home.misses(now).filter(|_| called) {
            seen.missed += missed;
            seen.compared += 1;
        }
    }
    let net = |watts| NetWatts::new(watts).unwrap_or_default();
    let [down, up] =
        room.map(|room| room.map(|watts: f64| Watts::new(watts).unwrap_or(Watts::ZERO)));
    seen.telemetry = Telemetry {
        drawn: net(drawn),
        metered: net(metered),
        own: net(own),
        set: net(own),
        down,
        up,
        ..seen.telemetry
    };
    seen
}
