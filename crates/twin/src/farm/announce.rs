//! Machines that say where they are by multicast DNS, as AxeOS does (ESP-Miner, `connect.c`): a web page
//! with the subtype `_axeos`. On the loopback interface alone; the network never hears of them.

use super::{Farm, Kind};
use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};

/// Announces until dropped.
pub struct Announced(ServiceDaemon);

impl Announced {
    /// Every Bitaxe of this farm, on this port of multicast DNS: 5353, or a private one for tests.
    pub fn start(farm: &Farm, port: u16) -> mdns_sd::Result<Self> {
        let daemon = ServiceDaemon::new_with_port(port)?;
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(IfKind::LoopbackV4)?;
        let announced = Self(daemon);
        for device in farm.machines().iter().filter(|device| device.kind() == Kind::BitaxeGamma) {
            let host = format!("{}.local.", device.name());
            let name = format!("Bitaxe Gamma 601 ({})", device.name());
            let told = [("board", "601"), ("family", "Gamma"), ("asic", "BM1370")];
            let service = "_axeos._sub._http._tcp.local.";
            let address = device.address().to_string();
            let info = ServiceInfo::new(service, &name, &host, address, 80, &told[..])?;
            announced.0.register(info)?;
        }
        Ok(announced)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // A thread that is busy ends a moment later, with the process at the latest.
        let _ = self.0.shutdown();
    }
}
