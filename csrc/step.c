/* One instruction, performed: what stands at a graph break.
 *
 * The frame is the thread's current one and its pointer is on the instruction, so whatever user code the
 * instruction runs sees the picture that CPython would show. Operands are taken from the frame's stack and
 * results put there, through the abstract C API; the meaning of each instruction is that of CPython's
 * documentation: https://docs.python.org/3/library/dis.html
 *
 * Laws:
 * 1. An answer of IN_CPYTHON means that nothing has happened: the interpreter loop executes the instruction
 *    itself. Whatever would raise one of the loop's own errors (unbound names, what cannot be unpacked) is
 *    answered so before anything runs.
 * 2. User code runs while the operands are still on the stack, which owns them; they are released at once
 *    afterwards, the lowest first, also when an exception is set. Handlers are found by what lies below.
 */
#include "work.h"

#include <stddef.h>

typedef enum outcome (*performer)(struct work *work);

/* The stack. */

static enum outcome
no_operation(struct work *work)
{
    (void)work;
    return GOES_ON;
}

static enum outcome
pop(struct work *work)
{
    drop(work, 1);
    return GOES_ON;
}

static enum outcome
push_null(struct work *work)
{
    push(work, NULL);
    return GOES_ON;
}

static enum outcome
copy(struct work *work)
{
    push(work, Py_XNewRef(work->top[-work->instruction->argument]));
    return GOES_ON;
}

static enum outcome
swap(struct work *work)
{
    PyObject **lower = work->top - work->instruction->argument;
    PyObject *highest = work->top[-1];

    work->top[-1] = *lower;
    *lower = highest;
    return GOES_ON;
}

static enum outcome
load_constant(struct work *work)
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

static enum outcome
local(struct work *work)
{
    return push_local(work, work->instruction->argument);
}

static enum outcome
set_local(struct work *work)
{
    pop_local(work, work->instruction->argument);
    return GOES_ON;
}

/* Two in one: the first slot is in the upper four bits. CPython uses them for bound locals only. */

static enum outcome
two_locals(struct work *work)
{
    int first = work->instruction->argument >> 4, second = work->instruction->argument & 15;

    if (work->frame->localsplus[first] == NULL || work->frame->localsplus[second] == NULL) {
        return IN_CPYTHON;
    }
    push_local(work, first);
    return push_local(work, second);
}

static enum outcome
set_local_then_local(struct work *work)
{
    int first = work->instruction->argument >> 4, second = work->instruction->argument & 15;

    if (first != second && work->frame->localsplus[second] == NULL) {
        return IN_CPYTHON;
    }
    pop_local(work, first);
    return push_local(work, second);
}

static enum outcome
set_two_locals(struct work *work)
{
    pop_local(work, work->instruction->argument >> 4);
    pop_local(work, work->instruction->argument & 15);
    return GOES_ON;
}

static enum outcome
unset_local(struct work *work)
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

static enum outcome
cell(struct work *work)
{
    if (cell_of(work) == NULL) {
        return IN_CPYTHON;
    }
    push(work, Py_NewRef(cell_of(work)));
    return GOES_ON;
}

static enum outcome
cell_value(struct work *work)
{
    PyObject *object = cell_of(work);

    if (object == NULL || PyCell_GET(object) == NULL) {
        return IN_CPYTHON;
    }
    push(work, Py_NewRef(PyCell_GET(object)));
    return GOES_ON;
}

static enum outcome
set_cell_value(struct work *work)
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

static enum outcome
unset_cell_value(struct work *work)
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
static enum outcome
local_or_null_taken(struct work *work)
{
    PyObject **place = &work->frame->localsplus[work->instruction->argument];

    push(work, *place);
    *place = NULL;
    return GOES_ON;
}

/* Globals: exact dictionaries only, the loop asks others in a way of its own. */

static enum outcome
global(struct work *work)
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

static enum outcome
set_global(struct work *work)
{
    return consume(work, 1, PyDict_SetItem(work->frame->f_globals, name_of(work), work->top[-1]));
}

static enum outcome
unset_global(struct work *work)
{
    PyObject *globals = work->frame->f_globals;
    int known = PyDict_CheckExact(globals) ? PyDict_Contains(globals, name_of(work)) : 0;

    if (known == 0) {
        return IN_CPYTHON;
    }
    return known < 0 || PyDict_DelItem(globals, name_of(work)) < 0 ? RAISED : GOES_ON;
}

/* Attributes. */

static enum outcome
attribute(struct work *work)
{
    return replace(work, 1, PyObject_GetAttr(work->top[-1], name_of(work)));
}

static enum outcome
method(struct work *work)
{
    PyObject *object = work->top[-1], *found = NULL;
    int is_method = _PyObject_GetMethod(object, name_of(work), &found);

    if (found == NULL) {
        return replace(work, 1, NULL);
    }
    if (is_method) {
        put_method(work->top - 1, found, object);
        work->top++;
        return GOES_ON;
    }
    work->top--;
    put_global(work->top, found);
    work->top += 2;
    Py_DECREF(object);
    return GOES_ON;
}

static enum outcome
set_attribute(struct work *work)
{
    return consume(work, 2, PyObject_SetAttr(work->top[-1], name_of(work), work->top[-2]));
}

static enum outcome
unset_attribute(struct work *work)
{
    return consume(work, 1, PyObject_SetAttr(work->top[-1], name_of(work), NULL));
}

/* `super().name`, above `super`, the class and the object: the call has two arguments, or finds them in the
 * frame. */
static enum outcome
super_attribute(struct work *work)
{
    PyObject *name = PyTuple_GET_ITEM(work->code->co_names, work->instruction->argument >> 1);
    size_t count = work->instruction->argument & 1 ? 2 : 0;
    PyObject *proxy = PyObject_Vectorcall(work->top[-3], work->top - 2, count, NULL);
    PyObject *value = proxy == NULL ? NULL : PyObject_GetAttr(proxy, name);

    Py_XDECREF(proxy);
    if (value == NULL || !work->instruction->flag) {
        return replace(work, 3, value);
    }
    drop(work, 3);
    put_global(work->top, value);
    work->top += 2;
    return GOES_ON;
}

/* Operators. */

static enum outcome
positive(struct work *work)
{
    return replace(work, 1, PyNumber_Positive(work->top[-1]));
}

static enum outcome
negative(struct work *work)
{
    return replace(work, 1, PyNumber_Negative(work->top[-1]));
}

static enum outcome
invert(struct work *work)
{
    return replace(work, 1, PyNumber_Invert(work->top[-1]));
}

static enum outcome
not(struct work *work)
{
    int answer = PyObject_IsTrue(work->top[-1]);

    return replace(work, 1, truth(answer < 0 ? answer : !answer));
}

static enum outcome
truth_of(struct work *work)
{
    return replace(work, 1, truth(PyObject_IsTrue(work->top[-1])));
}

static PyObject *
power(PyObject *left, PyObject *right)
{
    return PyNumber_Power(left, right, Py_None);
}

static PyObject *
power_in_place(PyObject *left, PyObject *right)
{
    return PyNumber_InPlacePower(left, right, Py_None);
}

static const binaryfunc operators[] = {
    [NB_ADD] = PyNumber_Add,
    [NB_AND] = PyNumber_And,
    [NB_FLOOR_DIVIDE] = PyNumber_FloorDivide,
    [NB_LSHIFT] = PyNumber_Lshift,
    [NB_MATRIX_MULTIPLY] = PyNumber_MatrixMultiply,
    [NB_MULTIPLY] = PyNumber_Multiply,
    [NB_REMAINDER] = PyNumber_Remainder,
    [NB_OR] = PyNumber_Or,
    [NB_POWER] = power,
    [NB_RSHIFT] = PyNumber_Rshift,
    [NB_SUBTRACT] = PyNumber_Subtract,
    [NB_TRUE_DIVIDE] = PyNumber_TrueDivide,
    [NB_XOR] = PyNumber_Xor,
    [NB_INPLACE_ADD] = PyNumber_InPlaceAdd,
    [NB_INPLACE_AND] = PyNumber_InPlaceAnd,
    [NB_INPLACE_FLOOR_DIVIDE] = PyNumber_InPlaceFloorDivide,
    [NB_INPLACE_LSHIFT] = PyNumber_InPlaceLshift,
    [NB_INPLACE_MATRIX_MULTIPLY] = PyNumber_InPlaceMatrixMultiply,
    [NB_INPLACE_MULTIPLY] = PyNumber_InPlaceMultiply,
    [NB_INPLACE_REMAINDER] = PyNumber_InPlaceRemainder,
    [NB_INPLACE_OR] = PyNumber_InPlaceOr,
    [NB_INPLACE_POWER] = power_in_place,
    [NB_INPLACE_RSHIFT] = PyNumber_InPlaceRshift,
    [NB_INPLACE_SUBTRACT] = PyNumber_InPlaceSubtract,
    [NB_INPLACE_TRUE_DIVIDE] = PyNumber_InPlaceTrueDivide,
    [NB_INPLACE_XOR] = PyNumber_InPlaceXor,
};

static enum outcome
binary(struct work *work)
{
    size_t operator = (size_t)work->instruction->argument;

    if (operator >= Py_ARRAY_LENGTH(operators)) {
        return IN_CPYTHON;
    }
    return replace(work, 2, operators[operator](work->top[-2], work->top[-1]));
}

static enum outcome
compare(struct work *work)
{
    return replace(work, 2, PyObject_RichCompare(work->top[-2], work->top[-1], work->instruction->argument));
}

static enum outcome
compare_truth(struct work *work)
{
    PyObject *answer = PyObject_RichCompare(work->top[-2], work->top[-1], work->instruction->argument);
    PyObject *result = answer == NULL ? NULL : truth(PyObject_IsTrue(answer));

    Py_XDECREF(answer);
    return replace(work, 2, result);
}

static enum outcome
identity(struct work *work)
{
    return replace(work, 2, truth((work->top[-2] == work->top[-1]) != work->instruction->flag));
}

static enum outcome
membership(struct work *work)
{
    int answer = PySequence_Contains(work->top[-1], work->top[-2]);

    return replace(work, 2, truth(answer < 0 ? answer : answer != work->instruction->flag));
}

static enum outcome
item(struct work *work)
{
    return replace(work, 2, PyObject_GetItem(work->top[-2], work->top[-1]));
}

static enum outcome
set_item(struct work *work)
{
    return consume(work, 3, PyObject_SetItem(work->top[-2], work->top[-1], work->top[-3]));
}

static enum outcome
unset_item(struct work *work)
{
    return consume(work, 2, PyObject_DelItem(work->top[-2], work->top[-1]));
}

static enum outcome
slice_item(struct work *work)
{
    PyObject *slice = PySlice_New(work->top[-2], work->top[-1], NULL);
    PyObject *result = slice == NULL ? NULL : PyObject_GetItem(work->top[-3], slice);

    Py_XDECREF(slice);
    return replace(work, 3, result);
}

static enum outcome
set_slice_item(struct work *work)
{
    PyObject *slice = PySlice_New(work->top[-2], work->top[-1], NULL);
    int status = slice == NULL ? -1 : PyObject_SetItem(work->top[-3], slice, work->top[-4]);

    Py_XDECREF(slice);
    return consume(work, 4, status);
}

static enum outcome
length(struct work *work)
{
    Py_ssize_t count = PyObject_Length(work->top[-1]);
    PyObject *result = count < 0 ? NULL : PyLong_FromSsize_t(count);

    if (result == NULL) {
        return RAISED;
    }
    push(work, result);
    return GOES_ON;
}

/* What `case [...]` and `case {...}` ask first. */

static enum outcome
is_sequence(struct work *work)
{
    push(work, truth(PyType_HasFeature(Py_TYPE(work->top[-1]), Py_TPFLAGS_SEQUENCE)));
    return GOES_ON;
}

static enum outcome
is_mapping(struct work *work)
{
    push(work, truth(PyType_HasFeature(Py_TYPE(work->top[-1]), Py_TPFLAGS_MAPPING)));
    return GOES_ON;
}

/* Displays. */

static enum outcome
make_tuple(struct work *work)
{
    int count = work->instruction->argument;
    PyObject *tuple = PyTuple_New(count);

    for (int index = 0; tuple != NULL && index < count; index++) {
        PyTuple_SET_ITEM(tuple, index, Py_NewRef(work->top[index - count]));
    }
    return replace(work, count, tuple);
}

static enum outcome
make_list(struct work *work)
{
    int count = work->instruction->argument;
    PyObject *list = PyList_New(count);

    for (int index = 0; list != NULL && index < count; index++) {
        PyList_SET_ITEM(list, index, Py_NewRef(work->top[index - count]));
    }
    return replace(work, count, list);
}

static enum outcome
make_set(struct work *work)
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

static enum outcome
make_dict(struct work *work)
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

static enum outcome
make_dict_of_keys(struct work *work)
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

static enum outcome
make_slice(struct work *work)
{
    int count = work->instruction->argument;
    PyObject **parts = work->top - count;

    return replace(work, count, PySlice_New(parts[0], parts[1], count == 3 ? parts[2] : NULL));
}

static enum outcome
append_to_list(struct work *work)
{
    return consume(work, 1, PyList_Append(work->top[-1 - work->instruction->argument], work->top[-1]));
}

static enum outcome
add_to_set(struct work *work)
{
    return consume(work, 1, PySet_Add(work->top[-1 - work->instruction->argument], work->top[-1]));
}

static enum outcome
add_to_dict(struct work *work)
{
    PyObject *dict = work->top[-2 - work->instruction->argument];

    return consume(work, 2, PyDict_SetItem(dict, work->top[-2], work->top[-1]));
}

/* Whether iter() can be tried: the loop has messages of its own for what cannot be unpacked. */
static bool
may_be_iterable(PyObject *object)
{
    return Py_TYPE(object)->tp_iter != NULL || PySequence_Check(object);
}

static enum outcome
extend_list(struct work *work)
{
    PyObject *list = work->top[-1 - work->instruction->argument], *iterable = work->top[-1], *extended;

    if (!may_be_iterable(iterable)) {
        return IN_CPYTHON;
    }
    extended = PySequence_InPlaceConcat(list, iterable);
    Py_XDECREF(extended);
    return consume(work, 1, extended == NULL ? -1 : 0);
}

static enum outcome
tuple_of_list(struct work *work)
{
    return replace(work, 1, PyList_AsTuple(work->top[-1]));
}

static enum outcome
update_set(struct work *work)
{
    PyObject *set = work->top[-1 - work->instruction->argument], *result;

    result = PyObject_CallMethod(set, "update", "(O)", work->top[-1]);
    Py_XDECREF(result);
    return consume(work, 1, result == NULL ? -1 : 0);
}

static enum outcome
update_dict(struct work *work)
{
    PyObject *update = work->top[-1];
    int status = PyDict_Update(work->top[-1 - work->instruction->argument], update);

    if (status < 0 && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Format(PyExc_TypeError, "'%.200s' object is not a mapping", Py_TYPE(update)->tp_name);
    }
    return consume(work, 1, status);
}

/* `**more` in a call. Names given twice, and what is no dictionary, are the loop's: it knows the callee. */
static enum outcome
merge_keywords(struct work *work)
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

static enum outcome
unpack(struct work *work)
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
static enum outcome
unpack_with_rest(struct work *work)
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

static enum outcome
join_strings(struct work *work)
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

static enum outcome
convert_and_format(struct work *work)
{
    int count = work->instruction->flag ? 2 : 1;
    PyObject *specification = work->instruction->flag ? work->top[-1] : NULL;
    PyObject *value = converted(work->top[-count], work->instruction->argument);
    PyObject *result = value == NULL ? NULL : formatted(value, specification);

    Py_XDECREF(value);
    return replace(work, count, result);
}

static enum outcome
convert(struct work *work)
{
    return replace(work, 1, converted(work->top[-1], work->instruction->argument));
}

static enum outcome
format(struct work *work)
{
    return replace(work, 1, formatted(work->top[-1], NULL));
}

static enum outcome
format_with(struct work *work)
{
    return replace(work, 2, PyObject_Format(work->top[-2], work->top[-1]));
}

/* Jumps and loops. */

static enum outcome
jump(struct work *work)
{
    work->next = work->instruction->next + work->instruction->jump;
    return GOES_ON;
}

static enum outcome
jump_if(struct work *work, int condition)
{
    if (condition > 0) {
        jump(work);
    }
    return consume(work, 1, condition);
}

static enum outcome
jump_if_true(struct work *work)
{
    return jump_if(work, PyObject_IsTrue(work->top[-1]));
}

static enum outcome
jump_if_false(struct work *work)
{
    int answer = PyObject_IsTrue(work->top[-1]);

    return jump_if(work, answer < 0 ? answer : !answer);
}

static enum outcome
jump_if_none(struct work *work)
{
    return jump_if(work, work->top[-1] == Py_None);
}

static enum outcome
jump_if_not_none(struct work *work)
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
    return answer == wanted ? jump(work) : pop(work);
}

static enum outcome
jump_if_true_or_pop_it(struct work *work)
{
    return jump_or_pop(work, 1);
}

static enum outcome
jump_if_false_or_pop_it(struct work *work)
{
    return jump_or_pop(work, 0);
}

static enum outcome
iterator(struct work *work)
{
    return replace(work, 1, PyObject_GetIter(work->top[-1]));
}

static enum outcome
next_or_jump(struct work *work)
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
    return jump(work);
}

/* Calls. */

/* A call of `count` arguments, which are the highest operands but for `above` others. Below them lie the
 * callee and its object or NULL, in the order of this version. */
static enum outcome
call(struct work *work, int count, PyObject *names, int above)
{
    PyObject **arguments = work->top - above - count, **bottom = arguments - 2;
    size_t positional = (size_t)count - (names == NULL ? 0 : (size_t)PyTuple_GET_SIZE(names));

    if (object_at(bottom) != NULL) {
        arguments--;
        positional++;
    }
    return replace(work, count + 2 + above,
                   PyObject_Vectorcall(callee_at(bottom), arguments, positional | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                       names));
}

static enum outcome
call_object(struct work *work)
{
    int keywords = work->instruction->keywords;
    PyObject *names = keywords < 0 ? NULL : PyTuple_GET_ITEM(work->code->co_consts, keywords);

    return call(work, work->instruction->argument, names, 0);
}

static enum outcome
call_object_with_names(struct work *work)
{
    return call(work, work->instruction->argument, work->top[-1], 1);
}

static enum outcome
call_unpacked(struct work *work)
{
    int above = work->instruction->flag ? 1 : 0;
    PyObject *keywords = above ? work->top[-1] : NULL, *arguments = work->top[-1 - above];
    PyObject *callee = callee_at(work->top - above - 3), *tuple, *result;

    if ((keywords != NULL && !PyDict_CheckExact(keywords)) || !may_be_iterable(arguments)) {
        return IN_CPYTHON;
    }
    tuple = PySequence_Tuple(arguments);
    result = tuple == NULL ? NULL : PyObject_Call(callee, tuple, keywords);
    Py_XDECREF(tuple);
    return replace(work, 3 + above, result);
}

static enum outcome
return_operand(struct work *work)
{
    work->value = *--work->top;
    return RETURNED;
}

static enum outcome
return_a_constant(struct work *work)
{
    work->value = Py_NewRef(PyTuple_GET_ITEM(work->code->co_consts, work->instruction->argument));
    return RETURNED;
}

/* Functions and classes. */

/* The part of a function that the flag of the instruction names. Borrowed: what is there is NULL. */
static PyObject **
part_of_function(PyObject *function, int flag)
{
    PyFunctionObject *object = (PyFunctionObject *)function;

    switch (flag) {
    case 1: return &object->func_defaults;
    case 2: return &object->func_kwdefaults;
    case 4: return &object->func_annotations;
    default: return &object->func_closure;
    }
}

/* Its code is on top, and below it the parts that the argument tells, the closure highest. */
static enum outcome
new_function(struct work *work)
{
    PyObject *function = PyFunction_New(work->top[-1], work->frame->f_globals);

    drop(work, 1);
    if (function == NULL) {
        return RAISED;
    }
    for (int flag = 8; flag > 0; flag >>= 1) {
        if (work->instruction->argument & flag) {
            *part_of_function(function, flag) = *--work->top;
        }
    }
    push(work, function);
    return GOES_ON;
}

static enum outcome
set_function_part(struct work *work)
{
    PyObject *function = work->top[-1];

    *part_of_function(function, work->instruction->argument) = work->top[-2];
    work->top[-2] = function;
    work->top--;
    return GOES_ON;
}

static enum outcome
class_builder(struct work *work)
{
    PyObject *builtins = work->frame->f_builtins, *builder;

    builder = PyDict_CheckExact(builtins) ? PyDict_GetItemString(builtins, "__build_class__") : NULL;
    if (builder == NULL) {
        return IN_CPYTHON;
    }
    push(work, Py_NewRef(builder));
    return GOES_ON;
}

/* Imports. */

static enum outcome
import_module(struct work *work)
{
    Frame *frame = work->frame;
    PyObject *function, *result;

    if (!PyDict_CheckExact(frame->f_builtins)) {
        return IN_CPYTHON;
    }
    function = PyDict_GetItemString(frame->f_builtins, "__import__");
    if (function == NULL) {
        return IN_CPYTHON;
    }
    Py_INCREF(function);
    result = PyObject_CallFunctionObjArgs(function, name_of(work), frame->f_globals,
                                          frame->f_locals == NULL ? Py_None : frame->f_locals,
                                          work->top[-1], work->top[-2], NULL);
    Py_DECREF(function);
    return replace(work, 2, result);
}

/* Only what stands in the module's dictionary: the rest of the search is the loop's. */
static enum outcome
import_attribute(struct work *work)
{
    PyObject *module = work->top[-1], *name = name_of(work), *value;

    if (!PyModule_CheckExact(module) || _PyType_Lookup(Py_TYPE(module), name) != NULL) {
        return IN_CPYTHON;
    }
    value = PyDict_GetItemWithError(PyModule_GetDict(module), name);
    if (value == NULL) {
        return PyErr_Occurred() ? RAISED : IN_CPYTHON;
    }
    push(work, Py_NewRef(value));
    return GOES_ON;
}

/* with */

/* The method of that name, found on the type and bound to the object: a new reference, or NULL. */
static PyObject *
special_method(PyObject *object, PyObject *name)
{
    PyObject *found = _PyType_Lookup(Py_TYPE(object), name), *bound;

    if (found == NULL) {
        return NULL;
    }
    Py_INCREF(found);
    if (Py_TYPE(found)->tp_descr_get == NULL) {
        return found;
    }
    bound = Py_TYPE(found)->tp_descr_get(found, object, (PyObject *)Py_TYPE(object));
    Py_DECREF(found);
    return bound;
}

static enum outcome
enter_context(struct work *work)
{
    static PyObject *enter_name, *exit_name;
    PyObject *manager = work->top[-1], *enter, *exit, *result;

    if (enter_name == NULL) {
        enter_name = PyUnicode_InternFromString("__enter__");
        exit_name = PyUnicode_InternFromString("__exit__");
    }
    if (enter_name == NULL || exit_name == NULL || _PyType_Lookup(Py_TYPE(manager), enter_name) == NULL
        || _PyType_Lookup(Py_TYPE(manager), exit_name) == NULL) {
        PyErr_Clear();
        return IN_CPYTHON;
    }
    enter = special_method(manager, enter_name);
    if (enter == NULL) {
        return consume(work, 1, -1);
    }
    exit = special_method(manager, exit_name);
    if (exit == NULL) {
        Py_DECREF(enter);
        return consume(work, 1, -1);
    }
    work->top[-1] = exit;
    Py_DECREF(manager);
    result = PyObject_CallNoArgs(enter);
    Py_DECREF(enter);
    if (result == NULL) {
        return RAISED;
    }
    push(work, result);
    return GOES_ON;
}

/* Suspension. The instruction that suspends is CPython's: the loop is entered for it. */

/* Sends the highest operand to what lies below it. What that yields goes where the operand was; what it returns
 * too, or where it lay itself (`argument`), and the jump is taken. */
static enum outcome
send(struct work *work)
{
    PyObject *receiver = work->top[-2], *result = NULL;

    switch (PyIter_Send(receiver, work->top[-1], &result)) {
    case PYGEN_ERROR:
        drop(work, 1);
        return RAISED;
    case PYGEN_NEXT:
        return replace(work, 1, result);
    default:
        jump(work);
        return replace(work, work->instruction->argument, result);
    }
}

static enum outcome
end_send(struct work *work)
{
    PyObject *receiver = work->top[-2];

    work->top[-2] = work->top[-1];
    work->top--;
    Py_DECREF(receiver);
    return GOES_ON;
}

/* A new coroutine, or what `__await__` gives. What must not be awaited is the loop's to complain about. */
static enum outcome
awaitable(struct work *work)
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

static enum outcome
delegate(struct work *work)
{
    PyObject *object = work->top[-1];

    if (PyCoro_CheckExact(object)) {
        return IN_CPYTHON;
    }
    return PyGen_CheckExact(object) ? GOES_ON : iterator(work);
}

/* The table. Kinds without a row are left to CPython. */
static const performer performers[KIND_COUNT] = {
    [NO_OPERATION] = no_operation,
    [POP] = pop,
    [PUSH_NULL_OPERAND] = push_null,
    [COPY_OPERAND] = copy,
    [SWAP_OPERANDS] = swap,
    [CONSTANT] = load_constant,
    [LOCAL] = local,
    [SET_LOCAL] = set_local,
    [UNSET_LOCAL] = unset_local,
    [TWO_LOCALS] = two_locals,
    [SET_LOCAL_THEN_LOCAL] = set_local_then_local,
    [SET_TWO_LOCALS] = set_two_locals,
    [CELL] = cell,
    [CELL_VALUE] = cell_value,
    [SET_CELL_VALUE] = set_cell_value,
    [UNSET_CELL_VALUE] = unset_cell_value,
    [LOCAL_OR_NULL_TAKEN] = local_or_null_taken,
    [GLOBAL] = global,
    [SET_GLOBAL] = set_global,
    [UNSET_GLOBAL] = unset_global,
    [ATTRIBUTE] = attribute,
    [METHOD] = method,
    [SUPER_ATTRIBUTE] = super_attribute,
    [SET_ATTRIBUTE] = set_attribute,
    [UNSET_ATTRIBUTE] = unset_attribute,
    [POSITIVE] = positive,
    [NEGATIVE] = negative,
    [INVERT] = invert,
    [NOT] = not,
    [TRUTH] = truth_of,
    [BINARY] = binary,
    [COMPARE] = compare,
    [COMPARE_TRUTH] = compare_truth,
    [IDENTITY] = identity,
    [MEMBERSHIP] = membership,
    [ITEM] = item,
    [SET_ITEM] = set_item,
    [UNSET_ITEM] = unset_item,
    [SLICE_ITEM] = slice_item,
    [SET_SLICE_ITEM] = set_slice_item,
    [LENGTH] = length,
    [IS_SEQUENCE_PATTERN] = is_sequence,
    [IS_MAPPING_PATTERN] = is_mapping,
    [MAKE_TUPLE] = make_tuple,
    [MAKE_LIST] = make_list,
    [MAKE_SET] = make_set,
    [MAKE_DICT] = make_dict,
    [MAKE_DICT_OF_KEYS] = make_dict_of_keys,
    [MAKE_SLICE] = make_slice,
    [APPEND_TO_LIST] = append_to_list,
    [ADD_TO_SET] = add_to_set,
    [ADD_TO_DICT] = add_to_dict,
    [EXTEND_LIST] = extend_list,
    [TUPLE_OF_LIST] = tuple_of_list,
    [UPDATE_SET] = update_set,
    [UPDATE_DICT] = update_dict,
    [MERGE_KEYWORDS] = merge_keywords,
    [UNPACK] = unpack,
    [UNPACK_WITH_REST] = unpack_with_rest,
    [JOIN_STRINGS] = join_strings,
    [CONVERT_AND_FORMAT] = convert_and_format,
    [CONVERT] = convert,
    [FORMAT] = format,
    [FORMAT_WITH] = format_with,
    [JUMP_ALWAYS] = jump,
    [JUMP_IF_TRUE] = jump_if_true,
    [JUMP_IF_FALSE] = jump_if_false,
    [JUMP_IF_NONE] = jump_if_none,
    [JUMP_IF_NOT_NONE] = jump_if_not_none,
    [JUMP_IF_TRUE_OR_POP_IT] = jump_if_true_or_pop_it,
    [JUMP_IF_FALSE_OR_POP_IT] = jump_if_false_or_pop_it,
    [ITERATOR] = iterator,
    [NEXT_OR_JUMP] = next_or_jump,
    [CALL_OBJECT] = call_object,
    [CALL_OBJECT_WITH_NAMES] = call_object_with_names,
    [CALL_UNPACKED] = call_unpacked,
    [RETURN_OPERAND] = return_operand,
    [RETURN_A_CONSTANT] = return_a_constant,
    [NEW_FUNCTION] = new_function,
    [SET_FUNCTION_PART] = set_function_part,
    [CLASS_BUILDER] = class_builder,
    [IMPORT_MODULE] = import_module,
    [IMPORT_ATTRIBUTE] = import_attribute,
    [ENTER_CONTEXT] = enter_context,
    [SEND_TO] = send,
    [END_OF_SEND] = end_send,
    [AWAITABLE] = awaitable,
    [DELEGATE] = delegate,
    [EXIT_CONTEXT_RAISED] = exit_context_raised,
    [ASSERTION_CLASS] = assertion_class,
    [RAISE] = raise_exception,
    [RAISE_AGAIN] = raise_handled,
    [BEGIN_HANDLER] = begin_handler,
    [END_HANDLER] = end_handler,
    [MATCHES_EXCEPTION] = matches_exception,
};

/* Reads the instruction that starts at `first`. `bytes` is co_code: without specialisation, caches zero. */
static void
read_instruction(PyObject *bytes, int first, struct instruction *instruction)
{
    const unsigned char *code = (const unsigned char *)PyBytes_AS_STRING(bytes);
    int count = (int)(PyBytes_GET_SIZE(bytes) / 2), extended = 0;

    *instruction = (struct instruction){.first = first, .unit = first, .next = first, .keywords = -1};
    for (int unit = first; unit < count; unit = instruction->next) {
        int opcode = code[2 * unit], argument = extended | code[2 * unit + 1];

        instruction->unit = unit;
        instruction->next = unit + 1;
        if (opcode == EXTENDED_ARG) {
            extended = argument << 8;
            continue;
        }
        extended = 0;
        while (instruction->next < count && code[2 * instruction->next] == CACHE) {
            instruction->next++;
        }
        spell(opcode, argument, instruction);
        if (instruction->kind != PREFIX_OF_CALL) {
            return;
        }
    }
    instruction->kind = CPYTHON_INSTRUCTION;
}

/* 0, or -1 with an exception set. */
int
framelift_read_instruction(Frame *frame, int first, struct instruction *instruction)
{
    PyObject *bytes = PyCode_GetCode(frame_code(frame));

    if (bytes == NULL) {
        return -1;
    }
    read_instruction(bytes, first, instruction);
    Py_DECREF(bytes);
    return 0;
}

/* Whether the code from `first` on does nothing but tidy the frame up and raise what it was entered with. Such are
 * the handlers that the compiler adds: at the end of an `except`, around a comprehension. */
int
framelift_is_cleanup(Frame *frame, int first)
{
    PyObject *bytes = PyCode_GetCode(frame_code(frame));
    struct instruction instruction = {.next = first, .kind = NO_OPERATION};
    bool tidies = bytes != NULL;

    while (tidies && instruction.kind != RAISE_AGAIN) {
        read_instruction(bytes, instruction.next, &instruction);
        switch (instruction.kind) {
        case NO_OPERATION: case POP: case COPY_OPERAND: case SWAP_OPERANDS: case CONSTANT:
        case SET_LOCAL: case UNSET_LOCAL: case SET_CELL_VALUE: case UNSET_CELL_VALUE: case SET_GLOBAL:
        case UNSET_GLOBAL: case SET_TWO_LOCALS: case END_HANDLER: case RAISE_AGAIN: break;
        default: tidies = false;
        }
    }
    if (bytes == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(bytes);
    return tidies;
}

/* Whether instructions of the kind never raise, whatever their operands are. */
static bool
never_raises(enum kind kind)
{
    switch (kind) {
    case NO_OPERATION: case POP: case PUSH_NULL_OPERAND: case COPY_OPERAND: case SWAP_OPERANDS: case CONSTANT:
    case LOCAL: case SET_LOCAL: case UNSET_LOCAL: case TWO_LOCALS: case SET_LOCAL_THEN_LOCAL: case SET_TWO_LOCALS:
    case CELL: case CELL_VALUE: case SET_CELL_VALUE: case UNSET_CELL_VALUE: case LOCAL_OR_NULL_TAKEN:
    case BEGIN_HANDLER: case END_HANDLER: case RETURN_OPERAND: case RETURN_A_CONSTANT:
        return true;
    default:
        return false;
    }
}

/* Performs `instruction`, whose operands are on the frame's stack. See step.h for what is in `step`
 * afterwards. */
enum outcome
framelift_perform(Frame *frame, const struct instruction *instruction, struct step *step)
{
    performer perform = performers[instruction->kind];
    struct work work = {
        .frame = frame,
        .code = frame_code(frame),
        .instruction = instruction,
        .top = frame_top(frame),
        .next = instruction->next,
    };
    enum outcome outcome;

    if (perform == NULL
        || (!never_raises(instruction->kind) && !can_raise_at(work.code, instruction) && !is_covered(&work))) {
        return IN_CPYTHON;
    }
    point_at_running(frame, instruction->unit);
    hide_objects(frame);
    outcome = perform(&work);
    set_frame_top(frame, work.top);
    step->next = work.next;
    step->value = work.value;
    return outcome;
}
