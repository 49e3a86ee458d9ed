//! The machine's disk and its limit of open files.

use super::Finding;
use crate::open_files;
use std::{
    io::{self, Write},
    path::{Path, absolute},
    time::{Duration, Instant},
};
use stratum::Limits;

/// Below this nothing can be kept for long.
const NO_SPACE: u64 = 100 << 20;
/// Years of records of a large farm fit into this.
const LITTLE_SPACE: u64 = 1 << 30;
/// How often the disk is asked to make something durable.
const TRIALS: usize = 8;
/// A found block is sent to the network only when it is durable.
const SLOW_DISK: Duration = Duration::from_millis(100);
/// Descriptors for everything that is no miner.
const OWN_FILES: u64 = 100;

/// Whether the folder, or the one it will be made in, can be written to, has room and is quick.
pub(super) fn disk(folder: &Path) -> Vec<Finding> {
    let folder = absolute(folder).unwrap_or_else(|_| folder.into());
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let shown = there.display();
    let durable = match time_to_durable(there) {
        Ok(durable) => durable,
        Err(error) => {
            let says = format!(
                "{shown} cannot be written to: {error}; give this user the right to write there, \
                 make room, or choose another data_dir"
            );
            return vec![Finding::fail("disk", says)];
        }
    };
    let millis = durable.as_secs_f64() * 1000.0;
    let speed = match durable > SLOW_DISK {
        true => Finding::warn(
            "disk",
            format!(
                "{shown} needs {millis:.0} ms to make a write durable, which delays found blocks: \
                 put data_dir on a faster disk"
            ),
        ),
        false => Finding::ok("disk", format!("{shown} makes a write durable in {millis:.1} ms")),
    };
    let space = match rustix::fs::statvfs(there) {
        Ok(found) => space(found.f_bavail.saturating_mul(found.f_frsize), there),
        Err(error) => {
            Finding::warn("disk", format!("the free space of {shown} cannot be seen: {error}"))
        }
    };
    vec![speed, space]
}

/// Whether the system lets us open as many connections as the configuration does.
pub(super) fn open_files(limits: &Limits) -> Finding {
    room_for_connections(open_files::hard_limit(), limits.connections as u64)
}

fn room_for_connections(limit: Option<u64>, wanted: u64) -> Finding {
    let needed = wanted.saturating_add(OWN_FILES);
    match limit.filter(|limit| *limit < needed) {
        None => Finding::ok("open files", format!("enough for {wanted} connections")),
        Some(limit) if limit <= OWN_FILES => Finding::fail(
            "open files",
            format!(
                "the system allows {limit} open files, too few to serve miners: raise it (ulimit -n, \
                 or LimitNOFILE= in the systemd unit)"
            ),
        ),
        Some(limit) => Finding::warn(
            "open files",
            format!(
                "the system's limit has room for {} of the {wanted} configured connections: if you \
                 have that many miners, raise it to {needed} (ulimit -n, or LimitNOFILE= in the \
                 systemd unit), else lower stratum.limits.connections",
                limit - OWN_FILES
            ),
        ),
    }
}

fn space(free: u64, there: &Path) -> Finding {
    let says = format!("{} MiB are free in {}", free >> 20, there.display());
    match free {
        ..NO_SPACE => Finding::fail("disk", format!("{says}: make room before you mine")),
        NO_SPACE..LITTLE_SPACE => Finding::warn("disk", format!("{says}: make room soon")),
        LITTLE_SPACE.. => Finding::ok("disk", says),
    }
}

/// Median time until a small write is durable.
fn time_to_durable(folder: &Path) -> io::Result<Duration> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut times = Vec::with_capacity(TRIALS);
    for _ in 0..TRIALS {
        let started = Instant::now();
        file.write_all(&[0; 4096])?;
        file.as_file().sync_data()?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times[TRIALS / 2])
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_folder_that_can_be_written_to_is_tried_without_leaving_anything_behind() {
        let folder = tempfile::tempdir().unwrap();
        let findings = disk(&folder.path().join("not/yet/there"));
        assert!(findings.iter().all(|finding| finding.state != State::Fail), "{findings:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_data_dir_below_a_file_fails_with_a_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let findings = disk(&file.path().join("data"));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].state, State::Fail);
        assert!(findings[0].says.contains("choose another data_dir"), "{findings:?}");
    }

    #[test]
    fn too_little_space_and_too_few_descriptors_are_told_before_they_hurt() {
        for (free, state) in [
            (0, State::Fail),
            (NO_SPACE - 1, State::Fail),
            (NO_SPACE, State::Warn),
            (LITTLE_SPACE, State::Ok),
            (u64::MAX, State::Ok),
        ] {
            assert_eq!(space(free, Path::new("/")).state, state, "{free}");
        }
        for (limit, wanted, state) in [
            (None, 100_000, State::Ok),
            (Some(100_100), 100_000, State::Ok),
            (Some(100_099), 100_000, State::Warn),
            (Some(100), 10, State::Fail),
            (Some(110), 10, State::Ok),
        ] {
            assert_eq!(room_for_connections(limit, wanted).state, state, "{limit:?} {wanted}");
        }
    }
}
