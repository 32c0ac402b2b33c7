//! Which classes of iterators have the structures of `iterators.rs`, found out at import, and what capture
//! does with them.

use super::iterators::{
    Dict, Enumerate, Filter, KINDS, Kind, Map, Next, Part, Range, Sequence, Set, Zip, kind_of, not_behind,
    read,
};
use crate::objects::{Object, Released};
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::ffi::Py_ssize_t;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use std::ffi::{CStr, c_char, c_int};
use std::mem::offset_of;
use std::ptr::null;

/// A descriptor that reads the object at `offset` of the instances of `class`.
fn member<'py>(
    class: &Bound<'py, PyType>,
    name: &'static CStr,
    type_code: c_int,
    offset: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let definition = Box::leak(Box::new(ffi::PyMemberDef {
        name: name.as_ptr().cast::<c_char>(),
        type_code,
        offset: offset as Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: null(),
    }));
    // SAFETY: the definition lives for ever, as the class does; a new reference or an exception.
    unsafe {
        Bound::from_owned_ptr_or_err(
            class.py(),
            ffi::PyDescr_NewMember(class.as_ptr().cast(), definition),
        )
    }
}

/// An object that an iterator refers to: its name, and where it is.
type Member = (&'static CStr, usize);

/// A class of iterators by an example, its structure, and what capture reads of it.
struct Class {
    example: &'static CStr,
    kind: Kind,
    members: &'static [Member],
}

const fn class(example: &'static CStr, kind: Kind, members: &'static [Member]) -> Class {
    Class {
        example,
        kind,
        members,
    }
}

const SEQUENCE: &[Member] = &[(c"container", offset_of!(Sequence, container))];
const DICT: &[Member] = &[(c"container", offset_of!(Dict, container))];
const SET: &[Member] = &[(c"container", offset_of!(Set, container))];
const ENUMERATE: &[Member] = &[(c"iterator", offset_of!(Enumerate, iterator))];
const ZIP: &[Member] = &[(c"iterators", offset_of!(Zip, iterators))];
const MAP: &[Member] = &[
    (c"iterators", offset_of!(Map, iterators)),
    (c"function", offset_of!(Map, function)),
];
const FILTER: &[Member] = &[
    (c"iterator", offset_of!(Filter, iterator)),
    (c"function", offset_of!(Filter, function)),
];

const CLASSES: &[Class] = &[
    class(c"iter([5, 6, 7])", Kind::Items, SEQUENCE),
    class(c"iter((5, 6, 7))", Kind::Items, SEQUENCE),
    class(c"reversed([5, 6, 7])", Kind::Backwards, SEQUENCE),
    class(c"iter('abc')", Kind::Text, SEQUENCE),
    class(c"iter('\\u0101bc')", Kind::Text, SEQUENCE),
    class(c"iter(b'abc')", Kind::Text, SEQUENCE),
    class(c"iter(range(5, 26, 7))", Kind::Range, &[]),
    class(c"iter({5: 8, 6: 9, 7: 0})", Kind::Dict, DICT),
    class(c"iter({5: 8, 6: 9, 7: 0}.values())", Kind::Dict, DICT),
    class(c"iter({5: 8, 6: 9, 7: 0}.items())", Kind::Dict, DICT),
    class(c"iter({5, 6, 7})", Kind::Set, SET),
    class(c"enumerate([5, 6, 7])", Kind::Enumerate, ENUMERATE),
    class(c"zip([5, 6, 7], [8, 9, 0])", Kind::Composed, ZIP),
    class(c"map(abs, [5, 6, 7])", Kind::Composed, MAP),
    class(c"filter(abs, [5, 6, 7])", Kind::Composed, FILTER),
];

/// `T_INT` of CPython's `structmember.h`.
const INT: c_int = 1;

/// The size of the structure of a kind as it is read here.
fn size_of_kind(kind: Kind) -> usize {
    match kind {
        Kind::Items | Kind::Backwards | Kind::Text => size_of::<Sequence>(),
        Kind::Range => size_of::<Range>(),
        Kind::Dict => size_of::<Dict>(),
        Kind::Set => size_of::<Set>(),
        Kind::Enumerate => size_of::<Enumerate>(),
        Kind::Composed => size_of::<Map>(),
    }
}

/// Finds the classes whose structures are as written here, and what capture reads of them.
fn verify(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let parts = PyDict::new(py);
    let mut kinds = Vec::new();
    for class in CLASSES {
        let example = py.eval(class.example, None, None)?;
        let cls = example.get_type();
        if let Some(members) = members_of(&example, class)? {
            kinds.push((cls.as_ptr() as usize, class.kind));
            if class.kind == Kind::Composed || gives_what_it_says(&example, class)? {
                parts.set_item(&cls, members)?;
                continue;
            }
            kinds.pop();
        }
    }
    KINDS.get_or_init(|| kinds);
    Ok(parts)
}

/// The members of a class by name; None where they are elsewhere than written here.
fn members_of<'py>(example: &Bound<'py, PyAny>, class: &Class) -> PyResult<Option<Bound<'py, PyDict>>> {
    let py = example.py();
    let cls = example.get_type();
    let size: usize = cls.getattr("__basicsize__")?.extract()?;
    if size < size_of_kind(class.kind) {
        return Ok(None);
    }
    let held: Vec<Bound<'_, PyAny>> = py
        .import("gc")?
        .call_method1("get_referents", (example,))?
        .extract()?;
    let found = PyDict::new(py);
    for (name, offset) in class.members {
        if offset + size_of::<Object>() > size {
            return Ok(None);
        }
        // SAFETY: a word of the object, which is compared and not used as a pointer.
        let word: Object = unsafe { example.as_ptr().byte_add(*offset).cast::<Object>().read() };
        if !held.iter().any(|one| one.as_ptr() == word) {
            return Ok(None);
        }
        found.set_item(
            &*name.to_string_lossy(),
            member(&cls, name, ffi::Py_T_OBJECT_EX, *offset)?,
        )?;
    }
    if cls.name()? == "zip" {
        let strict = member(&cls, c"strict", INT, offset_of!(Zip, strict))?;
        for (text, expected) in [(c"zip((), strict=True)", 1), (c"zip(())", 0)] {
            let told: c_int = strict
                .call_method1("__get__", (py.eval(text, None, None)?,))?
                .extract()?;
            if size < size_of::<Zip>() || told != expected {
                return Ok(None);
            }
        }
        found.set_item("strict", strict)?;
    }
    Ok(Some(found))
}

/// Whether reading ahead tells at every place what an iterator, which is used up here, then gives.
fn gives_what_it_says(example: &Bound<'_, PyAny>, class: &Class) -> PyResult<bool> {
    let parts: &[Part] = match (class.kind, &*example.get_type().name()?.to_cow()?) {
        (Kind::Dict, "dict_keyiterator") => &[Part::Key],
        (Kind::Dict, "dict_valueiterator") => &[Part::Value],
        (Kind::Dict, _) => &[Part::Key, Part::Value],
        _ => &[Part::Whole],
    };
    let another = example.py().eval(class.example, None, None)?;
    let given: Vec<Bound<'_, PyAny>> = another.try_iter()?.collect::<PyResult<_>>()?;
    for taken in 0..=given.len() {
        for ahead in 0..=given.len() - taken {
            for &part in parts {
                // SAFETY: a live iterator, whose members are where the structure has them.
                let told = unsafe { told(class.kind, example, ahead as Py_ssize_t, part) };
                let expected = match (class.kind, given.get(taken + ahead)) {
                    (Kind::Enumerate, _) => Some((taken + ahead).into_pyobject(example.py())?.into_any()),
                    (_, Some(item)) if parts.len() == 2 => {
                        Some(item.get_item(usize::from(part == Part::Value))?)
                    }
                    (_, item) => item.cloned(),
                };
                let same = match (told, expected) {
                    (Ok(Some(told)), Some(expected)) => told.eq(expected)?,
                    (Ok(None), None) => true,
                    _ => false,
                };
                if !same {
                    return Ok(false);
                }
            }
        }
        if taken < given.len() {
            example.call_method0("__next__")?;
        }
    }
    Ok(true)
}

/// One part of the item `ahead` of the place of `iterator`; None at its end, an error where it can't be told.
///
/// # Safety
/// As for [`read`].
unsafe fn told<'py>(
    kind: Kind,
    iterator: &Bound<'py, PyAny>,
    ahead: Py_ssize_t,
    part: Part,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut owned = Released::new();
    // SAFETY: the caller's promise; what is found is held before the references are released.
    unsafe {
        let found = match read(kind, iterator.as_ptr(), ahead, part, &mut owned) {
            Next::Item(item) => Ok(Some(Bound::from_borrowed_ptr(iterator.py(), item))),
            Next::End => Ok(None),
            Next::Unknown => Err(PyRuntimeError::new_err(
                "what the iterator gives next can't be told",
            )),
        };
        owned.release();
        found
    }
}

/// `next_item(iterator, ahead, part)`: what `iterator`, which stays as it is, gives after `ahead` other items.
/// Raises `IndexError` at its end, and `RuntimeError` where asking would raise, or where this can't be told.
#[pyfunction]
fn next_item<'py>(
    iterator: &Bound<'py, PyAny>,
    ahead: Py_ssize_t,
    part: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let (ahead, part) = (not_behind(ahead)?, Part::named(part)?);
    let Some(kind) = kind_of(iterator.get_type().as_ptr()) else {
        let class = iterator.get_type();
        return Err(PyRuntimeError::new_err(format!(
            "{class} is not an iterator that can be read"
        )));
    };
    // SAFETY: the kind is that of the iterator's exact type.
    let told = unsafe { told(kind, iterator, ahead, part) }?;
    told.ok_or_else(|| PyIndexError::new_err("the iterator is at its end"))
}

/// `advance(iterator, count)`: takes `count` items and drops them. Of an enumeration only the number goes on.
#[pyfunction]
fn advance(iterator: &Bound<'_, PyAny>, count: Py_ssize_t) -> PyResult<()> {
    let py = iterator.py();
    let class = iterator.get_type();
    match kind_of(class.as_ptr()) {
        Some(Kind::Enumerate) => {
            // SAFETY: the exact type has this structure.
            unsafe { (*iterator.as_ptr().cast::<Enumerate>()).index += count };
            Ok(())
        }
        Some(kind) if kind != Kind::Composed => {
            for _ in 0..count {
                // SAFETY: the slot of an iterator's class is called with an iterator.
                let item = unsafe { ffi::PyIter_Next(iterator.as_ptr()) };
                if item.is_null() {
                    return PyErr::take(py).map_or(Ok(()), Err);
                }
                // SAFETY: a new reference.
                unsafe { ffi::Py_DECREF(item) };
            }
            Ok(())
        }
        _ => Err(PyTypeError::new_err(format!("{class} can't be advanced"))),
    }
}

/// Adds what capture needs to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("iterator_parts", verify(module.py())?)?;
    module.add_function(wrap_pyfunction!(next_item, module)?)?;
    module.add_function(wrap_pyfunction!(advance, module)?)
}
