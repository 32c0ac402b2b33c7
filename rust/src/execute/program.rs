//! The exit program as data: what is built from the graph's outputs and which objects are written to.
//!
//! Operations before `commit_at` build new objects and may fail; nothing outside has changed then.
//! From `commit_at` on there are only stores, which run no user code: the objects they replace are
//! kept until the last store is done. (A `call` may stand in either part. Before `commit_at` its
//! maker promises that it changes nothing that can be seen; after it, that it does not fail.)

use crate::execute::parse;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// Where an operation finds an object.
pub enum Operand {
    /// The object that a guard collected.
    Slot(usize),
    /// An output of the graph.
    Graph(usize),
    /// An object of the program itself.
    Constant(Py<PyAny>),
    /// What an earlier operation made.
    Result(usize),
}

/// One step of an exit program.
pub enum Operation {
    /// A new tuple.
    Tuple(Box<[Operand]>),
    /// A new list.
    List(Box<[Operand]>),
    /// A new dict, filled in order with keys and values in turn.
    Dict(Box<[Operand]>),
    /// A new set, filled in order.
    Set(Box<[Operand]>),
    /// What a call returns; the last arguments are given by the names, if there are any.
    Call {
        function: Operand,
        arguments: Box<[Operand]>,
        names: Option<Py<PyTuple>>,
    },
    /// `dictionary[key] = value`, on the C storage.
    DictSet {
        dictionary: Operand,
        key: Operand,
        value: Operand,
    },
    /// `del dictionary[key]`, on the C storage; a key that is not there is no error.
    DictDelete { dictionary: Operand, key: Operand },
    /// `dictionary.clear()`, on the C storage.
    DictClear { dictionary: Operand },
    /// `list[:] = items`, on the C storage.
    ListAssign { list: Operand, items: Box<[Operand]> },
    /// `list.extend(items)`, on the C storage.
    ListExtend { list: Operand, items: Box<[Operand]> },
    /// The cell holds the value from now on.
    CellSet { cell: Operand, value: Operand },
    /// The cell is empty from now on.
    CellClear { cell: Operand },
}

impl Operation {
    /// A store: allowed from `commit_at` on only, and without a result.
    pub fn is_store(&self) -> bool {
        match self {
            Self::Tuple(_) | Self::List(_) | Self::Dict(_) | Self::Set(_) | Self::Call { .. } => false,
            Self::DictSet { .. }
            | Self::DictDelete { .. }
            | Self::DictClear { .. }
            | Self::ListAssign { .. }
            | Self::ListExtend { .. }
            | Self::CellSet { .. }
            | Self::CellClear { .. } => true,
        }
    }

    /// A call of something that may be Python code.
    pub fn is_call(&self) -> bool {
        matches!(self, Self::Call { .. })
    }

    /// Every operand, in the order of evaluation.
    pub fn operands(&self) -> impl Iterator<Item = &Operand> {
        let (single, many): ([Option<&Operand>; 3], &[Operand]) = match self {
            Self::Tuple(items) | Self::List(items) | Self::Dict(items) | Self::Set(items) => {
                ([None; 3], items)
            }
            Self::Call {
                function, arguments, ..
            } => ([Some(function), None, None], arguments),
            Self::DictSet {
                dictionary,
                key,
                value,
            } => ([Some(dictionary), Some(key), Some(value)], &[]),
            Self::DictDelete { dictionary, key } => ([Some(dictionary), Some(key), None], &[]),
            Self::DictClear { dictionary } => ([Some(dictionary), None, None], &[]),
            Self::ListAssign { list, items } | Self::ListExtend { list, items } => {
                ([Some(list), None, None], items)
            }
            Self::CellSet { cell, value } => ([Some(cell), Some(value), None], &[]),
            Self::CellClear { cell } => ([Some(cell), None, None], &[]),
        };
        single.into_iter().flatten().chain(many)
    }
}

/// `ExitProgram(operations, commit_at, result)`: see the head of this file and `parse` for the words.
#[pyclass(frozen, module = "framelift._native")]
pub struct ExitProgram {
    pub operations: Box<[Operation]>,
    pub result: Operand,
    /// The first operation that may be a store.
    #[pyo3(get)]
    pub commit_at: usize,
    /// How many guard slots an entry must have for this program.
    pub slots_needed: usize,
    /// How many outputs the graph must return for this program.
    pub outputs_needed: usize,
    /// Some operation is a call.
    pub calls: bool,
}

impl ExitProgram {
    fn every_operand(&self) -> impl Iterator<Item = &Operand> {
        self.operations
            .iter()
            .flat_map(Operation::operands)
            .chain([&self.result])
    }

    /// How many slots and how many graph outputs the operands reach for.
    pub fn needs(&self) -> (usize, usize) {
        let (mut slots, mut outputs) = (0, 0);
        for operand in self.every_operand() {
            match *operand {
                Operand::Slot(index) => slots = slots.max(index.saturating_add(1)),
                Operand::Graph(index) => outputs = outputs.max(index.saturating_add(1)),
                Operand::Constant(_) | Operand::Result(_) => {}
            }
        }
        (slots, outputs)
    }
}

impl ExitProgram {
    /// The length of the tuple that is the result, if it always is one.
    pub fn result_length(&self, py: Python<'_>) -> Option<usize> {
        match &self.result {
            Operand::Result(index) => match &self.operations[*index] {
                Operation::Tuple(items) => Some(items.len()),
                _ => None,
            },
            Operand::Constant(object) => {
                let tuple = object.bind(py).cast_exact::<PyTuple>().ok()?;
                Some(tuple.len())
            }
            Operand::Slot(_) | Operand::Graph(_) => None,
        }
    }
}

#[pymethods]
impl ExitProgram {
    #[new]
    fn new(operations: &Bound<'_, PyList>, commit_at: usize, result: &Bound<'_, PyTuple>) -> PyResult<Self> {
        parse::exit_program(operations, commit_at, result)
    }

    fn __len__(&self) -> usize {
        self.operations.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for operand in self.every_operand() {
            if let Operand::Constant(object) = operand {
                visit.call(object)?;
            }
        }
        Ok(())
    }
}
