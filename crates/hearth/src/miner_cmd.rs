//! `hearth twin miner`: the emulated miner on the command line. The mining itself is in `twin`.

use crate::{Outcome, config, shutdown};
use std::{process::ExitCode, time::Duration};
use tokio::{
    select,
    time::{Instant, interval_at, sleep},
};
use twin::miner::{Miner, MinerConfig, MinerStats};
use units::{Difficulty, Hashrate};

/// What a miner is told.
#[derive(clap::Args)]
pub struct Args {
    /// The server: stratum+tcp://host:port.
    #[arg(long)]
    url: String,
    /// User name; for solo mining a Bitcoin address, and behind a dot a name for this miner.
    #[arg(long)]
    user: String,
    /// Password; some servers read hints such as d=8 in it.
    #[arg(long, default_value = "x")]
    password: String,
    /// Processor threads to hash with.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Highest hashrate of all threads together, such as "2 MH/s"; without it, full speed.
    #[arg(long, value_name = "HASHRATE")]
    limit: Option<Hashrate>,
    /// Difficulty to ask the server for, such as 0.001.
    #[arg(long, value_name = "DIFFICULTY", value_parser = difficulty)]
    suggest_difficulty: Option<Difficulty>,
    /// Leave version rolling (BIP 310) out.
    #[arg(long)]
    no_version_rolling: bool,
    /// Stop after this time, such as 30s or 10m; without it, at Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Time between two lines of figures.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    every: Duration,
    /// Print the final figures as one JSON object, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Mines until the time is up or a signal asks to stop. Fails when the server never accepted the
/// miner.
pub async fn run(args: Args) -> Outcome {
    let stop = shutdown::listen()?;
    let miner = Miner::start(MinerConfig {
        password: args.password,
        threads: args.threads,
        limit: args.limit,
        suggest_difficulty: args.suggest_difficulty,
        version_rolling: !args.no_version_rolling,
        ..MinerConfig::new(args.url, args.user)
    })?;
    let started = Instant::now();
    let end = async {
        match args.time {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let mut ticks = interval_at(started + args.every, args.every);
    let mut before = (started, 0);
    tokio::pin!(stop, end);
    loop {
        select! {
            _ = &mut stop => break,
            () = &mut end => break,
            _ = ticks.tick() => {
                let stats = miner.stats();
                let now = Instant::now();
                let rate = rate(stats.hashes.saturating_sub(before.1), now - before.0);
                before = (now, stats.hashes);
                if !args.json {
                    println!("{}", line(&stats, rate));
                }
            }
        }
    }
    let time = started.elapsed();
    // Stopping joins threads, one of which may be trying to connect.
    let stats = tokio::task::spawn_blocking(move || miner.stop()).await?;
    if args.json {
        println!("{}", serde_json::to_string(&stats)?);
    } else {
        println!("{}", summary(&stats, time));
    }
    if stats.jobs == 0 {
        let why = stats.trouble.unwrap_or_else(|| "there was not enough time".into());
        return Err(format!("the miner was never given work: {why}").into());
    }
    Ok(ExitCode::SUCCESS)
}

/// A duration on the command line.
pub fn duration(text: &str) -> Result<Duration, String> {
    match config::parse_duration(text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("write a duration above zero with ms, s, m, h or d, such as 30s".into()),
    }
}

fn difficulty(text: &str) -> Result<Difficulty, String> {
    let number = text.parse().map_err(|_| "write a number such as 8 or 0.001".to_string())?;
    Difficulty::new(number).map_err(|error| error.to_string())
}

fn rate(hashes: u64, time: Duration) -> Hashrate {
    Hashrate::from_hashes_per_second(hashes as f64 / time.as_secs_f64())
}

fn line(stats: &MinerStats, rate: Hashrate) -> String {
    let mut line = format!(
        "{rate}, {} accepted, {} rejected, best {}",
        stats.accepted,
        stats.rejected_total(),
        best(stats)
    );
    if let Some(difficulty) = stats.difficulty.and_then(|value| Difficulty::new(value).ok()) {
        line += &format!(", difficulty {difficulty}");
    }
    if stats.blocks > 0 {
        line += &format!(", {} blocks found", stats.blocks);
    }
    if !stats.connected {
        line += ", not connected";
        if let Some(trouble) = &stats.trouble {
            line += &format!(": {trouble}");
        }
    }
    line
}

fn summary(stats: &MinerStats, time: Duration) -> String {
    let mut text = format!(
        "{} over {:.1} s: {} shares accepted, {} rejected, {} blocks found, best share {}",
        rate(stats.hashes, time),
        time.as_secs_f64(),
        stats.accepted,
        stats.rejected_total(),
        stats.blocks,
        best(stats)
    );
    for (reason, count) in &stats.rejected {
        text += &format!("\n  rejected {count}: {reason}");
    }
    text
}

fn best(stats: &MinerStats) -> String {
    Difficulty::new(stats.best_difficulty).map_or("none".into(), |best| best.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_a_miner_does_and_why_it_does_not() {
        let mut stats = MinerStats {
            connected: true,
            accepted: 3,
            best_difficulty: 0.25,
            difficulty: Some(0.001),
            ..MinerStats::default()
        };
        let rate = Hashrate::from_hashes_per_second(5e6);
        let told = "5.00 MH/s, 3 accepted, 0 rejected, best 0.250, difficulty 0.00100";
        assert_eq!(line(&stats, rate), told);
        stats.connected = false;
        stats.trouble = Some("the server refused the connection".into());
        stats.best_difficulty = 0.0;
        assert_eq!(
            line(&stats, Hashrate::ZERO),
            "0 H/s, 3 accepted, 0 rejected, best none, difficulty 0.00100, not connected: the \
             server refused the connection"
        );
    }

    #[test]
    fn a_duration_on_the_command_line_has_a_unit_and_is_not_zero() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2 m"), Ok(Duration::from_secs(120)));
        for bad in ["", "30", "0s", "-1s", "1.5h", "99999999999999999d", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
