//! Threads that the system lets run soon after they are woken. Owns nothing but that request.

use std::mem::size_of;

/// The shortest slice the kernel takes, nanoseconds. A thread with a shorter slice than the one that
/// runs need not wait for its end, which is several milliseconds; its share of the processor stays
/// the same (EEVDF, Linux 6.12 and later; earlier kernels ignore it).
const SLICE_NS: u64 = 100_000;

/// Asks for short slices for the calling thread: the news of a block passes through several threads,
/// and each would otherwise wait until a busy processor's tick. Needs no privilege. Where the system
/// refuses, everything works as before, only later.
pub fn run_promptly() {
    // SAFETY: an all-zero `sched_attr` is a valid value of a struct of integers.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>();
    // SAFETY: thread 0 is the caller; the kernel writes at most `size` bytes to the struct, which
    // lives until after the call.
    let read =
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size as u32, 0) };
    // Whoever runs this with another policy has decided that already.
    if read != 0 || attributes.sched_policy != libc::SCHED_OTHER as u32 {
        return;
    }
    attributes.sched_runtime = SLICE_NS;
    // SAFETY: as above; the kernel only reads the struct, whose `size` field it has itself set.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_thread_keeps_its_policy_and_nice_value() {
        std::thread::spawn(|| {
            let before = standing();
            run_promptly();
            assert_eq!(standing(), before);
        })
        .join()
        .unwrap();
    }

    fn standing() -> (u32, i32) {
        // SAFETY: as in `run_promptly`.
        let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::sched_attr>() as u32;
        // SAFETY: as in `run_promptly`.
        let read =
            unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
        assert_eq!(read, 0);
        (attributes.sched_policy, attributes.sched_nice)
    }
}
