//! `framelift._native`: the part of framelift that runs on every call.
//!
//! A call enters [`callable`], which binds its arguments, walks the entries of [`cache`] through their
//! [`guards`], and runs the first that holds through [`execute`]; one that stops inside the function goes on in
//! the call's own frame, in [`frames`]. [`rules`] answers how a callable met
//! during capture is to be treated; [`torch_abi`] reads tensors without a Python frame; [`layout`]
//! checks at import that CPython's structures are where this build expects them.
//!
//! Laws of this crate, because finalisers and other threads may run at any decref or call out:
//! 1. no Rust borrow and no lock is held across anything that can run user code;
//! 2. every `extern "C"` function catches panics ([`boundary`]);
//! 3. the call path allocates nothing but the `*args` tuple and `**kwargs` dict a signature asks for.

// Casts between Py_ssize_t, usize and C int follow CPython's own: lengths are never negative here.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation
)]
// The crate is one extension module: its `pub` items have no callers outside, and no doc reader
// needs an "Errors" or "Safety" heading where the function's contract already says it in a sentence.
#![allow(clippy::missing_errors_doc, clippy::missing_safety_doc)]
// `callable::CompiledCallable` and `cache::Entry` are the words of the glossary.
#![allow(clippy::module_name_repetitions)]

mod boundary;
mod cache;
mod callable;
mod execute;
mod frames;
mod guards;
mod layout;
mod objects;
mod rules;
mod torch_abi;

use pyo3::prelude::*;

/// The module `framelift._native`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    layout::verify()?;
    guards::register(module)?;
    torch_abi::register(module)?;
    rules::register(module)?;
    module.add_class::<execute::ExitProgram>()?;
    module.add_class::<cache::Entry>()?;
    callable::register(module)?;
    frames::register(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
