//! The one object that stands for a callable.
//!
//! `x.add`, `[].append` and `C().method` are new objects at each access, so rules are kept for what they
//! were made from: the descriptor in the type, the function in the class. A module's functions and
//! everything else stand for themselves.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use std::sync::OnceLock;

unsafe extern "C" {
    static mut PyMethod_Type: ffi::PyTypeObject;
    /// Borrowed: the callable a bound method calls.
    fn PyMethod_Function(method: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

/// What `object` was bound from, or None if it stands for itself.
pub fn unbound<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let kind = object.get_type_ptr();
    if kind == &raw mut PyMethod_Type {
        // SAFETY: `object` is exactly a bound method; the borrowed function is made an owned reference.
        return Ok(Some(unsafe {
            Bound::from_borrowed_ptr(object.py(), PyMethod_Function(object.as_ptr()))
        }));
    }
    if kind == method_wrapper_type(object.py())? {
        return slot_wrapper(object);
    }
    // SAFETY: the check reads the object's type only.
    if unsafe { ffi::PyCFunction_Check(object.as_ptr()) } != 0 {
        return descriptor_of(object);
    }
    Ok(None)
}

/// The type of `(1).__add__`, which CPython 3.13 does not export; it is never freed.
fn method_wrapper_type(py: Python<'_>) -> PyResult<*mut ffi::PyTypeObject> {
    static TYPE: OnceLock<usize> = OnceLock::new();
    if let Some(&known) = TYPE.get() {
        return Ok(known as *mut ffi::PyTypeObject);
    }
    let found = 1_i32.into_pyobject(py)?.getattr("__add__")?.get_type_ptr();
    Ok(*TYPE.get_or_init(|| found as usize) as *mut ffi::PyTypeObject)
}

/// `(1).__add__` was bound from `int.__add__`.
fn slot_wrapper<'py>(wrapper: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = wrapper.py();
    let owner = wrapper.getattr(intern!(py, "__objclass__"))?;
    let name = wrapper.getattr(intern!(py, "__name__"))?;
    own_attribute(&owner, &name)
}

/// The method descriptor in the classes of `__self__` with this very C definition: the name alone could
/// be a subclass's override.
fn descriptor_of<'py>(function: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = function.py();
    // SAFETY: the caller has checked that this is a C function, so it has this layout.
    let (definition, target) = unsafe {
        let raw = function.as_ptr().cast::<ffi::PyCFunctionObject>();
        ((*raw).m_ml, (*raw).m_self)
    };
    // SAFETY: `target` is null or a live object owned by the function; the check reads its type.
    if target.is_null() || unsafe { ffi::PyModule_Check(target) } != 0 {
        return Ok(None);
    }
    // SAFETY: `target` is live as long as `function`; this makes an owned reference.
    let target: Bound<'py, PyAny> = unsafe { Bound::from_borrowed_ptr(py, target) };
    let name = function.getattr(intern!(py, "__name__"))?;
    // SAFETY: the check reads the type's flags only.
    if unsafe { ffi::PyType_Check(target.as_ptr()) } != 0
        && let Some(found) = defined_in(&target, &name, definition)?
    {
        return Ok(Some(found));
    }
    defined_in(target.get_type().as_any(), &name, definition)
}

/// The descriptor called `name` with this C definition in a class or its bases.
fn defined_in<'py>(
    class: &Bound<'py, PyAny>,
    name: &Bound<'py, PyAny>,
    definition: *mut ffi::PyMethodDef,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    // SAFETY: `class` is a type object; `tp_mro` is null (a class being made) or a tuple it owns.
    let mro = unsafe { (*class.as_ptr().cast::<ffi::PyTypeObject>()).tp_mro };
    if mro.is_null() {
        return Ok(None);
    }
    // SAFETY: the tuple is owned by the class; an owned reference is made before anything else runs.
    let mro: Bound<'py, PyAny> = unsafe { Bound::from_borrowed_ptr(class.py(), mro) };
    for base in mro.cast::<PyTuple>()?.iter() {
        let Some(found) = own_attribute(&base, name)? else {
            continue;
        };
        let kind = found.get_type_ptr();
        if kind != &raw mut ffi::PyMethodDescr_Type && kind != &raw mut ffi::PyClassMethodDescr_Type {
            continue;
        }
        // SAFETY: both kinds of descriptor have this layout.
        let defined = unsafe { (*found.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method };
        if defined == definition {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A class's own attribute, or None. Read through `type`'s own descriptor, so that a metaclass with an
/// attribute access of its own isn't asked.
fn own_attribute<'py>(
    class: &Bound<'py, PyAny>,
    name: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    static DICT_OF: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = class.py();
    let dict_of = DICT_OF.get_or_try_init(py, || {
        let names = py.get_type::<PyType>().getattr(intern!(py, "__dict__"))?;
        names.get_item(intern!(py, "__dict__")).map(Bound::unbind)
    })?;
    let names = dict_of.bind(py).call_method1(intern!(py, "__get__"), (class,))?;
    let found = names.call_method1(intern!(py, "get"), (name,))?;
    Ok(if found.is_none() { None } else { Some(found) })
}
