/* Instructions that make containers and strings, add to them, or take them apart. */
#include "performers.h"

/* Displays. */

enum outcome
step_make_tuple(struct work *work)
{
    int count = work->instruction->argument;
    PyObject *tuple = PyTuple_New(count);

    for (int index = 0; tuple != NULL && index < count; index++) {
        PyTuple_SET_ITEM(tuple, index, Py_NewRef(work->top[index - count]));
    }
    return replace(work, count, tuple);
}

enum outcome
step_make_list(struct work *work)
{
    int count = work->instruction->argument;
    PyObject *list = PyList_New(count);

    for (int index = 0; list != NULL && index < count; index++) {
        PyList_SET_ITEM(list, index, Py_NewRef(work->top[index - count]));
    }
    return replace(work, count, list);
}

enum outcome
step_make_set(struct work *work)
{
    int count = work->instruction->argument;
    PyObject *set = PySet_New(NULL);

    for (int index = 0; set != NULL && index < count; index++) {
        if (PySet_Add(set, work->top[index - count]) != 0) {
            Py_CLEAR(set);
        }
    }
    return replace(work, count, set);
}

enum outcome
step_make_dict(struct work *work)
{
    int count = 2 * work->instruction->argument;
    PyObject *dict = PyDict_New();

    for (int index = 0; dict != NULL && index < count; index += 2) {
        if (PyDict_SetItem(dict, work->top[index - count], work->top[index - count + 1]) != 0) {
            Py_CLEAR(dict);
        }
    }
    return replace(work, count, dict);
}

enum outcome
step_make_dict_of_keys(struct work *work)
{
    int count = work->instruction->argument;
    PyObject *keys = work->top[-1], **values = work->top - 1 - count, *dict;

    if (!PyTuple_CheckExact(keys) || PyTuple_GET_SIZE(keys) != count) {
        return IN_CPYTHON;
    }
    dict = PyDict_New();
    for (int index = 0; dict != NULL && index < count; index++) {
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(keys, index), values[index]) != 0) {
            Py_CLEAR(dict);
        }
    }
    return replace(work, count + 1, dict);
}

enum outcome
step_make_slice(struct work *work)
{
    int count = work->instruction->argument;
    PyObject **parts = work->top - count;

    return replace(work, count, PySlice_New(parts[0], parts[1], count == 3 ? parts[2] : NULL));
}

enum outcome
step_append_to_list(struct work *work)
{
    return consume(work, 1, PyList_Append(work->top[-1 - work->instruction->argument], work->top[-1]));
}

enum outcome
step_add_to_set(struct work *work)
{
    return consume(work, 1, PySet_Add(work->top[-1 - work->instruction->argument], work->top[-1]));
}

enum outcome
step_add_to_dict(struct work *work)
{
    PyObject *dict = work->top[-2 - work->instruction->argument];

    return consume(work, 2, PyDict_SetItem(dict, work->top[-2], work->top[-1]));
}

enum outcome
step_extend_list(struct work *work)
{
    PyObject *list = work->top[-1 - work->instruction->argument], *iterable = work->top[-1], *extended;

    if (!may_be_iterable(iterable)) {
        return IN_CPYTHON;
    }
    extended = PySequence_InPlaceConcat(list, iterable);
    Py_XDECREF(extended);
    return consume(work, 1, extended == NULL ? -1 : 0);
}

enum outcome
step_tuple_of_list(struct work *work)
{
    return replace(work, 1, PyList_AsTuple(work->top[-1]));
}

enum outcome
step_update_set(struct work *work)
{
    PyObject *set = work->top[-1 - work->instruction->argument], *result;

    result = PyObject_CallMethod(set, "update", "(O)", work->top[-1]);
    Py_XDECREF(result);
    return consume(work, 1, result == NULL ? -1 : 0);
}

enum outcome
step_update_dict(struct work *work)
{
    PyObject *update = work->top[-1];
    int status = PyDict_Update(work->top[-1 - work->instruction->argument], update);

    if (status < 0 && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Format(PyExc_TypeError, "'%.200s' object is not a mapping", Py_TYPE(update)->tp_name);
    }
    return consume(work, 1, status);
}

/* `**more` in a call. Names given twice, and what is no dictionary, are the loop's: it knows the callee. */
enum outcome
step_merge_keywords(struct work *work)
{
    PyObject *keywords = work->top[-1 - work->instruction->argument], *more = work->top[-1], *name, *value;
    Py_ssize_t place = 0;

    if (!PyDict_CheckExact(more)) {
        return IN_CPYTHON;
    }
    while (PyDict_Next(more, &place, &name, &value)) {
        if (!PyUnicode_CheckExact(name) || PyDict_Contains(keywords, name) != 0) {
            PyErr_Clear();
            return IN_CPYTHON;
        }
    }
    return consume(work, 1, PyDict_Update(keywords, more));
}

/* Unpacking. */

/* Fills `places` from the highest down with the items, owned; *filled says how many. Returns 0, or -1 with an
 * exception set. */
static int
unpack_iterator(PyObject *iterator, PyObject **places, int count, int *filled)
{
    PyObject *item;

    for (*filled = 0; *filled < count; ++*filled) {
        item = PyIter_Next(iterator);
        if (item == NULL) {
            if (!PyErr_Occurred()) {
                PyErr_Format(PyExc_ValueError, "not enough values to unpack (expected %d, got %d)", count,
                             *filled);
            }
            return -1;
        }
        places[count - 1 - *filled] = item;
    }
    item = PyIter_Next(iterator);
    if (item == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    Py_DECREF(item);
    PyErr_Format(PyExc_ValueError, "too many values to unpack (expected %d)", count);
    return -1;
}

enum outcome
step_unpack(struct work *work)
{
    int count = work->instruction->argument, filled = 0, status;
    PyObject *sequence = work->top[-1], *iterator, *few[16], **room = few;

    if (!may_be_iterable(sequence)) {
        return IN_CPYTHON;
    }
    iterator = PyObject_GetIter(sequence);
    if (iterator == NULL) {
        return consume(work, 1, -1);
    }
    if (count > (int)Py_ARRAY_LENGTH(few)) {
        room = PyMem_New(PyObject *, count);
    }
    if (room == NULL) {
        Py_DECREF(iterator);
        PyErr_NoMemory();
        return consume(work, 1, -1);
    }
    status = unpack_iterator(iterator, room, count, &filled);
    Py_DECREF(iterator);
    drop(work, 1);
    for (int index = count - filled; index < count; index++) {
        if (status == 0) {
            push(work, room[index]);
        }
        else {
            Py_DECREF(room[index]);
        }
    }
    if (room != few) {
        PyMem_Free(room);
    }
    return status < 0 ? RAISED : GOES_ON;
}

/* `first, *rest, last = ...`: takes what comes before and after the star off the iterator, and pushes all so
 * that the first item is on top. */
enum outcome
step_unpack_with_rest(struct work *work)
{
    int before = work->instruction->argument & 0xFF, after = work->instruction->argument >> 8;
    PyObject *sequence = work->top[-1], *iterator, *first, *rest, *item;
    Py_ssize_t kept;

    if (!may_be_iterable(sequence)) {
        return IN_CPYTHON;
    }
    iterator = PyObject_GetIter(sequence);
    first = iterator == NULL ? NULL : PyList_New(0);
    while (first != NULL && PyList_GET_SIZE(first) < before) {
        item = PyIter_Next(iterator);
        if (item == NULL && !PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "not enough values to unpack (expected at least %d, got %zd)",
                         before + after, PyList_GET_SIZE(first));
        }
        if (item == NULL || PyList_Append(first, item) != 0) {
            Py_CLEAR(first);
        }
        Py_XDECREF(item);
    }
    rest = first == NULL ? NULL : PySequence_List(iterator);
    kept = rest == NULL ? 0 : PyList_GET_SIZE(rest) - after;
    if (kept < 0) {
        PyErr_Format(PyExc_ValueError, "not enough values to unpack (expected at least %d, got %zd)",
                     before + after, before + PyList_GET_SIZE(rest));
        Py_CLEAR(rest);
    }
    Py_XDECREF(iterator);
    drop(work, 1);
    if (rest != NULL) {
        for (int index = after; index > 0; index--) {
            push(work, Py_NewRef(PyList_GET_ITEM(rest, kept + index - 1)));
        }
        push(work, PyList_GetSlice(rest, 0, kept));
        for (int index = before; index > 0; index--) {
            push(work, Py_NewRef(PyList_GET_ITEM(first, index - 1)));
        }
        Py_DECREF(rest);
    }
    Py_XDECREF(first);
    return PyErr_Occurred() ? RAISED : GOES_ON;
}

/* Strings. */

enum outcome
step_join_strings(struct work *work)
{
    int count = work->instruction->argument;
    PyObject *parts = PyTuple_New(count), *empty = PyUnicode_New(0, 0), *joined;

    for (int index = 0; parts != NULL && index < count; index++) {
        PyTuple_SET_ITEM(parts, index, Py_NewRef(work->top[index - count]));
    }
    joined = parts == NULL || empty == NULL ? NULL : PyUnicode_Join(empty, parts);
    Py_XDECREF(parts);
    Py_XDECREF(empty);
    return replace(work, count, joined);
}

/* A new reference to value, str(value), repr(value) or ascii(value), for conversions 0 to 3. */
static PyObject *
converted(PyObject *value, int conversion)
{
    switch (conversion) {
    case 1: return PyObject_Str(value);
    case 2: return PyObject_Repr(value);
    case 3: return PyObject_ASCII(value);
    default: return Py_NewRef(value);
    }
}

static PyObject *
formatted(PyObject *value, PyObject *specification)
{
    if (specification == NULL && PyUnicode_CheckExact(value)) {
        return Py_NewRef(value);
    }
    return PyObject_Format(value, specification);
}

enum outcome
step_convert_and_format(struct work *work)
{
    int count = work->instruction->flag ? 2 : 1;
    PyObject *specification = work->instruction->flag ? work->top[-1] : NULL;
    PyObject *value = converted(work->top[-count], work->instruction->argument);
    PyObject *result = value == NULL ? NULL : formatted(value, specification);

    Py_XDECREF(value);
    return replace(work, count, result);
}

enum outcome
step_convert(struct work *work)
{
    return replace(work, 1, converted(work->top[-1], work->instruction->argument));
}

enum outcome
step_format(struct work *work)
{
    return replace(work, 1, formatted(work->top[-1], NULL));
}

enum outcome
step_format_with(struct work *work)
{
    return replace(work, 2, PyObject_Format(work->top[-2], work->top[-1]));
}
