//! The search for the entry of a call: by its guards among those of a resume point, then by asking for a new one.
//!
//! References: whoever searches holds the arguments; an entry is held while it is tried and run; the tuple of
//! entries is read anew for each of them, so that nothing depends on what others do with it meanwhile.

use crate::boundary;
use crate::cache::{Entry, move_to_front};
use crate::callable::CompiledCallable;
use crate::callable::failures::Failures;
use crate::callable::fingerprint::{self, ask_for_difference, fingerprint};
use crate::callable::foreign_tracer::without_tracer;
use crate::objects::{Object, ObjectBuffer, release_all};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

/// Slots of a guard tree that lie on the stack; a tree that collects more takes them from the heap.
const INLINE_SLOTS: usize = 64;

/// An entry whose guards hold.
pub struct Hit<'a> {
    /// The entry as an object, held by whoever made this.
    pub object: Object,
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
    if !unsafe { entry.tree.get().evaluate(arguments.as_ptr(), slots) } {
        return None;
    }
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
