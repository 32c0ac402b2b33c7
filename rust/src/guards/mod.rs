//! Guards: the facts under which an entry may be used again, and the walk that checks them.
//!
//! A [`GuardTree`] is a list of nodes in evaluation order. Each node fetches one object from its parent
//! with one primitive [`access`], checks the [`kinds`] of guards put on it, and may hand the object to
//! the call's slots: one walk per call both decides and collects. After the nodes come the objects that
//! must be [`distinct`], the tensors whose memory must be [`apart`] and the symbolic [`conditions`].
//!
//! Laws of this room:
//! 1. A walk runs no user code. Dictionary lookups whose keys could call back are refused ([`lookup`]),
//!    values are compared by exact built-in types only ([`exact`]), the garbage collector is held off
//!    where an access allocates. So objects may be borrowed for the time of a walk.
//! 2. A walk that misses leaves nothing behind: no references, no Python exception.
//! 3. Everything a tree keeps alive lies in one list that the garbage collector sees.

mod access;
mod apart;
mod arithmetic;
mod build;
mod conditions;
mod distinct;
mod exact;
mod explain;
mod iterator_classes;
mod iterators;
mod kinds;
mod lookup;
pub mod python;
mod standing;
mod tree;
mod versions;
mod watchers;

pub use tree::GuardTree;
pub use versions::VERSION_OFFSET;

use pyo3::prelude::*;

/// Adds this module's classes and functions to `framelift._native`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    access::prepare(module.py())?;
    lookup::verify(module.py())?;
    versions::probe(module.py())?;
    iterator_classes::register(module)?;
    watchers::install(module.py())?;
    module.add_class::<GuardTree>()
}
