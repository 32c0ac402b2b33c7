/* The eval-frame shim: the function that CPython calls with a frame (PEP 523), for the calls that need one.
 *
 * A call of a compiled function whose entry stops inside the function needs the frame of that call. It is
 * made known here, the shim is set, and the function is called in the ordinary way: CPython binds the
 * arguments, makes the frame and gives it to the shim, which recognises it, takes itself off again and lets
 * the driver have it. So the shim is set for some nanoseconds a call, and Python code that is not compiled
 * never meets it.
 *
 * The shim is one for the whole interpreter while expected calls are one thread's own. Under the GIL:
 *
 * 1. `waiting` counts the expected calls of all threads; the shim is set while there are any;
 * 2. binding may run other code before the frame comes: inside such a frame nothing is expected;
 * 3. every other frame is passed on to the function that was set before (TorchDynamo's, say), or to CPython;
 * 4. the shim takes itself off only if it is still the function that is set: whoever came later stays, and
 *    calls the shim as what was there before; a shim found set with nobody waiting goes at its next frame;
 * 5. a frame that comes back from the function it was passed on to is CPython's, so two functions that each
 *    call the other as "the one before" end there.
 */
#include "frame.h"

#include <pthread.h>

/* A call that is about to get its frame. It lies on the caller's C stack; everything is borrowed. */
struct framelift_expected {
    PyObject *function;
    PyObject *code;
    PyObject *const *arguments;         /* what the first slots of the frame must hold */
    Py_ssize_t argument_count;
    PyObject *(*drive)(void *context, Frame *frame);
    void *context;
    struct framelift_expected *outer;   /* the call that this thread expected before */
};

static _Thread_local struct framelift_expected *expected;
static _Thread_local Frame *passed_on;
static _Thread_local int waiting_here;  /* expected calls of this thread, also those that are not expected now */
static int waiting;                     /* expected calls of all threads */
static _PyFrameEvalFunction before_us;  /* set when we were; NULL for none */

static PyObject *shim(PyThreadState *thread, Frame *frame, int throwing);

static void
set_shim(PyInterpreterState *interpreter)
{
    _PyFrameEvalFunction current = _PyInterpreterState_GetEvalFrameFunc(interpreter);

    if (current != shim) {
        before_us = current == _PyEval_EvalFrameDefault ? NULL : current;
        _PyInterpreterState_SetEvalFrameFunc(interpreter, shim);
    }
}

static void
take_shim_off(PyInterpreterState *interpreter)
{
    if (_PyInterpreterState_GetEvalFrameFunc(interpreter) == shim) {
        _PyInterpreterState_SetEvalFrameFunc(interpreter,
                                             before_us == NULL ? _PyEval_EvalFrameDefault : before_us);
    }
}

/* The innermost expected call of this thread is not expected any more. */
static void
forget(PyInterpreterState *interpreter)
{
    expected = expected->outer;
    waiting_here--;
    if (--waiting == 0) {
        take_shim_off(interpreter);
    }
}

static bool
is_expected(Frame *frame)
{
    if (!is_fresh(frame) || (PyObject *)frame_code(frame) != expected->code
        || frame_function(frame) != expected->function) {
        return false;
    }
    for (Py_ssize_t index = 0; index < expected->argument_count; index++) {
        if (frame->localsplus[index] != expected->arguments[index]) {
            return false;
        }
    }
    return true;
}

static PyObject *
pass_on(PyThreadState *thread, Frame *frame, int throwing)
{
    struct framelift_expected *call = expected;
    Frame *outer = passed_on;
    PyObject *result;

    expected = NULL;
    if (before_us == NULL || outer == frame) {
        result = _PyEval_EvalFrameDefault(thread, frame, throwing);
    }
    else {
        passed_on = frame;
        result = before_us(thread, frame, throwing);
        passed_on = outer;
    }
    expected = call;
    return result;
}

static PyObject *
shim(PyThreadState *thread, Frame *frame, int throwing)
{
    struct framelift_expected *call = expected;

    if (call != NULL && !throwing && is_expected(frame)) {
        forget(thread->interp);
        return call->drive(call->context, frame);
    }
    if (waiting == 0) {
        take_shim_off(thread->interp);
    }
    return pass_on(thread, frame, throwing);
}

/* From here on, the frame of that call is driven by `call->drive`. The GIL is held, nothing is released. */
void
framelift_expect_frame(struct framelift_expected *call)
{
    call->outer = expected;
    expected = call;
    waiting_here++;
    waiting++;
    set_shim(PyThreadState_Get()->interp);
}

/* The call is over. Returns whether its frame never came. */
int
framelift_expected_in_vain(struct framelift_expected *call)
{
    if (expected != call) {
        return 0;
    }
    forget(PyThreadState_Get()->interp);
    return 1;
}

/* A forked child has this thread alone. */
static void
count_after_fork(void)
{
    waiting = waiting_here;
}

/* Once, at import. */
void
framelift_prepare_shim(void)
{
    (void)pthread_atfork(NULL, NULL, count_after_fork);
}
