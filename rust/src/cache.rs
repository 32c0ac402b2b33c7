//! Entries: what a compiled callable keeps for one set of facts, and the tuple that holds them.
//!
//! An entry is immutable, so the garbage collector can reach everything it holds and needs to break no
//! cycle in it: each cycle runs through an object outside that can be cleared.

use crate::callable::Question;
use crate::execute::ExitProgram;
use crate::guards::GuardTree;
use crate::objects::Object;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that is exact under the GIL and costs no atomic instruction.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    #[inline]
    pub fn add(&self) {
        self.0.store(self.get() + 1, Ordering::Relaxed);
    }

    /// How many so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where a segment ends that does not end with a return: before the instruction at `offset`, with so many
/// locals and cells and so many operands.
#[derive(Clone, Copy)]
pub struct Stop {
    pub offset: u32,
    pub slot_count: usize,
    pub depth: usize,
}

/// What runs when the guards hold: the graph on some of the collected objects, then the exit program.
pub struct Plan {
    /// None where there is no tensor work.
    pub graph: Option<Py<PyAny>>,
    /// Slots of the graph's inputs, in order.
    pub graph_inputs: Box<[usize]>,
    /// What makes the result and performs the writes.
    pub program: Py<ExitProgram>,
    /// Nothing irreversible happens before the exit program commits.
    pub replayable: bool,
    /// A graph that fails leaves nothing behind, random number generators included.
    pub restores: bool,
    /// `failed(exception) -> None | (offset, frame | None)`: what becomes of a call whose graph has raised and may
    /// have left something behind.
    pub failed: Option<Py<PyAny>>,
    /// None: the program's result is what the function returns. Else it is the state of the frame there, a
    /// tuple of locals and cells and then operands, the lowest first, with `UNBOUND` for empty places.
    pub stop: Option<Stop>,
    /// The codes of the callees inside which the instruction there can't be captured.
    pub codes: Option<Py<PyTuple>>,
    /// For a segment that returns: the local slots which do not hold then what they did at its beginning.
    pub outdated: Box<[usize]>,
}

/// `Entry(tree, graph, graph_inputs, program, replayable, info, stop=None, codes=None, outdated=(),
/// restores=False, failed=None)`, or `Entry.cpython(tree, info)`.
#[pyclass(frozen, weakref, module = "framelift._native")]
pub struct Entry {
    /// The facts.
    pub tree: Py<GuardTree>,
    /// None: when the guards hold, the call runs in CPython.
    pub plan: Option<Plan>,
    /// Number of arguments the tree starts from.
    pub argument_count: usize,
    /// Number of objects the tree collects.
    pub slot_count: usize,
    info: Py<PyAny>,
    /// The last call that hit although another entry stood before this one; see `callable/fingerprint.rs`.
    pub fingerprint: AtomicU64,
    /// What calls are asked because of this entry.
    pub question: Question,
    /// Calls whose guards held.
    pub hits: Counter,
    /// Hits whose graph raised and which CPython then ran.
    pub graph_errors: Counter,
}

impl Entry {
    fn with(tree: Py<GuardTree>, plan: Option<Plan>, info: Py<PyAny>) -> Self {
        let (argument_count, slot_count) = (tree.get().argument_count(), tree.get().slot_count());
        Self {
            tree,
            plan,
            argument_count,
            slot_count,
            info,
            fingerprint: AtomicU64::default(),
            question: Question::default(),
            hits: Counter::default(),
            graph_errors: Counter::default(),
        }
    }

    /// Where its segment ends inside the function, if it does.
    #[inline]
    pub fn stop(&self) -> Option<Stop> {
        self.plan.as_ref().and_then(|plan| plan.stop)
    }

    /// The entry behind a pointer.
    ///
    /// # Safety
    /// `object` is an `Entry` and outlives the reference.
    #[inline]
    pub unsafe fn from_pointer<'a>(object: Object) -> &'a Self {
        // SAFETY: the caller's promise; only attached threads get here; the class is frozen.
        unsafe {
            Borrowed::from_ptr(Python::assume_attached(), object)
                .cast_unchecked::<Self>()
                .get()
        }
    }
}

#[pymethods]
impl Entry {
    #[new]
    #[allow(clippy::too_many_arguments)] // Python gives them, most of them by position in one place.
    #[pyo3(signature = (tree, graph, graph_inputs, program, replayable, info, stop=None, codes=None, outdated=vec![], restores=false, failed=None))]
    fn new(
        py: Python<'_>,
        tree: Py<GuardTree>,
        graph: Option<Py<PyAny>>,
        graph_inputs: Vec<usize>,
        program: Py<ExitProgram>,
        replayable: bool,
        info: Py<PyAny>,
        stop: Option<(u32, usize, usize)>,
        codes: Option<Py<PyTuple>>,
        outdated: Vec<usize>,
        restores: bool,
        failed: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let slots = tree.get().slot_count();
        let (slots_needed, outputs_needed) = (program.get().slots_needed, program.get().outputs_needed);
        if let Some(slot) = graph_inputs.iter().find(|&&slot| slot >= slots) {
            return Err(PyValueError::new_err(format!(
                "the graph reads slot {slot}, and the guard tree collects {slots} objects"
            )));
        }
        if slots_needed > slots {
            return Err(PyValueError::new_err(format!(
                "the exit program needs {slots_needed} slots, and the guard tree collects {slots} objects"
            )));
        }
        if graph.is_none() && (outputs_needed > 0 || !graph_inputs.is_empty()) {
            return Err(PyValueError::new_err(
                "inputs or outputs of a graph, but there is no graph",
            ));
        }
        let stop = stop.map(|(offset, slot_count, depth)| Stop {
            offset,
            slot_count,
            depth,
        });
        if let Some(stop) = stop {
            let expected = stop.slot_count.saturating_add(stop.depth);
            if program.get().result_length(py) != Some(expected) {
                return Err(PyValueError::new_err(format!(
                    "a program for a stop with {} slots and {} operands must result in a tuple of {expected}",
                    stop.slot_count, stop.depth
                )));
            }
        }
        let plan = Plan {
            graph,
            graph_inputs: graph_inputs.into_boxed_slice(),
            program,
            replayable,
            restores,
            failed,
            stop,
            codes,
            outdated: outdated.into_boxed_slice(),
        };
        Ok(Self::with(tree, Some(plan), info))
    }

    /// An entry whose calls run in CPython: what could not be captured is not captured again.
    #[staticmethod]
    fn cpython(tree: Py<GuardTree>, info: Py<PyAny>) -> Self {
        Self::with(tree, None, info)
    }

    #[getter]
    fn tree(&self, py: Python<'_>) -> Py<GuardTree> {
        self.tree.clone_ref(py)
    }

    #[getter]
    fn graph(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.plan
            .as_ref()?
            .graph
            .as_ref()
            .map(|graph| graph.clone_ref(py))
    }

    #[getter]
    fn program(&self, py: Python<'_>) -> Option<Py<ExitProgram>> {
        self.plan.as_ref().map(|plan| plan.program.clone_ref(py))
    }

    #[getter]
    fn replayable(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.replayable)
    }

    #[getter(stop)]
    fn stop_for_python(&self) -> Option<(u32, usize, usize)> {
        self.stop().map(|stop| (stop.offset, stop.slot_count, stop.depth))
    }

    #[getter]
    fn codes(&self, py: Python<'_>) -> Option<Py<PyTuple>> {
        self.plan
            .as_ref()?
            .codes
            .as_ref()
            .map(|codes| codes.clone_ref(py))
    }

    #[getter]
    fn runs_in_cpython(&self) -> bool {
        self.plan.is_none()
    }

    #[getter]
    fn info(&self, py: Python<'_>) -> Py<PyAny> {
        self.info.clone_ref(py)
    }

    /// The node of the tree whose object is part of what calls look like at a glance, if there is one.
    #[getter]
    fn question(&self) -> Option<usize> {
        self.question.node()
    }

    #[getter]
    fn hits(&self) -> u64 {
        self.hits.get()
    }

    #[getter]
    fn graph_errors(&self) -> u64 {
        self.graph_errors.get()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.tree)?;
        visit.call(&self.info)?;
        if let Some(plan) = &self.plan {
            visit.call(&plan.graph)?;
            visit.call(&plan.program)?;
            visit.call(&plan.codes)?;
            visit.call(&plan.failed)?;
        }
        Ok(())
    }
}

/// A new tuple of `entries` and `entry` after them. `TypeError` for anything but an `Entry`.
pub fn appended(entries: &Bound<'_, PyAny>, entry: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    if entry.cast_exact::<Entry>().is_err() {
        return Err(PyTypeError::new_err(format!(
            "expected an Entry, not {}",
            entry.get_type().name()?
        )));
    }
    let py = entry.py();
    // SAFETY: two live objects, the first of them the exact tuple of a callable.
    unsafe {
        let count = ffi::PyTuple_GET_SIZE(entries.as_ptr());
        let tuple = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(count + 1))?;
        for index in 0..count {
            let item = ffi::Py_NewRef(ffi::PyTuple_GET_ITEM(entries.as_ptr(), index));
            ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index, item);
        }
        ffi::PyTuple_SET_ITEM(tuple.as_ptr(), count, ffi::Py_NewRef(entry.as_ptr()));
        Ok(tuple.unbind())
    }
}

/// Makes item `index` of a callable's tuple its first: in place when nobody else holds the tuple,
/// otherwise in a new one. Returns what is to be released when nothing is half done, or null.
///
/// # Safety
/// The thread is attached; `*entries` is an owned, exact tuple with more than `index` items.
pub unsafe fn move_to_front(entries: *mut Object, index: isize) -> Object {
    // SAFETY: the caller's promise; in place, items only change places and no count changes.
    unsafe {
        let old = *entries;
        if ffi::Py_REFCNT(old) == 1 {
            let chosen = ffi::PyTuple_GET_ITEM(old, index);
            for place in (0..index).rev() {
                ffi::PyTuple_SET_ITEM(old, place + 1, ffi::PyTuple_GET_ITEM(old, place));
            }
            ffi::PyTuple_SET_ITEM(old, 0, chosen);
            return std::ptr::null_mut();
        }
        // An allocation may start a collection, and finalisers may give the callable other entries.
        ffi::Py_INCREF(old);
        let reordered = reordered(old, index);
        if reordered.is_null() {
            ffi::PyErr_Clear();
        } else if *entries == old {
            *entries = reordered;
            ffi::Py_DECREF(old);
            return old;
        }
        ffi::Py_DECREF(old);
        reordered
    }
}

/// A new tuple with item `index` first, or null with an exception set.
unsafe fn reordered(entries: Object, index: isize) -> Object {
    // SAFETY: the caller holds the tuple and gives an index in it.
    unsafe {
        let count = ffi::PyTuple_GET_SIZE(entries);
        let tuple = ffi::PyTuple_New(count);
        if tuple.is_null() {
            return tuple;
        }
        let sources = std::iter::once(index).chain((0..count).filter(|&place| place != index));
        for (target, source) in (0..count).zip(sources) {
            ffi::PyTuple_SET_ITEM(
                tuple,
                target,
                ffi::Py_NewRef(ffi::PyTuple_GET_ITEM(entries, source)),
            );
        }
        tuple
    }
}
