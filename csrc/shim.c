/* The eval-frame shim: the function that CPython calls with a frame (PEP 523), for the moments that need one.
 *
 * There are three:
 *
 * - A call of a compiled function whose entry stops inside the function needs the frame of that call. It is
 *   made known here ("expected"), the shim is set, and the function is called in the ordinary way: CPython
 *   binds the arguments, makes the frame and gives it to the shim, which recognises it, takes itself off again
 *   and lets the driver have it.
 * - While the instruction at a break is performed, or CPython finishes a call of a compiled function, the thread is
 *   "armed": whatever Python code is entered, by a call, as an operator, a property, a callback of C code, comes as
 *   a fresh frame. What is wanted (decide.c) is driven as a child of that callable, and nobody is armed meanwhile;
 *   the rest is passed on, and stays armed, unless the program has disabled it with all it calls.
 *
 * - Generators and coroutines of compiled functions are resumed by anybody, at any time. While there are some
 *   that have not ended the shim stays set, and lets the driver have their frames (generator.c).
 *
 * So Python code that runs neither compiled nor at a break nor beside such a generator never meets the shim.
 *
 * The shim is one for the whole interpreter while expected calls and arms are one thread's own. Under the GIL:
 *
 * 1. `framelift_waiting` counts the expected calls and armed threads, `suspended` the generators; the shim is
 *    set while there are any;
 * 2. binding may run other code before the frame comes: inside such a frame nothing is expected;
 * 3. every other frame is passed on to the function that was set before (TorchDynamo's, say), or to CPython;
 * 4. the shim takes itself off only if it is still the function that is set: whoever came later stays, and
 *    calls the shim as what was there before; a shim found set with nobody waiting goes at its next frame;
 * 5. a frame that comes back from the function it was passed on to is CPython's, so two functions that each
 *    call the other as "the one before" end there;
 * 6. while the shim is set a Python call takes C stack, which it does not otherwise: deep in a recursion it is
 *    set for expected calls only.
 */
#include "frame.h"
#include "decide.h"
#include "generator.h"
#include "shim.h"

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
static _Thread_local int waiting_here;  /* this thread's part of `framelift_waiting` */
static _PyFrameEvalFunction before_us;  /* set when we were; NULL for none */

/* Expected calls of all threads, also those that are not expected now, and armed threads. */
int framelift_waiting;

static int suspended;                   /* generators of compiled functions that have not ended */

/* Who performs an instruction, and the codes of the callees in which it can't be captured: owned, so that it
 * does no harm if somebody exchanges C stacks in the middle of the instruction. NULL: not armed. */
struct framelift_arms {
    PyObject *callable;
    PyObject *codes;                    /* a tuple, or NULL */
};

static _Thread_local struct framelift_arms armed;

/* Frames that were passed on while armed, inside one another. Where Python calls cost no C stack otherwise,
 * each of these does: deeper ones are not armed. */
enum { DEEPEST_PASSED_ON = 128 };
static _Thread_local int passed_on_armed;

/* Drives a fresh frame as a child of `parent`: 1 with the call's result in `result`, or 0 if it is left to
 * CPython. Of rust/src/frames/drive.rs. */
static int (*drive_child)(PyObject *parent, Frame *frame, PyObject **result);

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

/* Somebody does not wait any more. */
static void
take_shim_off_if_idle(PyInterpreterState *interpreter)
{
    if (framelift_waiting == 0 && suspended == 0) {
        take_shim_off(interpreter);
    }
}

/* The innermost expected call of this thread is not expected any more. */
static void
forget(PyInterpreterState *interpreter)
{
    expected = expected->outer;
    waiting_here--;
    framelift_waiting--;
    take_shim_off_if_idle(interpreter);
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

/* From here on this thread is armed like that, or not at all: what is given is taken over, what was before is
 * owned by the caller. */
static struct framelift_arms
exchange(PyInterpreterState *interpreter, struct framelift_arms now)
{
    struct framelift_arms before = armed;
    int change = (now.callable != NULL) - (before.callable != NULL);

    armed = now;
    waiting_here += change;
    framelift_waiting += change;
    if (change > 0) {
        set_shim(interpreter);
    }
    else {
        take_shim_off_if_idle(interpreter);
    }
    return before;
}

static const struct framelift_arms none;

/* A fresh frame has come to an armed thread. */
static PyObject *
meet(PyThreadState *thread, Frame *frame)
{
    PyInterpreterState *interpreter = thread->interp;
    enum decision decision = decision_about(frame_code(frame), frame_function(frame));
    struct framelift_arms before;
    PyObject *result = NULL;

    if (decision == UNDECIDED || decision == WANTED
        || (decision == WANTED_IF_NAMED && is_named(armed.codes, frame_code(frame)))) {
        before = exchange(interpreter, none);
        if (decision == UNDECIDED) {
            decision = decide(frame_code(frame), frame_function(frame), before.codes);
        }
        else {
            decision = WANTED;
        }
        bool driven = decision == WANTED && drive_child(before.callable, frame, &result);

        exchange(interpreter, before);
        if (driven) {
            return result;
        }
    }
    if (decision == DISARMS || passed_on_armed >= DEEPEST_PASSED_ON) {
        before = exchange(interpreter, none);
        result = pass_on(thread, frame, 0);
        exchange(interpreter, before);
        return result;
    }
    passed_on_armed++;
    result = pass_on(thread, frame, 0);
    passed_on_armed--;
    return result;
}

/* A frame far down in a recursion: what it calls does not meet the shim. */
static PyObject *
pass_on_alone(PyThreadState *thread, Frame *frame, int throwing)
{
    PyInterpreterState *interpreter = thread->interp;
    PyObject *result;

    take_shim_off(interpreter);
    result = pass_on(thread, frame, throwing);
    if (framelift_waiting != 0 || suspended != 0) {
        set_shim(interpreter);
    }
    return result;
}

/* The frame of a generator of ours goes on, or an exception is thrown into it. Driven, it is no part of the
 * instruction that resumes it. */
static PyObject *
resume_ours(PyThreadState *thread, Frame *frame, int throwing, PyObject *mark)
{
    PyObject *result = NULL;
    enum resumed resumed = IS_THROWN_INTO;

    Py_INCREF(mark);
    if (!throwing) {
        struct framelift_expected *call = expected;
        struct framelift_arms before = exchange(thread->interp, none);

        expected = NULL;
        resumed = framelift_resume_ours(mark, frame, &result);
        expected = call;
        exchange(thread->interp, before);
    }
    if (resumed != IS_DRIVEN) {
        result = pass_on(thread, frame, resumed == IS_THROWN_INTO);
    }
    framelift_after_resume(mark, frame);
    Py_DECREF(mark);
    return result;
}

static PyObject *
shim(PyThreadState *thread, Frame *frame, int throwing)
{
    PyObject *mark = framelift_mark_of(frame);
    struct framelift_expected *call;

    if (mark != NULL) {
        return resume_ours(thread, frame, throwing, mark);
    }
    if (framelift_waiting == 0) {       /* so nobody is armed, and nobody's call is in `expected` */
        if (suspended == 0) {
            take_shim_off(thread->interp);
        }
        else if (is_deep(thread)) {
            return pass_on_alone(thread, frame, throwing);
        }
        return before_us == NULL ? _PyEval_EvalFrameDefault(thread, frame, throwing)
                                 : pass_on(thread, frame, throwing);
    }
    call = expected;
    if (call != NULL && !throwing && is_expected(frame)) {
        forget(thread->interp);
        return call->drive(call->context, frame);
    }
    if (armed.callable != NULL && call == NULL && !throwing && is_fresh(frame)) {
        return meet(thread, frame);
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
    framelift_waiting++;
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

/* One more generator whose frames are to be met. */
void
framelift_suspended_one_more(void)
{
    suspended++;
    set_shim(PyThreadState_Get()->interp);
}

/* One of them has ended. */
void
framelift_suspended_one_less(void)
{
    suspended--;
    take_shim_off_if_idle(PyThreadState_Get()->interp);
}

/* The thread is armed: `callable` performs an instruction, and `codes` (or NULL) are those of the callees in
 * which it can't be captured. With NULL for the callable it is not armed. What was before goes to `before`. */
void
framelift_arm(PyObject *callable, PyObject *codes, struct framelift_arms *before)
{
    struct framelift_arms now = {Py_XNewRef(callable), Py_XNewRef(codes)};

    *before = exchange(PyThreadState_Get()->interp, now);
}

/* Undoes framelift_arm(). */
void
framelift_put_back(struct framelift_arms *before)
{
    struct framelift_arms was = exchange(PyThreadState_Get()->interp, *before);

    Py_XDECREF(was.codes);
    Py_XDECREF(was.callable);
}

/* A forked child has this thread alone. */
static void
count_after_fork(void)
{
    framelift_waiting = waiting_here;
}

/* Once, at import. 0, or -1 with an exception set. */
int
framelift_prepare_shim(int (*drive)(PyObject *, Frame *, PyObject **))
{
    drive_child = drive;
    (void)pthread_atfork(NULL, NULL, count_after_fork);
    return prepare_decisions();
}
