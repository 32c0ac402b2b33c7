//! One call of a compiled callable: bind, find the entry whose guards hold, run it.
//!
//! References: the caller owns the callable and the arguments during the call; an entry is held while it
//! is tried and run; the tuple of entries is read anew for each of them, so that nothing depends on what
//! others do with it meanwhile. The driver of frames searches the entries of resume points with the same
//! functions.

use crate::boundary;
use crate::cache::{Entry, move_to_front};
use crate::callable::bind::{Call, Signature, Unbound, bind};
use crate::callable::failures::Failures;
use crate::callable::fingerprint::{self, ask_for_difference, fingerprint};
use crate::callable::foreign_tracer::without_tracer;
use crate::callable::{CompiledCallable, compiling, graph_errors};
use crate::execute::{Ran, run};
use crate::frames;
use crate::guards::Outcome;
use crate::layout::code_signature;
use crate::objects::{INLINE, Object, ObjectBuffer, release_all};
use pyo3::exceptions::{PyReferenceError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

/// Slots of a guard tree that lie on the stack; a tree that collects more takes them from the heap.
const INLINE_SLOTS: usize = 64;

/// How far a call came.
enum Entered {
    /// The result, a new reference; or null with an exception set.
    Done(Object),
    /// CPython is to run the function; nothing has happened that it would notice.
    Cpython,
    /// The same, as a graph has raised: what the function calls is repeated, too.
    Repeat,
}

/// An entry whose guards hold.
pub struct Hit<'a> {
    /// The entry as an object, held by whoever made this.
    object: Object,
    pub entry: &'a Entry,
    /// What the guards collected: owned references, released by whoever made this unless they were before.
    pub slots: &'a mut [Object],
}

impl Hit<'_> {
    /// Releases what the guards collected, for a call that goes on long after the segment.
    ///
    /// # Safety
    /// The thread is attached, and nobody uses the slots any more.
    pub unsafe fn release_slots(&mut self) {
        for slot in &mut *self.slots {
            let object = std::mem::replace(slot, null_mut());
            // SAFETY: owned, or null.
            unsafe { ffi::Py_XDECREF(object) };
        }
    }
}

/// How a search among the entries of a resume point ended.
pub enum Found<T> {
    /// An entry fitted and was run.
    Ran(T),
    /// CPython is to go on.
    Nothing,
    /// An exception is set.
    Raised,
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

/// Where the tuple of entries for `offset` is kept, null if there is none. Good until entries are added.
#[inline]
unsafe fn entries_place(this: *mut CompiledCallable, offset: u32) -> *mut Object {
    // SAFETY: the callable is alive.
    unsafe {
        if offset == 0 {
            return &raw mut (*this).entries;
        }
        let points = &mut (*this).resume_points;
        let place = points.as_mut().and_then(|points| points.place(offset));
        place.map_or(null_mut(), std::ptr::from_mut)
    }
}

/// So many entries are asked one after the other; of more, the one is asked first that a call like this has hit.
const FEW_ENTRIES: isize = 3;

/// Tries the entries of `offset` and then `on_miss`; `run` is called with the first that fits. The one that hit
/// last is tried first, and then one that was hit by a call like this.
///
/// # Safety
/// The thread is attached; the callable is being called; the arguments are alive during the search.
pub unsafe fn find_entry<T>(
    this: *mut CompiledCallable,
    offset: u32,
    arguments: &[Object],
    run: &mut impl FnMut(&mut Hit<'_>) -> T,
) -> Found<T> {
    // SAFETY: what is in a place of entries is a tuple of `Entry` at all times.
    unsafe {
        let mut index = 0;
        let mut print = fingerprint::NONE;
        let mut likely = None;
        loop {
            let place = entries_place(this, offset);
            if place.is_null() || index >= ffi::PyTuple_GET_SIZE(*place) {
                return miss(this, offset, arguments, run);
            }
            if index == 1 && print == fingerprint::NONE && ffi::PyTuple_GET_SIZE(*place) > FEW_ENTRIES {
                print = fingerprint(*place, arguments);
                likely = (1..ffi::PyTuple_GET_SIZE(*place)).find(|&index| {
                    let entry = Entry::from_pointer(ffi::PyTuple_GET_ITEM(*place, index));
                    entry.fingerprint.load(Ordering::Relaxed) == print
                });
            }
            let is_likely = likely.is_some();
            let tried = likely.take().unwrap_or(index);
            let object = ffi::Py_NewRef(ffi::PyTuple_GET_ITEM(*place, tried));
            let found = try_entry(this, offset, object, (tried, print), arguments, run);
            if is_likely && found.is_none() {
                let place = entries_place(this, offset);
                if !place.is_null() {
                    ask_for_difference(*place, object, arguments);
                }
            }
            ffi::Py_DECREF(object);
            if let Some(found) = found {
                return found;
            }
            if tried == index {
                index += 1;
            }
        }
    }
}

/// Runs the entry if its guards hold. `at` is its place among the entries, 0 where it may stay, and the
/// fingerprint of the call, if that was taken.
#[inline]
unsafe fn try_entry<T>(
    this: *mut CompiledCallable,
    offset: u32,
    object: Object,
    at: (isize, u64),
    arguments: &[Object],
    run: &mut impl FnMut(&mut Hit<'_>) -> T,
) -> Option<Found<T>> {
    // SAFETY: `object` is an `Entry` that the caller holds.
    let entry = unsafe { Entry::from_pointer(object) };
    // The code may have changed under the entry, and the tree reads as many arguments as it was made for.
    if entry.argument_count != arguments.len() {
        return None;
    }
    let mut room = ObjectBuffer::<INLINE_SLOTS>::new();
    let slots = room.nulls(entry.slot_count);
    // SAFETY: the arguments are live objects, `slots` as many nulls as the tree collects.
    match unsafe { entry.tree.get().evaluate(arguments.as_ptr(), slots) } {
        Outcome::Miss => None,
        Outcome::Error => Some(Found::Raised),
        Outcome::Hit => {
            entry.hits.add();
            let (index, print) = at;
            if print != fingerprint::NONE {
                entry.fingerprint.store(print, Ordering::Relaxed);
            }
            // SAFETY: as above; a hit has filled every slot with a reference that is ours.
            unsafe {
                let stale = to_front(this, offset, object, index);
                let mut hit = Hit { object, entry, slots };
                let ran = run(&mut hit);
                release_all(hit.slots);
                ffi::Py_XDECREF(stale);
                Some(Found::Ran(ran))
            }
        }
    }
}

/// Moves the entry that hit to the front, if it is still where it was found.
#[inline]
unsafe fn to_front(this: *mut CompiledCallable, offset: u32, object: Object, index: isize) -> Object {
    if index == 0 {
        return null_mut();
    }
    // SAFETY: what is in a place of entries is a tuple at all times.
    unsafe {
        let place = entries_place(this, offset);
        if place.is_null()
            || index >= ffi::PyTuple_GET_SIZE(*place)
            || ffi::PyTuple_GET_ITEM(*place, index) != object
        {
            return null_mut();
        }
        move_to_front(place, index)
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

/// No guards hold: asks `on_miss` for an entry and tries that.
#[cold]
#[inline(never)]
unsafe fn miss<T>(
    this: *mut CompiledCallable,
    offset: u32,
    arguments: &[Object],
    run: &mut impl FnMut(&mut Hit<'_>) -> T,
) -> Found<T> {
    // SAFETY: the arguments are live objects; references made here are released here.
    unsafe {
        (*this).misses.add();
        if (*this).on_miss == ffi::Py_None() {
            (*this).fallbacks.add();
            return Found::Nothing;
        }
        for &argument in arguments {
            // What is in a frame is not kept by anybody else, and `on_miss` runs long.
            ffi::Py_INCREF(argument);
        }
        let answer = ask_on_miss(this, offset, arguments);
        let found = if answer.is_null() {
            Some(Found::Raised)
        } else if answer == ffi::Py_None() {
            None
        } else {
            try_entry(this, offset, answer, (0, fingerprint::NONE), arguments, run)
        };
        ffi::Py_XDECREF(answer);
        release_all(arguments);
        found.unwrap_or_else(|| {
            (*this).fallbacks.add();
            Found::Nothing
        })
    }
}

/// What `on_miss(callable, arguments, failures, offset)` says: an `Entry` or None; null with an exception set.
unsafe fn ask_on_miss(this: *mut CompiledCallable, offset: u32, arguments: &[Object]) -> Object {
    boundary::attached(|py| {
        // SAFETY: as for `miss`; `on_miss` is held while it runs, it may be replaced meanwhile.
        let (callable, on_miss, entries, arguments) = unsafe {
            let tuple = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(arguments.len() as isize))?;
            for (index, &argument) in arguments.iter().enumerate() {
                ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index as isize, ffi::Py_NewRef(argument));
            }
            let place = entries_place(this, offset);
            let entries = if place.is_null() {
                PyTuple::empty(py).into_any()
            } else {
                Bound::from_borrowed_ptr(py, *place)
            };
            (
                Bound::from_borrowed_ptr(py, this.cast()),
                Bound::from_borrowed_ptr(py, (*this).on_miss),
                entries,
                tuple,
            )
        };
        if on_miss.is_none() {
            return Ok(py.None().into_ptr());
        }
        let failures = Failures::new(entries.unbind(), arguments.clone().unbind());
        let answer = without_tracer(py, || on_miss.call1((callable, arguments, failures, offset)))?;
        if !answer.is_none() && answer.cast_exact::<Entry>().is_err() {
            let found = answer.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "on_miss must return an Entry or None, not {found}"
            )));
        }
        Ok(answer.into_ptr())
    })
}
