/* The instructions about exceptions, and how an exception comes to its handler in a driven frame.
 *
 * The exception that is being handled is the thread's (`exc_info`), the one before it lies on the operand
 * stack until the handler ends: both as in CPython's loop, which may take over anywhere. What raises without
 * a handler in this code is left to the loop, as nothing is left of the frame then.
 */
#include "performers.h"

/* A new reference to the exception for `raise object`, or NULL with an exception set. */
static PyObject *
as_exception(PyObject *object, const char *complaint)
{
    PyObject *exception;

    if (PyExceptionInstance_Check(object)) {
        return Py_NewRef(object);
    }
    if (!PyExceptionClass_Check(object)) {
        PyErr_SetString(PyExc_TypeError, complaint);
        return NULL;
    }
    exception = PyObject_CallNoArgs(object);
    if (exception != NULL && !PyExceptionInstance_Check(exception)) {
        PyErr_Format(PyExc_TypeError, "calling %R should have returned an instance of BaseException, not %R",
                     object, Py_TYPE(exception));
        Py_CLEAR(exception);
    }
    return exception;
}

/* `raise exception from cause`; both are borrowed, `cause` may be NULL. */
static void
raise_with_cause(PyObject *object, PyObject *cause)
{
    PyObject *exception = as_exception(object, "exceptions must derive from BaseException"), *reason = NULL;

    if (exception == NULL) {
        return;
    }
    if (cause != NULL) {
        if (cause != Py_None) {
            reason = as_exception(cause, "exception causes must derive from BaseException");
            if (reason == NULL) {
                Py_DECREF(exception);
                return;
            }
        }
        PyException_SetCause(exception, reason);
    }
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
}

enum outcome
step_raise_exception(struct work *work)
{
    int count = work->instruction->argument;
    PyObject *handled;

    if (!is_covered(work)) {
        return IN_CPYTHON;
    }
    if (count > 0) {
        raise_with_cause(work->top[-count], count == 2 ? work->top[-1] : NULL);
        return consume(work, count, -1);
    }
    handled = PyErr_GetHandledException();
    if (handled == NULL || handled == Py_None) {
        Py_XDECREF(handled);
        PyErr_SetString(PyExc_RuntimeError, "No active exception to reraise");
        return RAISED;
    }
    raise_again(handled);
    return RAISED_AGAIN;
}

/* At the end of a handler, or of what is done in any case. With an argument, the unit that raised lies so far
 * below, and the frame is to stand there. */
enum outcome
step_raise_handled(struct work *work)
{
    int distance = work->instruction->argument;
    PyObject *unit = work->top[-1 - distance];

    if (!is_covered(work) || (distance > 0 && !PyLong_CheckExact(unit))) {
        return IN_CPYTHON;
    }
    if (distance > 0) {
        point_at_running(work->frame, (int)PyLong_AsLong(unit));
    }
    raise_again(*--work->top);
    return RAISED_AGAIN;
}

/* The exception on top is handled from here on, and the one before it lies below. */
enum outcome
step_begin_handler(struct work *work)
{
    _PyErr_StackItem *state = PyThreadState_Get()->exc_info;
    PyObject *exception = work->top[-1];

    work->top[-1] = state->exc_value == NULL ? Py_NewRef(Py_None) : state->exc_value;
    state->exc_value = Py_NewRef(exception);
    push(work, exception);
    return GOES_ON;
}

enum outcome
step_end_handler(struct work *work)
{
    _PyErr_StackItem *state = PyThreadState_Get()->exc_info;
    PyObject *handled = state->exc_value;

    state->exc_value = *--work->top;
    Py_XDECREF(handled);
    return GOES_ON;
}

/* Whether `except wanted` may be asked about: the loop complains about all else. */
static bool
may_match(PyObject *wanted)
{
    if (!PyTuple_Check(wanted)) {
        return PyExceptionClass_Check(wanted);
    }
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(wanted); index++) {
        if (!PyExceptionClass_Check(PyTuple_GET_ITEM(wanted, index))) {
            return false;
        }
    }
    return true;
}

enum outcome
step_matches_exception(struct work *work)
{
    if (!may_match(work->top[-1])) {
        return IN_CPYTHON;
    }
    return replace(work, 1, truth(PyErr_GivenExceptionMatches(work->top[-2], work->top[-1])));
}

enum outcome
step_assertion_class(struct work *work)
{
    push(work, Py_NewRef(PyExc_AssertionError));
    return GOES_ON;
}

/* `__exit__` of a block that raises. Above it lie the unit, the exception before, and the exception. */
enum outcome
step_exit_context_raised(struct work *work)
{
    PyObject *exception = work->top[-1], *traceback = PyException_GetTraceback(exception), *result;

    result = PyObject_CallFunctionObjArgs(work->top[-4], (PyObject *)Py_TYPE(exception), exception,
                                          traceback == NULL ? Py_None : traceback, NULL);
    Py_XDECREF(traceback);
    if (result == NULL) {
        return RAISED;
    }
    push(work, result);
    return GOES_ON;
}

/* For the thread's current frame, where it stands, to the exception that is set. */
static void
add_traceback_entry(void)
{
    PyFrameObject *object = PyEval_GetFrame();

    if (object != NULL) {
        (void)PyTraceBack_Here(object);
    }
}

/* The exception that is set was raised by the instruction at `unit` of the thread's current frame. Where the
 * code has a handler, the frame's state is made that of its beginning, with the exception as the one that is
 * handled, and the unit to go on at is returned: nothing is set any more. -1 where it has none, and nothing has
 * happened. `again`: the traceback has an entry for the frame, which stands where the exception came from.
 * `told`: whoever watches knows of the exception, and learns of the handler; they may raise one of their own, which
 * is set then. *is_cleanup: what is there only tidies up and raises the exception again. */
int
framelift_enter_handler(Frame *frame, int unit, int again, int told, int *is_cleanup)
{
    struct instruction beginning;
    struct work work = {.frame = frame, .code = frame_code(frame), .instruction = &beginning};
    struct handler handler;
    PyObject **bottom, *number;

    if (!find_handler(work.code, unit, &handler)) {
        return -1;
    }
    if (!again) {
        point_at_running(frame, unit);
        add_traceback_entry();
    }
    number = PyLong_FromLong(_PyInterpreterFrame_LASTI(frame));
    if (number == NULL) {
        return -1;
    }
    bottom = frame->localsplus + work.code->co_nlocalsplus + handler.depth;
    work.top = frame_top(frame);
    while (work.top > bottom) {
        PyObject *operand = *--work.top;

        set_frame_top(frame, work.top);
        Py_XDECREF(operand);
    }
    if (handler.with_unit) {
        push(&work, Py_NewRef(number));
    }
    Py_DECREF(number);
    push(&work, take_raised());
    work.next = handler.unit;
    if (told) {
        set_frame_top(frame, work.top);
        point_at_running(frame, handler.unit);
        tell_handler(PyThreadState_Get(), frame->frame_obj, unit, handler.unit);
        if (PyErr_Occurred()) {
            return handler.unit;
        }
    }
    *is_cleanup = framelift_is_cleanup(frame, handler.unit);
    if (framelift_read_instruction(frame, handler.unit, &beginning) != 0) {
        PyErr_Clear();
    }
    else if (beginning.kind == BEGIN_HANDLER) {
        step_begin_handler(&work);
        work.next = beginning.next;
    }
    set_frame_top(frame, work.top);
    point_at_running(frame, work.next);
    return work.next;
}
