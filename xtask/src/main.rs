//! What a developer or a fresh machine needs: `cargo xtask help` lists it.
//! This program installs, builds and starts things; it holds none of hearth's own behaviour.

mod bitcoind;
mod cache;
mod clients;
mod emhass;
mod run;
mod system;
mod tasks;
mod vtn;

use std::process::ExitCode;

/// Either it worked, or one sentence says what to do.
type Outcome<T = ()> = Result<T, String>;

const HELP: &str = "\
cargo xtask demo [arguments]           watch blocks being found on a private chain
                                       (`cargo xtask demo --help` lists the arguments)
cargo xtask test                       format, lints, all tests and doc tests
cargo xtask bitcoind                   build Bitcoin Core, once; prints where it is
cargo xtask fuzz [target] [--for 60s]  one fuzz target, or each in turn, for that long
cargo xtask clients                    unmodified pyasic and asic-rs against emulated machines
cargo xtask emhass                     the day plan against EMHASS on ten made-up days
cargo xtask vtn                        the OpenADR end node against a real openleadr-vtn
cargo xtask soak [--for 5m]            an engine through thousands of random hours, heat through whole
                                       seasons, 10,000 devices on a set-point, then load a server and
                                       look for leaks

Bitcoin Core is taken from $BITCOIND, then from PATH; otherwise it is built and kept in
$HEARTH_CACHE, or ~/.cache/hearth when that is not set.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Outcome {
    let Some((task, rest)) = arguments.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    match task.as_str() {
        "demo" => tasks::demo(rest),
        "test" => none(task, rest).and_then(|()| tasks::test()),
        "bitcoind" => none(task, rest).and_then(|()| {
            println!("{}", bitcoind::ensure()?.display());
            Ok(())
        }),
        "fuzz" => {
            let (targets, time) = time_and_others(rest, 60)?;
            match targets.as_slice() {
                [] => tasks::fuzz(None, time),
                [target] => tasks::fuzz(Some(target), time),
                _ => Err("fuzz takes one target, or none for all of them".to_owned()),
            }
        }
        "clients" => none(task, rest).and_then(|()| clients::check()),
        "emhass" => none(task, rest).and_then(|()| emhass::compare()),
        "vtn" => none(task, rest).and_then(|()| vtn::check()),
        "soak" => {
            let (others, time) = time_and_others(rest, 300)?;
            none(task, &others).and_then(|()| tasks::soak(time))
        }
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!(
            "there is no task `{task}`: choose demo, test, bitcoind, fuzz, clients, emhass, vtn, soak or help"
        )),
    }
}

fn none(task: &str, rest: &[String]) -> Outcome {
    match rest.first() {
        None => Ok(()),
        Some(extra) => Err(format!("`cargo xtask {task}` does not know `{extra}`: leave it out")),
    }
}

/// Takes `--for 60s` (or `--for=60s`) out of the arguments. The time is in seconds.
fn time_and_others(arguments: &[String], default: u64) -> Outcome<(Vec<String>, u64)> {
    let (mut others, mut time) = (Vec::new(), default);
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        if argument == "--for" {
            let text = left.next().ok_or("--for wants a time, for example `--for 60s`")?;
            time = seconds(text)?;
        } else if let Some(text) = argument.strip_prefix("--for=") {
            time = seconds(text)?;
        } else if argument.starts_with('-') {
            return Err(format!("there is no option `{argument}` here, only `--for 60s`"));
        } else {
            others.push(argument.clone());
        }
    }
    Ok((others, time))
}

fn seconds(text: &str) -> Outcome<u64> {
    let (digits, unit) = match text.char_indices().last() {
        Some((last, 's')) => (&text[..last], 1),
        Some((last, 'm')) => (&text[..last], 60),
        Some((last, 'h')) => (&text[..last], 3600),
        _ => (text, 1),
    };
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .parse::<u64>()
        .ok()
        .filter(|_| all_digits)
        .and_then(|number| number.checked_mul(unit))
        .filter(|time| (1..=7 * 24 * 3600).contains(time))
        .ok_or_else(|| format!("`{text}` is not a time from 1s to 168h, such as 60s, 5m or 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit_or_refused() {
        let cases = [
            ("60s", Some(60)),
            ("90", Some(90)),
            ("5m", Some(300)),
            ("168h", Some(604_800)),
            ("169h", None),
            ("0s", None),
            ("-5s", None),
            ("+5s", None),
            ("1.5m", None),
            ("s", None),
            ("", None),
            ("5é", None),
            ("99999999999999999999h", None),
            ("18446744073709551615h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_time_may_stand_before_or_after_the_target() {
        let cases: [(&[&str], Option<&str>); 7] = [
            (&[], Some("[] 7")),
            (&["line", "--for", "2m"], Some("[\"line\"] 120")),
            (&["--for=2m", "line"], Some("[\"line\"] 120")),
            (&["a", "b"], Some("[\"a\", \"b\"] 7")),
            (&["--for"], None),
            (&["--for", "soon"], None),
            (&["--jobs"], None),
        ];
        for (arguments, expected) in cases {
            let owned: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
            let got = time_and_others(&owned, 7).ok();
            let got = got.map(|(others, time)| format!("{others:?} {time}"));
            assert_eq!(got.as_deref(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn wrong_arguments_get_one_sentence() {
        let cases: [(&[&str], &str); 5] = [
            (&["tset"], "there is no task `tset`"),
            (&["test", "fast"], "`cargo xtask test` does not know `fast`"),
            (&["bitcoind", "--force"], "`cargo xtask bitcoind` does not know `--force`"),
            (&["soak", "forever"], "`cargo xtask soak` does not know `forever`"),
            (&["fuzz", "a", "b"], "fuzz takes one target"),
        ];
        for (arguments, expected) in cases {
            let owned: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
            let sentence = dispatch(&owned).unwrap_err();
            assert!(sentence.starts_with(expected), "{sentence}");
            assert!(!sentence.contains('\n'), "{sentence}");
        }
    }
}
