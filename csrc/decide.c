/* Decisions about frames by their code, remembered in the code object itself.
 *
 * A frame that passes by while a break's instruction is performed must cost next to nothing, so what Python
 * said once about a function (children.py) is kept in a word that CPython reserves for us in its code: the
 * decision, and the edition of the rules that it was made under. A function that carries a marker of its own
 * (`framelift.disable` and the like) is asked about each time, as others may share its code.
 */
#include "frame.h"
#include "decide.h"

enum { DECISION_BITS = 3, DECISION_MASK = (1 << DECISION_BITS) - 1 };

static Py_ssize_t word_index = -1;      /* which of the words of code objects is ours */
static uintptr_t edition = 1;           /* of the rules; only words of this one count */
static PyObject *ask;                   /* owned: decide(function) -> int; NULL: everything passes */
static PyObject *markers;               /* owned: a tuple of names in functions' dictionaries */

/* Both are taken over and exchanged with what was set before; NULL for nothing. The second is a tuple. */
void
framelift_exchange_decisions(PyObject **decide, PyObject **names)
{
    PyObject *old_ask = ask, *old_markers = markers;

    ask = *decide;
    markers = *names;
    edition++;
    *decide = old_ask;
    *names = old_markers;
}

/* The rules have changed. */
void
framelift_forget_decisions(void)
{
    edition++;
}

/* Another number after each change of the rules. */
size_t
framelift_edition(void)
{
    return edition;
}

/* Whether the function is of this code and makes frames that can be driven at all: no module, no class body. */
static bool
may_be_wanted(PyCodeObject *code, PyObject *function)
{
    const int needed = CO_OPTIMIZED | CO_NEWLOCALS;

    return (code->co_flags & needed) == needed && Py_IS_TYPE(function, &PyFunction_Type)
           && ((PyFunctionObject *)function)->func_code == (PyObject *)code;
}

/* Most functions have no dictionary, and markers are strings: nothing is run to compare them. */
static bool
is_marked(PyObject *function)
{
    PyObject *dictionary = ((PyFunctionObject *)function)->func_dict;

    if (dictionary == NULL || PyDict_GET_SIZE(dictionary) == 0) {
        return false;
    }
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(markers); index++) {
        if (PyDict_Contains(dictionary, PyTuple_GET_ITEM(markers, index)) != 0) {
            PyErr_Clear();
            return true;
        }
    }
    return false;
}

enum decision
decision_about(PyCodeObject *code, PyObject *function)
{
    void *word = NULL;

    if (ask == NULL || !may_be_wanted(code, function)) {
        return PASSES;
    }
    if (get_code_word((PyObject *)code, word_index, &word) != 0) {
        PyErr_Clear();
        return PASSES;
    }
    if ((uintptr_t)word >> DECISION_BITS != edition || is_marked(function)) {
        return UNDECIDED;
    }
    return (enum decision)((uintptr_t)word & DECISION_MASK);
}

enum decision
decide(PyCodeObject *code, PyObject *function, PyObject *codes)
{
    uintptr_t asked_under = edition;
    PyObject *callback = Py_NewRef(ask), *answer = PyObject_CallOneArg(callback, function);
    long decision = answer == NULL ? -1 : PyLong_AsLong(answer);

    if (decision < PASSES || decision > WANTED_IF_NAMED) {
        if (PyErr_Occurred()) {
            PyErr_WriteUnraisable(callback);
        }
        decision = PASSES;
    }
    else if (!is_marked(function)) {
        uintptr_t word = (asked_under << DECISION_BITS) | (uintptr_t)decision;

        if (set_code_word((PyObject *)code, word_index, (void *)word) != 0) {
            PyErr_Clear();
        }
    }
    Py_XDECREF(answer);
    Py_DECREF(callback);
    if (decision == WANTED_IF_NAMED) {
        return is_named(codes, code) ? WANTED : PASSES;
    }
    return (enum decision)decision;
}

bool
is_named(PyObject *codes, PyCodeObject *code)
{
    for (Py_ssize_t index = 0; codes != NULL && index < PyTuple_GET_SIZE(codes); index++) {
        if (PyTuple_GET_ITEM(codes, index) == (PyObject *)code) {
            return true;
        }
    }
    return false;
}

int
prepare_decisions(void)
{
    word_index = reserve_code_word();
    if (word_index < 0) {
        PyErr_SetString(PyExc_ImportError, "framelift: no word of code objects is left to reserve");
        return -1;
    }
    return 0;
}
