//! Children: the compiled callables that drive the frames which a callable's breaks enter. Python says which
//! (`child_for`), and what it said is remembered here by the frame's code and first argument.
//!
//! The memory is no truth of its own: whatever could change an answer makes all callables forget theirs. First
//! arguments are compared by address and not held. An object at the address of one that died gets that one's
//! child until then, whose guards are as true for it as for any.

use crate::callable::CompiledCallable;
use crate::callable::foreign_tracer::without_tracer;
use crate::callable::type_object::is_compiled;
use crate::frames;
use crate::objects::Object;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

const PLACES: usize = 64;
/// How many places an answer may be at: a few that fall together do not drive each other out.
const NEAR: usize = 4;

/// How often everything was forgotten.
static FORGOTTEN: AtomicUsize = AtomicUsize::new(0);

/// `forget_children()`: an object that had a child is gone, or a child is not to be shared any more.
#[pyfunction]
pub fn forget_children() {
    FORGOTTEN.fetch_add(1, Ordering::Relaxed);
}

/// What answers depend on, apart from code and argument.
fn edition() -> (usize, usize) {
    (FORGOTTEN.load(Ordering::Relaxed), frames::edition_of_rules())
}

#[derive(Clone, Copy)]
struct Place {
    /// Held by the child.
    code: Object,
    /// Null: any.
    first: Object,
    /// Owned, or null.
    child: Object,
}

/// Answers, each at one of the places that its code and argument say, the first that was free; where none was, a
/// later one takes the place of an earlier one.
pub struct Children {
    edition: (usize, usize),
    places: [Place; PLACES],
}

impl Children {
    fn new() -> Box<Self> {
        let empty = Place {
            code: null_mut(),
            first: null_mut(),
            child: null_mut(),
        };
        Box::new(Self {
            edition: edition(),
            places: [empty; PLACES],
        })
    }

    fn near(code: Object, first: Object) -> impl Iterator<Item = usize> {
        let start = (code as usize >> 4) ^ (first as usize >> 4).wrapping_mul(0x9E37_79B1);
        (0..NEAR).map(move |step| start.wrapping_add(step) % PLACES)
    }

    /// Borrowed, or null.
    fn get(&self, code: Object, first: Object) -> Object {
        Self::near(code, first)
            .map(|index| &self.places[index])
            .find(|place| place.code == code && place.first == first)
            .map_or(null_mut(), |place| place.child)
    }

    /// Takes the child over; what it gives is for the caller to release.
    fn put(&mut self, code: Object, first: Object, child: Object) -> Object {
        let is_for_it = |place: &Place| place.child.is_null() || (place.code == code && place.first == first);
        let near = || Self::near(code, first);
        let free = near().find(|&index| is_for_it(&self.places[index]));
        let index = free.or_else(|| near().next()).unwrap_or_default();
        std::mem::replace(&mut self.places[index], Place { code, first, child }).child
    }

    /// The children, borrowed.
    pub fn iter(&self) -> impl Iterator<Item = Object> + '_ {
        self.places
            .iter()
            .map(|place| place.child)
            .filter(|child| !child.is_null())
    }

    /// Releases all.
    ///
    /// # Safety
    /// The thread is attached.
    pub unsafe fn release(self) {
        for child in self.iter() {
            // SAFETY: owned, and not reachable from the callable any more.
            unsafe { ffi::Py_DECREF(child) };
        }
    }
}

/// The child of `this` for a frame of `function` and `code` with this first argument: a new reference, or null
/// where there is none.
///
/// # Safety
/// The thread is attached; the callable and the objects are alive.
pub unsafe fn child_of(this: *mut CompiledCallable, function: Object, code: Object, first: Object) -> Object {
    // SAFETY: the caller's promise. Nothing is borrowed from the callable while other code runs.
    unsafe {
        let known = remembered(this, code, first);
        if !known.is_null() {
            return known;
        }
        let child = ask_child_for((*this).child_for(), function, first);
        if !child.is_null() {
            let first = if (*child.cast::<CompiledCallable>()).of_one_object {
                first
            } else {
                null_mut()
            };
            let children = (*this).children.get_or_insert_with(Children::new);
            let old = children.put(code, first, ffi::Py_NewRef(child));
            ffi::Py_XDECREF(old);
        }
        child
    }
}

/// What was answered before: a new reference, or null.
unsafe fn remembered(this: *mut CompiledCallable, code: Object, first: Object) -> Object {
    // SAFETY: as for `child_of`.
    unsafe {
        let Some(children) = (*this).children.as_deref() else {
            return null_mut();
        };
        if children.edition != edition() {
            if let Some(old) = (*this).children.take() {
                old.release();
            }
            return null_mut();
        }
        let child = children.get(code, first);
        let child = if child.is_null() {
            children.get(code, null_mut())
        } else {
            child
        };
        ffi::Py_XNewRef(child)
    }
}

/// What `child_for(function, first_argument)` says: a compiled callable, a new reference; or null for None. An
/// exception is reported and means None: CPython can always run the frame.
///
/// # Safety
/// The thread is attached; the objects are alive.
#[cold]
unsafe fn ask_child_for(child_for: Object, function: Object, first: Object) -> Object {
    Python::attach(|py| {
        // SAFETY: the caller's promise; held here, because the attribute may be set meanwhile.
        let (child_for, function, first) = unsafe {
            (
                Bound::from_borrowed_ptr(py, child_for),
                Bound::from_borrowed_ptr(py, function),
                Bound::from_borrowed_ptr(py, first),
            )
        };
        match without_tracer(py, || child_for.call1((&function, &first))) {
            Ok(answer) if answer.is_none() => null_mut(),
            Ok(answer) => {
                let answer = answer.into_ptr();
                // SAFETY: a live object.
                unsafe {
                    if is_compiled(answer) {
                        return answer;
                    }
                    ffi::Py_DECREF(answer);
                }
                let error = PyTypeError::new_err("child_for must return a CompiledCallable or None");
                error.write_unraisable(py, Some(&child_for));
                null_mut()
            }
            Err(error) => {
                error.write_unraisable(py, Some(&child_for));
                null_mut()
            }
        }
    })
}
