use super::*;
use crate::{BlockReport, Template, Trouble};
use bitcoin::hashes::Hash;
use std::sync::Mutex;
use units::Sats;

fn tracked(verdicts: &[Verdict], state: BlockState) -> Tracked {
    let facts = Facts {
        hash: BlockHash::all_zeros(),
        height: 100,
        worker: String::new(),
        address: String::new(),
        value: Sats(0),
        found_at: 0,
    };
    let mut tracked = Tracked::new(facts, None, verdicts.len());
    tracked.verdicts = verdicts.to_vec();
    tracked.standing.state = state;
    tracked
}

#[test]
fn a_block_stands_where_the_chain_and_the_nodes_say() {
    use BlockState::*;
    let taken = Verdict::Taken;
    let due = Verdict::Due { again: true };
    let bad = Verdict::Refused("bad-cb-amount".into());
    let rejected = Rejected("bad-cb-amount".into());
    // Verdicts of two nodes (the second one is down), seen by a node, state before and after.
    for (verdicts, seen, before, after) in [
        ([&due, &due], None, Pending, Pending),
        ([&Verdict::Underway, &due], None, Pending, Pending),
        ([&taken, &due], Some(1), Pending, Candidate),
        ([&taken, &due], Some(5), Candidate, Candidate),
        ([&taken, &due], Some(6), Candidate, Confirmed),
        ([&taken, &due], Some(-1), Candidate, Orphaned),
        ([&taken, &due], Some(3), Orphaned, Candidate),
        ([&taken, &due], Some(-1), Confirmed, Orphaned),
        ([&due, &due], None, Candidate, Candidate),
        ([&bad, &due], None, Pending, rejected.clone()),
        ([&bad, &bad], None, Pending, rejected.clone()),
        ([&bad, &due], Some(-1), Pending, rejected.clone()),
        ([&due, &bad], None, Pending, Pending),
        ([&bad, &taken], Some(-1), Pending, Orphaned),
        ([&bad, &taken], Some(2), rejected.clone(), Candidate),
        ([&due, &bad], None, rejected.clone(), Pending),
    ] {
        let tracked = tracked(&verdicts.map(Clone::clone), before.clone());
        let got = tracked.judged(seen, 6, &[true, false]);
        assert_eq!(got.state, after, "{verdicts:?} {seen:?} {before:?}");
    }
}

#[test]
fn a_state_is_final_only_when_nothing_can_change_it() {
    let refused = Verdict::Refused("high-hash".into());
    let due = Verdict::Due { again: true };
    let rejected = BlockState::Rejected("high-hash".into());
    for (verdict, state, height, want) in [
        (&due, BlockState::Confirmed, None, true),
        (&due, BlockState::Candidate, Some(105), false),
        (&due, BlockState::Pending, Some(900), false),
        (&due, BlockState::Orphaned, Some(200), false),
        (&due, BlockState::Orphaned, Some(201), true),
        (&due, BlockState::Orphaned, None, false),
        (&refused, rejected.clone(), None, true),
        (&due, rejected.clone(), Some(900), false),
    ] {
        let tracked = tracked(std::slice::from_ref(verdict), state.clone());
        assert_eq!(tracked.is_final(height), want, "{state:?} {height:?}");
    }
}

#[test]
fn answers_to_submitblock_are_understood() {
    let refused = |reason: &str| Verdict::Refused(reason.into());
    let due = Verdict::Due { again: true };
    let node = |code, message: &str| Err(RpcError::Node { code, message: message.into() });
    for (answer, want) in [
        (Ok(None), Verdict::Taken),
        (Ok(Some("duplicate")), Verdict::Taken),
        (Ok(Some("inconclusive")), Verdict::Taken),
        (Ok(Some("duplicate-inconclusive")), Verdict::Taken),
        (Ok(Some("prev-blk-not-found")), due.clone()),
        (Ok(Some("high-hash")), refused("high-hash")),
        (Ok(Some("duplicate-invalid")), refused("duplicate-invalid")),
        (node(-22, "Block decode failed"), refused("Block decode failed")),
        (node(-28, "Loading block index…"), due.clone()),
        (Err(RpcError::Timeout { seconds: 120 }), due.clone()),
        (Err(RpcError::WrongCredentials), due),
    ] {
        let answer = answer.map(|said| said.map(str::to_owned));
        assert_eq!(judge_answer(&answer), want, "{answer:?}");
    }
}

#[derive(Default)]
struct Reports(Mutex<Vec<BlockState>>);

impl Listener for Reports {
    fn work(&self, _: Arc<Template>, _: bool) {}
    fn wait(&self, _: &Trouble) {}
    fn block(&self, report: BlockReport) {
        self.0.lock().unwrap().push(report.state);
    }
}

#[test]
fn a_settled_block_is_reported_twice_a_minute_apart_and_then_put_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut block = tracked(&[Verdict::Taken], BlockState::Confirmed);
    store.write(&block.facts, b"block").unwrap();
    let file = folder.path().join(format!("{}.block", block.facts.hash));
    let reports = Arc::new(Reports::default());
    let moved = Arc::new(Notify::new());
    let tracker = Tracker::new(Vec::new(), store, reports.clone(), 6, moved, Vec::new());

    tracker.report(&mut block);
    assert!(!tracker.put_away(&mut block, None));
    assert!(!tracker.put_away(&mut block, None));
    assert_eq!(*reports.0.lock().unwrap(), [BlockState::Confirmed]);

    // A reorganisation starts the minute again.
    block.standing.state = BlockState::Orphaned;
    assert!(!tracker.put_away(&mut block, Some(100)));
    assert_eq!(block.final_since, None);
    block.standing.state = BlockState::Confirmed;

    block.final_since = Instant::now().checked_sub(FINAL_FOR);
    assert!(file.exists());
    assert!(tracker.put_away(&mut block, None));
    assert_eq!(reports.0.lock().unwrap().len(), 2);
    assert!(!file.exists());
    let name = file.file_name().unwrap();
    assert!(folder.path().join("settled").join(name).exists());
}
