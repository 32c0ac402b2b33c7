//! The thread's compiling flag: while it is set, compiled callables met on the thread run in CPython.
//!
//! Capture runs user code now and then (a backend, a fake tensor's Python kernel), and that code may call
//! something compiled. It must neither be captured in the middle of a capture nor wait for one.

use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static COMPILING: Cell<bool> = const { Cell::new(false) };
}

/// How many threads have the flag set: while there is none, a call reads no thread-local storage. (After a
/// fork it may count threads that are not there: calls then read their thread's flag, which is right.)
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// The flag of this thread.
#[inline]
pub fn is_compiling() -> bool {
    THREADS.load(Ordering::Relaxed) != 0 && COMPILING.get()
}

/// `compiling(flag) -> previous`: sets the flag of this thread. To be put back in a `finally`.
#[pyfunction]
pub fn compiling(flag: bool) -> bool {
    let previous = COMPILING.replace(flag);
    if flag && !previous {
        THREADS.fetch_add(1, Ordering::Relaxed);
    } else if !flag && previous {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
    previous
}
