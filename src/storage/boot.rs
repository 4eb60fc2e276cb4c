//! Which boot of the machine this is: within one, what a process wrote outlives its end in the order it was
//! written; past it, only what had reached the disk does.

/// What tells one boot from another; where the system does not say, no boot is like another.
pub(super) fn boot() -> Option<[u8; 32]> {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    Some(*blake3::hash(&id).as_bytes())
}
