//! Frames: calls whose compiled part stops inside the function.
//!
//! `csrc/` gives access to CPython's frames and performs single instructions. Here is what happens with
//! them: `drive` takes a call from segment to break to segment, `arms` says which frames reach it from a
//! break's instruction, `state` reads and writes what a frame holds, `handled` what the thread holds for it,
//! `places` are instructions in tracebacks, `generator` drives frames that are suspended and resumed, `ffi` declares the C side, and `testing` starts
//! frames anywhere, for tests.

mod arms;
mod drive;
mod ffi;
mod generator;
mod handled;
mod places;
mod state;
mod testing;

pub use arms::{Disarmed, edition_of_rules, forget_decisions, somebody_waits};
pub use drive::{call_in_cpython, call_in_frame, may_drive};
pub use generator::start as start_generator;
pub use handled::handled_exception;
pub use places::add_traceback_entry;

use pyo3::prelude::*;

/// Adds `UNBOUND` and the functions for tests, and prepares the shim.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // SAFETY: attached, once, before any call can need a frame.
    if unsafe { ffi::framelift_prepare_shim(drive::drive_child) } != 0 {
        return Err(PyErr::fetch(module.py()));
    }
    generator::prepare(module);
    module.add_function(wrap_pyfunction!(arms::set_frame_decisions, module)?)?;
    module.add_function(wrap_pyfunction!(places::frame_at, module)?)?;
    module.add_class::<state::Unbound>()?;
    module.add("UNBOUND", state::make_unbound(module.py())?)?;
    module.add_function(wrap_pyfunction!(handled::get, module)?)?;
    module.add_function(wrap_pyfunction!(handled::set, module)?)?;
    module.add_function(wrap_pyfunction!(testing::testing_start_at, module)?)?;
    module.add_function(wrap_pyfunction!(testing::testing_state, module)?)
}
