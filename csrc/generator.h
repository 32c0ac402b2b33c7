/* Generators and coroutines of compiled functions: see generator.c. */
#ifndef FRAMELIFT_GENERATOR_H
#define FRAMELIFT_GENERATOR_H

#include "frame.h"

/* What became of a frame that goes on. The same in rust/src/frames/generator.rs. */
enum resumed {
    IS_LEFT_ALONE,              /* nothing has happened: it is CPython's */
    IS_DRIVEN,                  /* it has yielded, returned or raised */
    IS_THROWN_INTO              /* an exception is set: it is to be thrown into the frame */
};

extern PyTypeObject *framelift_mark_type;
extern enum resumed (*framelift_resume_ours)(PyObject *mark, Frame *frame, PyObject **result);

void framelift_after_resume(PyObject *mark, Frame *frame);

/* The mark of a frame whose generator is ours, borrowed; NULL for all others. */
static inline PyObject *
framelift_mark_of(Frame *frame)
{
    PyObject *mark;

    if (frame->owner != FRAME_OWNED_BY_GENERATOR) {
        return NULL;
    }
    mark = ((PyFunctionObject *)frame_function(frame))->func_doc;
    return mark != NULL && Py_IS_TYPE(mark, framelift_mark_type) ? mark : NULL;
}

#endif
