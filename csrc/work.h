/* One instruction under way, and what its performers have in common: see step.c for the laws. */
#ifndef FRAMELIFT_WORK_H
#define FRAMELIFT_WORK_H

#include "frame.h"
#include "step.h"

/* One instruction under way. */
struct work {
    Frame *frame;
    PyCodeObject *code;                     /* borrowed from the frame */
    const struct instruction *instruction;
    PyObject **top;                         /* the place above the highest operand */
    int next;                               /* the unit to go on at */
    PyObject *value;                        /* a returned value, owned */
};

/* Takes over one reference, or NULL for an empty place. */
static inline void
push(struct work *work, PyObject *value)
{
    *work->top++ = value;
}

/* Releases the highest `count` operands, lowest first. The stack is without them before that starts. */
static inline void
drop(struct work *work, int count)
{
    PyObject **bottom = work->top -= count;

    for (int index = 0; index < count; index++) {
        Py_XDECREF(bottom[index]);
    }
}

/* Ends an instruction that takes `count` operands and leaves `result`, owned; NULL: an exception is set. */
static inline enum outcome
replace(struct work *work, int count, PyObject *result)
{
    drop(work, count);
    if (result == NULL) {
        return RAISED;
    }
    push(work, result);
    return GOES_ON;
}

/* The same for an instruction without a result, with CPython's -1 for an exception. */
static inline enum outcome
consume(struct work *work, int count, int status)
{
    drop(work, count);
    return status < 0 ? RAISED : GOES_ON;
}

static inline PyObject *
truth(int answer)
{
    return answer < 0 ? NULL : Py_NewRef(answer ? Py_True : Py_False);
}

/* Borrowed. */
static inline PyObject *
name_of(struct work *work)
{
    return PyTuple_GET_ITEM(work->code->co_names, work->instruction->argument);
}

/* Whether iter() can be tried: the loop has messages of its own for what cannot be unpacked. */
static inline bool
may_be_iterable(PyObject *object)
{
    return Py_TYPE(object)->tp_iter != NULL || PySequence_Check(object);
}

/* Whether an exception of the instruction has a handler in this code. */
static inline bool
is_covered(struct work *work)
{
    struct handler handler;

    return find_handler(work->code, work->instruction->unit, &handler);
}

#endif
