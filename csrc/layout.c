/* What only CPython's own headers can say.
 *
 * The Rust half reads functions, lists and cells through PyO3's transcription of their structures, and
 * code objects not at all, because PyO3 keeps them opaque. This file is compiled against the headers of
 * the interpreter that the extension is for. It states where the headers put those fields, so that the
 * import can refuse to go on when the transcription disagrees, and reads a code object's signature.
 */
#include <Python.h>

#include <stddef.h>
#include <stdint.h>

/* The same fields, in the same order, as `HeaderLayout` in rust/src/layout.rs. */
struct framelift_layout {
    size_t function_code;
    size_t function_defaults;
    size_t function_kwdefaults;
    size_t list_items;
    size_t list_allocated;
    size_t cell_reference;
    size_t dict_version;
};

/* The number of a dictionary's state is deprecated since 3.12, and it is there up to 3.13. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
const struct framelift_layout framelift_layout = {
    .function_code = offsetof(PyFunctionObject, func_code),
    .function_defaults = offsetof(PyFunctionObject, func_defaults),
    .function_kwdefaults = offsetof(PyFunctionObject, func_kwdefaults),
    .list_items = offsetof(PyListObject, ob_item),
    .list_allocated = offsetof(PyListObject, allocated),
    .cell_reference = offsetof(PyCellObject, ob_ref),
    .dict_version = offsetof(PyDictObject, ma_version_tag),
};
#pragma GCC diagnostic pop

/* The same fields, in the same order, as `CodeSignature` in rust/src/layout.rs. */
struct framelift_code_signature {
    PyObject *names;            /* borrowed from the code object: a tuple that starts with the parameters' names */
    int32_t flags;
    int32_t positional;         /* positional-only parameters included */
    int32_t positional_only;
    int32_t keyword_only;
};

/* `code` is a code object; owns nothing afterwards. */
void
framelift_read_code_signature(PyObject *code, struct framelift_code_signature *signature)
{
    PyCodeObject *object = (PyCodeObject *)code;

    signature->names = object->co_localsplusnames;
    signature->flags = object->co_flags;
    signature->positional = object->co_argcount;
    signature->positional_only = object->co_posonlyargcount;
    signature->keyword_only = object->co_kwonlyargcount;
}
