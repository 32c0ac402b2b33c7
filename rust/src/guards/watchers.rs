//! Watchers: CPython says that a dictionary or a class is about to change, so that nobody need ask.
//!
//! From 3.12 on, a dictionary or a class can be *watched*: a function of ours is called before each change of it,
//! and before a dictionary is freed. All that the function does is to count one [`epoch`] on. As long as the epoch
//! is the same, nothing that is watched has changed, and none of the numbers that [`super::standing`] keeps of such
//! objects need be compared. When it is another one, they are compared, and mostly it was something else that
//! changed.
//!
//! Laws:
//! 1. What is watched has a number, too (`versions.rs`, the version tag of a class), taken when it was watched:
//!    the epoch says only that the number need not be read.
//! 2. A class is watched only while something holds it: nobody is told when it is freed.
//! 3. What changes all the time would make every entry compare everything. A dictionary that was the last to change
//!    before many such comparisons is watched no longer, and those who relied on it learn it from a new
//!    [`generation`].
//!
//! CPython 3.11 has no watchers, and some builds don't call them for every change (python/cpython#125608): it is
//! tried at import.

use crate::objects::Object;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts changes of what is watched. Read and written with the GIL held.
static EPOCH: AtomicU64 = AtomicU64::new(0);
/// Counts how often something stopped being watched.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Unequal to what it was before if anything that is watched has changed since, or is about to.
#[inline]
pub fn epoch() -> u64 {
    EPOCH.load(Ordering::Relaxed)
}

/// Unequal to what it was before if something that was watched then may be so no longer.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

#[cfg(not(Py_3_12))]
mod cpython {
    use super::Object;
    use pyo3::prelude::*;

    /// There are no watchers.
    #[allow(clippy::unnecessary_wraps)] // as where there are
    pub fn install(_py: Python<'_>) -> PyResult<()> {
        Ok(())
    }

    /// Not watched.
    pub unsafe fn watch_dict(_dict: Object) -> bool {
        false
    }

    /// Not watched.
    pub unsafe fn watch_class(_class: Object) -> bool {
        false
    }

    /// Nothing to do.
    pub fn in_vain() {}
}

#[cfg(Py_3_12)]
mod cpython {
    use super::{EPOCH, GENERATION, Object, epoch};
    use crate::guards::python::_PyType_Lookup;
    use crate::guards::versions::dict_version_place;
    use pyo3::ffi;
    use pyo3::prelude::*;
    use pyo3::types::{PyCFunction, PyDict, PyType};
    use std::collections::{HashMap, HashSet};
    use std::ffi::c_int;
    use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    /// After so many comparisons in vain a dictionary is watched no longer.
    const NOISY: u32 = 64;
    /// `PyDict_EVENT_DEALLOCATED`.
    const DEALLOCATED: c_int = 5;
    /// So many dictionaries are remembered as noisy; then all are forgotten, since addresses are used again.
    const MOST_NOISY: usize = 10_000;

    unsafe extern "C" {
        fn PyDict_AddWatcher(changes: unsafe extern "C" fn(c_int, Object, Object, Object) -> c_int) -> c_int;
        fn PyDict_Watch(watcher: c_int, dict: Object) -> c_int;
        fn PyDict_Unwatch(watcher: c_int, dict: Object) -> c_int;
        fn PyType_AddWatcher(changes: unsafe extern "C" fn(*mut ffi::PyTypeObject) -> c_int) -> c_int;
        fn PyType_Watch(watcher: c_int, class: Object) -> c_int;
    }

    /// The numbers of our watchers, negative where there are none that can be relied on.
    static DICT_WATCHER: AtomicI32 = AtomicI32::new(-1);
    static TYPE_WATCHER: AtomicI32 = AtomicI32::new(-1);

    /// The watched dictionary that changed last; 0: a class did, or the dictionary is gone.
    static LAST: AtomicUsize = AtomicUsize::new(0);

    /// Dictionaries by address.
    #[derive(Default)]
    struct Blamed {
        /// How many comparisons were in vain after a change of it, of those that are watched.
        in_vain: HashMap<usize, u32>,
        /// Not to be watched again.
        noisy: HashSet<usize>,
    }

    static BLAMED: LazyLock<Mutex<Blamed>> = LazyLock::new(Mutex::default);

    /// Nothing in `body` calls out: so nobody waits, and a fork finds the lock free.
    fn with_blamed<R>(body: impl FnOnce(&mut Blamed) -> R) -> R {
        body(&mut BLAMED.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn advance(counter: &AtomicU64) {
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    unsafe extern "C" fn dict_changes(event: c_int, dict: Object, _key: Object, _value: Object) -> c_int {
        advance(&EPOCH);
        if event == DEALLOCATED {
            LAST.store(0, Ordering::Relaxed);
            with_blamed(|blamed| blamed.in_vain.remove(&(dict as usize)));
        } else {
            LAST.store(dict as usize, Ordering::Relaxed);
        }
        0
    }

    unsafe extern "C" fn class_changes(_class: *mut ffi::PyTypeObject) -> c_int {
        advance(&EPOCH);
        LAST.store(0, Ordering::Relaxed);
        0
    }

    /// Watches a dictionary from now on, unless it is a noisy one. This may change its number.
    ///
    /// # Safety
    /// `dict` is a dict or of a subclass, and has a number; the thread is attached, with no exception set.
    pub unsafe fn watch_dict(dict: Object) -> bool {
        let watcher = DICT_WATCHER.load(Ordering::Relaxed);
        // SAFETY: the caller's promise; the watcher is ours.
        watcher >= 0
            && !with_blamed(|blamed| blamed.noisy.contains(&(dict as usize)))
            && unsafe { done(PyDict_Watch(watcher, dict)) }
    }

    /// Watches a class from now on. Where a metaclass computes the order of the bases, CPython forgets the number
    /// of a class without a word.
    ///
    /// # Safety
    /// `class` is a live class; the thread is attached, with no exception set.
    pub unsafe fn watch_class(class: Object) -> bool {
        let watcher = TYPE_WATCHER.load(Ordering::Relaxed);
        if watcher < 0 {
            return false;
        }
        // SAFETY: the caller's promise; the watcher is ours.
        unsafe {
            let (metaclass, plain) = (ffi::Py_TYPE(class), &raw mut ffi::PyType_Type);
            let name = pyo3::intern!(Python::assume_attached(), "mro").as_ptr();
            (metaclass == plain || _PyType_Lookup(metaclass, name) == _PyType_Lookup(plain, name))
                && done(PyType_Watch(watcher, class))
        }
    }

    /// # Safety
    /// The thread is attached.
    unsafe fn done(answer: c_int) -> bool {
        if answer < 0 {
            // SAFETY: the caller's promise.
            unsafe { ffi::PyErr_Clear() };
        }
        answer >= 0
    }

    /// An entry has compared everything, and nothing that it relies on had changed.
    pub fn in_vain() {
        let last = LAST.swap(0, Ordering::Relaxed);
        if last == 0 {
            return;
        }
        let noisy = with_blamed(|blamed| {
            let count = blamed.in_vain.entry(last).or_insert(0);
            *count += 1;
            let noisy = *count >= NOISY;
            if noisy {
                blamed.in_vain.remove(&last);
                if blamed.noisy.len() >= MOST_NOISY {
                    blamed.noisy.clear();
                }
                blamed.noisy.insert(last);
            }
            noisy
        });
        if noisy {
            // SAFETY: a walk is attached. The dictionary is watched, and would have said that it is freed.
            unsafe {
                done(PyDict_Unwatch(
                    DICT_WATCHER.load(Ordering::Relaxed),
                    last as Object,
                ))
            };
            advance(&GENERATION);
            advance(&EPOCH);
        }
    }

    /// Changes a dictionary, the attributes of an object and those of a class in all the ways that CPython has a
    /// way of its own for, and asks for the epoch each time.
    const PROBE: &std::ffi::CStr = c"
class Base:
    pass

class Probe(Base):
    def __init__(self):
        self.first = self.second = 0

def store(probe, value):
    probe.first = value

def dictionaries(watch, epoch):
    told = True
    for _ in range(40):
        probe = Probe()
        namespace = probe.__dict__
        if not watch(namespace):
            continue
        for value in range(40):
            before = epoch()
            store(probe, value + 1)
            told &= epoch() != before
        for change in (
            lambda: setattr(probe, 'second', 1),
            lambda: setattr(probe, 'third', 1),
            lambda: delattr(probe, 'third'),
            lambda: namespace.update(fourth=1),
            lambda: namespace.clear(),
        ):
            before = epoch()
            change()
            told &= epoch() != before
    plain = {'key': 1}
    told &= watch(plain)
    for value in range(40):
        before = epoch()
        plain['key'] = value + 2
        told &= epoch() != before
    before = epoch()
    del plain
    return told and epoch() != before

def classes(watch, epoch):
    told = True
    for _ in range(40):
        for changed in (Probe, Base):
            Probe().method = None
            getattr(Probe, 'missing', None)
            told &= watch(Probe)
            before = epoch()
            changed.method = lambda self: None
            told &= epoch() != before
    return told
";

    /// Registers the watchers and keeps those that work.
    pub fn install(py: Python<'_>) -> PyResult<()> {
        // SAFETY: attached; the callbacks live as long as the process.
        unsafe {
            for (watcher, number) in [
                (&DICT_WATCHER, PyDict_AddWatcher(dict_changes)),
                (&TYPE_WATCHER, PyType_AddWatcher(class_changes)),
            ] {
                // All numbers may be taken by others.
                done(number);
                watcher.store(number, Ordering::Relaxed);
            }
        }
        let module = PyModule::from_code(py, PROBE, c"framelift/watchers.py", c"framelift_watchers")?;
        let count = PyCFunction::new_closure(py, None, None, |_, _| epoch())?;
        let watch = PyCFunction::new_closure(py, None, None, |arguments, _| {
            let object = arguments.get_item(0)?;
            // SAFETY: attached; the types are checked.
            PyResult::Ok(unsafe {
                if object.is_instance_of::<PyDict>() {
                    !dict_version_place(object.as_ptr()).is_null() && watch_dict(object.as_ptr())
                } else {
                    object.is_instance_of::<PyType>() && watch_class(object.as_ptr())
                }
            })
        })?;
        for (watcher, probe) in [(&DICT_WATCHER, "dictionaries"), (&TYPE_WATCHER, "classes")] {
            if !module.getattr(probe)?.call1((&watch, &count))?.extract()? {
                watcher.store(-1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

pub use cpython::{in_vain, install, watch_class, watch_dict};
