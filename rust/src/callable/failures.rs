//! Why the entries of a callable did not fit a call, worked out only when somebody asks.

use crate::cache::Entry;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// What `on_miss` is given: `failures() -> list[(entry, failure)]`, with the failure that the entry's
/// `tree.explain(arguments)` names, or None where the entry is for another number of arguments.
#[pyclass(frozen, module = "framelift._native")]
pub struct Failures {
    entries: Py<PyAny>,
    arguments: Py<PyAny>,
}

impl Failures {
    pub fn new(entries: Py<PyAny>, arguments: Py<PyAny>) -> Self {
        Self { entries, arguments }
    }
}

#[pymethods]
impl Failures {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let failures = PyList::empty(py);
        let arguments = self.arguments.bind(py).cast::<PyTuple>()?;
        for item in self.entries.bind(py).cast::<PyTuple>()? {
            let entry = item.cast_exact::<Entry>()?.get();
            let failure = if entry.argument_count == arguments.len() {
                entry.tree.bind(py).call_method1("explain", (arguments,))?
            } else {
                py.None().into_bound(py)
            };
            failures.append((&item, failure))?;
        }
        Ok(failures)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.entries)?;
        visit.call(&self.arguments)
    }
}
