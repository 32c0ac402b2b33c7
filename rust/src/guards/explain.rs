//! Why a walk missed: the slow answer, for messages and counters.
//!
//! `(node, guard, found)`. A fetch that failed has guard -1 and as `found` the object it was to be fetched
//! from (None for roots). Otherwise `found` is the node's object. Node -1 is for what belongs to no node;
//! `found` is then a dictionary whose `"which"` is "state", "distinct", "apart", "condition" or "cleared".

use super::arithmetic::Number;
use super::tree::{Failure, GuardTree};
use crate::objects::Object;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// The answer for a failure; `values` are the objects fetched up to it.
///
/// # Safety
/// `values` are live objects.
pub unsafe fn report<'py>(
    py: Python<'py>,
    failure: Failure,
    values: &[Object],
    tree: &GuardTree,
) -> PyResult<Bound<'py, PyTuple>> {
    // SAFETY: the caller's promise.
    let object = |node: usize| unsafe { Bound::from_borrowed_ptr(py, values[node]) };
    let about = |which: &str| -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(py);
        found.set_item("which", which)?;
        Ok(found)
    };
    let found = match failure {
        Failure::Guard(node, guard) => return (node, guard, object(node)).into_pyobject(py),
        Failure::Fetch(node) => {
            let parent = tree.parent(node).map(object);
            return (node, -1, parent).into_pyobject(py);
        }
        Failure::Cleared => about("cleared")?,
        Failure::State => {
            let found = about("state")?;
            if let Some(state) = tree.state() {
                found.set_item("differences", state.get().differences(py)?)?;
            }
            found
        }
        Failure::Distinct(index) => {
            let found = about("distinct")?;
            found.set_item("index", index)?;
            found.set_item("nodes", tree.distinct()[index].same(values))?;
            found
        }
        Failure::Apart(index) => {
            let group = &tree.apart()[index];
            let found = about("apart")?;
            found.set_item("expected", group.expects_apart())?;
            // SAFETY: groups come after all nodes, so all are fetched and their guards hold.
            found.set_item("nodes", unsafe { group.overlap(values) })?;
            found
        }
        Failure::Condition(index) => {
            let found = about("condition")?;
            found.set_item("index", index)?;
            // SAFETY: conditions come after all nodes, so all are fetched.
            let numbers = unsafe { tree.conditions().symbol_values(values) };
            let numbers = numbers
                .into_iter()
                .map(|number| number.map(|number| number_object(py, number)));
            found.set_item(
                "symbols",
                numbers.map(Option::transpose).collect::<PyResult<Vec<_>>>()?,
            )?;
            found
        }
    };
    (-1, -1, found).into_pyobject(py)
}

fn number_object(py: Python<'_>, number: Number) -> PyResult<Py<PyAny>> {
    Ok(match number {
        Number::Int(integer) => integer.into_pyobject(py)?.into_any().unbind(),
        Number::Float(float) => float.into_pyobject(py)?.into_any().unbind(),
    })
}
