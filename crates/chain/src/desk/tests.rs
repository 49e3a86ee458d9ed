use super::*;
use bitcoin::{CompactTarget, Target, hashes::Hash};
use units::Sats;

fn block(number: u8) -> BlockHash {
    BlockHash::from_byte_array([number; 32])
}

fn tip(number: u8, height: u32) -> Tip {
    Tip { hash: block(number), height }
}

fn template(on: Tip) -> Arc<Template> {
    let bits = CompactTarget::from_consensus(0x207f_ffff);
    Arc::new(Template {
        height: on.height + 1,
        prev_hash: on.hash,
        version: 4,
        bits,
        target: Target::from_compact(bits),
        min_time: 0,
        time: 0,
        coinbase_value: Sats(0),
        witness_commitment: None,
        merkle_branch: Vec::new(),
        transactions: Vec::new(),
        transaction_count: 0,
        learned: Instant::now(),
    })
}

fn down(node: usize) -> News {
    News::Down {
        node,
        trouble: Trouble::Unreachable { url: format!("node {node}"), why: "gone".into() },
    }
}

/// A desk with a clock that only moves when told, and what it has said, in short:
/// `A+` is work on block A for the first time, `A` more work on it, `wait` the call to wait.
struct Scene {
    desk: Desk,
    now: Instant,
    said: Vec<String>,
}

impl Scene {
    fn new(nodes: usize) -> Self {
        Self {
            desk: Desk::new((0..nodes).map(|node| format!("node {node}"))),
            now: Instant::now(),
            said: Vec::new(),
        }
    }

    fn hear(&mut self, news: News) {
        let said = self.desk.hear(news, self.now);
        self.note(said);
    }

    fn up(&mut self, node: usize, tip: Tip) {
        self.hear(News::Up { node, tip, version: None });
        self.work(node, tip, true);
    }

    fn tip(&mut self, node: usize, tip: Tip) {
        self.hear(News::Tip { node, tip });
    }

    fn work(&mut self, node: usize, tip: Tip, complete: bool) {
        self.hear(News::Work { node, template: template(tip), complete, clock_offset: None });
    }

    fn pass(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.now += Duration::from_millis(100);
            let said = self.desk.tick(self.now);
            self.note(said);
        }
    }

    fn note(&mut self, said: Vec<Say>) {
        for say in said {
            self.said.push(match say {
                Say::Work(template, new_tip) => {
                    let letter = char::from(template.prev_hash.to_byte_array()[0]);
                    format!("{letter}{}", if new_tip { "+" } else { "" })
                }
                Say::Wait(trouble) => format!("wait {}", trouble.url()),
            });
        }
    }

    #[track_caller]
    fn expect(&mut self, said: &[&str]) {
        assert_eq!(self.said, said);
        self.said.clear();
    }
}

#[test]
fn a_new_tip_is_announced_by_the_first_work_on_it_only() {
    let mut scene = Scene::new(1);
    let (a, b) = (tip(b'A', 10), tip(b'B', 11));
    scene.up(0, a);
    scene.work(0, a, true);
    scene.expect(&["A+", "A"]);
    scene.tip(0, b);
    scene.expect(&[]);
    scene.work(0, b, false);
    scene.work(0, b, true);
    scene.work(0, b, true);
    scene.expect(&["B+", "B", "B"]);
}

#[test]
fn early_work_that_comes_after_the_complete_one_is_not_told() {
    let mut scene = Scene::new(1);
    let b = tip(b'B', 11);
    scene.up(0, tip(b'A', 10));
    scene.tip(0, b);
    scene.work(0, b, true);
    scene.work(0, b, false);
    scene.expect(&["A+", "B+"]);
}

#[test]
fn the_preferred_node_is_waited_for_at_the_start_until_it_is_known_to_be_down() {
    let mut scene = Scene::new(2);
    let a = tip(b'A', 10);
    scene.up(1, a);
    scene.pass(2.0);
    scene.expect(&[]);
    scene.hear(down(0));
    scene.expect(&["A+"]);
    assert_eq!(scene.desk.active(), Some(1));
}

#[test]
fn failover_is_silent_about_a_tip_that_is_already_known() {
    let mut scene = Scene::new(2);
    let a = tip(b'A', 10);
    scene.up(0, a);
    scene.up(1, a);
    scene.hear(down(0));
    scene.expect(&["A+", "A"]);
    assert_eq!(scene.desk.active(), Some(1));
}

#[test]
fn failback_comes_after_ten_healthy_seconds_and_not_to_a_lower_height() {
    let mut scene = Scene::new(2);
    let (a, b, c) = (tip(b'A', 10), tip(b'B', 11), tip(b'C', 12));
    scene.up(0, a);
    scene.up(1, a);
    scene.hear(down(0));
    scene.tip(1, b);
    scene.work(1, b, true);
    scene.expect(&["A+", "A", "B+"]);
    scene.up(0, a);
    scene.pass(20.0);
    scene.expect(&[]);
    scene.tip(0, b);
    scene.pass(1.0);
    // Its tip is known but not its work.
    scene.expect(&[]);
    scene.work(0, b, true);
    scene.expect(&["B"]);
    assert_eq!(scene.desk.active(), Some(0));

    scene.hear(down(0));
    scene.up(0, c);
    scene.pass(9.0);
    scene.expect(&["B"]);
    scene.pass(2.0);
    scene.expect(&["C+"]);
}

#[test]
fn a_node_that_is_behind_is_left_after_a_minute() {
    let mut scene = Scene::new(2);
    let (a, b) = (tip(b'A', 10), tip(b'B', 11));
    scene.up(0, a);
    scene.up(1, a);
    scene.expect(&["A+"]);
    scene.tip(1, b);
    scene.work(1, b, true);
    scene.pass(59.0);
    scene.expect(&[]);
    scene.pass(2.0);
    scene.expect(&["B+"]);
    scene.pass(100.0);
    scene.tip(0, b);
    scene.work(0, b, true);
    scene.expect(&["B"]);
    assert_eq!(scene.desk.active(), Some(0));
}

#[test]
fn a_lower_standby_takes_over_only_after_the_grace() {
    let mut scene = Scene::new(2);
    let (a, b) = (tip(b'A', 10), tip(b'B', 11));
    scene.up(0, b);
    scene.up(1, a);
    scene.hear(down(0));
    scene.pass(2.5);
    scene.expect(&["B+"]);
    scene.pass(1.0);
    scene.expect(&["A+"]);
}

#[test]
fn miners_wait_once_per_trouble_and_resume_with_a_new_tip() {
    let mut scene = Scene::new(2);
    let a = tip(b'A', 10);
    scene.hear(down(1));
    scene.expect(&[]);
    scene.hear(down(0));
    scene.expect(&["wait node 0"]);
    scene.pass(10.0);
    scene.hear(down(0));
    scene.hear(down(1));
    scene.expect(&[]);
    scene.hear(News::Down {
        node: 0,
        trouble: Trouble::WarmingUp { url: "node 0".into(), doing: "Loading".into() },
    });
    scene.expect(&["wait node 0"]);
    scene.up(0, a);
    scene.expect(&["A+"]);
    scene.hear(down(0));
    scene.pass(2.5);
    scene.expect(&[]);
    scene.pass(1.0);
    scene.expect(&["wait node 0"]);
    scene.up(0, a);
    scene.expect(&["A+"]);
}

#[test]
fn a_restart_within_the_grace_goes_unnoticed() {
    let mut scene = Scene::new(1);
    let a = tip(b'A', 10);
    scene.up(0, a);
    scene.hear(down(0));
    scene.pass(1.0);
    scene.up(0, a);
    scene.pass(10.0);
    scene.expect(&["A+", "A"]);
}

#[test]
fn the_standby_never_speaks() {
    let mut scene = Scene::new(2);
    let (a, b) = (tip(b'A', 10), tip(b'B', 11));
    scene.up(0, a);
    scene.up(1, a);
    scene.tip(1, b);
    scene.work(1, b, false);
    scene.work(1, b, true);
    scene.expect(&["A+"]);
    let statuses = scene.desk.statuses();
    assert!(statuses[0].active && !statuses[1].active);
    assert_eq!(statuses[1].state, NodeState::Up { height: 11, tip: b.hash });
}
