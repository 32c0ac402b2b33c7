/* What the driver (rust/src/frames) does with a frame: look, link, go on, throw, end.
 *
 * A driven frame is linked, that is, the thread's current one, from the moment its state is that of an
 * instruction until it is given to CPython's loop, which links it itself, or is over.
 */
#include "frame.h"

#include "frameobject.h"

/* The same fields, in the same order, as `View` in rust/src/frames/ffi.rs. */
struct framelift_view {
    PyObject **slots;           /* locals and cells, and above them the operands; NULL for empty places */
    int32_t slot_count;
    int32_t depth;              /* number of operands */
    int32_t room;               /* how many operands the frame has room for */
    int32_t unit_count;         /* length of the code */
};

void
framelift_view_frame(Frame *frame, struct framelift_view *view)
{
    PyCodeObject *code = frame_code(frame);

    view->slots = frame->localsplus;
    view->slot_count = code->co_nlocalsplus;
    view->depth = frame->stacktop - code->co_nlocalsplus;
    view->room = code->co_stacksize;
    view->unit_count = (int32_t)Py_SIZE(code);
}

void
framelift_set_depth(Frame *frame, int depth)
{
    frame->stacktop = frame_code(frame)->co_nlocalsplus + depth;
}

/* Borrowed, both. */
PyObject *
framelift_function_of(Frame *frame)
{
    return frame_function(frame);
}

PyObject *
framelift_code_of(Frame *frame)
{
    return (PyObject *)frame_code(frame);
}

/* Makes the frame the thread's current one. `previous` stays set afterwards: whoever keeps the frame object
 * finds the caller by it. */
void
framelift_link_frame(Frame *frame)
{
    Frame **current = current_frame(PyThreadState_Get());

    frame->previous = *current;
    *current = frame;
}

void
framelift_unlink_frame(Frame *frame)
{
    *current_frame(PyThreadState_Get()) = frame->previous;
}

/* The frame is about to do, or to have done for it, what stands at `unit`. */
void
framelift_point_at(Frame *frame, int unit)
{
    point_at_running(frame, unit);
}

/* CPython executes the frame from `unit` to its end. Unlinked; what is returned is the call's result. */
PyObject *
framelift_resume_frame(Frame *frame, int unit)
{
    point_at_start(frame, unit);
    return _PyEval_EvalFrameDefault(PyThreadState_Get(), frame, 0);
}

/* The exception that is set was raised at `unit` of the thread's current frame, and somebody watches: the
 * traceback gets its entry, and they are told. Returns whether that is done. */
int
framelift_tell_raised(Frame *frame, int unit)
{
    PyFrameObject *object;

    if (!can_tell()) {
        return 0;
    }
    point_at_running(frame, unit);
    object = PyEval_GetFrame();
    if (object == NULL) {
        return 0;
    }
    (void)PyTraceBack_Here(object);
    tell_raised(PyThreadState_Get(), object);
    return 1;
}

/* That exception leaves the frame. */
void
framelift_tell_left(void)
{
    PyFrameObject *object = PyEval_GetFrame();

    if (object != NULL) {
        tell_left(PyThreadState_Get(), object);
    }
}

/* CPython handles the exception that is set, as raised by the instruction at `unit`, in the frame. Unlinked. */
PyObject *
framelift_throw_into_frame(Frame *frame, int unit)
{
    PyThreadState *thread = PyThreadState_Get();

    point_at_raised(frame, unit);
    hush_throw(thread);
    return _PyEval_EvalFrameDefault(thread, frame, 1);
}

/* The frame ends with the exception that is set, of which all that watch have been told. The loop is entered for
 * that, as only it can end any frame: it says nothing, and adds the entry to the traceback that is there already.
 * Unlinked. */
PyObject *
framelift_end_told(Frame *frame, int unit)
{
    PyThreadState *thread = PyThreadState_Get();
    PyObject *exception = take_raised(), *traceback = PyException_GetTraceback(exception), *result;

    if (traceback != NULL && ((PyTracebackObject *)traceback)->tb_frame == frame->frame_obj) {
        PyTracebackObject *inner = ((PyTracebackObject *)traceback)->tb_next;

        PyException_SetTraceback(exception, inner == NULL ? Py_None : (PyObject *)inner);
    }
    Py_XDECREF(traceback);
    raise_again(exception);
    point_at_raised(frame, unit);
    hush(thread, true);
    result = _PyEval_EvalFrameDefault(thread, frame, 1);
    hush(thread, false);
    return result;
}

/* Whether somebody else has the frame object, so that the frame's locals outlive the call: a traceback, say. */
int
framelift_is_kept(Frame *frame)
{
    return frame->frame_obj != NULL && Py_REFCNT(frame->frame_obj) > 1;
}

/* The frame is over and returns `value`, which is taken over; NULL: it ends with the exception that is set,
 * and has never executed anything. Unlinked, without operands. */
PyObject *
framelift_end_frame(Frame *frame, PyObject *value)
{
    return end(PyThreadState_Get(), frame, value);
}

/* 0, and framelift_leave_frame() is due; or -1 with RecursionError set. */
int
framelift_enter_frame(void)
{
    return enter_depth(PyThreadState_Get());
}

void
framelift_leave_frame(void)
{
    leave_depth(PyThreadState_Get());
}

/* Whether a tracer, a profiler or a monitor is to see what runs of `code` on this thread. */
int
framelift_is_observed(PyObject *code)
{
    return is_observed(PyThreadState_Get(), (PyCodeObject *)code);
}

/* The exception that is being handled, borrowed; NULL for none. `beyond`: outside the generator that is innermost,
 * whose own one is not looked at. */
PyObject *
framelift_handled_exception(int beyond)
{
    _PyErr_StackItem *state = PyThreadState_Get()->exc_info;

    for (state = beyond ? state->previous_item : state; state != NULL; state = state->previous_item) {
        if (state->exc_value != NULL && state->exc_value != Py_None) {
            return state->exc_value;
        }
    }
    return NULL;
}

/* Takes `exception` over, which may be None, and returns what the innermost generator or thread handled before. */
PyObject *
framelift_set_handled_exception(PyObject *exception)
{
    _PyErr_StackItem *state = PyThreadState_Get()->exc_info;
    PyObject *before = state->exc_value;

    state->exc_value = exception;
    return before;
}

/* At a jump backwards: handlers of signals run, other threads have their turn, and an exception that another
 * thread sent is raised. 0, or -1 with an exception set. */
int
framelift_offer_interruption(void)
{
    PyThreadState *thread = PyThreadState_Get();

    if (!interruption_waits(thread)) {
        return 0;
    }
    if (Py_MakePendingCalls() != 0) {
        return -1;
    }
    if (another_thread_waits(thread)) {
        PyEval_RestoreThread(PyEval_SaveThread());
    }
    if (thread->async_exc != NULL) {
        PyObject *exception = thread->async_exc;

        thread->async_exc = NULL;
        PyErr_SetNone(exception);
        Py_DECREF(exception);
        return -1;
    }
    return 0;
}

/* A new frame object of this code that stands at `unit` and has never been anybody's: for tracebacks. NULL with an
 * exception set. */
PyObject *
framelift_frame_at(PyObject *code, PyObject *globals, int unit)
{
    PyFrameObject *object = PyFrame_New(PyThreadState_Get(), (PyCodeObject *)code, globals, NULL);

    if (object != NULL) {
        point_at_running(object->f_frame, unit);
    }
    return (PyObject *)object;
}

/* An entry for the frame of `object`, where it stands, is added to the traceback of the exception that is set. */
void
framelift_add_traceback_entry(PyObject *object)
{
    (void)PyTraceBack_Here((PyFrameObject *)object);
}

/* Whether an exception comes to the same handler of the code, or to none, from both places. */
int
framelift_same_handler(PyObject *code, int unit, int other)
{
    struct handler here = {0}, there = {0};
    bool found = find_handler((PyCodeObject *)code, unit, &here);

    return find_handler((PyCodeObject *)code, other, &there) == found && here.unit == there.unit;
}

/* For tests: the frame behind a frame object, borrowed, and the unit its pointer is on. */
Frame *
framelift_frame_of(PyObject *frame_object, int *unit)
{
    Frame *frame = ((PyFrameObject *)frame_object)->f_frame;

    *unit = _PyInterpreterFrame_LASTI(frame);
    return frame;
}
