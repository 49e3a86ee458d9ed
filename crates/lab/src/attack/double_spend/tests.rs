use super::*;

fn share(q: f64) -> Share {
    Share::new("share", q).unwrap()
}

#[test]
fn nakamotos_tables_are_reproduced_to_the_printed_digits() {
    let tenth = [
        "1.0000000",
        "0.2045873",
        "0.0509779",
        "0.0131722",
        "0.0034552",
        "0.0009137",
        "0.0002428",
        "0.0000647",
        "0.0000173",
        "0.0000046",
        "0.0000012",
    ];
    for (z, published) in (0..).zip(tenth) {
        assert_eq!(format!("{:.7}", nakamoto(share(0.1), z)), published, "z {z}");
    }
    let three_tenths = [
        "0.1773523",
        "0.0416605",
        "0.0101008",
        "0.0024804",
        "0.0006132",
        "0.0001522",
        "0.0000379",
        "0.0000095",
        "0.0000024",
        "0.0000006",
    ];
    for (z, published) in (5..).step_by(5).zip(three_tenths) {
        assert_eq!(format!("{:.7}", nakamoto(share(0.3), z)), published, "z {z}");
    }
}

#[test]
fn the_exact_table_is_reproduced_to_the_printed_digits() {
    for (q, percent) in [
        (0.10, ["20", "5.6", "1.712", ".059", ".001"]),
        (0.25, ["50", "31.25", "20.70", "6.866", "1.781"]),
        (0.30, ["60", "43.2", "32.62", "15.645", "6.511"]),
        (0.40, ["80", "70.4", "63.49", "49.30", "37.22"]),
    ] {
        for (z, published) in [1, 2, 3, 6, 10].into_iter().zip(percent) {
            let digits = published.split('.').nth(1).map_or(0, str::len);
            let ours = format!("{:.digits$}", 100.0 * exact(share(q), z));
            assert_eq!(ours.trim_start_matches('0'), published, "q {q} z {z}");
        }
    }
}

/// Rosenfeld's sum: 1 - sum over m = 0..z-1 of C(m+z-1, m) (p^z q^m - p^m q^z).
#[test]
fn rosenfelds_sum_is_the_same_number() {
    for q in [0.05f64, 0.2, 0.45] {
        for z in [1u32, 4, 20] {
            let p: f64 = 1.0 - q;
            let mut choose = 1.0;
            let mut sum = 0.0;
            for m in 0..z {
                let (z, m) = (z as i32, m as i32);
                sum += choose * (p.powi(z) * q.powi(m) - p.powi(m) * q.powi(z));
                choose *= f64::from(m + z) / f64::from(m + 1);
            }
            assert!((exact(share(q), z) - (1.0 - sum)).abs() < 1e-12, "q {q} z {z}");
        }
    }
}

#[test]
fn simulation_agrees_with_the_exact_formula_and_not_with_nakamotos() {
    for (q, z) in [(0.1, 1), (0.1, 6), (0.25, 3), (0.3, 10), (0.4, 6), (0.45, 20), (0.5, 6)] {
        let seen = simulate(share(q), z, 200_000, 1, &Progress::new());
        let off = seen.deviation(exact(share(q), z));
        assert!(off.abs() < 4.0, "q {q} z {z}: {off}");
    }
    let seen = simulate(share(0.3), 6, 200_000, 1, &Progress::new());
    assert!(seen.deviation(nakamoto(share(0.3), 6)) > 10.0);
}

#[test]
fn confirmations_for_a_tenth_of_a_percent_are_nakamotos_and_more() {
    for (q, published) in [
        (0.10, 5),
        (0.15, 8),
        (0.20, 11),
        (0.25, 15),
        (0.30, 24),
        (0.35, 41),
        (0.40, 89),
        (0.45, 340),
    ] {
        assert_eq!(confirmations_for(share(q), 0.001, nakamoto), Ok(Some(published)), "q {q}");
        let exact = confirmations_for(share(q), 0.001, exact).unwrap().unwrap();
        assert!(exact > published, "q {q}: {exact}");
    }
    assert_eq!(confirmations_for(share(0.5), 0.001, exact), Ok(None));
    for risk in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(confirmations_for(share(0.1), risk, exact).is_err());
    }
}
