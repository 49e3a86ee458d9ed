//! One emulated machine: physics and firmware under one lock, brought forward in time by whoever looks.
//! It never opens a socket and never hashes.

use super::{
    BOARDS, BoardOutput, Kind, Machine, Output, Phase, Setting, Spec,
    fault::{self, Fault},
    firmware::{self, Answer, Ask, Effect, Firmware, Pool, View},
    work::{Link, Mined},
};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use units::{Celsius, Watts};

/// How long machines have been running, and have settled, when a farm starts.
const WARM: Duration = Duration::from_secs(1800);
/// Of a longer gap in time only the end is stepped finely: everything settles within this.
const SETTLES: Duration = Duration::from_secs(600);
/// Effects that may wait for their time.
const MAX_LATER: usize = 16;
/// A control board says nothing for a quarter of its boot, at most this long.
const DEAF: Duration = Duration::from_secs(20);

/// What all machines of a farm share: time and air.
#[derive(Debug)]
pub(super) struct World {
    started: Instant,
    unix: u64,
    pub speed: f64,
    /// Longest step of physics.
    pub step: Duration,
    /// Machines are only brought forward when asked.
    pub light: bool,
    ambient: AtomicU64,
    stopped: AtomicBool,
}

impl World {
    pub fn new(speed: f64, step: Duration, light: bool, ambient: Celsius) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Self {
            started: Instant::now(),
            unix,
            speed,
            step,
            light,
            ambient: AtomicU64::new(ambient.get().to_bits()),
            stopped: AtomicBool::new(false),
        }
    }

    /// Emulated time since the farm started.
    pub fn now(&self) -> Duration {
        self.started.elapsed().mul_f64(self.speed)
    }

    /// How long to wait in the world for this much emulated time.
    pub fn real(&self, time: Duration) -> Duration {
        time.div_f64(self.speed)
    }

    pub fn ambient(&self) -> Celsius {
        Celsius::new(f64::from_bits(self.ambient.load(Relaxed))).unwrap_or(Celsius::ZERO)
    }

    pub fn set_ambient(&self, ambient: Celsius) {
        self.ambient.store(ambient.get().to_bits(), Relaxed);
    }

    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    pub fn stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }
}

/// One machine of a farm.
pub struct Device {
    kind: Kind,
    name: String,
    address: Ipv4Addr,
    scale: f64,
    seed: u64,
    world: Arc<World>,
    state: Mutex<State>,
    pub(super) link: Link,
}

struct State {
    machine: Machine,
    firmware: Box<dyn Firmware>,
    fault: Option<Fault>,
    /// Emulated time up to which this machine has come.
    now: Duration,
    /// When the control board started; before the farm did, if it never restarted.
    up: Option<Duration>,
    later: Vec<(Duration, Effect)>,
}

/// Who a machine is, before it is one.
pub(super) struct Place {
    pub kind: Kind,
    pub name: String,
    pub address: Ipv4Addr,
    pub scale: f64,
    pub seed: u64,
    pub fault: Option<Fault>,
    pub pools: Vec<Pool>,
}

impl Device {
    /// A machine that has been running for long: `machine` comes from [`settled`].
    pub(super) fn new(place: Place, machine: Machine, world: Arc<World>) -> Self {
        let Place { kind, name, address, scale, seed, fault, pools } = place;
        let mut firmware = firmware::of(kind, seed);
        if !pools.is_empty() {
            *firmware.pools() = pools;
        }
        let now = world.now();
        Self {
            kind,
            name,
            address,
            scale,
            seed,
            world,
            state: Mutex::new(State { machine, firmware, fault, now, up: None, later: vec![] }),
            link: Link::default(),
        }
    }

    /// Which machine it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name in the farm, such as `gamma-7`: what its worker is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Emulated hashes for each real one.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// What comes out of it now.
    pub fn output(&self) -> Output {
        self.state().machine.output()
    }

    /// What it is set to.
    pub fn setting(&self) -> Setting {
        self.state().machine.setting()
    }

    /// How often its firmware has stopped it for heat.
    pub fn trips(&self) -> u32 {
        self.state().machine.trips()
    }

    /// Pools of its firmware.
    pub fn pools(&self) -> Vec<Pool> {
        self.state().firmware.pools().clone()
    }

    /// What its mining has come to.
    pub fn mined(&self) -> Mined {
        self.link.mined()
    }

    /// What it does wrong.
    pub fn fault(&self) -> Option<Fault> {
        self.state().fault
    }

    /// Makes it misbehave from now on, or behave.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Power at its plug.
    pub fn power(&self, on: bool) {
        let mut state = self.state();
        let was_off = state.machine.output().phase == Phase::Off;
        state.machine.power(on);
        if on && was_off {
            self.restarted(&mut state);
        }
    }

    /// Its boards get silicon of this headroom: MHz above the common clock at which each loses half.
    pub fn silicon(&self, headroom: [f64; BOARDS]) {
        self.state().machine.silicon(headroom);
    }

    /// What comes out of one of its boards now.
    ///
    /// # Panics
    /// If there is no such board.
    pub fn board(&self, n: usize) -> BoardOutput {
        self.state().machine.board(n)
    }

    /// Sets the machine behind its firmware's back: for tests.
    pub fn set(&self, setting: Setting) {
        self.state().machine.set(setting);
    }

    /// What its firmware says to this, and how late in real time.
    pub fn ask(&self, ask: &Ask) -> (Answer, Duration) {
        let mut state = self.state();
        if !self.awake(&state) {
            return (Answer::Hangup, Duration::ZERO);
        }
        let fault = state.fault;
        let before = matches!(fault, Some(Fault::SilentRefusal | Fault::LoudRefusal))
            .then(|| state.firmware.remember());
        let mined = self.link.mined();
        let uptime = self.uptime(&state);
        let State { machine, firmware, .. } = &mut *state;
        let view = View {
            machine,
            output: machine.output(),
            uptime,
            accepted: mined.accepted,
            rejected: mined.rejected,
            unix: self.world.unix + self.world.now().as_secs(),
            claims: if let Some(Fault::Lies(claims)) = fault { claims } else { 1.0 },
        };
        let (mut answer, mut late, mut effects) = firmware.answer(ask, &view);
        if let (false, Some(before)) = (effects.is_empty(), before) {
            *firmware = before;
            effects.clear();
            if fault == Some(Fault::LoudRefusal) {
                answer = fault::refusal(ask);
            }
        }
        match fault {
            Some(Fault::Slow(time)) => late += time,
            Some(Fault::NoSensors) => fault::blind(&mut answer),
            Some(Fault::Reboot) if !effects.is_empty() => effects.push(Effect::Restart),
            Some(Fault::LostPools) if !effects.is_empty() => {
                *firmware.pools() = fault::vendor_pools()
            }
            _ => {}
        }
        let changed = !effects.is_empty();
        for effect in effects {
            self.take(&mut state, effect);
        }
        if changed && fault == Some(Fault::LostMode) {
            self.forget(&mut state);
        }
        (answer, self.world.real(late))
    }

    /// Brings it forward in time.
    pub(super) fn advance(&self) -> Output {
        let mut state = self.lock();
        self.forward(&mut state);
        state.machine.output()
    }

    /// Whether there is something to hash.
    pub(super) fn workless(&self, workless: bool) {
        self.lock().machine.workless(workless);
    }

    /// Whether its control board has power and has started.
    pub(super) fn is_awake(&self) -> bool {
        let state = self.state();
        self.awake(&state)
    }

    pub(super) fn ports(&self) -> &'static [u16] {
        self.lock().firmware.ports()
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under this lock is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as it is now: in a light farm nobody else brings it forward.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if self.world.light {
            self.forward(&mut state);
        }
        state
    }

    fn forward(&self, state: &mut State) {
        let to = self.world.now();
        let ambient = self.world.ambient();
        while let Some(gap) = to.checked_sub(state.now).filter(|gap| !gap.is_zero()) {
            let longest = if gap > SETTLES { gap - SETTLES } else { self.world.step };
            if gap < self.world.step && !self.world.light {
                return;
            }
            let due = state.later.iter().map(|(at, _)| at.saturating_sub(state.now)).min();
            let time = due.map_or(longest, |due| due.min(longest)).min(gap);
            state.machine.step(time, ambient);
            state.now += time;
            let now = state.now;
            while let Some(place) = state.later.iter().position(|(at, _)| *at <= now) {
                let (_, effect) = state.later.remove(place);
                self.take(state, effect);
            }
        }
    }

    fn take(&self, state: &mut State, effect: Effect) {
        match effect {
            Effect::Set(setting, after) if after.is_zero() => state.machine.set(setting),
            Effect::Set(setting, after) => {
                if state.later.len() == MAX_LATER {
                    state.later.remove(0);
                }
                state.later.push((state.now + after, Effect::Set(setting, Duration::ZERO)));
            }
            Effect::Rehash(time) => state.machine.rehash(time),
            Effect::Restart => {
                state.machine.restart();
                self.restarted(state);
            }
        }
    }

    fn restarted(&self, state: &mut State) {
        state.later.clear();
        state.up = Some(state.now);
        if state.fault == Some(Fault::LostSettings) {
            self.forget(state);
        }
        state.firmware.restarted();
    }

    /// Settings as from the factory, but still mining for the same pools.
    fn forget(&self, state: &mut State) {
        let pools = std::mem::take(state.firmware.pools());
        state.firmware = firmware::of(self.kind, self.seed);
        *state.firmware.pools() = pools;
        let factory = Machine::new(*state.machine.spec(), Celsius::ZERO).setting();
        let mining = state.machine.setting().mining;
        state.machine.set(Setting { mining, ..factory });
    }

    fn awake(&self, state: &State) -> bool {
        let deaf = (state.machine.spec().boot / 4).min(DEAF);
        state.machine.output().phase != Phase::Off && self.uptime(state) >= deaf
    }

    fn uptime(&self, state: &State) -> Duration {
        let now = self.world.now();
        state.up.map_or(now + WARM, |up| now.saturating_sub(up))
    }
}

/// A machine of this kind that has been running in this air until nothing changes any more.
pub(super) fn settled(kind: Kind, ambient: Celsius) -> Machine {
    let mut machine = Machine::new(Spec::of(kind), ambient);
    machine.power(true);
    for _ in 0..WARM.as_secs() {
        machine.step(Duration::from_secs(1), ambient);
    }
    machine
}

/// Power of all of them.
pub(super) fn power_of(devices: &[Arc<Device>]) -> Watts {
    devices.iter().map(|device| device.output().power).sum()
}
