//! Whether the configured ports are free, and who has them if not.

use super::Finding;
use crate::config::Config;
use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
};

/// A connection table's code for a listening socket (Linux, include/net/tcp_states.h).
const LISTENING: &str = "0A";
/// Ports below this are for root alone, or for those it lets.
const PRIVILEGED: u16 = 1024;

/// One finding for each port.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let stratum = config.stratum.ports.iter().map(|port| ("stratum.port.listen", port.listen));
    let mut findings: Vec<_> = stratum.map(|(key, address)| port(key, address)).collect();
    findings.push(port("web.listen", config.web));
    if !config.web.ip().is_loopback() {
        let says = format!("the page on {} is open to your network without a password", config.web);
        findings.push(Finding::ok("port", says));
    }
    findings
}

fn port(key: &str, address: SocketAddr) -> Finding {
    let error = match TcpListener::bind(address) {
        Ok(_) => return Finding::ok("port", format!("{address} is free ({key})")),
        Err(error) => error,
    };
    let number = address.port();
    match (error.kind(), owner(number)) {
        (io::ErrorKind::AddrInUse, Some(owner)) if owner.name == "hearth" => {
            let says = format!("{address} is served by hearth, process {} ({key})", owner.process);
            Finding::ok("port", says)
        }
        (io::ErrorKind::AddrInUse, owner) => {
            let who = match owner {
                Some(Owner { name, process }) => format!("{name}, process {process}"),
                None => "another program".into(),
            };
            Finding::fail(
                "port",
                format!("{address} is used by {who}: stop it, or choose another port in {key}"),
            )
        }
        (io::ErrorKind::AddrNotAvailable, _) => Finding::fail(
            "port",
            format!(
                "{} is no address of this machine: write 0.0.0.0:{number} in {key} for all of its \
                 addresses",
                address.ip()
            ),
        ),
        (io::ErrorKind::PermissionDenied, _) if number < PRIVILEGED => Finding::fail(
            "port",
            format!("this user may not use port {number}: choose one from 1024 up in {key}"),
        ),
        _ => Finding::fail("port", format!("{address} cannot be used: {error}; change {key}")),
    }
}

struct Owner {
    name: String,
    process: u32,
}

/// The program that listens on this port, as far as this user may see it.
fn owner(port: u16) -> Option<Owner> {
    let read = |table| fs::read_to_string(table).unwrap_or_default();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(read);
    let sockets: Vec<_> = tables
        .iter()
        .flat_map(|table| table.lines())
        .filter_map(|line| listener(line, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find_map(|process| {
        let mut files = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
        let holds = |entry: fs::DirEntry| {
            let target = fs::read_link(entry.path());
            target.is_ok_and(|target| sockets.iter().any(|socket| target.as_os_str() == &**socket))
        };
        files.any(holds).then(|| Owner {
            name: fs::read_to_string(format!("/proc/{process}/comm"))
                .map_or("a program".into(), |name| name.trim().to_string()),
            process,
        })
    })
}

/// The socket's inode if this line of a connection table is a listener on `port`.
fn listener(line: &str, port: u16) -> Option<&str> {
    let mut words = line.split_whitespace();
    let (_, local) = words.nth(1)?.rsplit_once(':')?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?;
    let matches = u16::from_str_radix(local, 16) == Ok(port) && state == LISTENING;
    matches.then_some(inode)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_used_port_is_told_with_the_program_that_has_it() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let found = port("web.listen", address);
        // This test's own program is called hearth-<hash>.
        assert_eq!(found.state, State::Fail);
        let process = std::process::id();
        let told = format!("{address} is used by ");
        assert!(found.says.starts_with(&told), "{}", found.says);
        assert!(
            found.says.ends_with(&format!(
                ", process {process}: stop it, or choose another port in web.listen"
            )),
            "{}",
            found.says
        );
        drop(held);
        assert_eq!(port("web.listen", address).state, State::Ok);
    }

    #[test]
    fn an_address_of_another_machine_cannot_be_listened_on() {
        // TEST-NET-1 of RFC 5737 is nobody's.
        let found = port("stratum.port.listen", "192.0.2.1:3333".parse().unwrap());
        assert_eq!(found.state, State::Fail);
        assert_eq!(
            found.says,
            "192.0.2.1 is no address of this machine: write 0.0.0.0:3333 in stratum.port.listen for \
             all of its addresses"
        );
    }

    #[test]
    fn a_listener_is_found_in_a_connection_table() {
        let line = "   0: 0100007F:0D05 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 68432 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listener(line, 3333), Some("68432"));
        assert_eq!(listener(line, 3334), None);
        assert_eq!(listener(&line.replace(" 0A ", " 01 "), 3333), None);
        assert_eq!(listener("  sl  local_address rem_address   st", 3333), None);
    }
}
