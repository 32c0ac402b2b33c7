/* Instructions that call, make functions and classes, import, and begin a `with`. */
#include "performers.h"

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

enum outcome
step_call_object(struct work *work)
{
    int keywords = work->instruction->keywords;
    PyObject *names = keywords < 0 ? NULL : PyTuple_GET_ITEM(work->code->co_consts, keywords);

    return call(work, work->instruction->argument, names, 0);
}

enum outcome
step_call_object_with_names(struct work *work)
{
    return call(work, work->instruction->argument, work->top[-1], 1);
}

enum outcome
step_call_unpacked(struct work *work)
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

enum outcome
step_return_operand(struct work *work)
{
    work->value = *--work->top;
    return RETURNED;
}

enum outcome
step_return_a_constant(struct work *work)
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
enum outcome
step_new_function(struct work *work)
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

enum outcome
step_set_function_part(struct work *work)
{
    PyObject *function = work->top[-1];

    *part_of_function(function, work->instruction->argument) = work->top[-2];
    work->top[-2] = function;
    work->top--;
    return GOES_ON;
}

enum outcome
step_class_builder(struct work *work)
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

enum outcome
step_import_module(struct work *work)
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
enum outcome
step_import_attribute(struct work *work)
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

enum outcome
step_enter_context(struct work *work)
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
