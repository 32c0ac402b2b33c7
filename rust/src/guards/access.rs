//! Accesses: how a node's object is fetched from its parent. One variant per class of `guards/sources.py`.
//!
//! A fetch gives a borrowed object: held by its parent, by the tree, by the caller's arguments, or, where
//! a getter made a new reference, by the walk's list of things to release. It runs no user code and
//! leaves no exception.

mod fields;
mod instance_dict;
mod lookups;
mod sequences;

use super::build::{Builder, Description};
use super::iterators::NextItem;
use super::python::without_collector;
use super::standing::{Stands, Words};
use crate::frames::handled_exception;
use crate::objects::{Object, Released};
pub use fields::Member;
use fields::{Descriptor, FunctionField, descriptor_access};
pub use instance_dict::{instance_dict, instance_dict_place};
use instance_dict::{own_instance_dict, readable_instance_dict};
pub use lookups::TypeLookup;
use lookups::{DictItem, named_item};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use sequences::sequence_item;
pub use sequences::storage_type;
use std::ptr::null_mut;

/// At import: what fetches need besides the objects they are given.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    instance_dict::prepare(py);
    sequences::prepare(py)
}

/// How to fetch an object from the one at the parent node.
pub enum Access {
    Argument(usize),
    /// What the thread is handling; true: beyond the innermost generator.
    HandledException(bool),
    Held(Object),
    DictItem(DictItem),
    /// The key is the string at an earlier node.
    NamedItem(usize),
    InstanceDict,
    /// The same, made if need be: the exit will write to it.
    OwnInstanceDict,
    ListItem(ffi::Py_ssize_t),
    TupleItem(ffi::Py_ssize_t),
    SequenceItem(ffi::Py_ssize_t),
    TypeOf,
    CellContents,
    Referent,
    Reading,
    NextItem(NextItem),
    FunctionField(FunctionField),
    Member(Member),
    Descriptor(Descriptor),
    TypeLookup(TypeLookup),
}

/// An object that another one is fetched from, while standing facts are taken.
pub struct Parent {
    pub object: Object,
    /// The words kept so far imply that it is the same object, not only at the same address.
    pub firm: bool,
    /// It is the dictionary of an instance. One that only its place in the tree refers to is nobody's, unless it is
    /// found there.
    pub is_namespace: bool,
}

impl Access {
    /// Reads a description such as `("dict_item", key)`.
    pub fn parse(description: &Bound<'_, PyAny>, builder: &mut Builder) -> PyResult<Self> {
        let description = Description::new(description)?;
        Ok(match description.name() {
            "argument" => Self::Argument(description.one()?.extract()?),
            "handled_exception" => Self::HandledException(description.one()?.extract()?),
            "held" => Self::Held(builder.keep(&description.one()?)),
            "dict_item" => Self::DictItem(DictItem::new(&description.one()?, builder)?),
            "named_item" => Self::NamedItem(builder.earlier(&description.one()?)?),
            "instance_dict" => Self::InstanceDict,
            "own_instance_dict" => Self::OwnInstanceDict,
            "list_item" => Self::ListItem(index(&description)?),
            "tuple_item" => Self::TupleItem(index(&description)?),
            "sequence_item" => Self::SequenceItem(index(&description)?),
            "type_of" => Self::TypeOf,
            "cell_contents" => Self::CellContents,
            "referent" => Self::Referent,
            "reading" => Self::Reading,
            "next_item" => {
                let [class, ahead, part] = description.arguments()?;
                Self::NextItem(NextItem::new(
                    builder,
                    &class,
                    ahead.extract()?,
                    &part.extract::<String>()?,
                )?)
            }
            "function_field" => {
                Self::FunctionField(FunctionField::named(&description.one()?.extract::<String>()?)?)
            }
            "descriptor" => descriptor_access(&description.one()?, builder)?,
            "type_lookup" => {
                let [name, after] = description.arguments()?;
                Self::TypeLookup(TypeLookup::new(&name, &after, builder)?)
            }
            other => return Err(PyValueError::new_err(format!("no access is called {other:?}"))),
        })
    }

    /// Whether this access starts at the call or the entry instead of at another object.
    pub fn is_root(&self) -> bool {
        matches!(
            self,
            Self::Argument(_) | Self::HandledException(_) | Self::Held(_)
        )
    }

    /// Whether this fetches the dictionary of an instance, into which attributes are stored.
    pub fn gives_namespace(&self) -> bool {
        matches!(self, Self::InstanceDict | Self::OwnInstanceDict)
    }

    /// Whether this fetches an object whose layout follows from where it was found: a class, or a dictionary.
    pub fn gives_known_layout(&self) -> bool {
        matches!(self, Self::TypeOf) || self.gives_namespace()
    }

    /// Keeps the words that imply that the fetch from `parent` gives `value`, as it did now.
    ///
    /// # Safety
    /// `parent` and `value` are live, `value` was just fetched from `parent`, and words may be read from it.
    pub unsafe fn standing(&self, parent: &Parent, value: Object, words: &mut Words) -> Stands {
        let &Parent {
            object: parent,
            firm,
            is_namespace,
        } = parent;
        // SAFETY: the fetch has found a value, so `parent` is of the type whose structure is read, and that type
        // is the first word.
        unsafe {
            if !matches!(self, Self::TypeLookup(_)) {
                words.keep_type(parent, firm);
            }
            match self {
                Self::TypeOf => Stands::There,
                Self::DictItem(item) if words.keep_dict(parent) => {
                    if (is_namespace || ffi::Py_REFCNT(parent) > 1)
                        && let Some(kept) = item.kept_in(parent)
                    {
                        words.keep_item(parent, kept.place());
                    }
                    Stands::Firm
                }
                Self::TypeLookup(_) if words.keep_class(parent) => Stands::Firm,
                Self::InstanceDict | Self::OwnInstanceDict => {
                    let place = instance_dict_place(parent);
                    if place.is_null() || *place != value {
                        return Stands::No;
                    }
                    words.keep(place);
                    Stands::There
                }
                Self::ListItem(index) => {
                    let list = parent.cast::<ffi::PyListObject>();
                    words.keep(&raw const (*list).ob_base.ob_size);
                    words.keep(&raw const (*list).ob_item);
                    words.keep((*list).ob_item.offset(*index));
                    Stands::There
                }
                Self::TupleItem(_) if firm => Stands::Firm,
                Self::CellContents => {
                    words.keep(&raw const (*parent.cast::<ffi::PyCellObject>()).ob_ref);
                    Stands::There
                }
                Self::FunctionField(field) => {
                    words.keep(field.place(parent));
                    Stands::There
                }
                Self::Member(member) => {
                    words.keep(member.place(parent));
                    Stands::There
                }
                Self::Argument(_)
                | Self::HandledException(_)
                | Self::Held(_)
                | Self::DictItem(_)
                | Self::NamedItem(_)
                | Self::TypeLookup(_)
                | Self::TupleItem(_)
                | Self::SequenceItem(_)
                | Self::Referent
                | Self::Reading
                | Self::NextItem(_)
                | Self::Descriptor(_) => Stands::No,
            }
        }
    }

    /// The object, borrowed; null where it is not there. `values` has the objects of the nodes before this one,
    /// `owned` takes references made on the way.
    ///
    /// # Safety
    /// `parent` is a live object unless this is a root, and so are the `values`; `arguments` has the call's
    /// arguments; the thread is attached, with no exception set.
    #[inline]
    pub unsafe fn fetch(
        &self,
        parent: Object,
        arguments: *const Object,
        values: *const Object,
        owned: &mut Released,
    ) -> Object {
        // SAFETY: every branch checks the parent's type before it reads the parent's structure.
        unsafe {
            match self {
                Self::Argument(index) => *arguments.add(*index),
                Self::HandledException(beyond) => handled_exception(*beyond),
                Self::Held(object) => *object,
                Self::DictItem(item) => item.fetch(parent),
                Self::NamedItem(node) => named_item(parent, *values.add(*node)),
                Self::InstanceDict => readable_instance_dict(parent),
                Self::OwnInstanceDict => own_instance_dict(parent, owned),
                Self::ListItem(index) => {
                    if ffi::PyList_Check(parent) != 0 && *index < ffi::PyList_GET_SIZE(parent) {
                        ffi::PyList_GET_ITEM(parent, *index)
                    } else {
                        null_mut()
                    }
                }
                Self::TupleItem(index) => {
                    if ffi::PyTuple_Check(parent) != 0 && *index < ffi::PyTuple_GET_SIZE(parent) {
                        ffi::PyTuple_GET_ITEM(parent, *index)
                    } else {
                        null_mut()
                    }
                }
                Self::SequenceItem(index) => sequence_item(parent, *index, owned),
                Self::TypeOf => ffi::Py_TYPE(parent).cast(),
                Self::CellContents => {
                    if ffi::Py_TYPE(parent) == &raw mut ffi::PyCell_Type {
                        (*parent.cast::<ffi::PyCellObject>()).ob_ref
                    } else {
                        null_mut()
                    }
                }
                Self::Referent => referent(parent, owned),
                Self::Reading => reading(parent, owned),
                Self::NextItem(item) => item.fetch(parent, owned),
                Self::FunctionField(field) => field.fetch(parent),
                Self::Member(member) => member.fetch(parent),
                Self::Descriptor(descriptor) => descriptor.fetch(parent, owned),
                Self::TypeLookup(lookup) => lookup.fetch(parent),
            }
        }
    }
}

fn index(description: &Description<'_>) -> PyResult<ffi::Py_ssize_t> {
    let index = description.one()?.extract::<ffi::Py_ssize_t>()?;
    if index < 0 {
        return Err(PyValueError::new_err("an item's index is not negative"));
    }
    Ok(index)
}

/// What a C function without arguments tells, kept for the walk; null where it raises.
///
/// # Safety
/// As for [`Access::fetch`]; capture names only functions that read a setting and run no user code.
unsafe fn reading(function: Object, owned: &mut Released) -> Object {
    // SAFETY: the exact type is checked; an error is dropped, a new reference is handed on.
    unsafe {
        if ffi::Py_TYPE(function) != &raw mut ffi::PyCFunction_Type {
            return null_mut();
        }
        let value = without_collector(|| ffi::PyObject_CallNoArgs(function));
        if value.is_null() {
            ffi::PyErr_Clear();
        } else {
            owned.push(value);
        }
        value
    }
}

/// The object of a `weakref.ref`, kept for the walk; null where it is gone.
unsafe fn referent(reference: Object, owned: &mut Released) -> Object {
    // SAFETY: the exact type is checked first. The object is alive while the reference to it is read, as the
    // thread is attached, and a new reference holds it from then on.
    unsafe {
        if ffi::PyWeakref_CheckRefExact(reference) == 0 {
            return null_mut();
        }
        let mut found = null_mut();
        if ffi::compat::PyWeakref_GetRef(reference, &raw mut found) != 1 {
            return null_mut();
        }
        owned.push(found);
        found
    }
}
