//! What a rate of blocks is as hashrate, machines and power, on a network of a given size.

use super::Period;
use crate::{
    Given,
    luck::BLOCKS_PER_YEAR,
    report::{Cell, Column, Input, Table},
};
use units::{Efficiency, Hashrate, Watts};

/// The network, and the machines that are counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Of all miners together.
    pub hashrate: Given<Hashrate>,
    /// Of one machine in a farm.
    pub machine: Given<Hashrate>,
    /// Of a machine in a farm.
    pub efficiency: Given<Efficiency>,
    /// Of one machine at home.
    pub home_machine: Given<Hashrate>,
}

impl Network {
    /// With defaults for what is not given: 1 ZH/s, machines of 200 TH/s at `efficiency`, and 1.2 TH/s
    /// at home.
    pub fn new(efficiency: Given<Efficiency>) -> Self {
        let of = Hashrate::from_hashes_per_second;
        Self {
            hashrate: Given::default(of(1e21), "mean of the network, rounded", "2025-10"),
            machine: Given::default(of(200e12), "Antminer S21, nameplate", "2024"),
            efficiency,
            home_machine: Given::default(of(1.2e12), "Bitaxe Gamma, nameplate", "2024"),
        }
    }

    /// The hashrate that expects so many blocks a year.
    pub fn hashrate_of(&self, blocks_per_year: f64) -> Hashrate {
        let network = self.hashrate.value.hashes_per_second();
        Hashrate::from_hashes_per_second(network * blocks_per_year / BLOCKS_PER_YEAR)
    }

    /// Blocks that this hashrate expects a year.
    pub fn blocks_per_year(&self, rate: Hashrate) -> f64 {
        let part = rate.hashes_per_second() / self.hashrate.value.hashes_per_second();
        part * BLOCKS_PER_YEAR
    }

    /// Machines of a farm with this hashrate.
    pub fn machines(&self, rate: Hashrate) -> f64 {
        rate.hashes_per_second() / self.machine.value.hashes_per_second()
    }

    /// Home machines that have this hashrate together.
    pub fn home_machines(&self, rate: Hashrate) -> f64 {
        rate.hashes_per_second() / self.home_machine.value.hashes_per_second()
    }

    /// Power that this hashrate draws in a farm.
    pub fn power(&self, rate: Hashrate) -> Watts {
        rate * self.efficiency.value
    }

    pub(super) fn inputs(&self) -> Vec<Input> {
        let tera = |rate: &Hashrate| Cell::Figure(rate.terahashes_per_second());
        vec![
            self.hashrate
                .input_as("network_ehs", |rate| Cell::Figure(rate.hashes_per_second() / 1e18)),
            self.machine.input_as("machine_ths", tera),
            self.efficiency
                .input_as("efficiency_j_per_th", |e| Cell::Figure(e.joules_per_terahash())),
            self.home_machine.input_as("home_machine_ths", tera),
        ]
    }

    /// A row for each period: what finds one block in it.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(
            "sizes",
            "What it takes to expect one block in each period",
            [
                Column::new("period", "one block a"),
                Column::new("hashrate_phs", "hashrate, PH/s"),
                Column::new("machines", "machines"),
                Column::new("power_mw", "power, MW"),
                Column::new("home_machines", "or home machines"),
            ],
        );
        for period in Period::ALL {
            let rate = self.hashrate_of(period.per_year());
            table.row([
                period.name().into(),
                Cell::Figure(rate.hashes_per_second() / 1e15),
                Cell::Figure(self.machines(rate)),
                Cell::Figure(self.power(rate).megawatts()),
                Cell::Figure(self.home_machines(rate)),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network::new(Given::flag(Efficiency::new(17.5).unwrap()))
    }

    /// Test T4.
    #[test]
    fn an_industrial_farm_is_6_exahashes_or_6_million_bitaxes_of_15_855_years_each() {
        let network = network();
        let farm = network.hashrate_of(Period::Day.per_year());
        assert_eq!(format!("{:.2}", farm.hashes_per_second() / 1e18), "6.94");
        assert_eq!(format!("{:.2}", network.home_machines(farm) / 1e6), "5.79");
        let years = 1.0 / network.blocks_per_year(network.home_machine.value);
        assert_eq!(years.round(), 15_855.0);
    }

    #[test]
    fn farms_have_the_published_sizes() {
        let network = network();
        for (period, hashrate, machines, power) in [
            (Period::Year, "19.0 PH/s", "95.1", "333 kW"),
            (Period::Month, "228 PH/s", "1141.6", "4.00 MW"),
            (Period::Day, "6.94 EH/s", "34722.2", "122 MW"),
        ] {
            let rate = network.hashrate_of(period.per_year());
            assert_eq!(rate.to_string(), hashrate);
            assert_eq!(format!("{:.1}", network.machines(rate)), machines);
            assert_eq!(network.power(rate).to_string(), power);
        }
    }
}
