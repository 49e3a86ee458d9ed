//! What a process on this machine costs: processor time and memory, as the kernel counts them.

use super::LoadError;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::{collections::BTreeMap, fs, time::Duration};

/// `/proc` counts whole ticks of this length in `stat`; `USER_HZ` is 100 on every Linux port.
const TICK: Duration = Duration::from_millis(10);

/// The processes that make up the server under test.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    pids: Vec<u32>,
}

/// Processor time of each thread, and of the processes as a whole, at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct CpuReading {
    threads: BTreeMap<(u32, u32), Duration>,
    whole: Duration,
}

/// Memory of the server's processes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident set size in KiB, as `VmRSS` counts it.
    pub rss_kib: u64,
    /// Proportional set size in KiB, where the kernel tells it.
    pub pss_kib: Option<u64>,
}

impl Server {
    /// Refuses processes that cannot be read.
    pub fn new(pids: &[u32]) -> Result<Self, LoadError> {
        let server = Self { pids: pids.to_vec() };
        server.cpu()?;
        server.memory()?;
        Ok(server)
    }

    /// `None` if no process is known: the server may be on another machine.
    pub fn cpu(&self) -> Result<Option<CpuReading>, LoadError> {
        if self.pids.is_empty() {
            return Ok(None);
        }
        let mut reading = CpuReading::default();
        for pid in &self.pids {
            let stat = read(*pid, "stat")?;
            reading.whole += ticks(&stat).ok_or(LoadError::Process(*pid))?;
            let tasks =
                fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| LoadError::Process(*pid))?;
            for task in tasks.flatten() {
                let Some(tid) = task.file_name().to_str().and_then(|n| n.parse().ok()) else {
                    continue;
                };
                // A thread may end between the listing and this; the whole still counts it.
                let time = fs::read_to_string(task.path().join("schedstat"))
                    .ok()
                    .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok());
                if let Some(nanoseconds) = time {
                    let time = Duration::from_nanos(nanoseconds);
                    reading.threads.insert((*pid, tid), time);
                }
            }
        }
        Ok(Some(reading))
    }

    /// `None` if no process is known.
    pub fn memory(&self) -> Result<Option<Memory>, LoadError> {
        let mut sum: Option<Memory> = None;
        for pid in &self.pids {
            let rss_kib = kib(&read(*pid, "status")?, "VmRSS:").ok_or(LoadError::Process(*pid))?;
            let pss_kib = read(*pid, "smaps_rollup").ok().and_then(|text| kib(&text, "Pss:"));
            sum = Some(match sum {
                None => Memory { rss_kib, pss_kib },
                Some(before) => Memory {
                    rss_kib: before.rss_kib + rss_kib,
                    pss_kib: before.pss_kib.zip(pss_kib).map(|(a, b)| a + b),
                },
            });
        }
        Ok(sum)
    }
}

impl CpuReading {
    /// Processor time spent since an earlier reading. Exact to the nanosecond from the threads that
    /// are there; if threads ended meanwhile, what the whole process counts in ticks stands in.
    pub fn since(&self, before: &Self) -> Duration {
        let threads = self.threads.iter().map(|(thread, now)| {
            now.saturating_sub(before.threads.get(thread).copied().unwrap_or_default())
        });
        let fine: Duration = threads.sum();
        let whole = self.whole.saturating_sub(before.whole);
        if self.threads.is_empty() { whole } else { fine.max(whole.saturating_sub(2 * TICK)) }
    }
}

/// Processor time of the calling thread.
pub(super) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

fn read(pid: u32, file: &str) -> Result<String, LoadError> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|_| LoadError::Process(pid))
}

/// User and system time in `/proc/PID/stat`: fields 14 and 15, after a name that may hold anything.
fn ticks(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn ticks_are_read_behind_any_process_name() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 9 9 9";
        assert_eq!(ticks(stat), Some(Duration::from_secs(3)));
        assert_eq!(ticks("42 (x) S 1"), None);
        assert_eq!(kib("Name:\tx\nVmRSS:\t   512 kB\n", "VmRSS:"), Some(512));
    }

    #[test]
    fn our_own_process_costs_what_it_burns() {
        let server = Server::new(&[std::process::id()]).unwrap();
        let (before, own) = (server.cpu().unwrap().unwrap(), own_cpu());
        let mut x = 1u64;
        while own_cpu() - own < Duration::from_millis(60) {
            x = black_box(x.wrapping_mul(3));
        }
        let spent = server.cpu().unwrap().unwrap().since(&before);
        let mine = own_cpu() - own;
        // The kernel's figure for a running thread is behind by a tick at most.
        assert!(spent + Duration::from_millis(20) >= mine, "{spent:?} {mine:?}");
        assert!(server.memory().unwrap().unwrap().rss_kib > 500);
    }

    #[test]
    fn no_process_gives_no_figure_and_a_wrong_one_an_error() {
        assert!(Server::default().cpu().unwrap().is_none());
        assert!(Server::default().memory().unwrap().is_none());
        let said = Server::new(&[u32::MAX]).unwrap_err().to_string();
        assert!(said.contains("4294967295"), "{said}");
    }
}
