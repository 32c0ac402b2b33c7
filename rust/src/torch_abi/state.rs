//! Torch's state of the calling thread and of the process: what kernels and Python code read implicitly.
//!
//! Each row of the table in `torch_internals/guarded_state.py` is one number: a mode, a flag, a set of dispatch
//! keys. A snapshot has all of them, sorted by how they are read ([`super::readers`]), so that comparing it
//! costs a few words and calls.

use super::readers::{FunctionModes, Getter, Reader, Reading};
use super::{calibrated, current_modes};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

/// Eight aligned bytes of memory, some bits of which must have a value. Flags lie side by side, so a
/// dozen of them are one comparison.
struct Word {
    address: *const u64,
    mask: u64,
    expected: u64,
}

/// A getter and what it must give.
struct Call {
    getter: Getter,
    arguments: [usize; 3],
    mask: u64,
    least: u64,
    expected: u64,
}

/// What a snapshot compares, grouped by how it is read.
#[derive(Default)]
struct Checks {
    /// Index, stored value.
    thread_keys: Vec<(usize, u64)>,
    /// Offset, value.
    thread_autograd: Option<(usize, u8)>,
    /// Depth, disabled state.
    thread_functions: Vec<(FunctionModes, u64)>,
    words: Vec<Word>,
    calls: Vec<Call>,
    /// Rows that are asked in Python.
    asked: Vec<usize>,
}

impl Checks {
    /// How to compare all rows with `values`.
    fn new(readers: &[Reader], values: &[u64]) -> Self {
        let mut checks = Self::default();
        for (row, (reader, &expected)) in readers.iter().zip(values).enumerate() {
            match reader.reading {
                Reading::ThreadKeys { index, default } => {
                    checks.thread_keys.push((index, expected ^ default));
                }
                Reading::ThreadAutograd { offset } => checks.thread_autograd = Some((offset, expected as u8)),
                Reading::ThreadFunctions(what) => checks.thread_functions.push((what, expected)),
                Reading::Memory8(address) => checks.add_memory(address, 0xFF, expected),
                Reading::Memory32(address) => checks.add_memory(address, 0xFFFF_FFFF, expected),
                Reading::Call {
                    getter,
                    arguments,
                    mask,
                    least,
                } => {
                    checks.calls.push(Call {
                        getter,
                        arguments,
                        mask,
                        least,
                        expected,
                    });
                }
                Reading::Python => checks.asked.push(row),
            }
        }
        checks
    }

    /// The numbers are naturally aligned, so each lies in one aligned word.
    fn add_memory(&mut self, address: usize, mask: u64, expected: u64) {
        let shift = (address % 8) * 8;
        let address = (address - address % 8) as *const u64;
        let (mask, expected) = (mask << shift, expected << shift);
        match self.words.iter_mut().find(|word| word.address == address) {
            Some(word) => {
                word.mask |= mask;
                word.expected |= expected;
            }
            None => self.words.push(Word {
                address,
                mask,
                expected,
            }),
        }
    }
}

/// A snapshot of torch's state, compared at every call.
#[pyclass(frozen, module = "framelift._native")]
pub struct TorchState {
    values: Box<[u64]>,
    checks: Checks,
    /// What stood on the mode stacks; None when nothing did, which the numbers say already.
    modes: Option<Py<PyTuple>>,
}

// SAFETY: the pointers are to memory of the process, read by threads that hold the GIL.
unsafe impl Send for TorchState {}
// SAFETY: as above.
unsafe impl Sync for TorchState {}

#[pymethods]
impl TorchState {
    /// The state of the calling thread now.
    #[staticmethod]
    fn capture(py: Python<'_>) -> PyResult<Self> {
        let readers = &calibrated()?.readers;
        let values = readers
            .rows
            .iter()
            .map(|reader| readers.read(&reader.reading, &reader.ask, py))
            .collect::<PyResult<_>>()?;
        let modes = current_modes(py)?;
        let values: Box<[u64]> = values;
        let checks = Checks::new(&readers.rows, &values);
        Ok(Self {
            values,
            checks,
            modes: (!modes.is_empty()).then(|| modes.unbind()),
        })
    }

    /// Whether the state of the calling thread is the same.
    #[pyo3(name = "holds")]
    fn holds_for_python(&self) -> bool {
        self.holds()
    }

    /// What differs: `(name, expected, found)` for each.
    pub fn differences<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let readers = &calibrated()?.readers;
        let differences = PyList::empty(py);
        for (reader, &expected) in readers.rows.iter().zip(&self.values) {
            let found = readers.read(&reader.reading, &reader.ask, py)?;
            if found != expected {
                differences.append((&reader.name, expected, found))?;
            }
        }
        let found = current_modes(py)?;
        let expected = match &self.modes {
            Some(modes) => modes.bind(py).clone(),
            None => PyTuple::empty(py),
        };
        if !found.eq(&expected)? {
            differences.append(("modes", expected, found))?;
        }
        Ok(differences)
    }

    /// The numbers by name.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let values = PyDict::new(py);
        for (reader, value) in calibrated()?.readers.rows.iter().zip(&self.values) {
            values.set_item(&reader.name, value)?;
        }
        Ok(values)
    }

    /// What stood on the mode stacks.
    #[getter]
    fn modes<'py>(&self, py: Python<'py>) -> Bound<'py, PyTuple> {
        self.modes
            .as_ref()
            .map_or_else(|| PyTuple::empty(py), |modes| modes.bind(py).clone())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.modes {
            Some(modes) => visit.call(modes),
            None => Ok(()),
        }
    }
}

impl TorchState {
    /// Whether the state of the calling thread, which is attached, is the same.
    #[inline]
    pub fn holds(&self) -> bool {
        let Ok(calibration) = calibrated() else {
            return false;
        };
        let readers = &calibration.readers;
        let checks = &self.checks;
        let memory = readers.thread_memory();
        // SAFETY: what is read here was established at calibration: memory of the process for its life,
        // thread memory for that of the calling thread; getters neither throw nor keep anything.
        unsafe {
            checks
                .thread_keys
                .iter()
                .all(|&(index, stored)| *memory.keys.add(index) == stored)
                && checks
                    .thread_autograd
                    .is_none_or(|(offset, modes)| *memory.autograd.add(offset) == modes)
                && checks
                    .thread_functions
                    .iter()
                    .all(|&(what, expected)| memory.read(what) == expected)
                && checks
                    .words
                    .iter()
                    .all(|word| *word.address & word.mask == word.expected)
                && checks.calls.iter().all(|call| {
                    let [first, second, third] = call.arguments;
                    ((call.getter)(first, second, third) & call.mask).max(call.least) == call.expected
                })
                && checks
                    .asked
                    .iter()
                    .all(|&row| Self::asked(&readers.rows[row], self.values[row]))
                && self.modes.as_ref().is_none_or(Self::same_modes)
        }
    }

    #[cold]
    fn asked(reader: &Reader, expected: u64) -> bool {
        Python::attach(|py| {
            let found = reader
                .ask
                .bind(py)
                .call0()
                .and_then(|value| value.extract::<u64>());
            found.is_ok_and(|found| found == expected)
        })
    }

    #[cold]
    fn same_modes(expected: &Py<PyTuple>) -> bool {
        Python::attach(|py| current_modes(py).is_ok_and(|found| found.eq(expected).unwrap_or(false)))
    }
}
