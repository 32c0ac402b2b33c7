/* Generators, coroutines and asynchronous generators of compiled functions.
 *
 * A call of such a function gives CPython's own object, with CPython's own frame in it. What makes it ours is
 * the function of that frame, which a program never gets to see: it is replaced by a copy that has our mark
 * in place of its docstring. So recognising a frame takes three loads; the mark, which holds the compiled
 * callable, lives exactly as long as the frame, and the garbage collector sees all of it.
 */
#include "generator.h"
#include "shim.h"

PyTypeObject *framelift_mark_type;
enum resumed (*framelift_resume_ours)(PyObject *mark, Frame *frame, PyObject **result);
static void (*end_mark)(PyObject *mark);

/* Once, at import: the type of marks; what drives a frame; what is told that a mark's generator has ended. */
void
framelift_prepare_generators(PyTypeObject *type, enum resumed (*resume)(PyObject *, Frame *, PyObject **),
                             void (*end)(PyObject *))
{
    framelift_mark_type = type;
    framelift_resume_ours = resume;
    end_mark = end;
}

/* The frame of a generator that has not started and is a call of `function` with that code; else NULL. */
static Frame *
new_frame(PyObject *object, PyObject *function, PyObject *code)
{
    PyGenObject *generator = (PyGenObject *)object;
    Frame *frame;

    if ((!PyGen_CheckExact(object) && !PyCoro_CheckExact(object) && !PyAsyncGen_CheckExact(object))
        || generator->gi_frame_state != FRAME_CREATED) {
        return NULL;
    }
    frame = (Frame *)generator->gi_iframe;
    return frame_function(frame) == function && (PyObject *)frame_code(frame) == code ? frame : NULL;
}

/* Makes a new generator ours. Returns 1; 0 if `object` is no new generator of that function; or -1 with an
 * exception set. */
int
framelift_adopt(PyObject *object, PyObject *function, PyObject *code, PyObject *mark)
{
    Frame *frame = new_frame(object, function, code);
    PyObject *copy, *old;

    if (frame == NULL) {
        return 0;
    }
    copy = PyFunction_NewWithQualName(code, frame->f_globals, ((PyFunctionObject *)function)->func_qualname);
    if (copy == NULL) {
        return -1;
    }
    old = ((PyFunctionObject *)copy)->func_doc;
    ((PyFunctionObject *)copy)->func_doc = Py_NewRef(mark);
    Py_XDECREF(old);
    set_frame_function(frame, copy);
    Py_DECREF(function);
    return 1;
}

/* The frame has been given back to its generator, which somebody holds: is there anything left to resume? */
void
framelift_after_resume(PyObject *mark, Frame *frame)
{
    if (_PyFrame_GetGenerator(frame)->gi_frame_state >= FRAME_EXECUTING) {
        end_mark(mark);
    }
}

/* Where a suspended frame goes on. */
int
framelift_unit_to_start(Frame *frame)
{
    return unit_to_start(frame);
}
