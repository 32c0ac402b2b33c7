/* Instructions that ask objects for something: attributes, operators, comparisons, items, patterns. */
#include "performers.h"

/* Attributes. */

enum outcome
step_attribute(struct work *work)
{
    return replace(work, 1, PyObject_GetAttr(work->top[-1], name_of(work)));
}

enum outcome
step_method(struct work *work)
{
    PyObject *object = work->top[-1], *found = NULL;
    int is_method = _PyObject_GetMethod(object, name_of(work), &found);

    if (found == NULL) {
        return replace(work, 1, NULL);
    }
    if (is_method) {
        /* The method, with its object above it. */
        work->top[-1] = found;
        *work->top++ = object;
        return GOES_ON;
    }
    work->top--;
    put_global(work->top, found);
    work->top += 2;
    Py_DECREF(object);
    return GOES_ON;
}

enum outcome
step_set_attribute(struct work *work)
{
    return consume(work, 2, PyObject_SetAttr(work->top[-1], name_of(work), work->top[-2]));
}

enum outcome
step_unset_attribute(struct work *work)
{
    return consume(work, 1, PyObject_SetAttr(work->top[-1], name_of(work), NULL));
}

/* `super().name`, above `super`, the class and the object: the call has two arguments, or finds them in the
 * frame. */
enum outcome
step_super_attribute(struct work *work)
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

enum outcome
step_positive(struct work *work)
{
    return replace(work, 1, PyNumber_Positive(work->top[-1]));
}

enum outcome
step_negative(struct work *work)
{
    return replace(work, 1, PyNumber_Negative(work->top[-1]));
}

enum outcome
step_invert(struct work *work)
{
    return replace(work, 1, PyNumber_Invert(work->top[-1]));
}

enum outcome
step_not(struct work *work)
{
    int answer = PyObject_IsTrue(work->top[-1]);

    return replace(work, 1, truth(answer < 0 ? answer : !answer));
}

enum outcome
step_truth_of(struct work *work)
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

enum outcome
step_binary(struct work *work)
{
    size_t operator = (size_t)work->instruction->argument;

    if (operator >= Py_ARRAY_LENGTH(operators)) {
        return IN_CPYTHON;
    }
    return replace(work, 2, operators[operator](work->top[-2], work->top[-1]));
}

enum outcome
step_compare(struct work *work)
{
    return replace(work, 2, PyObject_RichCompare(work->top[-2], work->top[-1], work->instruction->argument));
}

enum outcome
step_compare_truth(struct work *work)
{
    PyObject *answer = PyObject_RichCompare(work->top[-2], work->top[-1], work->instruction->argument);
    PyObject *result = answer == NULL ? NULL : truth(PyObject_IsTrue(answer));

    Py_XDECREF(answer);
    return replace(work, 2, result);
}

enum outcome
step_identity(struct work *work)
{
    return replace(work, 2, truth((work->top[-2] == work->top[-1]) != work->instruction->flag));
}

enum outcome
step_membership(struct work *work)
{
    int answer = PySequence_Contains(work->top[-1], work->top[-2]);

    return replace(work, 2, truth(answer < 0 ? answer : answer != work->instruction->flag));
}

enum outcome
step_item(struct work *work)
{
    return replace(work, 2, PyObject_GetItem(work->top[-2], work->top[-1]));
}

enum outcome
step_set_item(struct work *work)
{
    return consume(work, 3, PyObject_SetItem(work->top[-2], work->top[-1], work->top[-3]));
}

enum outcome
step_unset_item(struct work *work)
{
    return consume(work, 2, PyObject_DelItem(work->top[-2], work->top[-1]));
}

enum outcome
step_slice_item(struct work *work)
{
    PyObject *slice = PySlice_New(work->top[-2], work->top[-1], NULL);
    PyObject *result = slice == NULL ? NULL : PyObject_GetItem(work->top[-3], slice);

    Py_XDECREF(slice);
    return replace(work, 3, result);
}

enum outcome
step_set_slice_item(struct work *work)
{
    PyObject *slice = PySlice_New(work->top[-2], work->top[-1], NULL);
    int status = slice == NULL ? -1 : PyObject_SetItem(work->top[-3], slice, work->top[-4]);

    Py_XDECREF(slice);
    return consume(work, 4, status);
}

enum outcome
step_length(struct work *work)
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

enum outcome
step_is_sequence(struct work *work)
{
    push(work, truth(PyType_HasFeature(Py_TYPE(work->top[-1]), Py_TPFLAGS_SEQUENCE)));
    return GOES_ON;
}

enum outcome
step_is_mapping(struct work *work)
{
    push(work, truth(PyType_HasFeature(Py_TYPE(work->top[-1]), Py_TPFLAGS_MAPPING)));
    return GOES_ON;
}
