//! A real mosquitto (Debian package `mosquitto`) on a free port.

use grid::mqtt::Address;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

/// A process that ends with its test.
pub struct Ends(pub Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub fn mosquitto(folder: &Path) -> (Ends, Address) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.join("mosquitto.conf");
    let lines = format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n");
    std::fs::write(&config, lines).unwrap();
    let child = Command::new("mosquitto")
        .env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin")
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto is missing: apt-get install mosquitto");
    (Ends(child), Address { host: "127.0.0.1".into(), port, login: None })
}
