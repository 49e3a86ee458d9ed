//! Jobs in, alarms and clusters out.

use super::*;
use crate::{report::Cell, spread::pools::Pools};

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn watch(names: &[&str]) -> Watch {
    let sources = names.iter().map(|n| (n.to_string(), *n == "node")).collect();
    Watch::new(sources, Settings::given(None, None)).unwrap()
}

fn job(tip: u8, height: u32, branch: &str) -> Job {
    Job {
        prev_hash: [tip; 32],
        height: Some(height),
        branch: branch.bytes().map(|b| [b; 32]).collect(),
        coinbase: None,
    }
}

/// (source, at, tip, height, branch)
fn observed(names: &[&str], jobs: &[(usize, u64, u8, u32, &str)]) -> Watch {
    let mut watch = watch(names);
    for (source, at, tip, height, branch) in jobs {
        watch.observe(*source, seconds(*at), job(*tip, *height, branch));
    }
    watch
}

fn kinds(watch: &Watch, now: u64) -> Vec<(usize, AlarmKind, bool)> {
    watch.alarms(seconds(now)).iter().map(|a| (a.source, a.kind, a.until.is_none())).collect()
}

#[test]
fn pools_with_the_same_templates_are_one_maker_even_if_one_passes_them_on_late() {
    let watch = observed(
        &["a", "b", "c"],
        &[
            (0, 0, 1, 10, "abcd"),
            (1, 1, 1, 10, "abcd"),
            (2, 1, 1, 10, "awxy"),
            (0, 30, 1, 10, "abce"),
            (0, 31, 1, 10, "abcf"),
            // b is 20 s behind.
            (1, 50, 1, 10, "abce"),
            (1, 51, 1, 10, "abcf"),
        ],
    );
    let matrix = watch.similarities();
    assert_eq!(matrix[0][1], Some(1.0));
    assert!((matrix[0][2].unwrap() - 1.0 / 15.0).abs() < 1e-12);
    let clusters = watch.clusters();
    assert_eq!(clusters.count(), 2);
    assert_eq!(clusters.of_member(0), clusters.of_member(1));
}

#[test]
fn templates_of_different_tips_and_empty_ones_are_not_compared() {
    let watch =
        observed(&["a", "b"], &[(0, 0, 1, 10, "ab"), (1, 0, 2, 10, "ab"), (1, 9, 1, 10, "")]);
    assert_eq!(watch.similarities()[0][1], None);
    assert_eq!(watch.clusters().count(), 2);
}

#[test]
fn a_pool_that_stays_behind_is_an_alarm_after_the_patience_and_over_when_it_comes() {
    let jobs = [
        (0, 0, 1, 10, "a"),
        (1, 0, 1, 10, "a"),
        (2, 0, 1, 10, "a"),
        (0, 100, 2, 11, ""),
        (1, 101, 2, 11, ""),
    ];
    let mut watch = observed(&["a", "b", "c"], &jobs);
    assert_eq!(kinds(&watch, 130), []);
    assert_eq!(kinds(&watch, 131), [(2, AlarmKind::Behind, true)]);
    watch.observe(2, seconds(140), job(2, 11, "a"));
    assert_eq!(kinds(&watch, 200), [(2, AlarmKind::Behind, false)]);
    let alarm = &watch.alarms(seconds(200))[0];
    assert_eq!((alarm.since, alarm.until, alarm.backers), (seconds(100), Some(seconds(140)), 2));
}

#[test]
fn a_pool_that_skips_a_tip_but_builds_on_its_child_is_in_order() {
    let jobs = [
        (0, 0, 1, 10, "a"),
        (1, 0, 1, 10, "a"),
        (2, 0, 1, 10, "a"),
        (0, 100, 2, 11, "a"),
        (1, 100, 2, 11, "a"),
        (0, 110, 3, 12, "a"),
        (1, 110, 3, 12, "a"),
        (2, 111, 3, 12, "a"),
    ];
    assert_eq!(kinds(&observed(&["a", "b", "c"], &jobs), 1000), []);
}

#[test]
fn a_pool_on_a_rival_block_is_named_and_one_episode_is_one_alarm() {
    let jobs = [
        (0, 0, 1, 10, "a"),
        (1, 0, 1, 10, "a"),
        (2, 0, 1, 10, "a"),
        (0, 100, 2, 11, "a"),
        (1, 100, 2, 11, "a"),
        // The compliant pool orphans 2 and finds a block of its own.
        (2, 105, 9, 11, "a"),
        (0, 600, 3, 12, "a"),
        (1, 600, 3, 12, "a"),
    ];
    let watch = observed(&["a", "b", "c"], &jobs);
    assert_eq!(kinds(&watch, 90), []);
    assert_eq!(kinds(&watch, 599 + 2), [(2, AlarmKind::Rival, true)]);
    assert_eq!(kinds(&watch, 900), [(2, AlarmKind::Rival, true)]);
    // A race that ends with the next block leaves its trace.
    let mut watch = watch;
    watch.observe(2, seconds(901), job(3, 12, "a"));
    assert_eq!(kinds(&watch, 950), [(2, AlarmKind::Rival, false)]);
}

#[test]
fn one_liar_among_many_accuses_nobody_but_itself() {
    let jobs =
        [(0, 0, 1, 10, "a"), (1, 0, 1, 10, "a"), (2, 0, 1, 10, "a"), (2, 50, 66, u32::MAX, "a")];
    assert_eq!(kinds(&observed(&["a", "b", "liar"], &jobs), 500), [(2, AlarmKind::Alone, true)]);
}

#[test]
fn the_own_node_decides_which_tip_counts() {
    let jobs = [
        (0, 0, 1, 10, "a"),
        (1, 0, 1, 10, "a"),
        (2, 0, 1, 10, "a"),
        // Both pools build on what the node has not found valid.
        (0, 100, 7, 11, "a"),
        (1, 100, 7, 11, "a"),
    ];
    let mut watch = observed(&["a", "b", "node"], &jobs);
    assert_eq!(kinds(&watch, 120), []);
    // The node finds another one valid.
    watch.observe(2, seconds(120), job(2, 11, "a"));
    let found = kinds(&watch, 200);
    assert!(found.contains(&(0, AlarmKind::Rival, true)), "{found:?}");
    assert!(found.contains(&(1, AlarmKind::Rival, true)), "{found:?}");
}

#[test]
fn a_lost_connection_is_no_refusal() {
    let jobs = [(0, 0, 1, 10, "a"), (1, 0, 1, 10, "a"), (2, 0, 1, 10, "a")];
    let mut watch = observed(&["a", "b", "c"], &jobs);
    watch.lost(2, seconds(50), "closed".into());
    watch.observe(0, seconds(100), job(2, 11, "a"));
    watch.observe(1, seconds(100), job(2, 11, "a"));
    assert_eq!(kinds(&watch, 1000), []);
    let report = watch.report(seconds(1000), None).unwrap();
    assert!(report.to_text(None).contains("closed"));
}

#[test]
fn what_strangers_send_is_bounded() {
    let mut watch = watch(&["a", "b"]);
    for n in 0..10_000u32 {
        let mut job = job(0, n, "");
        job.prev_hash[..4].copy_from_slice(&n.to_le_bytes());
        job.branch = vec![[1; 32]; 1000];
        watch.observe(0, seconds(n.into()), job.clone());
        job.branch = vec![job.prev_hash];
        watch.observe(1, seconds(n.into()), job);
    }
    for n in 0..1000u32 {
        let mut job = job(5, 5, "");
        job.branch = vec![[n as u8; 32], [(n >> 8) as u8; 32]];
        watch.observe(1, seconds(20_000), job);
    }
    for pool in &watch.pools {
        assert!(pool.visits.len() <= MAX_TIPS);
        assert!(pool.visits.iter().all(|v| v.templates.len() <= MAX_TEMPLATES));
        assert!(pool.visits.iter().flat_map(|v| &v.templates).all(|t| t.len() <= MAX_BRANCHES));
    }
    watch.observe(99, seconds(0), job(1, 1, "a"));
    watch.lost(99, seconds(0), String::new());
    assert!(watch.report(seconds(30_000), None).is_ok());
}

#[test]
fn the_report_counts_makers_times_empty_work_and_shows_false_alarms() {
    let jobs = [
        (0, 0, 1, 10, "abc"),
        (1, 0, 1, 10, "abc"),
        (2, 0, 1, 10, "xyz"),
        (0, 100, 2, 11, ""),
        (1, 101, 2, 11, ""),
        (2, 102, 2, 11, "xy"),
        (0, 104, 2, 11, "ab"),
    ];
    let watch = observed(&["a", "b", "c"], &jobs);
    let report = watch.report(seconds(110), None).unwrap();
    assert!(report.finding.contains("3 of 3 pools"), "{}", report.finding);
    assert!(report.finding.contains("2 makers"), "{}", report.finding);
    let row = |i: usize| report.tables[0].rows[i].iter().map(Cell::text).collect::<Vec<_>>();
    assert_eq!(row(0)[..6], ["a", "a, b", "3", "1", "0", "4,000"].map(String::from));
    assert_eq!(row(1)[4..6], ["1,000", "–"].map(String::from));
    assert!(report.to_text(Some(100)).contains("paid acceleration"));

    let list = Pools::from_csv("name,share\na,.5\nb,.3\nc,.2\n", "f").unwrap();
    let report = watch.report(seconds(110), Some(&list)).unwrap();
    // .8 and .2.
    assert!(report.finding.contains("1.47 equal ones"), "{}", report.finding);
    let other = Pools::from_csv("name,share\nx,1\n", "f").unwrap();
    assert!(watch.report(seconds(110), Some(&other)).unwrap_err().to_string().contains("NAME="));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let sources = || vec![("a".to_owned(), false)];
    for threshold in [0.0, -1.0, 1.1, f64::NAN] {
        assert!(Watch::new(sources(), Settings::given(Some(threshold), None)).is_err());
    }
    let hasty = Settings::given(None, Some(Duration::ZERO));
    assert!(Watch::new(sources(), hasty).is_err());
    assert!(Watch::new(vec![], Settings::given(None, None)).is_err());
}
