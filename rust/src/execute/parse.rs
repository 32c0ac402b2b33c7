//! Reads an exit program from the tuples that capture writes, and refuses one that could not run.
//!
//! Laws, checked here once so that running needs no checks:
//! 1. a store stands at or after `commit_at`, everything else but a call before it;
//! 2. an operand `("result", k)` means an earlier operation, and not a store;
//! 3. every operation has the operands its kind asks for.

use crate::execute::program::{ExitProgram, Operand, Operation};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PySequence, PyString, PyTuple};

/// Builds the program, or raises `ValueError` (`TypeError` where a tuple has the wrong types in it).
pub fn exit_program(
    operations: &Bound<'_, PyList>,
    commit_at: usize,
    result: &Bound<'_, PyTuple>,
) -> PyResult<ExitProgram> {
    let mut parsed: Vec<Operation> = Vec::with_capacity(operations.len());
    for (index, item) in operations.iter().enumerate() {
        let row = item.cast::<PyTuple>()?;
        let operation = operation(row).map_err(|error| explain(row, index, error))?;
        for operand in operation.operands() {
            check_operand(operand, &parsed).map_err(|error| explain(row, index, error))?;
        }
        if operation.is_store() && index < commit_at {
            let problem = PyValueError::new_err(format!("a store before commit_at={commit_at}"));
            return Err(explain(row, index, problem));
        }
        if !operation.is_store() && !operation.is_call() && index >= commit_at {
            let problem = PyValueError::new_err(format!("builds an object after commit_at={commit_at}"));
            return Err(explain(row, index, problem));
        }
        parsed.push(operation);
    }
    if commit_at > parsed.len() {
        return Err(PyValueError::new_err(format!(
            "commit_at={commit_at} is beyond the last of {} operations",
            parsed.len()
        )));
    }
    let result = operand(result)?;
    check_operand(&result, &parsed)?;

    let mut program = ExitProgram {
        calls: parsed.iter().any(Operation::is_call),
        operations: parsed.into_boxed_slice(),
        result,
        commit_at,
        slots_needed: 0,
        outputs_needed: 0,
    };
    let (slots, outputs) = program.needs();
    program.slots_needed = slots;
    program.outputs_needed = outputs;
    Ok(program)
}

/// Adds to an error which operation it is about.
fn explain(row: &Bound<'_, PyTuple>, index: usize, error: PyErr) -> PyErr {
    let py = row.py();
    let kind = row
        .get_item(0)
        .map_or_else(|_| "()".to_owned(), |kind| kind.to_string());
    let explained = PyValueError::new_err(format!("operation {index} ({kind}): {}", error.value(py)));
    explained.set_cause(py, Some(error));
    explained
}

fn check_operand(operand: &Operand, earlier: &[Operation]) -> PyResult<()> {
    let Operand::Result(index) = *operand else {
        return Ok(());
    };
    match earlier.get(index) {
        None => Err(PyValueError::new_err(format!(
            "result {index} is not made before it is used"
        ))),
        Some(operation) if operation.is_store() => Err(PyValueError::new_err(format!(
            "operation {index} is a store and has no result"
        ))),
        Some(_) => Ok(()),
    }
}

fn operand(row: &Bound<'_, PyTuple>) -> PyResult<Operand> {
    let (kind, value): (String, Bound<'_, PyAny>) = row.extract()?;
    match kind.as_str() {
        "slot" => Ok(Operand::Slot(value.extract()?)),
        "graph" => Ok(Operand::Graph(value.extract()?)),
        "const" => Ok(Operand::Constant(value.unbind())),
        "result" => Ok(Operand::Result(value.extract()?)),
        _ => Err(PyValueError::new_err(format!("unknown operand kind {kind:?}"))),
    }
}

fn operands(rows: &Bound<'_, PyAny>) -> PyResult<Box<[Operand]>> {
    rows.cast::<PySequence>()?
        .try_iter()?
        .map(|row| operand(row?.cast::<PyTuple>()?))
        .collect()
}

/// The one operand at `place` of the row.
fn operand_at(row: &Bound<'_, PyTuple>, place: usize) -> PyResult<Operand> {
    operand(row.get_item(place)?.cast::<PyTuple>()?)
}

/// A row with exactly `count` parts after its kind.
fn expect_parts(row: &Bound<'_, PyTuple>, count: usize) -> PyResult<()> {
    let found = row.len() - 1;
    if found == count {
        Ok(())
    } else {
        Err(PyValueError::new_err(format!(
            "expected {count} parts after the kind, found {found}"
        )))
    }
}

fn operation(row: &Bound<'_, PyTuple>) -> PyResult<Operation> {
    let kind: String = row.get_item(0)?.extract()?;
    let parts = match kind.as_str() {
        "tuple" | "list" | "dict" | "set" | "dict_clear" | "cell_clear" => 1,
        "dict_delete" | "list_assign" | "list_extend_new" | "cell_set" => 2,
        "call" | "dict_set" => 3,
        _ => return Err(PyValueError::new_err(format!("unknown operation kind {kind:?}"))),
    };
    expect_parts(row, parts)?;
    Ok(match kind.as_str() {
        "tuple" => Operation::Tuple(operands(&row.get_item(1)?)?),
        "list" => Operation::List(operands(&row.get_item(1)?)?),
        "set" => Operation::Set(operands(&row.get_item(1)?)?),
        "dict" => {
            let items = operands(&row.get_item(1)?)?;
            if items.len() % 2 != 0 {
                return Err(PyValueError::new_err("a key without a value"));
            }
            Operation::Dict(items)
        }
        "call" => call(row)?,
        "dict_set" => Operation::DictSet {
            dictionary: operand_at(row, 1)?,
            key: operand_at(row, 2)?,
            value: operand_at(row, 3)?,
        },
        "dict_delete" => Operation::DictDelete {
            dictionary: operand_at(row, 1)?,
            key: operand_at(row, 2)?,
        },
        "dict_clear" => Operation::DictClear {
            dictionary: operand_at(row, 1)?,
        },
        "list_assign" => Operation::ListAssign {
            list: operand_at(row, 1)?,
            items: operands(&row.get_item(2)?)?,
        },
        "list_extend_new" => Operation::ListExtend {
            list: operand_at(row, 1)?,
            items: operands(&row.get_item(2)?)?,
        },
        "cell_set" => Operation::CellSet {
            cell: operand_at(row, 1)?,
            value: operand_at(row, 2)?,
        },
        _ => Operation::CellClear {
            cell: operand_at(row, 1)?,
        },
    })
}

fn call(row: &Bound<'_, PyTuple>) -> PyResult<Operation> {
    let arguments = operands(&row.get_item(2)?)?;
    let names = row.get_item(3)?.cast_into::<PyTuple>()?;
    for name in &names {
        name.cast_exact::<PyString>()?;
    }
    if names.len() > arguments.len() {
        return Err(PyValueError::new_err("more keyword names than arguments"));
    }
    let names = if names.is_empty() {
        None
    } else {
        Some(names.unbind())
    };
    Ok(Operation::Call {
        function: operand_at(row, 1)?,
        arguments,
        names,
    })
}
