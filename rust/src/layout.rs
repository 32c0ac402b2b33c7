//! CPython's structures as this build reads them, checked against its headers at import.

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::mem::offset_of;

/// Offsets that `csrc/layout.c` took from CPython's headers.
#[repr(C)]
#[derive(Debug, PartialEq, Eq)]
struct HeaderLayout {
    function_code: usize,
    function_defaults: usize,
    function_kwdefaults: usize,
    list_items: usize,
    list_allocated: usize,
    cell_reference: usize,
    dict_version: usize,
}

/// What binding needs to know about a code object.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CodeSignature {
    /// A tuple that starts with the parameters' names, in the order of `co_varnames`; borrowed from the code.
    pub names: *mut ffi::PyObject,
    /// `co_flags`.
    pub flags: i32,
    /// Number of positional parameters, positional-only ones included.
    pub positional: i32,
    /// Number of positional-only parameters.
    pub positional_only: i32,
    /// Number of keyword-only parameters.
    pub keyword_only: i32,
}

impl CodeSignature {
    /// That of no code object at all.
    pub const EMPTY: Self = Self {
        names: std::ptr::null_mut(),
        flags: 0,
        positional: 0,
        positional_only: 0,
        keyword_only: 0,
    };
}

unsafe extern "C" {
    static framelift_layout: HeaderLayout;
    fn framelift_read_code_signature(code: *mut ffi::PyObject, signature: *mut CodeSignature);
}

/// The signature of `code`.
///
/// # Safety
/// `code` is a code object, and outlives the use of `names`.
pub unsafe fn code_signature(code: *mut ffi::PyObject) -> CodeSignature {
    let mut signature = CodeSignature::EMPTY;
    // SAFETY: the caller gives a code object; the C function only writes the structure.
    unsafe { framelift_read_code_signature(code, &raw mut signature) };
    signature
}

/// Refuses to import when PyO3's transcription of a structure is not what the headers say.
pub fn verify() -> PyResult<()> {
    let transcribed = HeaderLayout {
        function_code: offset_of!(ffi::PyFunctionObject, func_code),
        function_defaults: offset_of!(ffi::PyFunctionObject, func_defaults),
        function_kwdefaults: offset_of!(ffi::PyFunctionObject, func_kwdefaults),
        list_items: offset_of!(ffi::PyListObject, ob_item),
        list_allocated: offset_of!(ffi::PyListObject, allocated),
        cell_reference: offset_of!(ffi::PyCellObject, ob_ref),
        dict_version: crate::guards::VERSION_OFFSET,
    };
    // SAFETY: a constant of this extension.
    let headers = unsafe { &framelift_layout };
    if *headers == transcribed {
        return Ok(());
    }
    Err(PyImportError::new_err(format!(
        "framelift: this build reads CPython's structures at the wrong places \
         (headers: {headers:?}, used: {transcribed:?}); please report it with the Python version"
    )))
}
