//! `hearth init`: a few questions, and a commented configuration from the answers.
//! It never overwrites a file unasked and never writes one that would not load.

use crate::{
    Outcome,
    config::{self, Answers, Config, Problem},
};
use chain::{Auth, Network};
use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf, absolute},
    process::ExitCode,
};
use stratum::Payout;
use tempfile::NamedTempFile;

/// Answers given on the command line; each leaves its question out.
#[derive(clap::Args, Default)]
pub struct Args {
    /// The file to write.
    #[arg(short, long, value_name = "FILE", default_value = "hearth.toml")]
    config: PathBuf,
    /// Ask nothing: take the defaults for everything not given here.
    #[arg(short, long)]
    yes: bool,
    /// Replace a file that is there already.
    #[arg(long)]
    force: bool,
    /// The network: mainnet, testnet4, signet or regtest.
    #[arg(long)]
    network: Option<Network>,
    /// Where your node answers, such as http://127.0.0.1:8332.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// The node's cookie file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "password"])]
    cookie: Option<PathBuf>,
    /// User of the node's rpcauth, instead of a cookie.
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// Password of that user.
    #[arg(long, requires = "user")]
    password: Option<String>,
    /// Your Bitcoin address: paid for miners whose user name is no address.
    #[arg(long)]
    address: Option<String>,
    /// Where miners connect: a port, or an IP address and a port.
    #[arg(long, value_name = "PORT")]
    listen: Option<String>,
    /// Where the page is shown: a port on this machine, or an IP address and a port.
    #[arg(long, value_name = "PORT")]
    web: Option<String>,
}

/// Why no configuration was written.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error(
        "{} exists already: name another file with -c, or replace it with --force",
        .0.display()
    )]
    Exists(PathBuf),
    #[error("{0}")]
    Answer(String),
    #[error(
        "the input ended at the question \"{0}\": answer every question, or give --yes and the \
         answers as options (see `hearth init --help`)"
    )]
    EndOfInput(String),
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[source] io::Error),
    #[error("{} cannot be written: {why}; choose a folder you may write to with -c", path.display())]
    Write { path: PathBuf, why: io::Error },
    #[error("these answers do not fit together: {}", sentences(.0))]
    Unfit(Vec<Problem>),
}

/// Asks, checks, writes, and says what comes next.
pub fn run(args: Args) -> Outcome {
    let path = args.config.clone();
    if path.exists() && !args.force {
        return Err(InitError::Exists(path).into());
    }
    let stdin = io::stdin();
    let asker = Asker {
        ask: !args.yes,
        again: stdin.is_terminal(),
        input: &mut stdin.lock(),
        output: &mut io::stdout(),
    };
    let force = args.force;
    let answers = answers(args, asker, &config::find_cookies())?;
    write(&path, &answers, force)?;
    let file = match path == Path::new("hearth.toml") {
        true => String::new(),
        false => format!(" -c {}", path.display()),
    };
    println!(
        "\nWrote {}.\n\
         Next: `hearth doctor{file}` checks it and your node, `hearth serve{file}` mines.\n\
         Point your miners at stratum+tcp://<this machine's address>:{}, with your Bitcoin address \
         as the user name; behind a dot it may carry a name for the machine.",
        path.display(),
        answers.listen.port(),
    );
    Ok(ExitCode::SUCCESS)
}

/// Where answers come from when the command line does not give them.
struct Asker<'a, I, O> {
    /// Whether to ask at all, rather than take defaults.
    ask: bool,
    /// Whether a wrong answer is asked for again: somebody sits there.
    again: bool,
    input: &'a mut I,
    output: &'a mut O,
}

impl<I: BufRead, O: Write> Asker<'_, I, O> {
    fn tell(&mut self, text: &str) -> Result<(), InitError> {
        writeln!(self.output, "{text}").map_err(InitError::Terminal)
    }

    /// The answer from the command line, from the user, or the default, in this order.
    fn answer<T>(
        &mut self,
        given: Option<String>,
        question: &str,
        default: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, InitError> {
        if let Some(given) = given {
            return read(&given).map_err(InitError::Answer);
        }
        if !self.ask {
            return read(default).map_err(InitError::Answer);
        }
        loop {
            let shown = if default.is_empty() { "none" } else { default };
            write!(self.output, "{question} [{shown}]: ")
                .and_then(|()| self.output.flush())
                .map_err(InitError::Terminal)?;
            let mut line = String::new();
            let read_bytes = self.input.read_line(&mut line).map_err(InitError::Terminal)?;
            if read_bytes == 0 {
                self.tell("")?;
                return Err(InitError::EndOfInput(question.into()));
            }
            let line = line.trim();
            match read(if line.is_empty() { default } else { line }) {
                Ok(answer) => return Ok(answer),
                Err(sentence) if self.again => self.tell(&format!("  {sentence}"))?,
                Err(sentence) => return Err(InitError::Answer(sentence)),
            }
        }
    }
}

fn answers<I: BufRead, O: Write>(
    args: Args,
    mut asker: Asker<'_, I, O>,
    cookies: &[(Network, PathBuf)],
) -> Result<Answers, InitError> {
    for (network, cookie) in cookies {
        asker.tell(&format!("Found the cookie of a {network} node: {}", cookie.display()))?;
    }
    // Somebody who runs one node wants to mine with it, whatever its network.
    let running = cookies.first().map_or(Network::Mainnet, |(network, _)| *network);
    let network = asker.answer(
        args.network.map(|network| network.to_string()),
        "Network (mainnet, testnet4, signet or regtest)",
        running.as_str(),
        |text| text.parse::<Network>().map_err(|error| error.to_string()),
    )?;
    let url = asker.answer(
        args.node,
        "Where your Bitcoin node answers",
        &config::default_url(network),
        |text| config::check_url(text, network).map_err(|words| format!("the node's url {words}")),
    )?;

    let found = cookies.iter().find(|(of, _)| *of == network).map(|(_, cookie)| cookie.clone());
    let local = url == config::default_url(network);
    let likely = found.or_else(|| config::usual_cookie(network).filter(|_| local));
    let given = match (args.cookie, args.user, args.password) {
        (Some(cookie), ..) => Some(Auth::Cookie(whole(&cookie))),
        (_, Some(user), Some(password)) => Some(Auth::UserPass { user, password }),
        _ => None,
    };
    let auth = match given {
        Some(auth) => auth,
        None => asker.answer(
            None,
            "Its cookie file, or user:password of its rpcauth",
            &likely.map_or(String::new(), |cookie| cookie.display().to_string()),
            credentials,
        )?,
    };
    // The usual cookie is left to the default, so that the file moves with its user.
    let usual = config::usual_cookie(network).map(Auth::Cookie);
    let auth = Some(auth).filter(|auth| usual.as_ref() != Some(auth));

    let fallback_address = asker.answer(
        args.address,
        "Your Bitcoin address, for miners whose user name is no address",
        "",
        |text| match text {
            "" => Ok(None),
            text => Payout::parse(text, network)
                .map(|_| Some(text.to_string()))
                .map_err(|error| error.to_string()),
        },
    )?;
    let listen = asker.answer(args.listen, "Port for miners", "0.0.0.0:3333", |text| {
        socket(text, [0, 0, 0, 0])
    })?;
    let web = asker.answer(
        args.web,
        "Port of the page with the figures, for this machine only",
        "127.0.0.1:8080",
        |text| socket(text, [127, 0, 0, 1]),
    )?;
    Ok(Answers { network, url, auth, fallback_address, listen, web })
}

/// A path, or a user and a password with a colon between them.
fn credentials(text: &str) -> Result<Auth, String> {
    let path = text.starts_with(['/', '~', '.']) || text.ends_with(".cookie");
    match text.split_once(':') {
        _ if path => Ok(Auth::Cookie(whole(Path::new(text)))),
        Some((user, password)) if !user.is_empty() && !password.is_empty() => {
            Ok(Auth::UserPass { user: user.into(), password: password.into() })
        }
        _ => Err("give the path of the node's .cookie file, or user:password".into()),
    }
}

/// A port alone, on the address that suits it, or an address with a port.
fn socket(text: &str, host: [u8; 4]) -> Result<SocketAddr, String> {
    let port = || text.parse::<u16>().ok().map(|port| SocketAddr::from((host, port)));
    text.parse().ok().or_else(port).ok_or_else(|| {
        format!("\"{text}\" is no port: write one such as 3333, or an IP address and a port")
    })
}

/// In the file a relative path would be relative to the file, not to where the user is now.
fn whole(path: &Path) -> PathBuf {
    match path.starts_with("~") {
        true => path.into(),
        false => absolute(path).unwrap_or_else(|_| path.into()),
    }
}

/// Writes the file in one step: it is there whole or not at all.
fn write(path: &Path, answers: &Answers, force: bool) -> Result<(), InitError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let text = config::commented(answers);
    Config::parse(&text, folder).map_err(InitError::Unfit)?;
    let failed = |why| InitError::Write { path: path.into(), why };
    let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    // A temporary file is its owner's alone, which a password in it should stay.
    if !matches!(answers.auth, Some(Auth::UserPass { .. })) {
        let all_may_read = fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(all_may_read).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    let done = if force { file.persist(path) } else { file.persist_noclobber(path) };
    match done {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(InitError::Exists(path.into()))
        }
        Err(error) => Err(failed(error.error)),
    }
}

fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.sentence.as_str()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
