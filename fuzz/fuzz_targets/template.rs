//! The node's answer to `getblocktemplate`: whatever it says, there is a template that holds together
//! or an error.

#![no_main]

use bitcoin::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(template) = chain::read_template(body) else { return };
    // One branch for every level above the leaves, of which the coinbase is one.
    let leaves = template.transaction_count + 1;
    assert_eq!(template.merkle_branch.len(), leaves.next_power_of_two().ilog2() as usize);
    assert_eq!(template.is_empty(), template.transaction_count == 0);
    assert_eq!(template.target, Target::from_compact(template.bits));
    assert!(template.time >= template.min_time);
});
