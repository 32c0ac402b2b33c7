/* Instructions about places: the operand stack, locals, cells and globals.
 *
 * What is unbound is CPython's to complain about.
 */
#include "performers.h"

/* The stack. */

enum outcome
step_no_operation(struct work *work)
{
    (void)work;
    return GOES_ON;
}

enum outcome
step_pop(struct work *work)
{
    drop(work, 1);
    return GOES_ON;
}

enum outcome
step_push_null(struct work *work)
{
    push(work, NULL);
    return GOES_ON;
}

enum outcome
step_copy(struct work *work)
{
    push(work, Py_XNewRef(work->top[-work->instruction->argument]));
    return GOES_ON;
}

enum outcome
step_swap(struct work *work)
{
    PyObject **lower = work->top - work->instruction->argument;
    PyObject *highest = work->top[-1];

    work->top[-1] = *lower;
    *lower = highest;
    return GOES_ON;
}

enum outcome
step_load_constant(struct work *work)
{
    push(work, Py_NewRef(PyTuple_GET_ITEM(work->code->co_consts, work->instruction->argument)));
    return GOES_ON;
}

/* Locals and cells. Unbound ones are CPython's to complain about. */

static enum outcome
push_local(struct work *work, int slot)
{
    PyObject *value = work->frame->localsplus[slot];

    if (value == NULL) {
        return IN_CPYTHON;
    }
    push(work, Py_NewRef(value));
    return GOES_ON;
}

static void
pop_local(struct work *work, int slot)
{
    PyObject *old = work->frame->localsplus[slot];

    work->frame->localsplus[slot] = *--work->top;
    Py_XDECREF(old);
}

enum outcome
step_local(struct work *work)
{
    return push_local(work, work->instruction->argument);
}

enum outcome
step_set_local(struct work *work)
{
    pop_local(work, work->instruction->argument);
    return GOES_ON;
}

/* Two in one: the first slot is in the upper four bits. CPython uses them for bound locals only. */

enum outcome
step_two_locals(struct work *work)
{
    int first = work->instruction->argument >> 4, second = work->instruction->argument & 15;

    if (work->frame->localsplus[first] == NULL || work->frame->localsplus[second] == NULL) {
        return IN_CPYTHON;
    }
    push_local(work, first);
    return push_local(work, second);
}

enum outcome
step_set_local_then_local(struct work *work)
{
    int first = work->instruction->argument >> 4, second = work->instruction->argument & 15;

    if (first != second && work->frame->localsplus[second] == NULL) {
        return IN_CPYTHON;
    }
    pop_local(work, first);
    return push_local(work, second);
}

enum outcome
step_set_two_locals(struct work *work)
{
    pop_local(work, work->instruction->argument >> 4);
    pop_local(work, work->instruction->argument & 15);
    return GOES_ON;
}

enum outcome
step_unset_local(struct work *work)
{
    PyObject **place = &work->frame->localsplus[work->instruction->argument];
    PyObject *old = *place;

    if (old == NULL) {
        return IN_CPYTHON;
    }
    *place = NULL;
    Py_DECREF(old);
    return GOES_ON;
}

/* Borrowed; NULL where the slot holds no cell. */
static PyObject *
cell_of(struct work *work)
{
    PyObject *cell = work->frame->localsplus[work->instruction->argument];

    return cell != NULL && PyCell_Check(cell) ? cell : NULL;
}

enum outcome
step_cell(struct work *work)
{
    if (cell_of(work) == NULL) {
        return IN_CPYTHON;
    }
    push(work, Py_NewRef(cell_of(work)));
    return GOES_ON;
}

enum outcome
step_cell_value(struct work *work)
{
    PyObject *object = cell_of(work);

    if (object == NULL || PyCell_GET(object) == NULL) {
        return IN_CPYTHON;
    }
    push(work, Py_NewRef(PyCell_GET(object)));
    return GOES_ON;
}

enum outcome
step_set_cell_value(struct work *work)
{
    PyObject *object = cell_of(work), *old;

    if (object == NULL) {
        return IN_CPYTHON;
    }
    old = PyCell_GET(object);
    PyCell_SET(object, *--work->top);
    Py_XDECREF(old);
    return GOES_ON;
}

enum outcome
step_unset_cell_value(struct work *work)
{
    PyObject *object = cell_of(work), *old;

    if (object == NULL || PyCell_GET(object) == NULL) {
        return IN_CPYTHON;
    }
    old = PyCell_GET(object);
    PyCell_SET(object, NULL);
    Py_DECREF(old);
    return GOES_ON;
}

/* A comprehension that runs in the frame keeps aside what its variables hold outside. */
enum outcome
step_local_or_null_taken(struct work *work)
{
    PyObject **place = &work->frame->localsplus[work->instruction->argument];

    push(work, *place);
    *place = NULL;
    return GOES_ON;
}

/* Globals: exact dictionaries only, the loop asks others in a way of its own. */

enum outcome
step_global(struct work *work)
{
    PyObject *globals = work->frame->f_globals, *builtins = work->frame->f_builtins, *value;

    if (!PyDict_CheckExact(globals) || !PyDict_CheckExact(builtins)) {
        return IN_CPYTHON;
    }
    value = PyDict_GetItemWithError(globals, name_of(work));
    if (value == NULL && !PyErr_Occurred()) {
        value = PyDict_GetItemWithError(builtins, name_of(work));
    }
    if (value == NULL) {
        return PyErr_Occurred() ? RAISED : IN_CPYTHON;
    }
    Py_INCREF(value);
    if (work->instruction->flag) {
        put_global(work->top, value);
        work->top += 2;
    }
    else {
        push(work, value);
    }
    return GOES_ON;
}

enum outcome
step_set_global(struct work *work)
{
    return consume(work, 1, PyDict_SetItem(work->frame->f_globals, name_of(work), work->top[-1]));
}

enum outcome
step_unset_global(struct work *work)
{
    PyObject *globals = work->frame->f_globals;
    int known = PyDict_CheckExact(globals) ? PyDict_Contains(globals, name_of(work)) : 0;

    if (known == 0) {
        return IN_CPYTHON;
    }
    return known < 0 || PyDict_DelItem(globals, name_of(work)) < 0 ? RAISED : GOES_ON;
}
