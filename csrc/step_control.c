/* Instructions that say where to go on: jumps, loops, and what waits for an iterator or a coroutine. */
#include "performers.h"

/* Jumps and loops. */

enum outcome
step_jump(struct work *work)
{
    work->next = work->instruction->next + work->instruction->jump;
    return GOES_ON;
}

static enum outcome
jump_if(struct work *work, int condition)
{
    if (condition > 0) {
        step_jump(work);
    }
    return consume(work, 1, condition);
}

enum outcome
step_jump_if_true(struct work *work)
{
    return jump_if(work, PyObject_IsTrue(work->top[-1]));
}

enum outcome
step_jump_if_false(struct work *work)
{
    int answer = PyObject_IsTrue(work->top[-1]);

    return jump_if(work, answer < 0 ? answer : !answer);
}

enum outcome
step_jump_if_none(struct work *work)
{
    return jump_if(work, work->top[-1] == Py_None);
}

enum outcome
step_jump_if_not_none(struct work *work)
{
    return jump_if(work, work->top[-1] != Py_None);
}

static enum outcome
jump_or_pop(struct work *work, int wanted)
{
    int answer = PyObject_IsTrue(work->top[-1]);

    if (answer < 0) {
        return consume(work, 1, -1);
    }
    return answer == wanted ? step_jump(work) : step_pop(work);
}

enum outcome
step_jump_if_true_or_pop_it(struct work *work)
{
    return jump_or_pop(work, 1);
}

enum outcome
step_jump_if_false_or_pop_it(struct work *work)
{
    return jump_or_pop(work, 0);
}

enum outcome
step_iterator(struct work *work)
{
    return replace(work, 1, PyObject_GetIter(work->top[-1]));
}

enum outcome
step_next_or_jump(struct work *work)
{
    PyObject *iterator = work->top[-1], *item;

    if (Py_TYPE(iterator)->tp_iternext == NULL) {
        return IN_CPYTHON;
    }
    item = Py_TYPE(iterator)->tp_iternext(iterator);
    if (item != NULL) {
        push(work, item);
        return GOES_ON;
    }
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
            return RAISED;
        }
        PyErr_Clear();
    }
    drop(work, 1);
    return step_jump(work);
}

/* Suspension. The instruction that suspends is CPython's: the loop is entered for it. */

/* Sends the highest operand to what lies below it. What that yields goes where the operand was; what it returns
 * too, or where it lay itself (`argument`), and the jump is taken. */
enum outcome
step_send(struct work *work)
{
    PyObject *receiver = work->top[-2], *result = NULL;

    switch (PyIter_Send(receiver, work->top[-1], &result)) {
    case PYGEN_ERROR:
        drop(work, 1);
        return RAISED;
    case PYGEN_NEXT:
        return replace(work, 1, result);
    default:
        step_jump(work);
        return replace(work, work->instruction->argument, result);
    }
}

enum outcome
step_end_send(struct work *work)
{
    PyObject *receiver = work->top[-2];

    work->top[-2] = work->top[-1];
    work->top--;
    Py_DECREF(receiver);
    return GOES_ON;
}

/* A new coroutine, or what `__await__` gives. What must not be awaited is the loop's to complain about. */
enum outcome
step_awaitable(struct work *work)
{
    PyObject *object = work->top[-1], *iterator;
    PyAsyncMethods *methods = Py_TYPE(object)->tp_as_async;

    if (PyCoro_CheckExact(object)) {
        return ((PyGenObject *)object)->gi_frame_state == FRAME_CREATED ? GOES_ON : IN_CPYTHON;
    }
    if (PyGen_CheckExact(object) || methods == NULL || methods->am_await == NULL) {
        return IN_CPYTHON;
    }
    iterator = methods->am_await(object);
    if (iterator != NULL && (PyCoro_CheckExact(iterator) || !PyIter_Check(iterator))) {
        PyErr_Format(PyExc_TypeError,
                     PyCoro_CheckExact(iterator) ? "__await__() returned a coroutine"
                                                 : "__await__() returned non-iterator of type '%.100s'",
                     Py_TYPE(iterator)->tp_name);
        Py_CLEAR(iterator);
    }
    return replace(work, 1, iterator);
}

enum outcome
step_delegate(struct work *work)
{
    PyObject *object = work->top[-1];

    if (PyCoro_CheckExact(object)) {
        return IN_CPYTHON;
    }
    return PyGen_CheckExact(object) ? GOES_ON : step_iterator(work);
}
