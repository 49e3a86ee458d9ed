use super::{
    censor::{self, Order},
    double_spend,
    input::{Gamma, Share, Stubbornness},
    map,
    selfish::{self, Selfish, optimal::Ties},
    stale::{self, Stale},
    switching::Free,
};
use crate::{Progress, Report};
use std::time::Duration;
use units::Sats;

fn share(share: f64) -> Share {
    Share::new("share", share).unwrap()
}

fn censor(shares: &[f64]) -> censor::Plan {
    censor::Plan {
        orders: shares.iter().map(|s| Order { share: share(*s), of: None }).collect(),
        gamma: Gamma::NONE,
        reward: Sats(312_500_000),
        fee: Sats(1_000_000),
        delay: Duration::from_secs(10),
        others: 20,
        free: Free::new(1.0).unwrap(),
        stubbornness: Stubbornness::Forever,
        games: 2_000,
        seed: 1,
        inputs: Vec::new(),
    }
}

fn reports() -> Vec<Report> {
    let progress = Progress::new();
    let selfish = selfish::Plan {
        selfish: Selfish { share: share(0.36), gamma: Gamma::NONE },
        ties: Ties::FirstSeen,
        longest: 20,
        blocks: 100_000,
        seed: 1,
        inputs: Vec::new(),
    };
    let spend = double_spend::Plan {
        attackers: vec![share(0.1), share(0.5)],
        confirmations: vec![1, 6],
        risk: 0.001,
        games: 2_000,
        seed: 1,
        inputs: Vec::new(),
    };
    let pools = Stale::new(vec![share(0.6), share(0.4)], Duration::from_secs(10)).unwrap();
    let stale = stale::Plan { stale: pools, blocks: 20_000, seed: 1, inputs: Vec::new() };
    let map = map::Plan { columns: 5, rows: 5, games: 500, ..map::Plan::standard().unwrap() };
    vec![
        censor::report(&censor(&[0.36, 0.6]), &progress).unwrap(),
        map::report(&map, &progress).unwrap(),
        double_spend::report(&spend, &progress).unwrap(),
        selfish::report(&selfish, &progress).unwrap(),
        stale::report(&stale, &progress).unwrap(),
    ]
}

#[test]
fn every_attack_has_a_finding_tables_and_a_picture() {
    for report in reports() {
        assert!(report.finding.ends_with('.') && !report.finding.contains("NOT"), "{report:?}");
        assert!(report.tables.iter().all(|table| !table.rows.is_empty()), "{}", report.name);
        assert!(report.to_svg().unwrap().starts_with("<svg"), "{}", report.name);
        let json = report.to_json();
        assert!(report.tables.iter().all(|table| json[table.name].is_array()));
    }
}

#[test]
fn delay_and_free_miners_say_what_they_change() {
    let said = censor::report(&censor(&[0.36]), &Progress::new()).unwrap().finding;
    assert!(said.contains("tipping point falls from 50 % to 49.79 %"), "{said}");
    assert!(said.contains("no compelled share shown ends in a censoring majority"), "{said}");
    let said = censor::report(&censor(&[0.5]), &Progress::new()).unwrap().finding;
    assert!(said.starts_with("With 50 % they always win in the end"), "{said}");
}

#[test]
fn what_cannot_be_simulated_is_refused_in_one_sentence() {
    let few = censor::Plan { games: 1, ..censor(&[0.36]) };
    let said = censor::report(&few, &Progress::new()).unwrap_err().to_string();
    assert_eq!(said, "games is 1; give 100 or more");
    let short = selfish::Plan {
        selfish: Selfish { share: share(0.45), gamma: Gamma::NONE },
        ties: Ties::FirstSeen,
        longest: 1,
        blocks: 100_000,
        seed: 1,
        inputs: Vec::new(),
    };
    let said = selfish::report(&short, &Progress::new()).unwrap_err().to_string();
    assert!(said.starts_with("longest branch is 1; give 20 to 120"), "{said}");
    let half = selfish::Plan {
        selfish: Selfish { share: share(0.5), gamma: Gamma::NONE },
        ties: Ties::FirstSeen,
        longest: 20,
        blocks: 100_000,
        seed: 1,
        inputs: Vec::new(),
    };
    let said = selfish::report(&half, &Progress::new()).unwrap_err().to_string();
    assert!(said.starts_with("share is 0.5; near half"), "{said}");
}
