//! What making a tree needs: the list of objects it keeps alive, and reading its description.

use crate::objects::Object;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

/// Collects what a tree under construction refers to.
pub struct Builder {
    /// Everything the tree keeps alive; its parts hold plain pointers into this.
    pub held: Vec<Py<PyAny>>,
    /// How many nodes come before the one that is read now: only these can be referred to.
    pub node: usize,
    /// Some part calls Python while the tree is walked, so a walk must own what it fetched.
    pub careful: bool,
}

impl Builder {
    /// Nothing kept yet.
    pub fn new() -> Self {
        Self {
            held: Vec::new(),
            node: 0,
            careful: false,
        }
    }

    /// Keeps `object` alive as long as the tree; the pointer is good for that long.
    pub fn keep(&mut self, object: &Bound<'_, PyAny>) -> Object {
        self.held.push(object.clone().unbind());
        object.as_ptr()
    }

    /// Keeps a class.
    pub fn keep_class(&mut self, object: &Bound<'_, PyAny>) -> PyResult<Object> {
        if !object.is_instance_of::<PyType>() {
            return Err(PyTypeError::new_err(format!("a class is needed, not {object}")));
        }
        Ok(self.keep(object))
    }

    /// Keeps a tuple, the only argument of `description`.
    pub fn keep_tuple(&mut self, description: &Description<'_>) -> PyResult<Object> {
        let tuple = description.one()?.cast_into::<PyTuple>()?;
        Ok(self.keep(&tuple))
    }

    /// The index of an earlier node (or of this one).
    pub fn earlier(&self, object: &Bound<'_, PyAny>) -> PyResult<usize> {
        let index = object.extract::<usize>()?;
        if index <= self.node {
            return Ok(index);
        }
        Err(PyIndexError::new_err(format!(
            "node {} refers to the later node {index}",
            self.node
        )))
    }
}

/// A description `(name, argument...)`, as accesses and guards are given.
pub struct Description<'py> {
    parts: Bound<'py, PyTuple>,
    name: String,
}

impl<'py> Description<'py> {
    /// Reads the name.
    pub fn new(parts: &Bound<'py, PyAny>) -> PyResult<Self> {
        let parts = parts.cast::<PyTuple>()?.clone();
        let name = parts.get_item(0)?.extract()?;
        Ok(Self { parts, name })
    }

    /// What kind is described.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The only argument.
    pub fn one(&self) -> PyResult<Bound<'py, PyAny>> {
        let [argument] = self.arguments()?;
        Ok(argument)
    }

    /// All arguments, when there are as many as the kind takes.
    pub fn arguments<const N: usize>(&self) -> PyResult<[Bound<'py, PyAny>; N]> {
        let arguments: Vec<_> = self.parts.iter().skip(1).collect();
        let count = arguments.len();
        arguments
            .try_into()
            .map_err(|_| PyValueError::new_err(format!("{:?} takes {N} arguments, not {count}", self.name)))
    }
}
