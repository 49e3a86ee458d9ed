//! Lines of evidence: whatever is read never panics, and only what was signed is taken.

#![no_main]

use arbitrary::Arbitrary;
use ledger::evidence::Chain;
use libfuzzer_sys::fuzz_target;

/// Files as `hearth evidence` wrote them, a beginning and a complete interval each: one from before proofs
/// were kept, and one with them.
const GOOD: [&[u8]; 2] =
    [include_bytes!("../seeds/evidence"), include_bytes!("../seeds/evidence-proof")];

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    any: &'a [u8],
    with_proof: bool,
    edits: Vec<(u16, u8)>,
    cut: Option<u16>,
}

fuzz_target!(|input: Input<'_>| {
    let _ = Chain::start(input.any);
    let file = GOOD[usize::from(input.with_proof)];
    let good: Vec<&[u8]> = file.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
    let (mut chain, _) = Chain::start(good[0]).expect("the seed is good");
    assert!(input.any == good[1] || chain.accept(input.any).is_err(), "nobody signed that");
    let mut line = good[1].to_vec();
    for (at, to) in &input.edits {
        let at = usize::from(*at) % line.len();
        line[at] = *to;
    }
    line.truncate(input.cut.map_or(usize::MAX, usize::from));
    assert_eq!(chain.accept(&line).is_ok(), line == good[1], "only as it was signed");
});
