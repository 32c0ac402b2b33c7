//! One call of a compiled callable: bind, find the entry whose guards hold, run it.
//!
//! References: the caller owns the callable and the arguments during the call; an entry is held while it
//! is tried and run; the tuple of entries is read anew for each of them, so that nothing depends on what
//! others do with it meanwhile.

use crate::boundary;
use crate::cache::{Entry, move_to_front};
use crate::callable::bind::{Call, Signature, Unbound, bind};
use crate::callable::failures::Failures;
use crate::callable::{CompiledCallable, compiling, graph_errors};
use crate::execute::{Ran, run};
use crate::guards::Outcome;
use crate::layout::code_signature;
use crate::objects::{INLINE, Object, ObjectBuffer, release_all};
use pyo3::exceptions::{PyReferenceError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;

/// Slots of a guard tree that lie on the stack; a tree that collects more takes them from the heap.
const INLINE_SLOTS: usize = 64;

/// How far a call came.
enum Entered {
    /// The result, a new reference; or null with an exception set.
    Done(Object),
    /// CPython is to run the function; nothing has happened that it would notice.
    Cpython,
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
            if !compiling::is_compiling()
                && let Entered::Done(result) = enter(this, &call)
            {
                return result;
            }
            call_function(this, &call)
        }
    })
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
unsafe fn call_function(this: *mut CompiledCallable, call: &Call) -> Object {
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
        if (*function).func_code != (*this).code {
            read_signature(this, (*function).func_code);
        }
        let bound_self = (*this).bound_self;
        let given = call.positional + usize::from(!bound_self.is_null());
        if call.names.is_null() && (*this).signature.direct == given as isize {
            if bound_self.is_null() {
                return find_entry(this, call.arguments, given);
            }
            if let Some(prepended) = Prepended::new(call, bound_self) {
                return find_entry(this, prepended.first, given);
            }
        }
        bind_and_find_entry(this, call)
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
            Ok(()) => find_entry(this, bound.as_ptr(), bound.len()),
            Err(Unbound::Cpython) => Entered::Cpython,
            Err(Unbound::Raised) => Entered::Done(null_mut()),
        };
        release_all(bound);
        ffi::Py_DECREF(code);
        entered
    }
}

/// Tries the entries in order and then `on_miss`.
unsafe fn find_entry(this: *mut CompiledCallable, arguments: *const Object, count: usize) -> Entered {
    // SAFETY: `arguments` are `count` live objects; `entries` is a tuple of `Entry` at all times.
    unsafe {
        let mut index = 0;
        while index < ffi::PyTuple_GET_SIZE((*this).entries) {
            let object = ffi::Py_NewRef(ffi::PyTuple_GET_ITEM((*this).entries, index));
            let entered = try_entry(this, object, Some(index), arguments, count);
            ffi::Py_DECREF(object);
            if let Some(entered) = entered {
                return entered;
            }
            index += 1;
        }
        miss(this, arguments, count)
    }
}

/// Runs the entry if its guards hold. `index` is its place among the entries, if it has one.
#[inline]
unsafe fn try_entry(
    this: *mut CompiledCallable,
    object: Object,
    index: Option<isize>,
    arguments: *const Object,
    count: usize,
) -> Option<Entered> {
    // SAFETY: `object` is an `Entry` that the caller holds.
    let entry = unsafe { Entry::from_pointer(object) };
    // The code may have changed under the entry, and the tree reads as many arguments as it was made for.
    if entry.argument_count != count {
        return None;
    }
    let mut room = ObjectBuffer::<INLINE_SLOTS>::new();
    let slots = room.nulls(entry.slot_count);
    // SAFETY: `arguments` are `count` live objects, `slots` as many nulls as the tree collects.
    match unsafe { entry.tree.get().evaluate(arguments, slots) } {
        Outcome::Miss => None,
        Outcome::Error => Some(Entered::Done(null_mut())),
        Outcome::Hit => {
            entry.hits.add();
            // SAFETY: as above; a hit has filled every slot with a reference that is ours.
            unsafe {
                let stale = index.map_or(null_mut(), |index| to_front(this, object, index));
                let entered = run_entry(this, object, entry, slots);
                release_all(slots);
                ffi::Py_XDECREF(stale);
                Some(entered)
            }
        }
    }
}

/// Moves the entry that hit to the front, if it is still where it was found.
#[inline]
unsafe fn to_front(this: *mut CompiledCallable, object: Object, index: isize) -> Object {
    if index == 0 {
        return null_mut();
    }
    // SAFETY: `entries` is a tuple at all times.
    unsafe {
        let entries = (*this).entries;
        if index >= ffi::PyTuple_GET_SIZE(entries) || ffi::PyTuple_GET_ITEM(entries, index) != object {
            return null_mut();
        }
        move_to_front(&raw mut (*this).entries, index)
    }
}

#[inline]
unsafe fn run_entry(this: *mut CompiledCallable, object: Object, entry: &Entry, slots: &[Object]) -> Entered {
    let Some(plan) = &entry.plan else {
        // SAFETY: the callable is alive while it is called.
        unsafe { (*this).fallbacks.add() };
        return Entered::Cpython;
    };
    // SAFETY: the guards hold, so `slots` are live objects; the entry is held by the caller.
    match unsafe { run(plan, slots) } {
        Ran::Done(result) => Entered::Done(result),
        Ran::Replay => {
            entry.graph_errors.add();
            // SAFETY: an exception is set.
            unsafe {
                (*this).graph_errors.add();
                (*this).fallbacks.add();
                graph_errors::report(this.cast(), object);
            }
            Entered::Cpython
        }
    }
}

/// No guards hold: asks `on_miss` for an entry and tries that.
#[cold]
#[inline(never)]
unsafe fn miss(this: *mut CompiledCallable, arguments: *const Object, count: usize) -> Entered {
    // SAFETY: `arguments` are `count` live objects; references made here are released here.
    unsafe {
        (*this).misses.add();
        let answer = ask_on_miss(this, arguments, count);
        if answer.is_null() {
            return Entered::Done(null_mut());
        }
        let entered = if answer == ffi::Py_None() {
            None
        } else {
            try_entry(this, answer, None, arguments, count)
        };
        ffi::Py_DECREF(answer);
        entered.unwrap_or_else(|| {
            (*this).fallbacks.add();
            Entered::Cpython
        })
    }
}

/// What `on_miss(callable, arguments, failures)` says: an `Entry` or None; null with an exception set.
unsafe fn ask_on_miss(this: *mut CompiledCallable, arguments: *const Object, count: usize) -> Object {
    boundary::attached(|py| {
        // SAFETY: as for `miss`; `on_miss` is held while it runs, it may be replaced meanwhile.
        let (callable, on_miss, entries, arguments) = unsafe {
            let tuple = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(count as isize))?;
            for index in 0..count {
                let argument = ffi::Py_NewRef(*arguments.add(index));
                ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index as isize, argument);
            }
            (
                Bound::from_borrowed_ptr(py, this.cast()),
                Bound::from_borrowed_ptr(py, (*this).on_miss),
                Bound::from_borrowed_ptr(py, (*this).entries),
                tuple,
            )
        };
        if on_miss.is_none() {
            return Ok(py.None().into_ptr());
        }
        let failures = Failures::new(entries.unbind(), arguments.clone().unbind());
        let answer = on_miss.call1((callable, arguments, failures))?;
        if !answer.is_none() && answer.cast_exact::<Entry>().is_err() {
            let found = answer.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "on_miss must return an Entry or None, not {found}"
            )));
        }
        Ok(answer.into_ptr())
    })
}
