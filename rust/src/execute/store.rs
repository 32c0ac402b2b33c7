//! Stores into objects outside: on the C storage, without user code, and without releasing anything.
//!
//! What a store replaces goes to the list that is released when the last store is done. Nothing here
//! allocates an object that the garbage collector counts, so that no collection, and no finaliser, comes
//! between two stores. Each function answers false when an exception is set.
//!
//! For all of them: the thread is attached, and every object given is alive.

use crate::objects::{Object, Released};
use pyo3::ffi;
use std::ffi::CStr;
use std::ptr::null_mut;

unsafe extern "C" {
    // Of CPython's API, missing in PyO3. An `OrderedDict` keeps its order in a list of its own.
    static mut PyODict_Type: ffi::PyTypeObject;
    fn PyODict_SetItem(dictionary: Object, key: Object, value: Object) -> i32;
    fn PyODict_DelItem(dictionary: Object, key: Object) -> i32;
}

unsafe fn is_ordered(dictionary: Object) -> bool {
    // SAFETY: a live object and a static type.
    unsafe { ffi::PyObject_TypeCheck(dictionary, &raw mut PyODict_Type) != 0 }
}

/// `dictionary[key] = value`
pub unsafe fn dict_set(dictionary: Object, key: Object, value: Object, released: &mut Released) -> bool {
    // SAFETY: plain API calls on live objects, the first of them checked to be a dict.
    unsafe {
        if ffi::PyDict_Check(dictionary) == 0 {
            return wrong_type(c"dict", dictionary);
        }
        let replaced = ffi::PyDict_GetItemWithError(dictionary, key);
        if replaced.is_null() && !ffi::PyErr_Occurred().is_null() {
            return false;
        }
        released.push_new(replaced);
        let outcome = if is_ordered(dictionary) {
            PyODict_SetItem(dictionary, key, value)
        } else {
            ffi::PyDict_SetItem(dictionary, key, value)
        };
        outcome == 0
    }
}

/// `del dictionary[key]`, or nothing if the key is not there.
pub unsafe fn dict_delete(dictionary: Object, key: Object, released: &mut Released) -> bool {
    // SAFETY: as for `dict_set`. The stored key is `key` or its equal without a finaliser.
    unsafe {
        if ffi::PyDict_Check(dictionary) == 0 {
            return wrong_type(c"dict", dictionary);
        }
        let replaced = ffi::PyDict_GetItemWithError(dictionary, key);
        if replaced.is_null() {
            return ffi::PyErr_Occurred().is_null();
        }
        released.push_new(replaced);
        let outcome = if is_ordered(dictionary) {
            PyODict_DelItem(dictionary, key)
        } else {
            ffi::PyDict_DelItem(dictionary, key)
        };
        outcome == 0
    }
}

/// `dictionary.clear()`
pub unsafe fn dict_clear(dictionary: Object, released: &mut Released) -> bool {
    // SAFETY: as for `dict_set`. Nothing runs between the steps of the iteration.
    unsafe {
        if ffi::PyDict_Check(dictionary) == 0 {
            return wrong_type(c"dict", dictionary);
        }
        let (mut position, mut key, mut value) = (0, null_mut(), null_mut());
        while ffi::PyDict_Next(dictionary, &raw mut position, &raw mut key, &raw mut value) != 0 {
            released.push_new(key);
            released.push_new(value);
        }
        if !is_ordered(dictionary) {
            ffi::PyDict_Clear(dictionary);
            return true;
        }
        let method = ffi::PyObject_GetAttrString((&raw mut PyODict_Type).cast(), c"clear".as_ptr());
        if method.is_null() {
            return false;
        }
        let arguments = [dictionary];
        let none = ffi::PyObject_Vectorcall(method, arguments.as_ptr(), 1, null_mut());
        ffi::Py_DECREF(method);
        ffi::Py_XDECREF(none);
        !none.is_null()
    }
}

/// `list[:] = items`, with borrowed items.
pub unsafe fn list_assign(
    list: Object,
    items: impl ExactSizeIterator<Item = Object>,
    released: &mut Released,
) -> bool {
    // SAFETY: the storage of a list is an array of PyMem with `ob_size` owned references (where the
    // headers say, see `layout`); null during a sort, which notices that it is not any more.
    unsafe {
        if ffi::PyList_Check(list) == 0 {
            return wrong_type(c"list", list);
        }
        let count = items.len();
        let mut storage: *mut Object = null_mut();
        if count > 0 {
            storage = ffi::PyMem_Malloc(count * size_of::<Object>()).cast();
            if storage.is_null() {
                ffi::PyErr_NoMemory();
                return false;
            }
        }
        for (place, item) in items.enumerate() {
            storage.add(place).write(ffi::Py_NewRef(item));
        }
        let object = list.cast::<ffi::PyListObject>();
        let replaced = std::mem::replace(&mut (*object).ob_item, storage);
        let replaced_count = std::mem::replace(&mut (*object).ob_base.ob_size, count as isize);
        (*object).allocated = count as isize;
        for place in 0..replaced_count as usize {
            released.push(*replaced.add(place));
        }
        ffi::PyMem_Free(replaced.cast());
        true
    }
}

/// `list.extend(items)`, with borrowed items.
pub unsafe fn list_extend(list: Object, mut items: impl Iterator<Item = Object>) -> bool {
    // SAFETY: plain API calls on live objects, the first of them checked to be a list.
    unsafe {
        if ffi::PyList_Check(list) == 0 {
            return wrong_type(c"list", list);
        }
        items.all(|item| ffi::PyList_Append(list, item) == 0)
    }
}

/// The cell holds `value` from now on; null empties it.
pub unsafe fn cell_set(cell: Object, value: Object, released: &mut Released) -> bool {
    // SAFETY: checked to be a cell; its field is where the headers say, see `layout`.
    unsafe {
        if ffi::PyCell_Check(cell) == 0 {
            return wrong_type(c"cell", cell);
        }
        ffi::Py_XINCREF(value);
        let object = cell.cast::<ffi::PyCellObject>();
        released.push(std::mem::replace(&mut (*object).ob_ref, value));
        true
    }
}

#[cold]
unsafe fn wrong_type(expected: &'static CStr, found: Object) -> bool {
    // SAFETY: `found` is a live object.
    unsafe {
        ffi::PyErr_Format(
            ffi::PyExc_TypeError,
            c"an exit program stores into a %s, not a %.200s".as_ptr(),
            expected.as_ptr(),
            (*ffi::Py_TYPE(found)).tp_name,
        );
    }
    false
}
