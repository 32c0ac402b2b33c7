//! One call of a compiled callable: bind, find the entry whose guards hold, run it.
//!
//! References: the caller owns the callable and the arguments during the call; `search.rs` says who holds the entry.

use crate::boundary;
use crate::callable::bind::{Call, Signature, Unbound, bind};
use crate::callable::search::{Found, Hit, find_entry};
use crate::callable::{CompiledCallable, compiling, graph_errors};
use crate::execute::{Ran, run};
use crate::frames;
use crate::layout::code_signature;
use crate::objects::{INLINE, Object, ObjectBuffer, release_all};
use pyo3::exceptions::PyReferenceError;
use pyo3::ffi;
use std::ptr::null_mut;

/// How far a call came.
enum Entered {
    /// The result, a new reference; or null with an exception set.
    Done(Object),
    /// CPython is to run the function; nothing has happened that it would notice.
    Cpython,
    /// The same, as a graph has raised: what the function calls is repeated, too.
    Repeat,
}

unsafe fn arrived(arguments: *const Object, flagged: usize, names: Object) -> Call {
    // SAFETY: only takes the flag off.
    let positional = unsafe { ffi::PyVectorcall_NARGS(flagged) } as usize;
    Call {
        arguments,
        positional,
        flagged,
        names,
    }
}

/// `tp_vectorcall` of a callable that is switched on.
pub unsafe extern "C" fn compiled(
    callable: Object,
    arguments: *const Object,
    flagged: usize,
    names: Object,
) -> Object {
    boundary::raw(|| {
        let this = callable.cast::<CompiledCallable>();
        // SAFETY: the vectorcall protocol; CPython calls this for our type only.
        unsafe {
            let call = arrived(arguments, flagged, names);
            if frames::somebody_waits() {
                return call_disarmed(this, &call);
            }
            answer(this, &call)
        }
    })
}

/// The result of a call, by an entry or by CPython.
#[inline]
unsafe fn answer(this: *mut CompiledCallable, call: &Call) -> Object {
    // SAFETY: the vectorcall protocol.
    unsafe {
        if compiling::is_compiling() {
            return call_function(this, call);
        }
        match enter(this, call) {
            Entered::Done(result) => result,
            Entered::Cpython => finish_in_cpython(this, call),
            Entered::Repeat => call_function(this, call),
        }
    }
}

/// CPython runs the function, and what that calls is compiled.
#[inline(never)]
unsafe fn finish_in_cpython(this: *mut CompiledCallable, call: &Call) -> Object {
    // SAFETY: the vectorcall protocol; the callable is alive while it is called.
    unsafe {
        let asks = !(*this).child_for().is_null() && (*this).is_on();
        if asks && !(*this).signature.suspends() && frames::may_drive((*this).code) {
            return frames::call_in_cpython(this, call);
        }
        call_function(this, call)
    }
}

/// A call inside an instruction that a driver performs: what this callable runs is its own business.
#[inline(never)]
unsafe fn call_disarmed(this: *mut CompiledCallable, call: &Call) -> Object {
    // SAFETY: the vectorcall protocol.
    unsafe {
        let _disarmed = frames::Disarmed::new();
        answer(this, call)
    }
}

/// `tp_vectorcall` while `passthrough` is set.
pub unsafe extern "C" fn passed_through(
    callable: Object,
    arguments: *const Object,
    flagged: usize,
    names: Object,
) -> Object {
    // SAFETY: as for `compiled`.
    boundary::raw(|| unsafe { call_function(callable.cast(), &arrived(arguments, flagged, names)) })
}

/// `tp_vectorcall` of a callable that the garbage collector has cleared.
pub unsafe extern "C" fn cleared(_: Object, _: *const Object, _: usize, _: Object) -> Object {
    boundary::attached(|_| {
        Err(PyReferenceError::new_err(
            "this compiled callable is being destroyed",
        ))
    })
}

/// Gives the call to the function itself: CPython runs it.
///
/// # Safety
/// The callable is being called with `call`, by the vectorcall protocol.
pub unsafe fn call_function(this: *mut CompiledCallable, call: &Call) -> Object {
    // SAFETY: the vectorcall protocol; the callable's fields are alive while it is called.
    unsafe {
        let (function, bound_self) = ((*this).function, (*this).bound_self);
        if bound_self.is_null() {
            return ffi::PyObject_Vectorcall(function, call.arguments, call.flagged, call.names);
        }
        if let Some(prepended) = Prepended::new(call, bound_self) {
            return ffi::PyObject_Vectorcall(function, prepended.first, call.positional + 1, call.names);
        }
        call_with_copy(function, bound_self, call)
    }
}

#[inline(never)]
unsafe fn call_with_copy(function: Object, bound_self: Object, call: &Call) -> Object {
    let mut room = ObjectBuffer::<INLINE>::new();
    // SAFETY: as for `call_function`.
    unsafe {
        let values = call.values();
        let arguments = room.nulls(values.len() + 1);
        arguments[0] = bound_self;
        arguments[1..].copy_from_slice(values);
        ffi::PyObject_Vectorcall(function, arguments.as_ptr(), call.positional + 1, call.names)
    }
}

/// `bound_self` in the place before the first argument, which the caller of a vectorcall may lend; put
/// back when this is dropped.
struct Prepended {
    first: *mut Object,
    before: Object,
}

impl Prepended {
    unsafe fn new(call: &Call, bound_self: Object) -> Option<Self> {
        if call.flagged & ffi::PY_VECTORCALL_ARGUMENTS_OFFSET == 0 {
            return None;
        }
        // SAFETY: the flag says that the place exists and may be changed for the time of the call.
        unsafe {
            let first = call.arguments.cast_mut().sub(1);
            Some(Self {
                first,
                before: std::mem::replace(&mut *first, bound_self),
            })
        }
    }
}

impl Drop for Prepended {
    fn drop(&mut self) {
        // SAFETY: as in `new`; the call is not over.
        unsafe { *self.first = self.before };
    }
}

unsafe fn enter(this: *mut CompiledCallable, call: &Call) -> Entered {
    // SAFETY: the vectorcall protocol; `function` is a Python function.
    unsafe {
        let function = (*this).function.cast::<ffi::PyFunctionObject>();
        use_code(this, (*function).func_code);
        let bound_self = (*this).bound_self;
        let given = call.positional + usize::from(!bound_self.is_null());
        if call.names.is_null() && (*this).signature.direct == given as isize {
            if bound_self.is_null() {
                return enter_bound(this, call, argument_slice(call.arguments, given));
            }
            if let Some(prepended) = Prepended::new(call, bound_self) {
                return enter_bound(this, call, argument_slice(prepended.first, given));
            }
        }
        bind_and_find_entry(this, call)
    }
}

/// The next calls are of `code`, a code object.
///
/// # Safety
/// The thread is attached; both are alive.
#[inline]
pub unsafe fn use_code(this: *mut CompiledCallable, code: Object) {
    // SAFETY: the caller's promise.
    unsafe {
        if (*this).code != code {
            read_signature(this, code);
        }
    }
}

/// The function has another code object than at the last call (or there was none).
#[cold]
unsafe fn read_signature(this: *mut CompiledCallable, code: Object) {
    // SAFETY: `code` is a code object; the callable keeps it, so that its address stands for it and its
    // names stay. The old one goes last: somebody may watch it with a weak reference.
    unsafe {
        let old = std::mem::replace(&mut (*this).code, ffi::Py_NewRef(code));
        (*this).signature = Signature::new(code_signature(code));
        ffi::Py_XDECREF(old);
    }
}

#[inline(never)]
unsafe fn bind_and_find_entry(this: *mut CompiledCallable, call: &Call) -> Entered {
    let mut room = ObjectBuffer::<INLINE>::new();
    // SAFETY: as for `enter`. The code is held because binding allocates, which may run finalisers.
    unsafe {
        let (function, code) = ((*this).function.cast(), ffi::Py_NewRef((*this).code));
        let (bound, outcome) = bind(function, (*this).signature, (*this).bound_self, call, &mut room);
        let entered = match outcome {
            Ok(()) => enter_bound(this, call, bound),
            Err(Unbound::Cpython) => Entered::Cpython,
            Err(Unbound::Raised) => Entered::Done(null_mut()),
        };
        release_all(bound);
        ffi::Py_DECREF(code);
        entered
    }
}

/// `count` arguments; the pointer of a call without any may be null.
#[inline]
unsafe fn argument_slice<'a>(arguments: *const Object, count: usize) -> &'a [Object] {
    if count == 0 {
        return &[];
    }
    // SAFETY: the vectorcall protocol.
    unsafe { std::slice::from_raw_parts(arguments, count) }
}

/// A call whose arguments are bound.
#[inline]
unsafe fn enter_bound(this: *mut CompiledCallable, call: &Call, arguments: &[Object]) -> Entered {
    // SAFETY: live objects; the callable is being called.
    unsafe {
        match find_entry(this, 0, arguments, &mut |hit| {
            run_entry(this, call, arguments, hit)
        }) {
            Found::Ran(entered) => entered,
            Found::Nothing => Entered::Cpython,
            Found::Raised => Entered::Done(null_mut()),
        }
    }
}

/// Runs an entry for the start of the function.
#[inline]
unsafe fn run_entry(
    this: *mut CompiledCallable,
    call: &Call,
    arguments: &[Object],
    hit: &mut Hit<'_>,
) -> Entered {
    let Some(plan) = &hit.entry.plan else {
        // SAFETY: as for `call_function`.
        return unsafe { run_in_cpython(this, call) };
    };
    if plan.stop.is_some() {
        // SAFETY: as above.
        return unsafe { enter_frame(this, call, arguments, hit) };
    }
    // SAFETY: the guards hold, so the slots are live objects; the entry is held by the caller.
    match unsafe { run(plan, hit.slots) } {
        Ran::Done(result) => Entered::Done(result),
        Ran::Thrown(place) => {
            // SAFETY: an exception is set.
            unsafe { frames::add_traceback_entry(place.frame) };
            Entered::Done(null_mut())
        }
        Ran::Replay => {
            // SAFETY: an exception is set.
            unsafe { report_graph_error(this, hit) };
            Entered::Repeat
        }
    }
}

/// An entry says that the call is CPython's. That of a function whose frames are suspended gives a generator,
/// of which the segments are ours.
#[cold]
unsafe fn run_in_cpython(this: *mut CompiledCallable, call: &Call) -> Entered {
    // SAFETY: the callable is being called.
    unsafe {
        if (*this).signature.suspends() {
            return Entered::Done(frames::start_generator(this, call));
        }
        (*this).fallbacks.add();
        Entered::Cpython
    }
}

/// Runs an entry that stops inside the function, in the frame of this call.
#[inline(never)]
unsafe fn enter_frame(
    this: *mut CompiledCallable,
    call: &Call,
    arguments: &[Object],
    hit: &mut Hit<'_>,
) -> Entered {
    // SAFETY: the callable is being called with these arguments.
    unsafe {
        if (*this).signature.suspends() || !frames::may_drive((*this).code) {
            (*this).fallbacks.add();
            return Entered::Cpython;
        }
        Entered::Done(frames::call_in_frame(this, call, arguments, hit))
    }
}

/// The graph of `hit` has raised, and CPython runs its part of the call: the exception is dropped, counted and
/// told.
///
/// # Safety
/// The thread is attached and an exception is set.
#[cold]
pub unsafe fn report_graph_error(this: *mut CompiledCallable, hit: &Hit<'_>) {
    hit.entry.graph_errors.add();
    // SAFETY: the caller's promise.
    unsafe {
        (*this).graph_errors.add();
        (*this).fallbacks.add();
        graph_errors::report(this.cast(), hit.object);
    }
}
