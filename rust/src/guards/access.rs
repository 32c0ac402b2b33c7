//! Accesses: how a node's object is fetched from its parent. One variant per class of `guards/sources.py`.
//!
//! A fetch gives a borrowed object: held by its parent, by the tree, by the caller's arguments, or, where
//! a getter made a new reference, by the walk's list of things to release. It runs no user code and
//! leaves no exception.

use super::build::{Builder, Description};
use super::iterators::NextItem;
use super::lookup::{Lookup, find};
use super::python::{_PyObject_GetDictPtr, _PyType_Lookup, class_dict, has_flags, without_collector};
use super::standing::{Stands, Words};
use super::versions::dict_version;
use crate::frames::handled_exception;
use crate::objects::{Object, Released};
use crate::torch_abi;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::OnceLock;

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

/// A key of a dictionary, with the answer of the last time.
pub struct DictItem {
    key: Object,
    hash: ffi::Py_hash_t,
    /// CPython 3.11 numbers every state of every dictionary: the same number, the same answer.
    version: Cell<u64>,
    value: Cell<Object>,
}

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

/// A name looked up along a class's method resolution order, with the answer of the last time.
pub struct TypeLookup {
    name: Object,
    after: Object,
    version: Cell<u32>,
    value: Cell<Object>,
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

    /// Whether this fetches an object whose layout follows from where it was found: a class, or a dictionary.
    pub fn gives_known_layout(&self) -> bool {
        matches!(self, Self::TypeOf | Self::InstanceDict | Self::OwnInstanceDict)
    }

    /// Keeps the words that imply that the fetch from `parent` gives `value`, as it did now. `firm` says that
    /// the words kept so far imply that `parent` is the same object, not only at the same address.
    ///
    /// # Safety
    /// `parent` and `value` are live, `value` was just fetched from `parent`, and words may be read from it.
    pub unsafe fn standing(&self, parent: Object, value: Object, firm: bool, words: &mut Words) -> Stands {
        // SAFETY: the fetch has found a value, so `parent` is of the type whose structure is read, and that type
        // is the first word.
        unsafe {
            if !matches!(self, Self::TypeLookup(_)) {
                words.keep_type(parent, firm);
            }
            match self {
                Self::TypeOf => Stands::There,
                Self::DictItem(_) if words.keep_dict(parent) => Stands::Firm,
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

impl DictItem {
    fn new(key: &Bound<'_, PyAny>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            hash: key.hash()?,
            key: builder.keep(key),
            version: Cell::new(0),
            value: Cell::new(null_mut()),
        })
    }

    /// # Safety
    /// As for [`Access::fetch`].
    #[inline]
    unsafe fn fetch(&self, dict: Object) -> Object {
        // SAFETY: the type is checked first. A remembered value is held by a dictionary in the state in
        // which it was found there, because no two states of any dictionaries have the same number.
        unsafe {
            if ffi::PyDict_Check(dict) == 0 {
                return null_mut();
            }
            let version = dict_version(dict);
            if version != 0 && version == self.version.get() {
                return self.value.get();
            }
            let Lookup::Found(value) = find(dict, self.key, self.hash) else {
                return null_mut();
            };
            self.value.set(value);
            self.version.set(version);
            value
        }
    }
}

/// The item of a dictionary under a name; null for a key that is no exact string.
///
/// # Safety
/// As for [`Access::fetch`].
unsafe fn named_item(dict: Object, name: Object) -> Object {
    // SAFETY: the types are checked first; the hash of a string neither fails nor calls anybody.
    unsafe {
        if ffi::PyDict_Check(dict) == 0 || ffi::PyUnicode_CheckExact(name) == 0 {
            return null_mut();
        }
        match find(dict, name, ffi::PyObject_Hash(name)) {
            Lookup::Found(value) => value,
            Lookup::Missing | Lookup::Unknown => null_mut(),
        }
    }
}

/// The instance dictionary, borrowed; null where there is none.
///
/// # Safety
/// `object` is live; the thread is attached.
pub unsafe fn instance_dict(object: Object) -> Object {
    // SAFETY: a live object, and a place in it.
    unsafe {
        let place = instance_dict_place(object);
        if place.is_null() { null_mut() } else { *place }
    }
}

/// Where the instance dictionary is kept; null where there can be none.
///
/// # Safety
/// `object` is live; the thread is attached.
pub unsafe fn instance_dict_place(object: Object) -> *mut Object {
    // SAFETY: a live object. Making a dictionary of inline values allocates, so the collector is off.
    unsafe { without_collector(|| _PyObject_GetDictPtr(object)) }
}

/// The instance dictionary to read from, borrowed: an empty one where the object has not made its own yet,
/// null where it can have none. Nobody writes to what is returned here.
///
/// # Safety
/// `object` is live; the thread is attached.
unsafe fn readable_instance_dict(object: Object) -> Object {
    // SAFETY: a live object.
    let place = unsafe { instance_dict_place(object) };
    if place.is_null() {
        return null_mut();
    }
    // SAFETY: a place in a live object.
    let dict = unsafe { *place };
    if dict.is_null() { empty_dict() } else { dict }
}

/// The instance dictionary itself, made if the object has not made it yet.
///
/// # Safety
/// `object` is live; the thread is attached, with no exception set.
unsafe fn own_instance_dict(object: Object, owned: &mut Released) -> Object {
    // SAFETY: a live object; the new reference goes to `owned`.
    unsafe {
        let dict = without_collector(|| ffi::PyObject_GenericGetDict(object, null_mut()));
        if dict.is_null() {
            ffi::PyErr_Clear();
        } else {
            owned.push(dict);
        }
        dict
    }
}

/// One empty dictionary, made once and never freed.
fn empty_dict() -> Object {
    static EMPTY: OnceLock<usize> = OnceLock::new();
    // SAFETY: called with the thread attached.
    *EMPTY.get_or_init(|| unsafe { ffi::PyDict_New() } as usize) as Object
}

/// `collections.deque`, whose C storage is read also in subclasses.
fn deque_type(py: Python<'_>) -> PyResult<*mut ffi::PyTypeObject> {
    let class = py.import("collections")?.getattr("deque")?;
    Ok(class.as_ptr().cast())
}

/// The type found once; it is never freed, `collections` holds it.
pub fn deque() -> *mut ffi::PyTypeObject {
    static DEQUE: OnceLock<usize> = OnceLock::new();
    *DEQUE.get_or_init(|| Python::attach(|py| deque_type(py).map_or(0, |class| class as usize)))
        as *mut ffi::PyTypeObject
}

/// The C type whose storage an object of `class` has, as far as it is known to run no user code.
///
/// # Safety
/// `class` is a live class.
pub unsafe fn storage_type(class: *mut ffi::PyTypeObject) -> *mut ffi::PyTypeObject {
    // SAFETY: live classes.
    unsafe {
        if (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE == 0 {
            class
        } else if !deque().is_null() && ffi::PyType_IsSubtype(class, deque()) != 0 {
            deque()
        } else {
            null_mut()
        }
    }
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

unsafe fn sequence_item(sequence: Object, index: ffi::Py_ssize_t, owned: &mut Released) -> Object {
    // SAFETY: the slots of a C type are called with an object that has its storage.
    unsafe {
        let storage = storage_type(ffi::Py_TYPE(sequence));
        if storage.is_null() || (*storage).tp_as_sequence.is_null() {
            return null_mut();
        }
        let methods = &*(*storage).tp_as_sequence;
        let (Some(item), Some(length)) = (methods.sq_item, methods.sq_length) else {
            return null_mut();
        };
        if index >= length(sequence) {
            return null_mut();
        }
        let value = without_collector(|| item(sequence, index));
        if value.is_null() {
            ffi::PyErr_Clear();
        } else {
            owned.push(value);
        }
        value
    }
}

impl FunctionField {
    fn named(name: &str) -> PyResult<Self> {
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
    /// As for [`Access::fetch`].
    #[inline]
    unsafe fn fetch(self, function: Object) -> Object {
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
    unsafe fn place(self, function: Object) -> *const Object {
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
    unsafe fn fetch(&self, object: Object) -> Object {
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

fn descriptor_access(descriptor: &Bound<'_, PyAny>, builder: &mut Builder) -> PyResult<Access> {
    if let Some(member) = Member::of(descriptor, builder) {
        return Ok(Access::Member(member));
    }
    // SAFETY: a live object's type.
    let class = unsafe { &*ffi::Py_TYPE(descriptor.as_ptr()) };
    let is_written_in_c =
        class.tp_flags & ffi::Py_TPFLAGS_HEAPTYPE == 0 || descriptor.get_type().qualname()? == "_tuplegetter";
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
    /// As for [`Access::fetch`].
    unsafe fn fetch(&self, object: Object, owned: &mut Released) -> Object {
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

impl TypeLookup {
    /// A lookup of `name`, behind the class `after` unless that is None.
    pub fn new(name: &Bound<'_, PyAny>, after: &Bound<'_, PyAny>, builder: &mut Builder) -> PyResult<Self> {
        let after = if after.is_none() {
            null_mut()
        } else {
            builder.keep_class(after)?
        };
        Ok(Self {
            name: builder.keep(name.cast::<PyString>()?),
            after,
            version: Cell::new(0),
            value: Cell::new(null_mut()),
        })
    }

    /// The raw attribute, borrowed; null where no class of the order has it or `class` is none.
    ///
    /// # Safety
    /// As for [`Access::fetch`].
    #[inline]
    pub unsafe fn fetch(&self, class: Object) -> Object {
        // SAFETY: the type is checked first. Version tags are never given twice, and change with every
        // change along the order: the same tag, the same class and the same answer.
        unsafe {
            if !has_flags(class, ffi::Py_TPFLAGS_TYPE_SUBCLASS) {
                return null_mut();
            }
            let class = class.cast::<ffi::PyTypeObject>();
            let version = (*class).tp_version_tag;
            if version != 0 && version == self.version.get() {
                return self.value.get();
            }
            // This also numbers the class.
            let mut value = _PyType_Lookup(class, self.name);
            if !self.after.is_null() {
                value = self.search_behind(class);
            }
            self.value.set(value);
            self.version.set((*class).tp_version_tag);
            value
        }
    }

    unsafe fn search_behind(&self, class: *mut ffi::PyTypeObject) -> Object {
        // SAFETY: a class holds its order, a tuple of classes; class dictionaries have string keys, and
        // `find` refuses others.
        unsafe {
            let order = (*class).tp_mro;
            let hash = ffi::PyObject_Hash(self.name);
            let mut behind = false;
            for index in 0..ffi::PyTuple_GET_SIZE(order) {
                let base = ffi::PyTuple_GET_ITEM(order, index);
                if behind && let Lookup::Found(value) = find(class_dict(base.cast()), self.name, hash) {
                    return value;
                }
                behind |= base == self.after;
            }
            null_mut()
        }
    }
}
