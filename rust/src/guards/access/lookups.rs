//! Items of dictionaries and attributes of classes, found by a key; each remembers its last answer.

use crate::guards::build::Builder;
use crate::guards::lookup::{Lookup, find, table_place};
use crate::guards::python::{_PyType_Lookup, class_dict, has_flags};
use crate::guards::versions::dict_version;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::cell::Cell;
use std::ptr::null_mut;

/// A key of a dictionary, with the answer of the last time.
pub struct DictItem {
    key: Object,
    hash: ffi::Py_hash_t,
    /// CPython numbers every state of every dictionary: the same number, the same answer, but for [`Kept`].
    version: Cell<u64>,
    value: Cell<Object>,
    kept: Cell<Option<Kept>>,
}

/// Where a dictionary has a value, for a value whose end may run user code.
///
/// CPython up to 3.12 releases what an attribute held before it gives the dictionary the number of its new state
/// (`STORE_ATTR_WITH_HINT`). Whoever is called by that release must not find the old object under the old number, so
/// its place is looked at, too. It is a place in the dictionary's table as long as that is the same.
#[derive(Clone, Copy)]
pub struct Kept {
    table: Object,
    place: *const Object,
}

/// A name looked up along a class's method resolution order, with the answer of the last time.
pub struct TypeLookup {
    name: Object,
    after: Object,
    version: Cell<u32>,
    value: Cell<Object>,
}

impl DictItem {
    /// The item under `key`.
    pub fn new(key: &Bound<'_, PyAny>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            hash: key.hash()?,
            key: builder.keep(key),
            version: Cell::new(0),
            value: Cell::new(null_mut()),
            kept: Cell::new(None),
        })
    }

    /// # Safety
    /// As for [`super::Access::fetch`].
    #[inline]
    pub unsafe fn fetch(&self, dict: Object) -> Object {
        // SAFETY: the type is checked first. A remembered value is held by a dictionary in the state in
        // which it was found there, because no two states of any dictionaries have the same number.
        unsafe {
            if ffi::PyDict_Check(dict) == 0 {
                return null_mut();
            }
            let version = dict_version(dict);
            let value = self.value.get();
            if version != 0
                && version == self.version.get()
                && self.kept.get().is_none_or(|kept| kept.holds(dict, value))
            {
                return value;
            }
            let Lookup::Found(value, place) = find(dict, self.key, self.hash) else {
                return null_mut();
            };
            self.value.set(value);
            self.version.set(version);
            self.kept.set(Kept::new(dict, value, place));
            value
        }
    }

    /// Where `dict` keeps the item besides numbering its state, if that must be looked at.
    ///
    /// # Safety
    /// `dict` is a dict or of a subclass and has the item; the thread is attached, with no exception set.
    pub unsafe fn kept_in(&self, dict: Object) -> Option<Kept> {
        // SAFETY: the caller's promise.
        unsafe {
            let Lookup::Found(value, place) = find(dict, self.key, self.hash) else {
                return None;
            };
            Kept::new(dict, value, place)
        }
    }
}

impl Kept {
    /// `place` is null where `dict` shares its keys with others: the release of such a value finds a new number.
    unsafe fn new(dict: Object, value: Object, place: *const Object) -> Option<Self> {
        // SAFETY: a dict and a live value.
        unsafe {
            (!place.is_null() && !ends_silently(value)).then(|| Self {
                table: *table_place(dict),
                place,
            })
        }
    }

    /// Whether `dict`, in the state of the same number, still has `value` there.
    #[inline]
    unsafe fn holds(self, dict: Object, value: Object) -> bool {
        // SAFETY: a dict; the place is in its table if that is the same.
        unsafe { *table_place(dict) == self.table && *self.place == value }
    }

    /// The place, to be read while `dict` has the table that it has now.
    pub fn place(self) -> *const Object {
        self.place
    }
}

/// Whether an object of this type can't refer to others and nobody can ask to be told of its end.
///
/// # Safety
/// `value` is a live object.
unsafe fn ends_silently(value: Object) -> bool {
    // SAFETY: the caller gives a live object, whose type is alive.
    let class = unsafe { &*ffi::Py_TYPE(value) };
    class.tp_flags & (ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_HEAPTYPE) == 0 && class.tp_weaklistoffset == 0
}

/// The item of a dictionary under a name; null for a key that is no exact string.
///
/// # Safety
/// As for [`super::Access::fetch`].
pub unsafe fn named_item(dict: Object, name: Object) -> Object {
    // SAFETY: the types are checked first; the hash of a string neither fails nor calls anybody.
    unsafe {
        if ffi::PyDict_Check(dict) == 0 || ffi::PyUnicode_CheckExact(name) == 0 {
            return null_mut();
        }
        match find(dict, name, ffi::PyObject_Hash(name)) {
            Lookup::Found(value, _) => value,
            Lookup::Missing | Lookup::Unknown => null_mut(),
        }
    }
}

impl TypeLookup {
    /// A lookup of `name`, behind the class `after` unless that is None.
    pub fn new(name: &Bound<'_, PyAny>, after: &Bound<'_, PyAny>, builder: &mut Builder) -> PyResult<Self> {
        let after = if after.is_none() {
            null_mut()
        } else {
            builder.keep_class(after)?
        };
        Ok(Self {
            name: builder.keep(name.cast::<PyString>()?),
            after,
            version: Cell::new(0),
            value: Cell::new(null_mut()),
        })
    }

    /// The raw attribute, borrowed; null where no class of the order has it or `class` is none.
    ///
    /// # Safety
    /// As for [`super::Access::fetch`].
    #[inline]
    pub unsafe fn fetch(&self, class: Object) -> Object {
        // SAFETY: the type is checked first. Version tags are never given twice, and change with every
        // change along the order: the same tag, the same class and the same answer.
        unsafe {
            if !has_flags(class, ffi::Py_TPFLAGS_TYPE_SUBCLASS) {
                return null_mut();
            }
            let class = class.cast::<ffi::PyTypeObject>();
            let version = (*class).tp_version_tag;
            if version != 0 && version == self.version.get() {
                return self.value.get();
            }
            // This also numbers the class.
            let mut value = _PyType_Lookup(class, self.name);
            if !self.after.is_null() {
                value = self.search_behind(class);
            }
            self.value.set(value);
            self.version.set((*class).tp_version_tag);
            value
        }
    }

    unsafe fn search_behind(&self, class: *mut ffi::PyTypeObject) -> Object {
        // SAFETY: a class holds its order, a tuple of classes; class dictionaries have string keys, and
        // `find` refuses others.
        unsafe {
            let order = (*class).tp_mro;
            let hash = ffi::PyObject_Hash(self.name);
            let mut behind = false;
            for index in 0..ffi::PyTuple_GET_SIZE(order) {
                let base = ffi::PyTuple_GET_ITEM(order, index);
                if behind && let Lookup::Found(value, _) = find(class_dict(base.cast()), self.name, hash) {
                    return value;
                }
                behind |= base == self.after;
            }
            null_mut()
        }
    }
}
