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
mod children;
mod compiling;
mod failures;
mod fingerprint;
mod foreign_tracer;
pub mod graph_errors;
mod resume_points;
mod search;
mod twin;
mod type_object;

use crate::cache::Counter;
use crate::objects::Object;
pub use bind::Call;
use bind::Signature;
pub use call::{call_function, report_graph_error, use_code};
use children::Children;
pub use children::{child_of, forget_children};
pub use fingerprint::Question;
use pyo3::ffi;
use pyo3::prelude::*;
use resume_points::ResumePoints;
pub use search::{Found, Hit, find_entry};

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
    /// Entries of resume points inside the function; None while there are none.
    resume_points: Option<Box<ResumePoints>>,
    /// Asked for the compiled callable of a frame that a break's instruction enters; None or null for nobody.
    child_for: Object,
    /// The code object that `signature` describes; null before the first call.
    code: Object,
    signature: Signature,
    /// Whether frames are driven for it (`frames`), and it is never called: then the function of the frame is
    /// the last of the arguments, and its own function only stands for the code.
    takes_function: bool,
    /// Whether it is for the frames with one and the same first argument.
    of_one_object: bool,
    /// What `child_for` has answered; None while it has not.
    children: Option<Box<Children>>,
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

impl CompiledCallable {
    /// Borrowed.
    pub fn function(&self) -> Object {
        self.function
    }

    /// The code object of the last call that was bound; borrowed.
    pub fn code(&self) -> Object {
        self.code
    }

    /// Whether frames of its code are suspended: it is that of a generator function or a coroutine.
    pub fn suspends(&self) -> bool {
        self.signature.suspends()
    }

    /// Whether `code` is that of the function, now and at the last call.
    pub fn is_code(&self, code: Object) -> bool {
        // SAFETY: a callable that has not been cleared has a Python function.
        code == self.code && code == unsafe { (*self.function.cast::<ffi::PyFunctionObject>()).func_code }
    }

    /// Borrowed; null for nobody.
    pub fn child_for(&self) -> Object {
        // SAFETY: only compares with the address of None.
        if self.child_for == unsafe { ffi::Py_None() } {
            std::ptr::null_mut()
        } else {
            self.child_for
        }
    }

    /// Whether it is for frames, whose functions come with the arguments.
    pub fn takes_function(&self) -> bool {
        self.takes_function
    }

    /// How many objects a bound call has.
    pub fn argument_count(&self) -> usize {
        self.signature.count()
    }

    /// How many of the bound arguments are those of named parameters.
    pub fn named_parameters(&self) -> usize {
        (self.signature.code.positional + self.signature.code.keyword_only) as usize
    }

    /// Whether a segment may be looked for: not while passing through, nor while this thread compiles.
    pub fn is_on(&self) -> bool {
        self.vectorcall as usize == call::compiled as ffi::vectorcallfunc as usize
            && !compiling::is_compiling()
    }

    /// One more call, or rest of a call, that CPython runs.
    pub fn count_fallback(&self) {
        self.fallbacks.add();
    }
}

/// Adds `CompiledCallable` and the functions around it to `framelift._native`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    type_object::register(module)?;
    module.add_class::<failures::Failures>()?;
    module.add_function(wrap_pyfunction!(forget_children, module)?)?;
    module.add_function(wrap_pyfunction!(twin::call_by_slot, module)?)?;
    module.add_function(wrap_pyfunction!(compiling::compiling, module)?)?;
    module.add_function(wrap_pyfunction!(foreign_tracer::set_tracer_switch, module)?)?;
    module.add_function(wrap_pyfunction!(graph_errors::set_repeat_question, module)?)?;
    module.add_function(wrap_pyfunction!(graph_errors::set_graph_error_hook, module)?)
}
