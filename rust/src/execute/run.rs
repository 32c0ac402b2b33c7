//! Carries out an entry whose guards hold: calls the graph, then performs the exit program.
//!
//! Everything here works on plain pointers. References live in arrays of this file's frames and are
//! released after the last store, when finalisers may run and re-enter without meeting a half-done
//! state. [release-last]

use crate::cache::Plan;
use crate::callable::graph_errors::may_be_repeated;
use crate::execute::program::ExitProgram;
use crate::execute::step::Objects;
use crate::objects::{INLINE, Object, ObjectBuffer, Released, release_all};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::ptr::null_mut;

unsafe extern "C" {
    /// 0, or -1 with `RecursionError` set.
    fn framelift_enter_call() -> c_int;
    fn framelift_leave_call();
}

/// How an entry ended.
pub enum Ran {
    /// The result, a new reference; or null with an exception set.
    Done(Object),
    /// An exception is set, nothing irreversible has happened, and the entry may be run again in CPython.
    Replay,
    /// The graph, which leaves something behind, has raised the exception that is set as from there.
    Thrown(Place),
}

/// Where in the program an exception comes from: the offset in the outermost code, and a frame object that stands
/// there, owned; null where nobody knows.
pub struct Place {
    pub offset: u32,
    pub frame: Object,
}

/// Runs `plan` on the objects that its guards collected.
///
/// # Safety
/// The thread is attached; `slots` holds live objects, as many as the plan's tree collects, and they and
/// the plan stay alive during the call.
pub unsafe fn run(plan: &Plan, slots: &[Object]) -> Ran {
    let program = plan.program.get();
    let deepens = plan.graph.is_some() || program.calls;
    // SAFETY: attached. Without this, a program that calls itself would overflow the C stack.
    if deepens && unsafe { framelift_enter_call() } != 0 {
        return Ran::Done(null_mut());
    }
    let mut reached = Reached::Graph;
    // SAFETY: the caller's promises.
    let result = unsafe { run_graph_and_program(plan, program, slots, &mut reached) };
    if deepens {
        // SAFETY: pairs with the call above.
        unsafe { framelift_leave_call() };
    }
    let reversible = match reached {
        Reached::Graph => plan.replayable || plan.restores,
        Reached::Building => plan.replayable,
        Reached::Commits => false,
    };
    // SAFETY: attached, and the graph or the program has failed with an exception.
    if result.is_null() && reversible && is_failure() && unsafe { may_be_repeated() } {
        return Ran::Replay;
    }
    if result.is_null()
        && matches!(reached, Reached::Graph)
        && let Some(failed) = &plan.failed
        && is_failure()
    {
        return ask_failed(failed);
    }
    Ran::Done(result)
}

/// What `failed(exception)` says: None, and the segment is repeated; or the place of the exception.
#[cold]
fn ask_failed(failed: &Py<PyAny>) -> Ran {
    Python::attach(|py| {
        let error = PyErr::fetch(py).into_value(py).into_bound(py);
        let answer = failed.bind(py).call1((&error,)).and_then(|answer| {
            if answer.is_none() {
                return Ok(None);
            }
            answer.extract::<(i64, Option<Bound<'_, PyAny>>)>().map(Some)
        });
        match answer {
            Err(other) => {
                other.restore(py);
                Ran::Done(null_mut())
            }
            Ok(answer) => {
                PyErr::from_value(error.into_any()).restore(py); // with the traceback that it has by now
                match answer {
                    None => Ran::Replay,
                    Some((offset, Some(frame))) if offset >= 0 => Ran::Thrown(Place {
                        offset: offset as u32,
                        frame: frame.into_ptr(),
                    }),
                    Some(_) => Ran::Done(null_mut()),
                }
            }
        }
    })
}

/// How far a segment has come.
enum Reached {
    Graph,
    Building,
    Commits,
}

/// Whether the exception that is set is a failure: `KeyboardInterrupt` and its like are not, they pass.
fn is_failure() -> bool {
    // SAFETY: called with an exception set.
    unsafe { ffi::PyErr_ExceptionMatches(ffi::PyExc_Exception) != 0 }
}

unsafe fn run_graph_and_program(
    plan: &Plan,
    program: &ExitProgram,
    slots: &[Object],
    reached: &mut Reached,
) -> Object {
    let outputs = match &plan.graph {
        // SAFETY: the caller's promises; `graph_inputs` was checked against the tree's slots.
        Some(graph) => unsafe {
            call_graph(graph.as_ptr(), &plan.graph_inputs, slots, program.outputs_needed)
        },
        None => null_mut(),
    };
    if outputs.is_null() && plan.graph.is_some() {
        return null_mut();
    }
    *reached = Reached::Building;
    let mut room = ObjectBuffer::<INLINE>::new();
    let results = room.nulls(program.operations.len());
    let mut objects = Objects {
        slots,
        outputs,
        results,
    };
    let mut released = Released::new();

    let mut succeeded = true;
    for (index, operation) in program.operations.iter().enumerate() {
        if index >= program.commit_at {
            *reached = Reached::Commits;
        }
        // SAFETY: the parser and the entry have checked every operand against what is there.
        if !unsafe { objects.perform(index, operation, &mut released) } {
            succeeded = false;
            break;
        }
    }
    // SAFETY: as above; the references released here are owned here.
    unsafe {
        let result = if succeeded {
            ffi::Py_NewRef(objects.fetch(&program.result))
        } else {
            null_mut()
        };
        release_all(objects.results);
        released.release();
        ffi::Py_XDECREF(outputs);
        result
    }
}

/// Calls the graph. Returns a new reference to a tuple of at least `needed` outputs, or null.
unsafe fn call_graph(graph: Object, inputs: &[usize], slots: &[Object], needed: usize) -> Object {
    let mut room = ObjectBuffer::<INLINE>::new();
    let arguments = room.nulls(inputs.len() + 1);
    for (place, &slot) in arguments[1..].iter_mut().zip(inputs) {
        *place = slots[slot];
    }
    // SAFETY: the arguments are alive; the place before the first may be overwritten by the callee.
    let returned = unsafe {
        ffi::PyObject_Vectorcall(
            graph,
            arguments.as_ptr().add(1),
            inputs.len() | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
            null_mut(),
        )
    };
    if returned.is_null() {
        return null_mut();
    }
    // SAFETY: `returned` is an owned, live object; the exact count of a tuple never changes.
    unsafe {
        let outputs = if ffi::PyList_Check(returned) != 0 {
            let tuple = ffi::PyList_AsTuple(returned);
            ffi::Py_DECREF(returned);
            if tuple.is_null() {
                return null_mut();
            }
            tuple
        } else if ffi::PyTuple_Check(returned) != 0 {
            returned
        } else {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"a compiled graph must return a tuple or a list of its outputs, not %.200s".as_ptr(),
                (*ffi::Py_TYPE(returned)).tp_name,
            );
            ffi::Py_DECREF(returned);
            return null_mut();
        };
        let found = ffi::PyTuple_GET_SIZE(outputs) as usize;
        if found < needed {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"a compiled graph must return %zd outputs, not %zd".as_ptr(),
                needed,
                found,
            );
            ffi::Py_DECREF(outputs);
            return null_mut();
        }
        outputs
    }
}
