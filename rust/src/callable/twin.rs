//! The call of a compiled module, a twin: that of the callable in its slot, without a Python frame.

use crate::boundary;
use crate::guards::python::_PyType_Lookup;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The name of the slot, an owned reference that stays.
static NAME: AtomicPtr<ffi::PyObject> = AtomicPtr::new(null_mut());

/// `call_by_slot(cls)`: instances of the class are called as `self._framelift_call`, as its `__call__` in Python
/// says, too. Classes that are derived from it, or another `__call__`, do not have that.
#[pyfunction]
#[pyo3(signature = (class, /))]
pub fn call_by_slot(class: &Bound<'_, PyType>) {
    if NAME.load(Ordering::Relaxed).is_null() {
        let name = PyString::intern(class.py(), "_framelift_call");
        NAME.store(name.into_ptr(), Ordering::Relaxed);
    }
    // SAFETY: a class made in Python, so that its slots may be written; attached.
    unsafe { (*class.as_type_ptr()).tp_call = Some(call) };
}

unsafe extern "C" fn call(twin: Object, arguments: Object, keywords: Object) -> Object {
    // SAFETY: the protocol of `tp_call`: two live objects, and null or a dictionary.
    boundary::raw(|| unsafe {
        let class = ffi::Py_TYPE(twin);
        let slot = _PyType_Lookup(class, NAME.load(Ordering::Relaxed));
        let Some(get) = (!slot.is_null())
            .then(|| (*ffi::Py_TYPE(slot)).tp_descr_get)
            .flatten()
        else {
            ffi::PyErr_SetString(ffi::PyExc_TypeError, c"not a compiled module".as_ptr());
            return null_mut();
        };
        let callable = get(slot, twin, class.cast());
        if callable.is_null() {
            return null_mut();
        }
        let result = ffi::PyObject_Call(callable, arguments, keywords);
        ffi::Py_DECREF(callable);
        result
    })
}
