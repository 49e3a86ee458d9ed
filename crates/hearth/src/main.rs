//! The program: command line, exit codes, and which command is run. It owns no behaviour of its own.
//!
//! Exit codes: 0 done; 1 it failed or a check found a fault; 2 the command line or the configuration
//! is wrong, and nothing was started; 130 stopped by a second signal.

mod aggregate_cmd;
mod bench;
mod bridge;
mod catalogue;
mod config;
mod demo;
mod demo_energy;
mod demo_farm;
mod doctor;
mod energy;
mod evidence;
mod fleet;
mod init;
mod kept;
mod lab;
mod log;
mod miner_cmd;
mod open_files;
mod output;
mod plan_cmd;
mod private;
mod quote;
mod serve;
mod shutdown;
mod site;
mod status;
mod twin_farm;

use clap::{Args, Parser, Subcommand};
use config::{Config, ConfigError, Log};
use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

const FAILED: u8 = 1;
const NOT_STARTED: u8 = 2;

/// hearth: your hashing power, kept yours.
///
/// Point your miners at this program and this program at your Bitcoin node: blocks that your miners
/// find pay your address, with nobody in between.
///
/// First time: `hearth init` asks a few questions and writes a configuration, `hearth doctor` checks
/// it and your node, `hearth serve` mines. Nothing at hand? `hearth demo` finds real blocks on a
/// private chain.
#[derive(Parser)]
#[command(name = "hearth", version, max_term_width = 100, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Mine: connect miners to your Bitcoin node until told to stop.
    Serve(File),
    /// Ask a few questions and write a configuration.
    Init(init::Args),
    /// Check configuration, node, ports, clock and disk, and say what to do.
    Doctor(DoctorArgs),
    /// Watch blocks being found on a private chain: needs no miner, no node, no coins.
    Demo(demo::Args),
    /// Measure how fast a server is.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Where mining is going: landscape, stagnation, attack, spread.
    Lab(lab::LabArgs),
    /// What a machine, a heater, a site or a contract is worth.
    Quote(Box<quote::QuoteArgs>),
    /// The cheapest day of a site that a file describes, and the reason for each step.
    Plan(plan_cmd::Args),
    /// Many homes as one resource: tell each what to draw, and account for what it gave.
    Aggregate(aggregate_cmd::Args),
    /// Known machines: nameplates, prices, and the power price each breaks even at.
    Catalogue(catalogue::CatalogueArgs),
    /// Signed records of energy: check, show, and the key that signs.
    #[command(subcommand)]
    Evidence(evidence::Evidence),
    /// Find machines in your network.
    Scan(fleet::scan::Args),
    /// Find a machine's best setting by the work it proves.
    Tune(fleet::tune::Args),
    /// Emulated hardware.
    #[command(subcommand)]
    Twin(Twin),
}

#[derive(Subcommand)]
enum Twin {
    /// A miner that hashes with this computer's processor, against any Stratum server.
    Miner(miner_cmd::Args),
    /// Many emulated machines, each at an address of its own and mining.
    Farm(twin_farm::Args),
}

#[derive(Args)]
struct File {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "hearth.toml")]
    config: PathBuf,
}

#[derive(Args)]
struct DoctorArgs {
    #[command(flatten)]
    file: File,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    open_files::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(chain::run_promptly)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return say(&format!("the system refused threads: {error}; free some memory"), FAILED);
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            let not_started = error.is::<ConfigError>() || error.is::<log::LogError>();
            say(&error.to_string(), if not_started { NOT_STARTED } else { FAILED })
        }
    }
}

/// A command's end: its exit code, or an error whose text is a sentence with a remedy.
type Outcome = Result<ExitCode, Box<dyn Error + Send + Sync>>;

async fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(File { config }) => {
            let config = load(&config)?;
            serve::run(config).await
        }
        Command::Init(args) => init::run(args),
        Command::Doctor(DoctorArgs { file, json }) => {
            quiet_log()?;
            doctor::run(&file.config, json).await
        }
        Command::Demo(args) => {
            quiet_log()?;
            demo::run(args).await
        }
        Command::Bench(bench) => {
            quiet_log()?;
            bench::run(bench).await
        }
        Command::Lab(args) => lab::run(args).await,
        Command::Quote(args) => quote::run(*args).await,
        Command::Plan(args) => plan_cmd::run(args).await,
        Command::Aggregate(args) => aggregate_cmd::run(args).await,
        Command::Catalogue(args) => catalogue::run(args).await,
        Command::Evidence(evidence) => evidence::run(evidence),
        Command::Scan(args) => {
            quiet_log()?;
            fleet::scan::run(args).await
        }
        Command::Tune(args) => {
            quiet_log()?;
            fleet::tune::run(args).await
        }
        Command::Twin(Twin::Miner(args)) => {
            quiet_log()?;
            miner_cmd::run(args).await
        }
        Command::Twin(Twin::Farm(args)) => {
            quiet_log()?;
            twin_farm::run(args).await
        }
    }
}

fn load(path: &Path) -> Result<Config, Box<dyn Error + Send + Sync>> {
    let config = Config::load(path)?;
    log::start(&config.log)?;
    Ok(config)
}

/// For commands that print their results themselves.
fn quiet_log() -> Result<(), log::LogError> {
    log::start(&Log { level: "warn".into(), ..Log::default() })
}

fn say(sentence: &str, code: u8) -> ExitCode {
    eprintln!("hearth: {sentence}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
