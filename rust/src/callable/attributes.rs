//! Attributes and methods of compiled callables.

use crate::boundary;
use crate::cache::{Counter, appended};
use crate::callable::resume_points::ResumePoints;
use crate::callable::{CompiledCallable, call};
use crate::objects::Object;
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString, PyTuple};
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;

/// What one field holds, None for null.
pub fn field(py: Python<'_>, object: Object, offset: usize) -> Bound<'_, PyAny> {
    // SAFETY: `offset` is that of an object field of our instance.
    unsafe {
        let pointer = object.byte_add(offset).cast::<Object>().read();
        Bound::from_borrowed_ptr_or_opt(py, pointer).unwrap_or_else(|| py.None().into_bound(py))
    }
}

/// Puts `value` into one field, and then releases what was there.
fn set_field(object: Object, offset: usize, value: Bound<'_, PyAny>) {
    // SAFETY: `offset` is that of an object field of our instance.
    unsafe {
        let place = object.byte_add(offset).cast::<Object>();
        let old = place.replace(value.into_ptr());
        ffi::Py_XDECREF(old);
    }
}

fn is_cleared(object: Object) -> bool {
    // SAFETY: our instance.
    unsafe { (*object.cast::<CompiledCallable>()).entries.is_null() }
}

// Attributes. The closure of a getter is the offset of its field, or the name of a function's attribute.

unsafe extern "C" fn get_field(object: Object, offset: *mut c_void) -> Object {
    boundary::attached(|py| Ok(field(py, object, offset as usize).into_ptr()))
}

unsafe extern "C" fn get_counter(object: Object, offset: *mut c_void) -> Object {
    boundary::attached(|py| {
        // SAFETY: `offset` is that of a counter of our instance.
        let count = unsafe { (*object.byte_add(offset as usize).cast::<Counter>()).get() };
        Ok(count.into_pyobject(py)?.into_any().into_ptr())
    })
}

/// The value given to a setter; `AttributeError` for `del`.
fn assigned(py: Python<'_>, value: Object) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a live object, or null for `del`.
    unsafe { Bound::from_borrowed_ptr_or_opt(py, value) }
        .ok_or_else(|| PyAttributeError::new_err("this attribute cannot be deleted"))
}

/// Sets what is asked in Python: a callable, or None.
fn set_question(object: Object, name: &str, offset: usize, value: Object) -> c_int {
    boundary::attached(|py| {
        let value = assigned(py, value)?;
        if !value.is_none() && !value.is_callable() {
            return Err(PyTypeError::new_err(format!("{name} must be callable or None")));
        }
        set_field(object, offset, value);
        Ok(0)
    })
}

unsafe extern "C" fn set_on_miss(object: Object, value: Object, _: *mut c_void) -> c_int {
    set_question(object, "on_miss", offset_of!(CompiledCallable, on_miss), value)
}

unsafe extern "C" fn get_passthrough(object: Object, _: *mut c_void) -> Object {
    boundary::attached(|py| {
        // SAFETY: our instance.
        let current = unsafe { (*object.cast::<CompiledCallable>()).vectorcall };
        let passes = current as usize == call::passed_through as ffi::vectorcallfunc as usize;
        Ok(PyBool::new(py, passes).to_owned().into_any().into_ptr())
    })
}

unsafe extern "C" fn set_passthrough(object: Object, value: Object, _: *mut c_void) -> c_int {
    boundary::attached(|py| {
        let passes = assigned(py, value)?.is_truthy()?;
        if !is_cleared(object) {
            let function: ffi::vectorcallfunc = if passes {
                call::passed_through
            } else {
                call::compiled
            };
            // SAFETY: our instance.
            unsafe { (*object.cast::<CompiledCallable>()).vectorcall = function };
        }
        Ok(0)
    })
}

/// The function and the attribute that a forwarding getter or setter is for.
fn forwarded(
    py: Python<'_>,
    object: Object,
    name: *mut c_void,
) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyString>)> {
    // SAFETY: the closure of these getters is a static C string.
    let name = unsafe { CStr::from_ptr(name.cast_const().cast()) };
    let name = PyString::new(py, &name.to_string_lossy());
    if !field(py, object, offset_of!(CompiledCallable, bound_self)).is_none() {
        return Err(PyAttributeError::new_err(format!(
            "a compiled method has no attribute '{name}'"
        )));
    }
    Ok((field(py, object, offset_of!(CompiledCallable, function)), name))
}

unsafe extern "C" fn get_forwarded(object: Object, name: *mut c_void) -> Object {
    boundary::attached(|py| {
        let (function, name) = forwarded(py, object, name)?;
        Ok(function.getattr(name)?.into_ptr())
    })
}

unsafe extern "C" fn set_forwarded(object: Object, value: Object, name: *mut c_void) -> c_int {
    boundary::attached(|py| {
        let (function, name) = forwarded(py, object, name)?;
        // SAFETY: a live object, or null for `del`.
        match unsafe { Bound::from_borrowed_ptr_or_opt(py, value) } {
            Some(value) => function.setattr(name, value)?,
            None => function.delattr(name)?,
        }
        Ok(0)
    })
}

// Methods.

/// `add(entry, offset=0)`
unsafe extern "C" fn add(object: Object, arguments: Object, keywords: Object) -> Object {
    boundary::attached(|py| {
        let names = [c"entry".as_ptr(), c"offset".as_ptr(), std::ptr::null()];
        let (mut entry, mut point) = (std::ptr::null_mut(), 0_isize);
        // SAFETY: the format asks for an object and a Py_ssize_t.
        let parsed = unsafe {
            ffi::PyArg_ParseTupleAndKeywords(
                arguments,
                keywords,
                c"O|n:add".as_ptr(),
                names.as_ptr().cast_mut().cast(),
                &raw mut entry,
                &raw mut point,
            )
        };
        if parsed == 0 {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: a live object, borrowed from the arguments.
        let entry = unsafe { Bound::<PyAny>::from_borrowed_ptr(py, entry) };
        if point != 0 {
            add_to_resume_point(object, &entry, resume_point(point)?)?;
            return Ok(py.None().into_ptr());
        }
        let offset = offset_of!(CompiledCallable, entries);
        while !is_cleared(object) {
            // A collection during the allocation may let somebody else add an entry: then once more.
            let before = field(py, object, offset);
            let after = appended(&before, &entry)?;
            if field(py, object, offset).is(&before) {
                set_field(object, offset, after.into_bound(py));
                break;
            }
        }
        Ok(py.None().into_ptr())
    })
}

/// An offset in a code object.
fn resume_point(offset: isize) -> PyResult<u32> {
    u32::try_from(offset).map_err(|_| PyValueError::new_err("no such offset"))
}

fn resume_points<'a>(object: Object) -> &'a mut Option<Box<ResumePoints>> {
    // SAFETY: our instance; nobody keeps what this gives while other code runs.
    unsafe { &mut (*object.cast::<CompiledCallable>()).resume_points }
}

/// The tuple of a resume point.
fn entries_of_point(py: Python<'_>, object: Object, offset: u32) -> Option<Bound<'_, PyAny>> {
    let entries = *resume_points(object).as_mut()?.place(offset)?;
    // SAFETY: an owned tuple.
    Some(unsafe { Bound::from_borrowed_ptr(py, entries) })
}

fn add_to_resume_point(object: Object, entry: &Bound<'_, PyAny>, offset: u32) -> PyResult<()> {
    let py = entry.py();
    while !is_cleared(object) {
        // As above: once more if somebody else was here during the allocation.
        let before = entries_of_point(py, object, offset);
        let known = before.is_some();
        let before = before.unwrap_or_else(|| PyTuple::empty(py).into_any());
        let after = appended(&before, entry)?.into_bound(py);
        match entries_of_point(py, object, offset) {
            Some(now) if known && now.is(&before) => {
                let points = resume_points(object).as_mut();
                if let Some(place) = points.and_then(|points| points.place(offset)) {
                    let old = std::mem::replace(place, after.into_ptr());
                    // SAFETY: the reference that the place held.
                    unsafe { ffi::Py_DECREF(old) };
                }
                break;
            }
            None if !known => {
                let points = resume_points(object).get_or_insert_default();
                points.insert(offset, after.into_ptr());
                break;
            }
            _ => {}
        }
    }
    Ok(())
}

/// `entries_at(offset)`
unsafe extern "C" fn entries_at(object: Object, offset: Object) -> Object {
    boundary::attached(|py| {
        // SAFETY: a live object.
        let offset = unsafe { Bound::<PyAny>::from_borrowed_ptr(py, offset) };
        let offset = resume_point(offset.extract()?)?;
        if offset == 0 {
            return Ok(field(py, object, offset_of!(CompiledCallable, entries)).into_ptr());
        }
        let entries = entries_of_point(py, object, offset);
        Ok(entries
            .unwrap_or_else(|| PyTuple::empty(py).into_any())
            .into_ptr())
    })
}

unsafe extern "C" fn get_resume_points(object: Object, _: *mut c_void) -> Object {
    boundary::attached(|py| {
        let points = resume_points(object).as_deref();
        let offsets: Vec<u32> =
            points.map_or_else(Vec::new, |points| points.iter().map(|point| point.0).collect());
        Ok(PyTuple::new(py, offsets)?.into_any().into_ptr())
    })
}

unsafe extern "C" fn set_child_for(object: Object, value: Object, _: *mut c_void) -> c_int {
    set_question(
        object,
        "child_for",
        offset_of!(CompiledCallable, child_for),
        value,
    )
}

unsafe extern "C" fn get_flag(object: Object, offset: *mut c_void) -> Object {
    boundary::attached(|py| {
        // SAFETY: `offset` is that of a flag of our instance.
        let flag = unsafe { object.byte_add(offset as usize).cast::<bool>().read() };
        Ok(PyBool::new(py, flag).to_owned().into_any().into_ptr())
    })
}

unsafe extern "C" fn set_flag(object: Object, value: Object, offset: *mut c_void) -> c_int {
    boundary::attached(|py| {
        let flag = assigned(py, value)?.is_truthy()?;
        // SAFETY: as above.
        unsafe { object.byte_add(offset as usize).cast::<bool>().write(flag) };
        Ok(0)
    })
}

unsafe extern "C" fn clear_entries(object: Object, _: Object) -> Object {
    boundary::attached(|py| {
        if let Some(points) = resume_points(object).take() {
            // SAFETY: attached.
            unsafe { points.release() };
        }
        if !is_cleared(object) {
            set_field(
                object,
                offset_of!(CompiledCallable, entries),
                PyTuple::empty(py).into_any(),
            );
        }
        Ok(py.None().into_ptr())
    })
}

/// Pickled and copied as a function is: by its name. That makes both copies the callable itself.
unsafe extern "C" fn reduce(object: Object, _: Object) -> Object {
    boundary::attached(|py| {
        if !field(py, object, offset_of!(CompiledCallable, bound_self)).is_none() {
            return Err(PyTypeError::new_err(
                "a compiled method or callable cannot be pickled or copied; \
                 pickle what was compiled, and compile it where it is loaded",
            ));
        }
        let function = field(py, object, offset_of!(CompiledCallable, function));
        Ok(function.getattr("__qualname__")?.into_ptr())
    })
}

unsafe extern "C" fn get_true(_: Object, _: *mut c_void) -> Object {
    // SAFETY: called by CPython, attached.
    unsafe { ffi::Py_NewRef(ffi::Py_True()) }
}

unsafe extern "C" fn get_original(callable: Object, _: *mut c_void) -> Object {
    // SAFETY: called by CPython with a live object.
    unsafe { ffi::PyObject_GetAttrString(callable, c"__wrapped__".as_ptr()) }
}

// The tables.

fn attribute(
    name: &'static CStr,
    get: ffi::getter,
    set: Option<ffi::setter>,
    closure: usize,
    doc: &'static CStr,
) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set,
        doc: doc.as_ptr(),
        closure: closure as *mut c_void,
    }
}

fn method(
    name: &'static CStr,
    function: ffi::PyCFunction,
    flags: c_int,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: function,
        },
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }
}

/// By these two TorchDynamo knows `torch.jit.script_if_tracing`: it looks them up without calling anything, in any
/// object, and traces calls as calls of the second. They are the type's and not in `__dict__`, from where
/// `functools.wraps` would copy them to functions that do more than call.
fn for_tracers() -> [ffi::PyGetSetDef; 2] {
    let of = |name, get, doc| attribute(name, get, None, 0, doc);
    [
        of(c"__script_if_tracing_wrapper", get_true, c"True, for tracers."),
        of(c"__original_fn", get_original, c"What was compiled, for tracers."),
    ]
}

/// For `Py_tp_getset`.
#[allow(clippy::too_many_lines)] // a table
pub fn attributes() -> Vec<ffi::PyGetSetDef> {
    let object = |name, offset, doc| attribute(name, get_field, None, offset, doc);
    let counter = |name, offset, doc| attribute(name, get_counter, None, offset, doc);
    let forward = |name: &'static CStr| {
        attribute(
            name,
            get_forwarded,
            Some(set_forwarded),
            name.as_ptr() as usize,
            c"",
        )
    };
    vec![
        object(
            c"function",
            offset_of!(CompiledCallable, function),
            c"The function that is compiled.",
        ),
        object(
            c"bound_self",
            offset_of!(CompiledCallable, bound_self),
            c"Put before the arguments, or None.",
        ),
        object(
            c"entries",
            offset_of!(CompiledCallable, entries),
            c"The entries, in the order of trying.",
        ),
        attribute(
            c"on_miss",
            get_field,
            Some(set_on_miss),
            offset_of!(CompiledCallable, on_miss),
            c"on_miss(callable, arguments, failures, offset) -> Entry | None, asked when no entry fits.",
        ),
        attribute(
            c"child_for",
            get_field,
            Some(set_child_for),
            offset_of!(CompiledCallable, child_for),
            c"child_for(function, first_argument) -> CompiledCallable | None, asked for the frames that a \
              break's instruction enters.",
        ),
        attribute(
            c"takes_function",
            get_flag,
            Some(set_flag),
            offset_of!(CompiledCallable, takes_function),
            c"Whether it is for frames, whose functions come as the last argument.",
        ),
        attribute(
            c"of_one_object",
            get_flag,
            Some(set_flag),
            offset_of!(CompiledCallable, of_one_object),
            c"Whether it is for the frames with one and the same first argument.",
        ),
        attribute(
            c"resume_points",
            get_resume_points,
            None,
            0,
            c"The offsets inside the function that have entries.",
        ),
        attribute(
            c"passthrough",
            get_passthrough,
            Some(set_passthrough),
            0,
            c"Whether every call goes to CPython.",
        ),
        counter(
            c"misses",
            offset_of!(CompiledCallable, misses),
            c"Calls that no entry fitted.",
        ),
        counter(
            c"fallbacks",
            offset_of!(CompiledCallable, fallbacks),
            c"Calls given to CPython.",
        ),
        counter(
            c"graph_errors",
            offset_of!(CompiledCallable, graph_errors),
            c"Calls whose graph raised.",
        ),
        attribute(
            c"__dict__",
            ffi::PyObject_GenericGetDict,
            Some(ffi::PyObject_GenericSetDict),
            0,
            c"Attributes.",
        ),
    ]
    .into_iter()
    .chain(for_tracers())
    .chain(
        [
            c"__code__",
            c"__defaults__",
            c"__kwdefaults__",
            c"__globals__",
            c"__closure__",
        ]
        .map(forward),
    )
    .chain([ffi::PyGetSetDef::default()])
    .collect()
}

/// For `Py_tp_methods`.
pub fn methods() -> Vec<ffi::PyMethodDef> {
    vec![
        ffi::PyMethodDef {
            ml_name: c"add".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunctionWithKeywords: add,
            },
            ml_flags: ffi::METH_VARARGS | ffi::METH_KEYWORDS,
            ml_doc: c"add(entry, offset=0): puts an entry after the others of that resume point.".as_ptr(),
        },
        method(
            c"entries_at",
            entries_at,
            ffi::METH_O,
            c"entries_at(offset): the entries of that resume point, in the order of trying.",
        ),
        method(
            c"clear",
            clear_entries,
            ffi::METH_NOARGS,
            c"clear(): forgets every entry.",
        ),
        method(
            c"__reduce__",
            reduce,
            ffi::METH_NOARGS,
            c"By name, as functions are.",
        ),
        ffi::PyMethodDef::zeroed(),
    ]
}
