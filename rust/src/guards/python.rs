//! CPython's exported functions that PyO3 does not declare, and small readings of its structures.

use crate::objects::Object;
use pyo3::ffi;

unsafe extern "C" {
    /// `collections.OrderedDict`.
    pub static mut PyODict_Type: ffi::PyTypeObject;
    /// Borrowed value, or null with or without an exception.
    pub fn _PyDict_GetItem_KnownHash(dict: Object, key: Object, hash: ffi::Py_hash_t) -> Object;
    /// Borrowed attribute of the method resolution order, or null without an exception.
    pub fn _PyType_Lookup(class: *mut ffi::PyTypeObject, name: Object) -> Object;
    /// Where the instance dictionary is kept, made real first where its values are stored inline.
    pub fn _PyObject_GetDictPtr(object: Object) -> *mut Object;
    /// Walks the entries of a set or frozenset.
    pub fn _PySet_NextEntry(
        set: Object,
        position: *mut ffi::Py_ssize_t,
        key: *mut Object,
        hash: *mut ffi::Py_hash_t,
    ) -> std::ffi::c_int;
}

/// Whether `object`'s type has one of `flags`.
///
/// # Safety
/// `object` is a live object.
#[inline]
pub unsafe fn has_flags(object: Object, flags: std::ffi::c_ulong) -> bool {
    // SAFETY: the caller gives a live object, whose type is alive.
    unsafe { (*ffi::Py_TYPE(object)).tp_flags & flags != 0 }
}

/// Runs `body` with the garbage collector off: what allocates then cannot start finalisers.
///
/// # Safety
/// The thread is attached.
#[inline]
pub unsafe fn without_collector<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: attached; the collector's state is put back below.
    let enabled = unsafe { ffi::PyGC_Disable() };
    let result = body();
    if enabled != 0 {
        // SAFETY: as above.
        unsafe { ffi::PyGC_Enable() };
    }
    result
}

/// The number of keys in the C storage of a dictionary.
///
/// # Safety
/// `dict` is a dict or of a subclass.
#[inline]
pub unsafe fn dict_size(dict: Object) -> ffi::Py_ssize_t {
    // SAFETY: the caller's promise.
    unsafe { (*dict.cast::<ffi::PyDictObject>()).ma_used }
}

/// The dictionary of the class itself, borrowed; null where it has none.
///
/// # Safety
/// `class` is a live class; the thread is attached.
pub unsafe fn class_dict(class: *mut ffi::PyTypeObject) -> Object {
    #[cfg(not(Py_3_12))]
    // SAFETY: a live class.
    unsafe {
        (*class).tp_dict
    }
    #[cfg(Py_3_12)]
    // SAFETY: a live class. The class, or the interpreter for static ones, holds the dictionary, so the
    // reference taken may be given back at once.
    unsafe {
        let dict = ffi::PyType_GetDict(class);
        ffi::Py_XDECREF(dict);
        dict
    }
}
