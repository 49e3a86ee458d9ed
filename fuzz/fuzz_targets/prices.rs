//! Series of prices in CSV and JSON: in order, not overlapping, finite; or a sentence.

#![no_main]

use grid::{
    number::Path,
    price::{Format, Unit},
    series::Layout,
};
use libfuzzer_sys::fuzz_target;
use units::EnergyPrice;

const SEEDS: [&str; 5] = [
    "start;price\n2027-01-15 08:00;82,50\n2027-01-15 08:15;-3,1\n",
    "price,start\n8.25,1800000000\n-0.31,2027-01-15T09:15:00+01:00\n,1800001800\n",
    r#"{"data":[{"start":1800000000000,"price":50},{"start":"2027-01-15","price":"60.5"}]}"#,
    r#"{"start":[1800000000,1800000900],"price":[1,null]}"#,
    "start,price\n2027-01-15T08:00Z,1e300\n",
];

fuzz_target!(init: hearth_fuzz::seed(&SEEDS), |text: &[u8]| {
    let (start, price) = (Path::new("start"), Path::new("price"));
    let layouts = [
        Layout::Csv { time: "start".into(), value: "price".into() },
        Layout::JsonList { list: Path::new("data"), time: start.clone(), value: price.clone() },
        Layout::JsonColumns { times: start, values: price },
    ];
    let unit = Unit::named("EUR/MWh", 1.08, EnergyPrice::ZERO).expect("a unit");
    for layout in layouts {
        let Ok(prices) = (Format { layout, unit, step: None }).read(text) else { continue };
        assert!(!prices.steps().is_empty());
        for step in prices.steps() {
            assert!(step.start < step.end && step.value.usd_per_kwh().is_finite());
            assert_eq!(prices.at(step.start), Some(step.value));
        }
        assert!(prices.steps().windows(2).all(|two| two[0].end <= two[1].start));
    }
});
