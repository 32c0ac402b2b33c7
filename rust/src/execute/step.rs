//! Performs one operation of an exit program.
//!
//! The parser has checked every operand against what is there, so fetching one cannot fail.

use crate::execute::program::{Operand, Operation};
use crate::execute::store;
use crate::objects::{INLINE, Object, ObjectBuffer, Released};
use pyo3::ffi;
use std::ptr::null_mut;

/// Where the operations of one run find their objects.
pub struct Objects<'a> {
    pub slots: &'a [Object],
    /// A tuple, or null without a graph; owned by the caller.
    pub outputs: Object,
    /// Owned; null where an operation has no result.
    pub results: &'a mut [Object],
}

impl Objects<'_> {
    /// A borrowed reference.
    #[inline]
    pub unsafe fn fetch(&self, operand: &Operand) -> Object {
        match operand {
            Operand::Slot(index) => self.slots[*index],
            // SAFETY: the graph returned at least as many outputs as the program needs.
            Operand::Graph(index) => unsafe { ffi::PyTuple_GET_ITEM(self.outputs, *index as isize) },
            Operand::Constant(object) => object.as_ptr(),
            Operand::Result(index) => self.results[*index],
        }
    }

    /// Borrowed references.
    unsafe fn all(&self, operands: &[Operand]) -> impl ExactSizeIterator<Item = Object> {
        // SAFETY: as for `fetch`.
        operands.iter().map(|operand| unsafe { self.fetch(operand) })
    }

    /// Performs operation `index`; false when an exception is set. What stores replace goes to `released`.
    pub unsafe fn perform(&mut self, index: usize, operation: &Operation, released: &mut Released) -> bool {
        // SAFETY: operands are live objects; each function below says what it checks.
        unsafe {
            let made = match operation {
                Operation::Tuple(items) => self.tuple(items),
                Operation::List(items) => self.list(items),
                Operation::Dict(items) => self.dict(items),
                Operation::Set(items) => self.set(items),
                Operation::Call {
                    function,
                    arguments,
                    names,
                } => {
                    let names = names.as_ref().map_or(null_mut(), pyo3::Py::as_ptr);
                    self.call(self.fetch(function), arguments, names)
                }
                Operation::DictSet {
                    dictionary,
                    key,
                    value,
                } => {
                    let (dictionary, key, value) =
                        (self.fetch(dictionary), self.fetch(key), self.fetch(value));
                    return store::dict_set(dictionary, key, value, released);
                }
                Operation::DictDelete { dictionary, key } => {
                    let (dictionary, key) = (self.fetch(dictionary), self.fetch(key));
                    return store::dict_delete(dictionary, key, released);
                }
                Operation::DictClear { dictionary } => {
                    return store::dict_clear(self.fetch(dictionary), released);
                }
                Operation::ListAssign { list, items } => {
                    return store::list_assign(self.fetch(list), self.all(items), released);
                }
                Operation::ListExtend { list, items } => {
                    return store::list_extend(self.fetch(list), self.all(items));
                }
                Operation::CellSet { cell, value } => {
                    return store::cell_set(self.fetch(cell), self.fetch(value), released);
                }
                Operation::CellClear { cell } => {
                    return store::cell_set(self.fetch(cell), null_mut(), released);
                }
            };
            self.results[index] = made;
            !made.is_null()
        }
    }

    unsafe fn tuple(&self, items: &[Operand]) -> Object {
        // SAFETY: a new tuple, filled before anybody else sees it.
        unsafe {
            let tuple = ffi::PyTuple_New(items.len() as isize);
            if !tuple.is_null() {
                for (place, item) in self.all(items).enumerate() {
                    ffi::PyTuple_SET_ITEM(tuple, place as isize, ffi::Py_NewRef(item));
                }
            }
            tuple
        }
    }

    unsafe fn list(&self, items: &[Operand]) -> Object {
        // SAFETY: a new list, filled before anybody else sees it.
        unsafe {
            let list = ffi::PyList_New(items.len() as isize);
            if !list.is_null() {
                for (place, item) in self.all(items).enumerate() {
                    ffi::PyList_SET_ITEM(list, place as isize, ffi::Py_NewRef(item));
                }
            }
            list
        }
    }

    unsafe fn dict(&self, items: &[Operand]) -> Object {
        // SAFETY: plain API calls on live objects; hashing a key may run user code, which is allowed here.
        unsafe {
            let dictionary = ffi::PyDict_New();
            for pair in items.chunks_exact(2) {
                if dictionary.is_null() {
                    break;
                }
                if ffi::PyDict_SetItem(dictionary, self.fetch(&pair[0]), self.fetch(&pair[1])) != 0 {
                    ffi::Py_DECREF(dictionary);
                    return null_mut();
                }
            }
            dictionary
        }
    }

    unsafe fn set(&self, items: &[Operand]) -> Object {
        // SAFETY: as for `dict`.
        unsafe {
            let set = ffi::PySet_New(null_mut());
            for item in self.all(items) {
                if set.is_null() {
                    break;
                }
                if ffi::PySet_Add(set, item) != 0 {
                    ffi::Py_DECREF(set);
                    return null_mut();
                }
            }
            set
        }
    }

    unsafe fn call(&self, function: Object, operands: &[Operand], names: Object) -> Object {
        let mut room = ObjectBuffer::<INLINE>::new();
        let arguments = room.nulls(operands.len() + 1);
        // SAFETY: operands are alive for the whole run.
        let objects = unsafe { self.all(operands) };
        for (place, object) in arguments[1..].iter_mut().zip(objects) {
            *place = object;
        }
        // SAFETY: `names` is null or an exact tuple of strings, no longer than the arguments.
        unsafe {
            let keyword_count = if names.is_null() {
                0
            } else {
                ffi::PyTuple_GET_SIZE(names) as usize
            };
            ffi::PyObject_Vectorcall(
                function,
                arguments.as_ptr().add(1),
                (operands.len() - keyword_count) | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
                names,
            )
        }
    }
}
