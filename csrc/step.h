/* What performing one instruction comes to. The same in rust/src/frames/ffi.rs. */
#ifndef FRAMELIFT_STEP_H
#define FRAMELIFT_STEP_H

#include <Python.h>

enum outcome {
    IN_CPYTHON,                 /* nothing has happened: the interpreter loop is to execute it */
    GOES_ON,                    /* done; step.next is the unit of the next instruction */
    RETURNED,                   /* the function returns step.value, an owned reference */
    RAISED,                     /* an exception is set */
    RAISED_AGAIN                /* the same, and its traceback has an entry for the frame already */
};

struct step {
    int next;
    PyObject *value;
};

struct _PyInterpreterFrame;
struct instruction;

int framelift_is_cleanup(struct _PyInterpreterFrame *frame, int first);
int framelift_read_instruction(struct _PyInterpreterFrame *frame, int first, struct instruction *instruction);

#endif
