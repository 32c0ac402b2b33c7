//! Conditions over symbols: small postfix programs with Python's meaning on 64-bit integers and doubles.
//!
//! What Python would compute with larger integers, and what it would raise, fails the condition: an entry
//! is then not used, which is always right.

use super::arithmetic::Number::{self, Float, Int};
use super::arithmetic::{Binary, Unary, truth};
use super::build::{Builder, Description};
use crate::objects::Object;
use crate::torch_abi::{TensorLayout, slow_tensor_number};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList};

/// The deepest stack of a program, and the most symbols of a tree that need no allocation.
const DEPTH: usize = 48;

/// Where a symbol's value is read.
pub struct Symbol {
    node: usize,
    reading: Reading,
}

enum Reading {
    Size(usize, Option<&'static TensorLayout>),
    Stride(usize, Option<&'static TensorLayout>),
    StorageOffset(Option<&'static TensorLayout>),
    Int,
    Float,
}

impl Symbol {
    /// Reads `(node, what, dimension)`. `direct` tells whether a node's guards make sure that its tensor
    /// can be read directly.
    pub fn parse(
        description: &Bound<'_, PyAny>,
        node_count: usize,
        direct: impl Fn(usize) -> Option<&'static TensorLayout>,
        builder: &mut Builder,
    ) -> PyResult<Self> {
        let (node, what, dimension): (usize, String, usize) = description.extract()?;
        if node >= node_count {
            return Err(PyValueError::new_err(format!(
                "a symbol is read from node {node}, which is none"
            )));
        }
        let layout = direct(node);
        let reading = match what.as_str() {
            "size" => Reading::Size(dimension, layout),
            "stride" => Reading::Stride(dimension, layout),
            "storage_offset" => Reading::StorageOffset(layout),
            "int" => Reading::Int,
            "float" => Reading::Float,
            other => return Err(PyValueError::new_err(format!("no symbol is read from {other:?}"))),
        };
        builder.careful |= layout.is_none() && !matches!(reading, Reading::Int | Reading::Float);
        Ok(Self { node, reading })
    }

    /// # Safety
    /// `values` are live objects; attached.
    unsafe fn read(&self, values: &[Object]) -> Option<Number> {
        let value = values[self.node];
        // SAFETY: a layout is given only where a guard on the node has established that it applies and
        // that the tensor has the dimension; types are checked before numbers are read.
        unsafe {
            match self.reading {
                Reading::Size(dimension, Some(layout)) => layout.size(value, dimension).map(Int),
                Reading::Size(dimension, None) => slow_tensor_number(value, "size", dimension).map(Int),
                Reading::Stride(dimension, Some(layout)) => layout.stride(value, dimension).map(Int),
                Reading::Stride(dimension, None) => slow_tensor_number(value, "stride", dimension).map(Int),
                Reading::StorageOffset(Some(layout)) => Some(Int(layout.storage_offset(value))),
                Reading::StorageOffset(None) => slow_tensor_number(value, "storage_offset", 0).map(Int),
                Reading::Int => {
                    if ffi::PyLong_Check(value) == 0 {
                        return None;
                    }
                    let mut overflow = 0;
                    let number = ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow);
                    (overflow == 0).then_some(Int(number))
                }
                Reading::Float => {
                    (ffi::PyFloat_Check(value) != 0).then(|| Float(ffi::PyFloat_AS_DOUBLE(value)))
                }
            }
        }
    }
}

/// An operation of a program.
#[derive(Clone, Copy)]
enum Operation {
    Constant(Number),
    Symbol(usize),
    Unary(Unary),
    Binary(Binary),
    /// `(condition, then, otherwise)`.
    Where,
}

/// A condition that must hold.
pub struct Condition {
    program: Box<[Operation]>,
}

impl Condition {
    /// Reads a postfix program such as `[("symbol", 0), ("const", 2), (">=",)]`.
    pub fn parse(program: &Bound<'_, PyAny>, symbol_count: usize) -> PyResult<Self> {
        let mut operations = Vec::new();
        let mut depth = 0_usize;
        for item in program.cast::<PyList>()? {
            let description = Description::new(&item)?;
            let operation = Operation::parse(&description, symbol_count)?;
            let needed = operation.operand_count();
            if depth < needed {
                return Err(PyValueError::new_err(
                    "a condition takes more operands than it has",
                ));
            }
            depth = depth - needed + 1;
            if depth > DEPTH {
                return Err(PyValueError::new_err("a condition is nested too deeply"));
            }
            operations.push(operation);
        }
        if depth != 1 {
            return Err(PyValueError::new_err("a condition leaves one value"));
        }
        Ok(Self {
            program: operations.into(),
        })
    }

    /// The value, or None where it is not known in 64 bits or Python would raise.
    #[inline]
    fn value(&self, symbols: &[Option<Number>]) -> Option<Number> {
        let mut stack = [Int(0); DEPTH];
        let mut depth = 0;
        for operation in &self.program {
            let result = match *operation {
                Operation::Constant(number) => number,
                Operation::Symbol(index) => symbols[index]?,
                Operation::Unary(unary) => {
                    depth -= 1;
                    unary.apply(stack[depth])?
                }
                Operation::Binary(binary) => {
                    depth -= 2;
                    binary.apply(stack[depth], stack[depth + 1])?
                }
                Operation::Where => {
                    depth -= 3;
                    if truth(stack[depth]) {
                        stack[depth + 1]
                    } else {
                        stack[depth + 2]
                    }
                }
            };
            stack[depth] = result;
            depth += 1;
        }
        Some(stack[0])
    }
}

/// All conditions of a tree and the symbols they are over.
pub struct Conditions {
    symbols: Box<[Symbol]>,
    conditions: Box<[Condition]>,
}

impl Conditions {
    /// Symbols without conditions are not read.
    pub fn new(symbols: Vec<Symbol>, conditions: Vec<Condition>) -> Self {
        Self {
            symbols: symbols.into(),
            conditions: conditions.into(),
        }
    }

    /// The first condition that does not hold.
    ///
    /// # Safety
    /// `values` are the live objects of all nodes, whose guards hold; attached.
    #[inline]
    pub unsafe fn failed(&self, values: &[Object]) -> Option<usize> {
        if self.conditions.is_empty() {
            return None;
        }
        // SAFETY: the caller's promise.
        unsafe {
            if self.symbols.len() <= DEPTH {
                let mut numbers = [None; DEPTH];
                for (number, symbol) in numbers.iter_mut().zip(&self.symbols) {
                    *number = symbol.read(values);
                }
                self.failed_for(&numbers)
            } else {
                let numbers: Vec<_> = self.symbols.iter().map(|symbol| symbol.read(values)).collect();
                self.failed_for(&numbers)
            }
        }
    }

    fn failed_for(&self, numbers: &[Option<Number>]) -> Option<usize> {
        self.conditions
            .iter()
            .position(|condition| !condition.value(numbers).is_some_and(truth))
    }

    /// The values of all symbols, None for what is no number.
    ///
    /// # Safety
    /// As for [`Self::failed`].
    pub unsafe fn symbol_values(&self, values: &[Object]) -> Vec<Option<Number>> {
        // SAFETY: the caller's promise.
        self.symbols
            .iter()
            .map(|symbol| unsafe { symbol.read(values) })
            .collect()
    }
}

impl Operation {
    fn parse(description: &Description<'_>, symbol_count: usize) -> PyResult<Self> {
        Ok(match description.name() {
            "const" => Self::Constant(constant(&description.one()?)?),
            "symbol" => {
                let index = description.one()?.extract::<usize>()?;
                if index >= symbol_count {
                    return Err(PyValueError::new_err(format!("there is no symbol {index}")));
                }
                Self::Symbol(index)
            }
            "+" => Self::Binary(Binary::Add),
            "-" => Self::Binary(Binary::Subtract),
            "*" => Self::Binary(Binary::Multiply),
            "/" => Self::Binary(Binary::Divide),
            "//" => Self::Binary(Binary::FloorDivide),
            "%" => Self::Binary(Binary::Modulo),
            "**" => Self::Binary(Binary::Power),
            "min" => Self::Binary(Binary::Minimum),
            "max" => Self::Binary(Binary::Maximum),
            "<" => Self::Binary(Binary::Less),
            "<=" => Self::Binary(Binary::LessEqual),
            "==" => Self::Binary(Binary::Equal),
            "!=" => Self::Binary(Binary::NotEqual),
            ">" => Self::Binary(Binary::Greater),
            ">=" => Self::Binary(Binary::GreaterEqual),
            "and" => Self::Binary(Binary::And),
            "or" => Self::Binary(Binary::Or),
            "&" => Self::Binary(Binary::BitAnd),
            "|" => Self::Binary(Binary::BitOr),
            "^" => Self::Binary(Binary::BitXor),
            "<<" => Self::Binary(Binary::ShiftLeft),
            ">>" => Self::Binary(Binary::ShiftRight),
            "neg" => Self::Unary(Unary::Negate),
            "abs" => Self::Unary(Unary::Absolute),
            "not" => Self::Unary(Unary::Not),
            "float" => Self::Unary(Unary::ToFloat),
            "trunc" => Self::Unary(Unary::Truncate),
            "floor" => Self::Unary(Unary::Floor),
            "ceil" => Self::Unary(Unary::Ceiling),
            "round" => Self::Unary(Unary::Round),
            "sqrt" => Self::Unary(Unary::SquareRoot),
            "where" => Self::Where,
            other => return Err(PyValueError::new_err(format!("no operation is called {other:?}"))),
        })
    }

    fn operand_count(self) -> usize {
        match self {
            Self::Constant(_) | Self::Symbol(_) => 0,
            Self::Unary(_) => 1,
            Self::Binary(_) => 2,
            Self::Where => 3,
        }
    }
}

fn constant(object: &Bound<'_, PyAny>) -> PyResult<Number> {
    if object.is_instance_of::<PyFloat>() {
        return Ok(Float(object.extract()?));
    }
    if object.is_instance_of::<PyBool>() {
        return Ok(Int(i64::from(object.extract::<bool>()?)));
    }
    if object.is_instance_of::<PyInt>() {
        return Ok(Int(object.extract()?));
    }
    Err(PyValueError::new_err(format!("{object} is not a number")))
}
