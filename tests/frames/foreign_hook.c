/* Somebody else's eval-frame function, as a debugger or another compiler has: counts frames, and passes each on
 * to the function that was set before it. */
#define Py_BUILD_CORE 1
#include <Python.h>

#include "internal/pycore_frame.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_pystate.h"

static _PyFrameEvalFunction before;
static long frames;

static PyObject *
count_and_pass_on(PyThreadState *thread, struct _PyInterpreterFrame *frame, int throwing)
{
    frames++;
    return (before == NULL ? _PyEval_EvalFrameDefault : before)(thread, frame, throwing);
}

static PyInterpreterState *
interpreter(void)
{
    return PyThreadState_Get()->interp;
}

void
install(void)
{
    _PyFrameEvalFunction current = _PyInterpreterState_GetEvalFrameFunc(interpreter());

    if (current != count_and_pass_on) {
        before = current;
        _PyInterpreterState_SetEvalFrameFunc(interpreter(), count_and_pass_on);
    }
}

void
remove_all(void)
{
    _PyInterpreterState_SetEvalFrameFunc(interpreter(), _PyEval_EvalFrameDefault);
}

/* 0: none, 1: this one, 2: another. */
int
whose(void)
{
    _PyFrameEvalFunction current = _PyInterpreterState_GetEvalFrameFunc(interpreter());

    return current == _PyEval_EvalFrameDefault ? 0 : current == count_and_pass_on ? 1 : 2;
}

long
count(void)
{
    return frames;
}
