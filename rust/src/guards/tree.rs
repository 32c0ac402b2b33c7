//! The guard tree: one walk that decides whether an entry may be used and collects what its plan needs.
//!
//! Here is what a tree consists of, how it is made and what Python sees of it; `tree/walk.rs` walks it.

mod walk;

use super::access::Access;
use super::apart::{Apart, ApartDescription};
use super::build::Builder;
use super::conditions::{Condition, Conditions, Symbol};
use super::distinct::Distinct;
use super::explain;
use super::kinds::Guard;
use super::standing::Remembered;
use crate::objects::{Object, Released, release_all};
use crate::torch_abi::{self, TorchState};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::cell::{Cell, UnsafeCell};
use std::collections::HashSet;
use std::ptr::null_mut;
pub use walk::Failure;

pub struct Node {
    pub parent: usize,
    pub access: Access,
    /// Where this node's guards end in the list of all guards; they begin where the last node's end.
    pub guards_end: usize,
    /// The slot that receives the object, or `NO_SLOT`.
    pub slot: usize,
}

/// No slot.
pub const NO_SLOT: usize = usize::MAX;
/// Facts that must hold for an entry, and the objects its plan is given.
#[pyclass(frozen, module = "framelift._native")]
pub struct GuardTree {
    nodes: Box<[Node]>,
    guards: Box<[Guard]>,
    distinct: Box<[Distinct]>,
    apart: Box<[Apart]>,
    conditions: Conditions,
    state: Option<Py<TorchState>>,
    argument_count: usize,
    slot_count: usize,
    /// Some guard calls Python: fetched objects are owned for the time of a walk.
    careful: bool,
    /// The values of a large tree, taken by a walk and put back.
    scratch: Cell<Vec<Object>>,
    /// What walks that hit left behind.
    remembered: Cell<Option<Box<Remembered>>>,
    /// Everything the parts above point to.
    held: UnsafeCell<Vec<Py<PyAny>>>,
    cleared: Cell<bool>,
}

// SAFETY: every use is by a thread that holds the GIL, which is what makes the cells and pointers safe to
// share; free-threaded builds are refused at import.
unsafe impl Send for GuardTree {}
// SAFETY: as above.
unsafe impl Sync for GuardTree {}

#[pymethods]
impl GuardTree {
    /// Reads the description that `guards/build.py` writes.
    #[new]
    #[pyo3(signature = (nodes, conditions, symbols, distinct, state, argument_count, apart = Vec::new()))]
    fn new(
        nodes: &Bound<'_, PyList>,
        conditions: &Bound<'_, PyList>,
        symbols: &Bound<'_, PyList>,
        distinct: Vec<Vec<u32>>,
        state: Option<Py<TorchState>>,
        argument_count: usize,
        apart: Vec<ApartDescription>,
    ) -> PyResult<Self> {
        let mut builder = Builder::new();
        let mut tree = Vec::with_capacity(nodes.len());
        let mut all_guards = Vec::new();
        let mut slot_count = 0;
        for description in nodes {
            builder.node = tree.len();
            let (parent, access, guards, slot): (isize, Bound<'_, PyAny>, Bound<'_, PyList>, isize) =
                description.extract()?;
            let access = Access::parse(&access, &mut builder)?;
            if let Access::Argument(index) = access
                && index >= argument_count
            {
                return Err(PyIndexError::new_err(format!("there is no argument {index}")));
            }
            if access.is_root() != (parent < 0) || parent >= tree.len() as isize {
                return Err(PyValueError::new_err(format!(
                    "node {} has no parent {parent}",
                    tree.len()
                )));
            }
            for guard in guards {
                all_guards.push(Guard::parse(&guard, &mut builder)?);
            }
            let slot = usize::try_from(slot).unwrap_or(NO_SLOT);
            if slot != NO_SLOT {
                slot_count = slot_count.max(slot + 1);
            }
            let parent = usize::try_from(parent).unwrap_or(0);
            tree.push(Node {
                parent,
                access,
                guards_end: all_guards.len(),
                slot,
            });
        }
        check_slots(&tree, slot_count)?;
        let direct = |node: usize| {
            let begin = if node == 0 { 0 } else { tree[node - 1].guards_end };
            let readable = all_guards[begin..tree[node].guards_end]
                .iter()
                .any(Guard::reads_tensor_directly);
            if readable { torch_abi::layout() } else { None }
        };
        let symbols = symbols
            .iter()
            .map(|symbol| Symbol::parse(&symbol, tree.len(), direct, &mut builder))
            .collect::<PyResult<Vec<_>>>()?;
        let conditions = conditions
            .iter()
            .map(|condition| Condition::parse(&condition, symbols.len()))
            .collect::<PyResult<Vec<_>>>()?;
        if distinct.iter().flatten().any(|&node| node as usize >= tree.len()) {
            return Err(PyIndexError::new_err("distinct objects are at nodes"));
        }
        let apart = apart
            .into_iter()
            .map(|group| Apart::parse(group, tree.len(), direct, &mut builder))
            .collect::<PyResult<_>>()?;
        Ok(Self {
            nodes: tree.into(),
            guards: all_guards.into(),
            distinct: distinct.into_iter().map(Distinct::new).collect(),
            apart,
            conditions: Conditions::new(symbols, conditions),
            state,
            argument_count,
            slot_count,
            careful: builder.careful,
            scratch: Cell::new(Vec::new()),
            remembered: Cell::default(),
            held: UnsafeCell::new(builder.held),
            cleared: Cell::new(false),
        })
    }

    /// The slots' objects when everything holds for these arguments, else None.
    fn check<'py>(&self, arguments: &Bound<'py, PyTuple>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let py = arguments.py();
        let arguments = self.argument_array(arguments)?;
        let mut slots = vec![null_mut(); self.slot_count];
        // SAFETY: attached; the caller's tuple holds the arguments. A hit gives the slots references of their own.
        unsafe {
            if !self.evaluate(arguments, &mut slots) {
                return Ok(None);
            }
            let found: Vec<_> = slots
                .iter()
                .map(|&slot| Bound::from_owned_ptr(py, slot))
                .collect();
            PyTuple::new(py, found).map(Some)
        }
    }

    /// What does not hold: None, or `(node, guard, found)`; see `explain.rs`.
    fn explain<'py>(&self, arguments: &Bound<'py, PyTuple>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let py = arguments.py();
        let arguments = self.argument_array(arguments)?;
        let mut slots = vec![null_mut(); self.slot_count];
        // SAFETY: attached; the caller's tuple holds the arguments.
        unsafe {
            let report = self.walk(arguments, &mut slots, |failure, values| match failure {
                None => Ok(None),
                Some(failure) => {
                    // The report is made of new objects, which may start a collection and its finalisers.
                    let mut held = Released::new();
                    for &value in values {
                        held.push_new(value);
                    }
                    let report = explain::report(py, failure, values, self);
                    held.release();
                    report.map(Some)
                }
            });
            release_all(&slots);
            report
        }
    }

    /// How many slots a hit fills.
    #[getter(slot_count)]
    fn slot_count_for_python(&self) -> usize {
        self.slot_count
    }

    /// How many words stand for the facts of the last hit, how many of them no watcher speaks for, and how many steps
    /// are walked besides; None where every node is walked.
    #[getter]
    fn standing(&self) -> Option<(usize, usize, usize)> {
        let remembered = self.remembered.take();
        let sizes = remembered.as_ref().and_then(|remembered| remembered.sizes());
        self.remembered.set(remembered);
        sizes
    }

    /// How many nodes a walk visits.
    #[getter]
    fn node_count(&self) -> usize {
        self.nodes.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: the list changes only in `__clear__` and in no call out; the GIL is held.
        for object in unsafe { &*self.held.get() } {
            visit.call(object)?;
        }
        if let Some(state) = &self.state {
            visit.call(state)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.cleared.set(true);
        // SAFETY: nobody looks at the list: it is taken out first and released when it is no longer here.
        let held = std::mem::take(unsafe { &mut *self.held.get() });
        drop(held);
    }
}

/// Every slot is filled by exactly one node.
fn check_slots(nodes: &[Node], slot_count: usize) -> PyResult<()> {
    let mut filled = vec![false; slot_count];
    for node in nodes.iter().filter(|node| node.slot != NO_SLOT) {
        if std::mem::replace(&mut filled[node.slot], true) {
            return Err(PyValueError::new_err(format!(
                "two nodes fill slot {}",
                node.slot
            )));
        }
    }
    match filled.iter().position(|&filled| !filled) {
        Some(slot) => Err(PyValueError::new_err(format!("no node fills slot {slot}"))),
        None => Ok(()),
    }
}

impl GuardTree {
    /// How many slots a hit fills.
    pub fn slot_count(&self) -> usize {
        self.slot_count
    }

    /// How many arguments a call brings.
    pub fn argument_count(&self) -> usize {
        self.argument_count
    }

    /// The snapshot that must hold, if there is one.
    pub fn state(&self) -> Option<&Py<TorchState>> {
        self.state.as_ref()
    }

    /// The node that a node is fetched from.
    pub fn parent(&self, node: usize) -> Option<usize> {
        let node = &self.nodes[node];
        (!node.access.is_root()).then_some(node.parent)
    }

    /// The addresses of all that the tree keeps alive.
    pub fn held(&self) -> HashSet<usize> {
        // SAFETY: the list changes only in `__clear__`; the GIL is held.
        unsafe { &*self.held.get() }
            .iter()
            .map(|object| object.as_ptr() as usize)
            .collect()
    }

    /// All conditions.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// All nodes, in evaluation order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All guards, in the order of their nodes.
    pub fn guards(&self) -> &[Guard] {
        &self.guards
    }

    /// Objects that must be different.
    pub fn distinct(&self) -> &[Distinct] {
        &self.distinct
    }

    /// Tensors whose memory must be apart, or overlap.
    pub fn apart(&self) -> &[Apart] {
        &self.apart
    }

    /// The items of an argument tuple of the right length.
    fn argument_array(&self, arguments: &Bound<'_, PyTuple>) -> PyResult<*const Object> {
        if arguments.len() != self.argument_count {
            return Err(PyTypeError::new_err(format!(
                "{} arguments are bound, not {}",
                self.argument_count,
                arguments.len()
            )));
        }
        // SAFETY: a tuple's items are an array in its structure.
        Ok(unsafe { (&raw const (*arguments.as_ptr().cast::<ffi::PyTupleObject>()).ob_item).cast() })
    }
}
