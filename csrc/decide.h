/* What is to become of a frame that comes while a break's instruction is performed. */
#ifndef FRAMELIFT_DECIDE_H
#define FRAMELIFT_DECIDE_H

#include <Python.h>

#include <stdbool.h>

/* The same numbers as `FrameDecision` in python/framelift/children.py. */
enum decision {
    UNDECIDED,                  /* not asked yet, or to be asked for every frame */
    PASSES,                     /* CPython runs it; what it calls may be wanted */
    DISARMS,                    /* CPython runs it and all it calls */
    WANTED,                     /* it is compiled */
    WANTED_IF_NAMED             /* the same where the break is known to lie inside of it */
};

/* What is known; never runs other code. */
enum decision decision_about(PyCodeObject *code, PyObject *function);

/* Asks, for a fresh frame of `function`, and remembers. WANTED_IF_NAMED is answered as WANTED or PASSES. Runs
 * Python code: the thread must not be armed. */
enum decision decide(PyCodeObject *code, PyObject *function, PyObject *codes);

/* Whether `code` is in the tuple `codes`, which may be NULL. */
bool is_named(PyObject *codes, PyCodeObject *code);

/* Once. 0, or -1 with an exception set. */
int prepare_decisions(void);

#endif
