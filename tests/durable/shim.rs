//! Preloaded into a program under test: its disk does not sync, or its wall clock jumps, as a file says.
//!
//! A library of its own, made by `world.rs`: nothing of it is in the program. `unsafe` is the C interface of the
//! functions that it stands in for; it reads and writes nothing but the places that their callers give it.

use std::ffi::{c_int, c_long};

#[cfg(target_arch = "x86_64")]
const NUMBERS: [c_long; 3] = [74, 75, 228];
#[cfg(target_arch = "aarch64")]
const NUMBERS: [c_long; 3] = [82, 83, 113];
const FSYNC: c_long = NUMBERS[0];
const FDATASYNC: c_long = NUMBERS[1];
const CLOCK_GETTIME: c_long = NUMBERS[2];

const REALTIME: c_int = 0;
const EIO: c_int = 5;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
}

#[repr(C)]
pub struct Timespec {
    secs: i64,
    nanos: i64,
}

/// What stands behind a word in the file.
fn wish(word: &str) -> Option<String> {
    let text = std::fs::read_to_string(std::env::var_os("P2PDI_TEST_WORLD")?).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(word)?.trim().to_owned()))
}

fn sync(number: c_long, file: c_int) -> c_int {
    if wish("no-sync").is_some() {
        unsafe { *__errno_location() = EIO };
        return -1;
    }
    unsafe { syscall(number, file) as c_int }
}

#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: c_int) -> c_int {
    sync(FSYNC, file)
}

#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: c_int) -> c_int {
    sync(FDATASYNC, file)
}

/// # Safety
/// As for the function it stands in for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    let done = unsafe { syscall(CLOCK_GETTIME, clock, time) as c_int };
    if done == 0 && clock == REALTIME {
        let ahead: Option<i64> = wish("ahead").and_then(|secs| secs.parse().ok());
        unsafe { (*time).secs += ahead.unwrap_or(0) };
    }
    done
}
