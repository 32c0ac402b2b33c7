//! Fields of C structures: those of Python functions, members, and what getters written in C make of them.

use super::Access;
use crate::guards::build::Builder;
use crate::guards::python::without_collector;
use crate::objects::{Object, Released};
use crate::torch_abi;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::CStr;
use std::ptr::null_mut;

/// A field of a Python function.
#[derive(Clone, Copy)]
pub enum FunctionField {
    Code,
    Defaults,
    KeywordDefaults,
    Closure,
    Globals,
}

/// A place in the C structure of an object that holds a reference.
pub struct Member {
    class: *mut ffi::PyTypeObject,
    offset: ffi::Py_ssize_t,
    /// What an empty place gives: None, or null where reading it raises.
    empty: Object,
}

/// A getter of a C structure that makes a new reference.
pub struct Descriptor {
    object: Object,
    get: ffi::descrgetfunc,
    /// Getters of tensors look for overrides of torch functions, which are user code.
    of_torch: bool,
}

impl FunctionField {
    /// The field of this name.
    pub fn named(name: &str) -> PyResult<Self> {
        Ok(match name {
            "code" => Self::Code,
            "defaults" => Self::Defaults,
            "kwdefaults" => Self::KeywordDefaults,
            "closure" => Self::Closure,
            "globals" => Self::Globals,
            other => {
                return Err(PyValueError::new_err(format!(
                    "functions have no field {other:?}"
                )));
            }
        })
    }

    /// # Safety
    /// As for [`super::Access::fetch`].
    #[inline]
    pub unsafe fn fetch(self, function: Object) -> Object {
        // SAFETY: the exact type is checked first; a function holds its fields.
        unsafe {
            if ffi::Py_TYPE(function) != &raw mut ffi::PyFunction_Type {
                return null_mut();
            }
            let field = *self.place(function);
            if field.is_null() { ffi::Py_None() } else { field }
        }
    }

    /// Where the function has the field.
    ///
    /// # Safety
    /// `function` is a Python function.
    #[inline]
    pub unsafe fn place(self, function: Object) -> *const Object {
        let function = function.cast::<ffi::PyFunctionObject>();
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Self::Code => &raw const (*function).func_code,
                Self::Defaults => &raw const (*function).func_defaults,
                Self::KeywordDefaults => &raw const (*function).func_kwdefaults,
                Self::Closure => &raw const (*function).func_closure,
                Self::Globals => &raw const (*function).func_globals,
            }
        }
    }
}

impl Member {
    /// The place that a member descriptor reads, unless reading it does more than that.
    pub fn of(descriptor: &Bound<'_, PyAny>, builder: &mut Builder) -> Option<Self> {
        let py = descriptor.py();
        // SAFETY: the exact type is checked before the structure is read; its class outlives it.
        unsafe {
            if ffi::Py_TYPE(descriptor.as_ptr()) != &raw mut ffi::PyMemberDescr_Type {
                return None;
            }
            let structure = &*descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>();
            let member = &*structure.d_member;
            let empty = match member.type_code {
                OBJECT => py.None().as_ptr(),
                ffi::Py_T_OBJECT_EX => null_mut(),
                _ => return None,
            };
            // Audited reads call hooks, relative offsets need the class: both go through the getter.
            if member.flags & !ffi::Py_READONLY != 0 {
                return None;
            }
            builder.keep(descriptor);
            Some(Self {
                class: structure.d_common.d_type,
                offset: member.offset,
                empty,
            })
        }
    }

    /// The object at the place: null if it is empty, None if `object` has no such place.
    ///
    /// # Safety
    /// `object` is live.
    #[inline]
    pub unsafe fn read(&self, object: Object) -> Option<Object> {
        // SAFETY: the type is checked first.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class != self.class && ffi::PyType_IsSubtype(class, self.class) == 0 {
                return None;
            }
            Some(*self.place(object))
        }
    }

    /// Where `object` has the member.
    ///
    /// # Safety
    /// `object` is live, and of the class that has the member.
    #[inline]
    #[allow(clippy::cast_ptr_alignment)] // a member that is an object lies where a pointer may
    pub unsafe fn place(&self, object: Object) -> *const Object {
        // SAFETY: the caller's promise.
        unsafe { object.cast::<u8>().offset(self.offset).cast::<Object>() }
    }

    #[inline]
    pub unsafe fn fetch(&self, object: Object) -> Object {
        // SAFETY: the caller's promise.
        match unsafe { self.read(object) } {
            Some(found) if found.is_null() => self.empty,
            Some(found) => found,
            None => null_mut(),
        }
    }
}

/// `T_OBJECT` of CPython's `structmember.h`: an empty place reads as None.
const OBJECT: std::ffi::c_int = 6;

/// Reads the place of a member, or calls the getter of another descriptor that is written in C.
pub fn descriptor_access(descriptor: &Bound<'_, PyAny>, builder: &mut Builder) -> PyResult<Access> {
    if let Some(member) = Member::of(descriptor, builder) {
        return Ok(Access::Member(member));
    }
    let field_of_named_tuple = descriptor.py().import("_collections")?.getattr("_tuplegetter")?;
    // SAFETY: a live object's type.
    let class = unsafe { &*ffi::Py_TYPE(descriptor.as_ptr()) };
    let is_written_in_c =
        class.tp_flags & ffi::Py_TPFLAGS_HEAPTYPE == 0 || descriptor.get_type().is(&field_of_named_tuple);
    match class.tp_descr_get {
        Some(get) if is_written_in_c => {
            // SAFETY: the exact type is checked before the structure is read; classes have names.
            let of_torch = unsafe {
                ffi::Py_TYPE(descriptor.as_ptr()) == &raw mut ffi::PyGetSetDescr_Type
                    && CStr::from_ptr((*(*descriptor.as_ptr().cast::<ffi::PyDescrObject>()).d_type).tp_name)
                        .to_bytes()
                        .starts_with(b"torch.")
            };
            Ok(Access::Descriptor(Descriptor {
                object: builder.keep(descriptor),
                get,
                of_torch,
            }))
        }
        _ => Err(PyTypeError::new_err(format!("{descriptor} may run user code"))),
    }
}

impl Descriptor {
    /// # Safety
    /// As for [`super::Access::fetch`].
    pub unsafe fn fetch(&self, object: Object, owned: &mut Released) -> Object {
        // SAFETY: the slot of a C descriptor checks the object's type; an error is dropped, a new
        // reference is handed on.
        unsafe {
            let get = || (self.get)(self.object, object, ffi::Py_TYPE(object).cast());
            let value = without_collector(|| {
                if self.of_torch {
                    torch_abi::without_torch_functions(get)
                } else {
                    get()
                }
            });
            if value.is_null() {
                ffi::PyErr_Clear();
            } else {
                owned.push(value);
            }
            value
        }
    }
}
