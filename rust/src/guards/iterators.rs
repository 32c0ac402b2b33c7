//! Iterators of C half-way: what they give next, read without advancing them.
//!
//! CPython keeps the structures of its iterators to itself. They are written down here once more, and compared
//! at import with what live iterators say of themselves: a class for which they don't agree is left out, and a
//! loop over such an iterator is CPython's.

use super::build::Builder;
use super::python::_PySet_NextEntry;
use crate::objects::{Object, Released};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::ffi::Py_ssize_t;
use pyo3::prelude::*;
use std::ffi::{c_int, c_long};
use std::ptr::null_mut;
use std::sync::OnceLock;

/// What an iterator has `ahead` items behind its place.
pub enum Next {
    /// Borrowed, or a reference that `owned` has taken over.
    Item(Object),
    End,
    /// Asking would raise: the container was changed.
    Unknown,
}

/// Which part of an item is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The item, where it is one object.
    Whole,
    Key,
    Value,
}

impl Part {
    pub fn named(name: &str) -> PyResult<Self> {
        Ok(match name {
            "item" => Self::Whole,
            "key" => Self::Key,
            "value" => Self::Value,
            other => {
                return Err(PyValueError::new_err(format!("items have no part {other:?}")));
            }
        })
    }
}

/// Iterators of lists, tuples, strings and bytes, and those that go through a list backwards.
#[repr(C)]
pub struct Sequence {
    pub head: ffi::PyObject,
    pub index: Py_ssize_t,
    /// Null when the iterator has come to its end.
    pub container: Object,
}

#[cfg(not(Py_3_12))]
#[repr(C)]
pub struct Range {
    pub head: ffi::PyObject,
    pub index: c_long,
    pub start: c_long,
    pub step: c_long,
    pub length: c_long,
}

#[cfg(Py_3_12)]
#[repr(C)]
pub struct Range {
    pub head: ffi::PyObject,
    /// The next number.
    pub start: c_long,
    pub step: c_long,
    pub left: c_long,
}

impl Range {
    /// The number that is `steps` after the next one; None where there are no more.
    fn number(&self, steps: Py_ssize_t) -> Option<Py_ssize_t> {
        #[cfg(not(Py_3_12))]
        let (taken, left) = (self.index as Py_ssize_t, (self.length - self.index) as Py_ssize_t);
        #[cfg(Py_3_12)]
        let (taken, left) = (0, self.left as Py_ssize_t);
        // What the range has is no longer than a C long.
        (steps < left).then(|| self.start as Py_ssize_t + (taken + steps) * self.step as Py_ssize_t)
    }
}

/// Iterators over the keys, values or items of a dict.
#[repr(C)]
pub struct Dict {
    pub head: ffi::PyObject,
    pub container: Object,
    pub used: Py_ssize_t,
    pub position: Py_ssize_t,
    pub result: Object,
    pub left: Py_ssize_t,
}

#[repr(C)]
pub struct Set {
    pub head: ffi::PyObject,
    pub container: Object,
    pub used: Py_ssize_t,
    pub position: Py_ssize_t,
    pub left: Py_ssize_t,
}

/// The item is its number; what it numbers is an iterator of its own.
#[repr(C)]
pub struct Enumerate {
    pub head: ffi::PyObject,
    pub index: Py_ssize_t,
    pub iterator: Object,
    pub result: Object,
    /// The number where it is too large for `index`.
    pub long_index: Object,
}

#[repr(C)]
pub struct Zip {
    pub head: ffi::PyObject,
    pub count: Py_ssize_t,
    pub iterators: Object,
    pub result: Object,
    pub strict: c_int,
}

#[repr(C)]
pub struct Map {
    pub head: ffi::PyObject,
    pub iterators: Object,
    pub function: Object,
}

#[repr(C)]
pub struct Filter {
    pub head: ffi::PyObject,
    pub function: Object,
    pub iterator: Object,
}

/// Which structure an iterator has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Items,
    Text,
    Backwards,
    Range,
    Dict,
    Set,
    Enumerate,
    /// It has no place of its own, only the iterators it takes from.
    Composed,
}

/// Reads one part of an item of the iterators of one class.
pub struct NextItem {
    class: Object,
    kind: Kind,
    ahead: Py_ssize_t,
    part: Part,
}

impl NextItem {
    /// `ahead` items behind the place of iterators of `class`.
    pub fn new(
        builder: &mut Builder,
        class: &Bound<'_, PyAny>,
        ahead: Py_ssize_t,
        part: &str,
    ) -> PyResult<Self> {
        let kind = kind_of(class.as_ptr())
            .ok_or_else(|| PyTypeError::new_err(format!("{class} is not an iterator that can be read")))?;
        Ok(Self {
            class: builder.keep_class(class)?,
            kind,
            ahead: not_behind(ahead)?,
            part: Part::named(part)?,
        })
    }

    /// The item, borrowed from the container or held by `owned`; null where there is none.
    ///
    /// # Safety
    /// `iterator` is live; the thread is attached, with no exception set.
    #[inline]
    pub unsafe fn fetch(&self, iterator: Object, owned: &mut Released) -> Object {
        // SAFETY: the exact type is checked before the structure is read.
        unsafe {
            if ffi::Py_TYPE(iterator).cast() != self.class {
                return null_mut();
            }
            match read(self.kind, iterator, self.ahead, self.part, owned) {
                Next::Item(item) => item,
                Next::End | Next::Unknown => null_mut(),
            }
        }
    }
}

/// A number of items, to be taken before the one that is meant.
pub fn not_behind(ahead: Py_ssize_t) -> PyResult<Py_ssize_t> {
    if ahead < 0 {
        return Err(PyValueError::new_err("an item ahead is not behind"));
    }
    Ok(ahead)
}

/// What an iterator has `ahead` items behind its place; None for one that can't be read.
///
/// # Safety
/// `iterator` is live; the thread is attached, with no exception set; `ahead` is not negative.
pub unsafe fn next_of(iterator: Object, ahead: Py_ssize_t, part: Part, owned: &mut Released) -> Option<Next> {
    // SAFETY: a live object has a type; the kind is that of its exact type.
    unsafe {
        let kind = kind_of(ffi::Py_TYPE(iterator).cast())?;
        Some(read(kind, iterator, ahead, part, owned))
    }
}

/// # Safety
/// `iterator` is live and has the structure of `kind`; the thread is attached, with no exception set; `ahead` is not
/// negative.
pub unsafe fn read(
    kind: Kind,
    iterator: Object,
    ahead: Py_ssize_t,
    part: Part,
    owned: &mut Released,
) -> Next {
    // SAFETY: the caller's promise; an iterator holds what it refers to.
    unsafe {
        match kind {
            Kind::Items => {
                let iterator = &*iterator.cast::<Sequence>();
                let (sequence, index) = (iterator.container, iterator.index + ahead);
                if sequence.is_null() {
                    Next::End
                } else if ffi::PyList_Check(sequence) != 0 {
                    if index < ffi::PyList_GET_SIZE(sequence) {
                        Next::Item(ffi::PyList_GET_ITEM(sequence, index))
                    } else {
                        Next::End
                    }
                } else if index < ffi::PyTuple_GET_SIZE(sequence) {
                    Next::Item(ffi::PyTuple_GET_ITEM(sequence, index))
                } else {
                    Next::End
                }
            }
            Kind::Backwards => {
                let iterator = &*iterator.cast::<Sequence>();
                let (list, index) = (iterator.container, iterator.index - ahead);
                // One that begins behind a list that has become shorter gives nothing any more.
                if list.is_null() || index < 0 || iterator.index >= ffi::PyList_GET_SIZE(list) {
                    Next::End
                } else {
                    Next::Item(ffi::PyList_GET_ITEM(list, index))
                }
            }
            Kind::Text => text(&*iterator.cast::<Sequence>(), ahead, owned),
            Kind::Range => match (*iterator.cast::<Range>()).number(ahead) {
                Some(number) => new_number(number, owned),
                None => Next::End,
            },
            Kind::Dict => dict(&*iterator.cast::<Dict>(), ahead, part),
            Kind::Set => set(&*iterator.cast::<Set>(), ahead),
            Kind::Enumerate => {
                let iterator = &*iterator.cast::<Enumerate>();
                match iterator.index.checked_add(ahead) {
                    Some(number) if iterator.long_index.is_null() && number < Py_ssize_t::MAX => {
                        new_number(number, owned)
                    }
                    _ => Next::Unknown,
                }
            }
            Kind::Composed => Next::Unknown,
        }
    }
}

/// # Safety
/// The thread is attached.
unsafe fn new_number(number: Py_ssize_t, owned: &mut Released) -> Next {
    // SAFETY: the caller's promise.
    unsafe { taken_over(ffi::PyLong_FromSsize_t(number), owned) }
}

/// # Safety
/// `made` is a new reference, or null with an exception.
unsafe fn taken_over(made: Object, owned: &mut Released) -> Next {
    if made.is_null() {
        // SAFETY: the caller's promise.
        unsafe { ffi::PyErr_Clear() };
        return Next::Unknown;
    }
    owned.push(made);
    Next::Item(made)
}

/// # Safety
/// As for [`read`].
unsafe fn text(iterator: &Sequence, ahead: Py_ssize_t, owned: &mut Released) -> Next {
    let (text, index) = (iterator.container, iterator.index + ahead);
    // SAFETY: a string or bytes, read as such: an instance of a subclass may have methods of its own.
    unsafe {
        if text.is_null() {
            Next::End
        } else if ffi::PyUnicode_Check(text) == 0 {
            if index < ffi::PyBytes_Size(text) {
                let byte = *ffi::PyBytes_AsString(text).offset(index).cast::<u8>();
                new_number(Py_ssize_t::from(byte), owned)
            } else {
                Next::End
            }
        } else if index < ffi::PyUnicode_GetLength(text) {
            taken_over(ffi::PyUnicode_Substring(text, index, index + 1), owned)
        } else {
            Next::End
        }
    }
}

/// # Safety
/// As for [`read`].
unsafe fn dict(iterator: &Dict, ahead: Py_ssize_t, part: Part) -> Next {
    // SAFETY: the iterator holds its dict, which is not changed meanwhile.
    unsafe {
        if iterator.container.is_null() {
            return Next::End;
        }
        if iterator.used != ffi::PyDict_Size(iterator.container) {
            return Next::Unknown;
        }
        let (mut key, mut value) = (null_mut(), null_mut());
        let mut position = iterator.position;
        for _ in 0..=ahead {
            if ffi::PyDict_Next(
                iterator.container,
                &raw mut position,
                &raw mut key,
                &raw mut value,
            ) == 0
            {
                return Next::End;
            }
        }
        if ahead >= iterator.left {
            return Next::Unknown; // other keys than those it began with
        }
        Next::Item(if part == Part::Value { value } else { key })
    }
}

/// # Safety
/// As for [`read`].
unsafe fn set(iterator: &Set, ahead: Py_ssize_t) -> Next {
    // SAFETY: the iterator holds its set, which is not changed meanwhile.
    unsafe {
        if iterator.container.is_null() {
            return Next::End;
        }
        if iterator.used != ffi::PySet_GET_SIZE(iterator.container) {
            return Next::Unknown;
        }
        let (mut key, mut hash) = (null_mut(), 0);
        let mut position = iterator.position;
        for _ in 0..=ahead {
            if _PySet_NextEntry(iterator.container, &raw mut position, &raw mut key, &raw mut hash) == 0 {
                return Next::End;
            }
        }
        Next::Item(key)
    }
}

/// Classes of iterators and the structures they were found to have; none of them is ever freed.
pub static KINDS: OnceLock<Vec<(usize, Kind)>> = OnceLock::new();

pub fn kind_of(class: Object) -> Option<Kind> {
    let known = KINDS.get()?;
    known
        .iter()
        .find(|(one, _)| *one == class as usize)
        .map(|(_, kind)| *kind)
}
