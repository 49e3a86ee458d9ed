//! Carries out what is decided of single boards, once their best common setting is found. Every step is in
//! the journal before it is sent, with the common setting as what to return to: to set that again gives
//! all boards its clock.

use super::Run;
use crate::{
    command::Command,
    control::tune::{TuneError, insist_that},
    driver::State,
    tuner::{ArmFound, BoardAction, BoardFound, BoardSeen, Boards, Goal, Policy},
    verify,
};
use std::time::Duration;
use units::Megahertz;

/// A board's clock moves without a restart: longest time until its rate, a mean of five minutes, is new.
const SETTLES: Duration = Duration::from_secs(300);

impl Run<'_> {
    /// Sets boards apart where the machine takes that and it is worth it. Gives what is better than the
    /// common setting that was found, or that one.
    pub(super) async fn set_apart(&mut self, found: ArmFound) -> Result<ArmFound, TuneError> {
        let Some(mut tuner) = self.boards().await else { return Ok(found) };
        let home = self.command(found.arm);
        let begun = self.clock.now();
        self.proved.begin();
        loop {
            let seen = self.look_at_boards().await;
            match tuner.step(&seen) {
                BoardAction::Wait => {}
                BoardAction::Apply(board, frequency) => {
                    self.tell(Command::BoardClock { board, frequency }, &home).await?;
                }
                BoardAction::Undo(board, frequency, why) => {
                    tracing::info!(board, %frequency, "back: {why}");
                    self.tell(Command::BoardClock { board, frequency }, &home).await?;
                }
                BoardAction::Common(why) => {
                    tracing::info!("all boards at one clock: {why}");
                    self.all_at_home(&home).await?;
                    return Ok(found);
                }
                BoardAction::Done(best) => {
                    self.write("good", &home, &home)?;
                    let BoardFound { rate, power, efficiency, .. } = best;
                    return Ok(ArmFound { rate, power, efficiency, ..found });
                }
            }
            if self.plan.time.is_some_and(|time| self.clock.now().since(begun) > time) {
                self.all_at_home(&home).await?;
                return Ok(found);
            }
            tokio::time::sleep(self.clock.real(self.plan.policy.period)).await;
        }
    }

    async fn boards(&self) -> Option<Boards> {
        let goal = self.tuner.goal();
        if matches!(goal, Goal::Noise(_) | Goal::Heat(_)) {
            return None;
        }
        let able = self.link.capabilities().await.ok()?.boards?;
        let clocks = self.link.read().await.ok()?.settings.boards;
        let settle = SETTLES.min(self.plan.policy.settle);
        let policy = Policy { settle, ..self.plan.policy };
        let first = self.tuner.first_rate()?;
        Boards::new(goal, policy, *self.tuner.limits(), able, first, &clocks)
    }

    async fn look_at_boards(&mut self) -> BoardSeen {
        let State { readings, settings } = self.link.read().await.unwrap_or_default();
        let at = self.clock.now();
        let power = (self.plan.power)(&readings, at);
        let work = self.proved.window(self.meter, &self.plan.who, self.plan.scale, at);
        BoardSeen { at, clocks: settings.boards, readings, power, work }
    }

    /// One step: on disk, told to whoever listens, sent. The tuner sees whether it was taken.
    async fn tell(&mut self, step: Command, home: &Command) -> Result<(), TuneError> {
        self.apart = true;
        self.write("applying", &step, home)?;
        (self.news)(super::ArmNews::Applying(step.clone(), home.clone()));
        self.send(&step).await;
        Ok(())
    }

    /// The common setting again, read back of every board.
    pub(super) async fn all_at_home(&mut self, home: &Command) -> Result<(), TuneError> {
        if !self.apart {
            return Ok(());
        }
        let meant = self.write("applying", home, home);
        if !insist_that(self.link, self.clock, home, |state| is_home(home, state)).await {
            return Err(TuneError::NotRestored(home.clone()));
        }
        meant?;
        self.apart = false;
        self.write("restored", home, home)?;
        (self.news)(super::ArmNews::Restored(home.clone()));
        Ok(())
    }
}

/// Whether a machine is at its common setting, each board, too.
pub(super) fn is_home(home: &Command, state: &State) -> bool {
    let clocks = &state.settings.boards;
    let same = |pair: &[Megahertz]| (pair[0].get() - pair[1].get()).abs() <= 3.2;
    verify::holds(home, None, state) == Some(true) && clocks.windows(2).all(same)
}
