//! What `compile` returns for a function: `CompiledCallable(function, bound_self, on_miss)`.
//!
//! A type made by hand, because its instances are called through `tp_vectorcall`: which of the three
//! functions of [`call`] that is, is the state of the callable (on, passing through, cleared), so the
//! call path tests none of it. A method in a class body is called as a function is (the type is a method
//! descriptor: CPython puts the instance before the arguments and makes no bound method); a callable
//! with a `bound_self` must not be bound again, so it is of a second type without that flag.

mod attributes;
mod bind;
mod call;
mod compiling;
mod failures;
mod graph_errors;
mod type_object;

use crate::cache::Counter;
use crate::objects::Object;
use bind::Signature;
use pyo3::ffi;
use pyo3::prelude::*;

/// The instance. Owned references all, null only where it says so.
#[repr(C)]
pub struct CompiledCallable {
    ob_base: ffi::PyObject,
    vectorcall: ffi::vectorcallfunc,
    /// The Python function; null once cleared.
    function: Object,
    /// What is put before the arguments; null for nothing.
    bound_self: Object,
    /// None for a callable that never captures; null once cleared.
    on_miss: Object,
    /// An exact tuple of `Entry`, in the order in which they are tried.
    entries: Object,
    /// The code object that `signature` describes; null before the first call.
    code: Object,
    signature: Signature,
    /// `__dict__`; null until something is stored.
    dictionary: Object,
    weak_references: Object,
    /// Calls that no entry fitted.
    misses: Counter,
    /// Calls given to CPython by a miss, by an entry for CPython, or by a graph that raised.
    fallbacks: Counter,
    /// Calls whose graph raised and which CPython ran.
    graph_errors: Counter,
}

/// Adds `CompiledCallable` and the functions around it to `framelift._native`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    type_object::register(module)?;
    module.add_class::<failures::Failures>()?;
    module.add_function(wrap_pyfunction!(compiling::compiling, module)?)?;
    module.add_function(wrap_pyfunction!(graph_errors::set_graph_error_hook, module)?)
}
