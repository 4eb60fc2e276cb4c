//! Work that may panic where it meets damaged bytes, ended as an error, and without a word of its own on stderr.
//!
//! Invariant: only the panics of this work, on this thread, are silent; all others are told as ever.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Does something; `None` if it panicked. What it was given is not to be used any more then.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !SILENT.get() {
                others(panic);
            }
        }));
    });
    let before = SILENT.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    SILENT.set(before);
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_nothing_and_the_next_is_told_again() {
        assert_eq!(quietly(|| 7), Some(7));
        assert_eq!(quietly(|| -> u8 { panic!("of damaged bytes") }), None);
        assert!(!SILENT.get());
        assert_eq!(quietly(|| quietly(|| -> u8 { panic!("again") })), Some(None));
        assert!(!SILENT.get());
    }
}
