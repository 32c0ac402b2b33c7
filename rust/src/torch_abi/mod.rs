//! Reading torch without a Python frame: tensor metadata and the state of the calling thread.
//!
//! Nothing here is known when the extension is built, and importing the extension does not import torch.
//! `calibrate_torch` is called once, by the Python side, when torch is there: it measures where tensors
//! keep their metadata on probe tensors, looks up the functions that read torch's state in the libraries
//! that are loaded already, and checks each of them against torch's own answer. What cannot be
//! established is asked in Python, which is slow and right.

mod readers;
mod state;
mod symbols;
mod tensor;

pub use state::TorchState;
pub use tensor::{MemoryRange, TensorLayout, TensorWords};

use crate::objects::Object;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use readers::Readers;
use std::sync::OnceLock;
use symbols::Libraries;

/// What was established about the torch of this process.
pub struct Calibration {
    layout: Option<TensorLayout>,
    readers: Readers,
    /// `facts(tensor)`: the metadata of a tensor by public accessors.
    facts: Py<PyAny>,
    /// `matches(tensor, facts, sizes, strides)`: whether a tensor has this metadata.
    matches: Py<PyAny>,
    /// `number(tensor, what, dimension)`: one size, stride or offset.
    number: Py<PyAny>,
    /// `memory(tensor)`: where its elements begin and end.
    memory: Py<PyAny>,
    /// `modes()`: what stands on the function-mode and dispatch-mode stacks, in a comparable form.
    modes: Py<PyAny>,
    /// `torch.Tensor`.
    tensor: Py<PyType>,
    /// Classes whose values compare in C without calling anybody, such as `torch.device`.
    plain_value_types: Vec<Py<PyType>>,
}

static CALIBRATION: OnceLock<Calibration> = OnceLock::new();

/// What was established; an error before `calibrate_torch`.
pub fn calibrated() -> PyResult<&'static Calibration> {
    CALIBRATION
        .get()
        .ok_or_else(|| PyRuntimeError::new_err("calibrate_torch has not been called"))
}

/// How tensors are read directly, if they can be.
pub fn layout() -> Option<&'static TensorLayout> {
    CALIBRATION.get()?.layout.as_ref()
}

/// Whether an object is a `torch.Tensor` and of no subclass.
///
/// # Safety
/// `object` is live.
#[inline]
pub unsafe fn is_exact_tensor(object: Object) -> bool {
    let class = CALIBRATION.get().map(|calibration| calibration.tensor.as_ptr());
    // SAFETY: a live object.
    class == Some(unsafe { ffi::Py_TYPE(object) }.cast())
}

/// Whether values of `class` compare in C without calling anybody.
pub fn is_plain_value_type(class: *mut ffi::PyTypeObject) -> bool {
    CALIBRATION.get().is_some_and(|calibration| {
        calibration
            .plain_value_types
            .iter()
            .any(|plain| plain.as_ptr().cast() == class)
    })
}

/// A size, stride or offset of any tensor, asked in Python; None where it has none.
///
/// # Safety
/// `value` is a live object; the thread is attached.
pub unsafe fn slow_tensor_number(value: Object, what: &str, dimension: usize) -> Option<i64> {
    let calibration = CALIBRATION.get()?;
    Python::attach(|py| {
        // SAFETY: a live object.
        let value = unsafe { Bound::from_borrowed_ptr(py, value) };
        calibration
            .number
            .bind(py)
            .call1((value, what, dimension))
            .and_then(|number| number.extract())
            .ok()
    })
}

/// Where a tensor's elements lie, asked in Python; all of the address space where that can't be told.
///
/// # Safety
/// `value` is a live object; the thread is attached.
pub unsafe fn slow_memory(value: Object) -> MemoryRange {
    const ANYWHERE: MemoryRange = MemoryRange {
        begin: 0,
        end: usize::MAX,
    };
    let Some(calibration) = CALIBRATION.get() else {
        return ANYWHERE;
    };
    Python::attach(|py| {
        // SAFETY: a live object.
        let value = unsafe { Bound::from_borrowed_ptr(py, value) };
        let answer = calibration.memory.bind(py).call1((value,));
        let range = answer.and_then(|range| range.extract());
        range.map_or(ANYWHERE, |(begin, end)| MemoryRange { begin, end })
    })
}

impl Calibration {
    /// The metadata of a tensor, by public accessors.
    pub fn facts_of<'py>(&self, tensor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        Ok(self.facts.bind(tensor.py()).call1((tensor,))?.cast_into()?)
    }

    /// The callable that compares a tensor with such metadata.
    pub fn matches<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.matches.bind(py)
    }

    /// The words that `tensor` and all that are read directly alike have in common, if it is one that
    /// can be: an ordinary strided tensor whose metadata, read directly, is what its accessors say.
    pub fn direct_words(
        &'static self,
        tensor: &Bound<'_, PyAny>,
        facts: &Bound<'_, PyDict>,
    ) -> PyResult<Option<(&'static TensorLayout, TensorWords)>> {
        let Some(layout) = &self.layout else {
            return Ok(None);
        };
        if !facts.as_any().get_item("plain")?.extract::<bool>()? {
            return Ok(None);
        }
        // SAFETY: `facts` has established that this is a tensor.
        let words = unsafe { layout.agrees(tensor, facts)? };
        Ok(words.map(|words| (layout, words)))
    }
}

/// Establishes how the torch of this process is read. The first call counts; returns what is read how.
///
/// `probes` are tensors with the address of their implementation; `libraries` are the paths of torch's
/// shared libraries; `state` are rows `(name, symbol or None, receiver, arguments, width, read)`;
/// `change_modes` puts a function mode and disables torch functions on this thread, `restore_modes` undoes it.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // called once, with keywords
fn calibrate_torch<'py>(
    py: Python<'py>,
    probes: &Bound<'py, PyList>,
    facts: Py<PyAny>,
    matches: Py<PyAny>,
    number: Py<PyAny>,
    memory: Py<PyAny>,
    modes: Py<PyAny>,
    libraries: &Bound<'py, PyList>,
    state: &Bound<'py, PyList>,
    plain_value_types: Vec<Py<PyType>>,
    change_modes: &Bound<'py, PyAny>,
    restore_modes: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    if CALIBRATION.get().is_none() {
        let libraries = Libraries::loaded(&libraries.extract::<Vec<String>>()?);
        let layout = TensorLayout::measure(py, probes, &facts, &libraries)?;
        let readers = Readers::find(state, &libraries, change_modes, restore_modes)?;
        let calibration = Calibration {
            layout,
            readers,
            facts,
            matches,
            number,
            memory,
            modes,
            tensor: py.import("torch")?.getattr("Tensor")?.extract()?,
            plain_value_types,
        };
        // Another thread may have been faster; its findings are the same.
        let _ = CALIBRATION.set(calibration);
    }
    let calibration = calibrated()?;
    let report = PyDict::new(py);
    report.set_item("tensors", calibration.layout.as_ref().map(ToString::to_string))?;
    report.set_item("state", calibration.readers.report(py)?)?;
    Ok(report)
}

/// Runs `body` with overrides of torch functions off on this thread, by modes and by subclasses.
pub fn without_torch_functions<R>(body: impl FnOnce() -> R) -> R {
    let place = CALIBRATION
        .get()
        .and_then(|calibration| calibration.readers.disabled_functions());
    let Some(place) = place else {
        return body();
    };
    // SAFETY: the field of the calling thread that torch's own setter writes; it is put back.
    unsafe {
        let before = place.replace(readers::ALL_DISABLED);
        let result = body();
        place.write(before);
        result
    }
}

/// What `modes()` says now.
fn current_modes(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    Ok(calibrated()?.modes.bind(py).call0()?.cast_into()?)
}

/// Adds this module's classes and functions to `framelift._native`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<TorchState>()?;
    module.add_function(wrap_pyfunction!(calibrate_torch, module)?)
}
