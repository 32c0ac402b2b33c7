//! Binds a call's arguments as CPython does, into the order of `co_varnames`.
//!
//! Read live at every call: `__code__`, `__defaults__` and `__kwdefaults__` of the function. A call that
//! does not bind is not an error here: the function itself is called and raises CPython's own.
//! See <https://docs.python.org/3/reference/expressions.html#calls> and, for the order in which a
//! frame's slots are filled, [CPython's `initialize_locals`].
//!
//! [CPython's `initialize_locals`]: https://github.com/python/cpython/blob/3.11/Python/ceval.c

use crate::layout::CodeSignature;
use crate::objects::{INLINE, Object, ObjectBuffer};
use pyo3::ffi;

/// A call as it arrived.
#[derive(Clone, Copy)]
pub struct Call {
    /// Positional arguments, then the values of the keywords; borrowed from the caller.
    pub arguments: *const Object,
    /// Number of positional arguments.
    pub positional: usize,
    /// The caller's own word for that number: says whether the place before the first may be used.
    pub flagged: usize,
    /// A tuple of keyword names, or null.
    pub names: Object,
}

impl Call {
    /// Number of keyword arguments.
    #[inline]
    pub unsafe fn named(&self) -> usize {
        if self.names.is_null() {
            0
        } else {
            // SAFETY: the vectorcall protocol gives an exact tuple.
            unsafe { ffi::PyTuple_GET_SIZE(self.names) as usize }
        }
    }

    /// All values that were passed, positional and then by keyword.
    pub unsafe fn values(&self) -> &[Object] {
        // SAFETY: the vectorcall protocol.
        let count = self.positional + unsafe { self.named() };
        if count == 0 {
            return &[];
        }
        // SAFETY: the vectorcall protocol.
        unsafe { std::slice::from_raw_parts(self.arguments, count) }
    }
}

/// Why a call was not bound.
pub enum Unbound {
    /// CPython has to say what is wrong with it, or (keywords that are not plain strings) if anything is.
    Cpython,
    /// An exception is set.
    Raised,
}

/// What binding reads from a function, besides its defaults.
#[derive(Clone, Copy)]
pub struct Signature {
    pub code: CodeSignature,
    /// The number of arguments of a call that needs no binding at all: so many positional ones. -1 when
    /// there is no such call.
    pub direct: isize,
}

impl Signature {
    pub fn new(code: CodeSignature) -> Self {
        let plain = code.flags & (ffi::CO_VARARGS | ffi::CO_VARKEYWORDS) == 0 && code.keyword_only == 0;
        Self {
            code,
            direct: if plain { code.positional as isize } else { -1 },
        }
    }

    /// Whether the function's frames are suspended: it is a generator function or a coroutine.
    pub fn suspends(self) -> bool {
        self.takes(ffi::CO_GENERATOR | ffi::CO_COROUTINE | ffi::CO_ASYNC_GENERATOR)
    }

    fn takes(self, flag: i32) -> bool {
        self.code.flags & flag != 0
    }

    /// Number of objects in a bound call.
    pub fn count(self) -> usize {
        let collectors =
            usize::from(self.takes(ffi::CO_VARARGS)) + usize::from(self.takes(ffi::CO_VARKEYWORDS));
        self.code.positional as usize + self.code.keyword_only as usize + collectors
    }
}

/// Binds `call`, with `bound_self` before its arguments unless that is null.
///
/// The returned slice lies in `room` and owns its references, also those of an `Err` (as much as was
/// bound): the caller releases them with the null places left out.
///
/// # Safety
/// The thread is attached; `function` is a Python function, `signature` that of its code, and `call`
/// keeps to the vectorcall protocol.
pub unsafe fn bind<'a>(
    function: *mut ffi::PyFunctionObject,
    signature: Signature,
    bound_self: Object,
    call: &Call,
    room: &'a mut ObjectBuffer<INLINE>,
) -> (&'a [Object], Result<(), Unbound>) {
    let bound = room.nulls(signature.count());
    // SAFETY: the caller's promises.
    let outcome = unsafe { fill(function, signature, bound_self, call, bound) };
    (bound, outcome)
}

unsafe fn fill(
    function: *mut ffi::PyFunctionObject,
    signature: Signature,
    bound_self: Object,
    call: &Call,
    bound: &mut [Object],
) -> Result<(), Unbound> {
    // SAFETY: the caller's promises (of `bind`).
    unsafe {
        positional(signature, bound_self, call, bound)?;
        if call.named() > 0 {
            keywords(signature, call, bound)?;
        }
        positional_defaults(function, signature, bound)?;
        keyword_defaults(function, signature, bound)
    }
}

/// Fills the positional parameters, the `*args` tuple, and makes the `**kwargs` dict.
unsafe fn positional(
    signature: Signature,
    bound_self: Object,
    call: &Call,
    bound: &mut [Object],
) -> Result<(), Unbound> {
    let parameters = signature.code.positional as usize;
    let mut collector = parameters + signature.code.keyword_only as usize;
    let before = usize::from(!bound_self.is_null());
    let given = before + call.positional;
    // SAFETY: every index into the call is below `call.positional`; new references are owned by `bound`.
    unsafe {
        let argument = |index: usize| {
            if index < before {
                bound_self
            } else {
                *call.arguments.add(index - before)
            }
        };
        for (index, place) in bound.iter_mut().enumerate().take(given.min(parameters)) {
            *place = ffi::Py_NewRef(argument(index));
        }
        if signature.takes(ffi::CO_VARARGS) {
            let rest = given.saturating_sub(parameters);
            let tuple = ffi::PyTuple_New(rest as isize);
            if tuple.is_null() {
                return Err(Unbound::Raised);
            }
            for index in 0..rest {
                ffi::PyTuple_SET_ITEM(
                    tuple,
                    index as isize,
                    ffi::Py_NewRef(argument(parameters + index)),
                );
            }
            bound[collector] = tuple;
            collector += 1;
        } else if given > parameters {
            return Err(Unbound::Cpython);
        }
        if signature.takes(ffi::CO_VARKEYWORDS) {
            bound[collector] = ffi::PyDict_New();
            if bound[collector].is_null() {
                return Err(Unbound::Raised);
            }
        }
    }
    Ok(())
}

/// Fills what is passed by keyword: parameters that are not positional-only, else `**kwargs`.
unsafe fn keywords(signature: Signature, call: &Call, bound: &mut [Object]) -> Result<(), Unbound> {
    let first = signature.code.positional_only as isize;
    let last = (signature.code.positional + signature.code.keyword_only) as isize;
    let names = signature.code.names;
    // SAFETY: names and values of the call match by the vectorcall protocol; the code's names start with
    // those of its parameters.
    unsafe {
        for index in 0..call.named() {
            let name = ffi::PyTuple_GET_ITEM(call.names, index as isize);
            let value = *call.arguments.add(call.positional + index);
            if ffi::PyUnicode_CheckExact(name) == 0 {
                return Err(Unbound::Cpython);
            }
            // Names are interned on both sides nearly always: by identity first, as CPython does.
            let parameter = (first..last)
                .find(|&place| ffi::PyTuple_GET_ITEM(names, place) == name)
                .or_else(|| {
                    (first..last)
                        .find(|&place| ffi::PyUnicode_Compare(ffi::PyTuple_GET_ITEM(names, place), name) == 0)
                });
            if let Some(place) = parameter {
                let place = &mut bound[place as usize];
                if !place.is_null() {
                    return Err(Unbound::Cpython);
                }
                *place = ffi::Py_NewRef(value);
            } else if signature.takes(ffi::CO_VARKEYWORDS) {
                let dictionary = bound[bound.len() - 1];
                if ffi::PyDict_SetItem(dictionary, name, value) != 0 {
                    return Err(Unbound::Raised);
                }
            } else {
                return Err(Unbound::Cpython);
            }
        }
    }
    Ok(())
}

/// Fills positional parameters that were not passed from `__defaults__`, which line up at the right.
unsafe fn positional_defaults(
    function: *mut ffi::PyFunctionObject,
    signature: Signature,
    bound: &mut [Object],
) -> Result<(), Unbound> {
    let parameters = signature.code.positional as usize;
    // SAFETY: `__defaults__` is null or a tuple; nothing here runs user code that could replace it.
    unsafe {
        let defaults = (*function).func_defaults;
        let count = if defaults.is_null() {
            0
        } else {
            ffi::PyTuple_GET_SIZE(defaults)
        };
        for (index, place) in bound[..parameters].iter_mut().enumerate() {
            if place.is_null() {
                let from_defaults = index as isize - (parameters as isize - count);
                if from_defaults < 0 {
                    return Err(Unbound::Cpython);
                }
                *place = ffi::Py_NewRef(ffi::PyTuple_GET_ITEM(defaults, from_defaults));
            }
        }
    }
    Ok(())
}

/// Fills keyword-only parameters that were not passed from `__kwdefaults__`.
unsafe fn keyword_defaults(
    function: *mut ffi::PyFunctionObject,
    signature: Signature,
    bound: &mut [Object],
) -> Result<(), Unbound> {
    let first = signature.code.positional as usize;
    let last = first + signature.code.keyword_only as usize;
    for (index, place) in bound.iter_mut().enumerate().take(last).skip(first) {
        if !place.is_null() {
            continue;
        }
        // SAFETY: `__kwdefaults__` is null or a dict, held during the lookup: a key that is not a string
        // may have an `__eq__` of its own.
        unsafe {
            let defaults = (*function).func_kwdefaults;
            if defaults.is_null() {
                return Err(Unbound::Cpython);
            }
            ffi::Py_INCREF(defaults);
            let name = ffi::PyTuple_GET_ITEM(signature.code.names, index as isize);
            let value = ffi::PyDict_GetItemWithError(defaults, name);
            *place = ffi::Py_XNewRef(value);
            ffi::Py_DECREF(defaults);
            if value.is_null() {
                ffi::PyErr_Clear();
                return Err(Unbound::Cpython);
            }
        }
    }
    Ok(())
}
