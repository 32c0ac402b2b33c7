//! The type of compiled callables as CPython sees it: creation, garbage collection, binding, assembly.

use crate::boundary;
use crate::callable::attributes::{attributes, field, methods};
use crate::callable::bind::Signature;
use crate::callable::children::Children;
use crate::callable::{CompiledCallable, call};
use crate::layout::CodeSignature;
use crate::objects::Object;
use pyo3::exceptions::{PyMemoryError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "C" {
    /// Of CPython's public API, missing in PyO3.
    fn PyMethod_New(function: Object, instance: Object) -> Object;
}

/// The two types, made once by [`register`] and never freed.
static UNBOUND: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());
static BOUND: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

// Creation and the end.

/// `CompiledCallable(function, bound_self, on_miss)`
unsafe extern "C" fn new(_: *mut ffi::PyTypeObject, arguments: Object, keywords: Object) -> Object {
    boundary::attached(|py| {
        let names = [
            c"function".as_ptr(),
            c"bound_self".as_ptr(),
            c"on_miss".as_ptr(),
            std::ptr::null(),
        ];
        let (mut function, mut bound_self, mut on_miss) = (null_mut(), null_mut(), null_mut());
        // SAFETY: the format asks for as many objects as pointers follow, all of them borrowed.
        let parsed = unsafe {
            ffi::PyArg_ParseTupleAndKeywords(
                arguments,
                keywords,
                c"O!OO:CompiledCallable".as_ptr(),
                names.as_ptr().cast_mut().cast(),
                &raw mut ffi::PyFunction_Type,
                &raw mut function,
                &raw mut bound_self,
                &raw mut on_miss,
            )
        };
        if parsed == 0 {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: parsing gave three live objects, borrowed from the arguments.
        let (function, bound_self, on_miss) = unsafe {
            (
                Bound::<PyAny>::from_borrowed_ptr(py, function),
                Bound::<PyAny>::from_borrowed_ptr(py, bound_self),
                Bound::<PyAny>::from_borrowed_ptr(py, on_miss),
            )
        };
        if !on_miss.is_none() && !on_miss.is_callable() {
            return Err(PyTypeError::new_err("on_miss must be callable or None"));
        }
        create(&function, &bound_self, &on_miss)
    })
}

fn create(
    function: &Bound<'_, PyAny>,
    bound_self: &Bound<'_, PyAny>,
    on_miss: &Bound<'_, PyAny>,
) -> PyResult<Object> {
    let py = function.py();
    let is_bound = !bound_self.is_none();
    let type_object = if is_bound { &BOUND } else { &UNBOUND }.load(Ordering::Relaxed);
    // SAFETY: `PyType_GenericAlloc` gives zeroed room of the type's size. It is tracked by the garbage
    // collector already, which a zeroed instance bears; every field is valid before user code can run.
    let instance = unsafe {
        let entries = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(0))?;
        let instance = Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericAlloc(type_object, 0))?;
        let this = instance.as_ptr().cast::<CompiledCallable>();
        (&raw mut (*this).vectorcall).write(call::compiled);
        (*this).function = function.clone().into_ptr();
        (*this).bound_self = if is_bound {
            bound_self.clone().into_ptr()
        } else {
            null_mut()
        };
        (*this).on_miss = on_miss.clone().into_ptr();
        (*this).entries = entries.into_ptr();
        (*this).signature = Signature::new(CodeSignature::EMPTY);
        instance
    };
    let wrapped = if is_bound {
        // SAFETY: two live objects.
        unsafe { Bound::from_owned_ptr_or_err(py, PyMethod_New(function.as_ptr(), bound_self.as_ptr()))? }
    } else {
        function.clone()
    };
    py.import("functools")?
        .call_method1("update_wrapper", (&instance, wrapped))?;
    Ok(instance.into_ptr())
}

unsafe extern "C" fn traverse(object: Object, visit: ffi::visitproc, argument: *mut c_void) -> c_int {
    let this = object.cast::<CompiledCallable>();
    // SAFETY: fields are owned references or null. No Python code, no PyO3 and no panic in here.
    unsafe {
        let fields = [
            ffi::Py_TYPE(object).cast(),
            (*this).function,
            (*this).bound_self,
            (*this).on_miss,
            (*this).entries,
            (*this).child_for,
            (*this).code,
            (*this).dictionary,
        ];
        let points = (*this).resume_points.as_deref();
        let tuples = points
            .into_iter()
            .flat_map(|points| points.iter().map(|point| point.1));
        let children = (*this).children.as_deref();
        let children = children.into_iter().flat_map(Children::iter);
        for field in fields.into_iter().chain(tuples).chain(children) {
            if !field.is_null() {
                let outcome = visit(field, argument);
                if outcome != 0 {
                    return outcome;
                }
            }
        }
    }
    0
}

/// Drops every reference. Calls raise from here on.
unsafe extern "C" fn clear(object: Object) -> c_int {
    boundary::raw(|| {
        let this = object.cast::<CompiledCallable>();
        // SAFETY: each field is nulled before its reference goes, because finalisers may look at it.
        unsafe {
            (*this).vectorcall = call::cleared;
            let fields = [
                std::mem::replace(&mut (*this).function, null_mut()),
                std::mem::replace(&mut (*this).bound_self, null_mut()),
                std::mem::replace(&mut (*this).on_miss, null_mut()),
                std::mem::replace(&mut (*this).entries, null_mut()),
                std::mem::replace(&mut (*this).child_for, null_mut()),
                std::mem::replace(&mut (*this).code, null_mut()),
                std::mem::replace(&mut (*this).dictionary, null_mut()),
            ];
            let points = (*this).resume_points.take();
            crate::objects::release_all(&fields);
            if let Some(points) = points {
                points.release();
            }
            if let Some(children) = (*this).children.take() {
                children.release();
            }
        }
        0
    })
}

unsafe extern "C" fn deallocate(object: Object) {
    // SAFETY: the last reference is gone. The type is a heap type, whose instances hold it.
    unsafe {
        let this = object.cast::<CompiledCallable>();
        let type_object = ffi::Py_TYPE(object);
        ffi::PyObject_GC_UnTrack(object.cast());
        if !(*this).weak_references.is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        clear(object);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(type_object.cast());
    }
}

/// Whether an object is a compiled callable.
///
/// # Safety
/// `object` is alive.
pub unsafe fn is_compiled(object: Object) -> bool {
    // SAFETY: the caller's promise.
    let type_object = unsafe { ffi::Py_TYPE(object) };
    type_object == UNBOUND.load(Ordering::Relaxed) || type_object == BOUND.load(Ordering::Relaxed)
}

// Behaviour.

/// Through an instance: a bound method, as for a function.
unsafe extern "C" fn descriptor_get(object: Object, instance: Object, _owner: Object) -> Object {
    boundary::raw(|| {
        // SAFETY: live objects; a null or None instance is access through the class.
        unsafe {
            if instance.is_null() || instance == ffi::Py_None() {
                return ffi::Py_NewRef(object);
            }
            PyMethod_New(object, instance)
        }
    })
}

/// A callable that has its `bound_self` already stays as it is, as a bound method does.
unsafe extern "C" fn descriptor_get_bound(object: Object, _instance: Object, _owner: Object) -> Object {
    // SAFETY: a live object.
    unsafe { ffi::Py_NewRef(object) }
}

unsafe extern "C" fn representation(object: Object) -> Object {
    boundary::attached(|py| {
        let function = field(py, object, offset_of!(CompiledCallable, function));
        let bound_self = field(py, object, offset_of!(CompiledCallable, bound_self));
        let name = function.getattr_opt("__qualname__")?;
        let name = name
            .as_ref()
            .map_or(Ok("?".into()), |name| name.str().map(|text| text.to_string()))?;
        let text = if bound_self.is_none() {
            format!("<compiled function {name} at {object:p}>")
        } else {
            format!("<compiled method {name} of {}>", bound_self.repr()?)
        };
        Ok(PyString::new(py, &text).into_any().into_ptr())
    })
}

// Assembly.

const fn slot(slot: c_int, pointer: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc: pointer }
}

fn offset_member(name: &'static CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as isize,
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    }
}

/// Tables that CPython keeps pointers to, for as long as the process lives.
fn forever<T>(table: Vec<T>) -> *mut c_void {
    Box::leak(table.into_boxed_slice()).as_mut_ptr().cast()
}

fn members() -> Vec<ffi::PyMemberDef> {
    vec![
        offset_member(c"__vectorcalloffset__", offset_of!(CompiledCallable, vectorcall)),
        offset_member(c"__dictoffset__", offset_of!(CompiledCallable, dictionary)),
        offset_member(
            c"__weaklistoffset__",
            offset_of!(CompiledCallable, weak_references),
        ),
        ffi::PyMemberDef::default(),
    ]
}

/// Makes a type with `slots` and those that both types have: what CPython would let the second inherit
/// from the first is not the same.
fn make_type<'py>(
    py: Python<'py>,
    name: &'static CStr,
    flags: std::ffi::c_ulong,
    base: Option<&Bound<'py, PyAny>>,
    slots: &[ffi::PyType_Slot],
) -> PyResult<Bound<'py, PyAny>> {
    let common = [
        slot(ffi::Py_tp_dealloc, deallocate as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        slot(ffi::Py_tp_members, forever(members())),
    ];
    let mut slots = [&common, slots, &[ffi::PyType_Slot::default()]].concat();
    let flags = flags
        | ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_HAVE_GC
        | ffi::Py_TPFLAGS_HAVE_VECTORCALL
        | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    let basicsize = c_int::try_from(size_of::<CompiledCallable>()).map_err(|_| PyMemoryError::new_err(()))?;
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize,
        itemsize: 0,
        flags: flags as std::ffi::c_uint,
        slots: slots.as_mut_ptr(),
    };
    let base = base.map_or(null_mut(), Bound::as_ptr);
    // SAFETY: a valid specification; its tables live for ever; the slots themselves are copied.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpecWithBases(&raw mut spec, base)) }
}

/// Makes the two types and adds the first to the module; instances of the second are of the first, too.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let doc = c"What compile() returns for a function.";
    let unbound = make_type(
        py,
        c"framelift._native.CompiledCallable",
        ffi::Py_TPFLAGS_METHOD_DESCRIPTOR | ffi::Py_TPFLAGS_BASETYPE,
        None,
        &[
            slot(ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            slot(ffi::Py_tp_new, new as *mut c_void),
            slot(ffi::Py_tp_descr_get, descriptor_get as *mut c_void),
            slot(ffi::Py_tp_repr, representation as *mut c_void),
            slot(ffi::Py_tp_methods, forever(methods())),
            slot(ffi::Py_tp_getset, forever(attributes())),
        ],
    )?;
    let bound = make_type(
        py,
        c"framelift._native.BoundCompiledCallable",
        0,
        Some(&unbound),
        &[slot(ffi::Py_tp_descr_get, descriptor_get_bound as *mut c_void)],
    )?;
    for type_object in [&unbound, &bound] {
        let type_object = type_object.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: a type that nobody has seen. From here on, neither can be subclassed from Python.
        unsafe { (*type_object).tp_flags &= !ffi::Py_TPFLAGS_BASETYPE };
    }
    module.add("CompiledCallable", unbound.cast::<PyType>()?)?;
    UNBOUND.store(unbound.into_ptr().cast(), Ordering::Relaxed);
    BOUND.store(bound.into_ptr().cast(), Ordering::Relaxed);
    Ok(())
}
