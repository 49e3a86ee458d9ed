use super::*;

fn lines(name: &str) -> Chart {
    let series = |name: &str, k: f64| Series {
        name: name.into(),
        points: (0..100).map(|i| (f64::from(i), k * f64::from(i).sqrt() * 1000.0)).collect(),
        band: (0..100)
            .map(|i| {
                let y = k * f64::from(i).sqrt() * 1000.0;
                (f64::from(i), y * 0.8, y * 1.2)
            })
            .collect(),
    };
    Chart {
        title: name.into(),
        x: Axis::linear("time, days"),
        y: Axis::linear("blocks found, a year"),
        content: Content::Lines(vec![series("small & <old>", 1.0), series("\"large\"", 2.0)]),
    }
}

fn map() -> Chart {
    let part = |n: u32| (0..n).map(|i| f64::from(i) / f64::from(n)).collect::<Vec<_>>();
    let values = part(40)
        .iter()
        .map(|y| part(60).iter().map(|x| if x + y > 1.7 { f64::NAN } else { x * y }).collect())
        .collect();
    Chart {
        title: "map".into(),
        x: Axis::linear("share of the compliant, fraction"),
        y: Axis::linear("stubbornness, blocks"),
        content: Content::Map { x: part(60), y: part(40), values, label: "odds, fraction".into() },
    }
}

fn tornado() -> Chart {
    let bar = |name: &str, low, high| Interval { name: name.into(), low, high };
    Chart {
        title: "What moves the price of heat, with every other input at its base value, over the whole \
                range that was seen in the last two years"
            .into(),
        x: Axis::linear("net cost of heat, $/kWh"),
        y: Axis::linear("input"),
        content: Content::Tornado {
            base: 0.05,
            bars: vec![
                bar("hours a year 2,000 … 8,000", 0.11, 0.03),
                bar("power price 0.05 … 0.12 $/kWh at the meter with all its fees and taxes", 0.0, 0.13),
                bar("fee 0 … 4 %", 0.049, 0.051),
            ],
        },
    }
}

fn bars() -> Chart {
    let bar = |name: &str, value| (name.to_owned(), value);
    Chart {
        title: "bars".into(),
        x: Axis::linear("who"),
        y: Axis::linear("blocks a year"),
        content: Content::Bars(vec![
            bar("hobbyists together", 365.0),
            bar("small farms", 18_630.0),
            bar("enterprise farms", 16_640.0),
            bar("loss", -3000.0),
        ]),
    }
}

fn logs() -> Chart {
    let mut chart = lines("log");
    chart.x = Axis::log("time, days");
    chart.y = Axis::log("blocks found, a year");
    chart
}

#[test]
fn every_kind_of_chart_is_well_formed_and_names_its_axes() {
    for chart in [lines("a < b & c"), map(), tornado(), bars(), logs()] {
        let svg = chart.to_svg().unwrap();
        well_formed(&svg);
        assert!(svg.contains(&chart.x.label) && svg.contains(&chart.y.label), "{}", chart.title);
    }
}

#[test]
fn a_chart_without_values_is_an_error_and_one_with_a_single_value_is_not() {
    let content =
        |points| Content::Lines(vec![Series { name: "a".into(), points, band: Vec::new() }]);
    let chart = |content| Chart { content, ..lines("one") };
    for empty in [
        content(vec![]),
        content(vec![(f64::NAN, 1.0)]),
        Content::Bars(vec![]),
        Content::Map { x: vec![], y: vec![], values: vec![], label: String::new() },
    ] {
        assert!(chart(empty).to_svg().unwrap_err().to_string().contains("no values"));
    }
    for one in [
        content(vec![(1.0, 1.0)]),
        content(vec![(0.0, 0.0)]),
        Content::Bars(vec![("a".into(), 0.0)]),
        Content::Tornado { base: 1.0, bars: vec![] },
        Content::Map { x: vec![1.0], y: vec![1.0], values: vec![vec![1.0]], label: String::new() },
    ] {
        well_formed(&chart(one).to_svg().unwrap());
    }
}

#[test]
fn a_map_of_ten_thousand_cells_stays_below_a_megabyte() {
    let centres: Vec<f64> = (0..100).map(f64::from).collect();
    let values = centres.iter().map(|y| centres.iter().map(|x| x * y).collect()).collect();
    let content = Content::Map { x: centres.clone(), y: centres, values, label: "v".into() };
    let svg = Chart { content, ..map() }.to_svg().unwrap();
    assert!(svg.len() < 1_000_000, "{}", svg.len());
}

/// Tags close in order, and no character stands where XML wants another.
fn well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        assert_sound(&rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
        rest = &rest[end + 1..];
    }
    assert_eq!((open.len(), rest.trim()), (0, ""));
}

fn assert_sound(text: &str) {
    for part in text.split('&').skip(1) {
        let entity = part.split(';').next().unwrap();
        assert!(["lt", "gt", "amp", "quot", "apos"].contains(&entity), "{text}");
    }
    assert!(!text.contains('>'), "{text}");
}
