/* SPDX-License-Identifier: MIT */
/* The names that a pickle may have: all there are. None leads to code; each says what may be done with it. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "value/pickle.h"

#define MANAGERS "multiprocessing.managers"
#define EXCEPTION(module_, name_, code_)                    \
    {                                                       \
        (module_), (name_), WEFTI_PICKLE_EXCEPTION, (code_) \
    }
#define USE(module_, name_, use_)                  \
    {                                              \
        (module_), (name_), WEFTI_PICKLE_##use_, 0 \
    }

/* clang-format off */
static const struct wefti_pickle_name names[] = {
    USE("builtins", "Ellipsis", CONSTANT),
    USE("builtins", "NotImplemented", CONSTANT),
    USE("builtins", "bytearray", BYTEARRAY),
    USE("builtins", "bytes", BYTES),
    USE("builtins", "complex", COMPLEX),
    USE("builtins", "frozenset", FROZENSET),
    USE("builtins", "iter", ITER),
    USE("builtins", "list", LIST),
    USE("builtins", "range", RANGE),
    USE("builtins", "reversed", REVERSED),
    USE("builtins", "set", SET),
    USE("builtins", "slice", SLICE),
    USE("array", "array", ARRAY),
    USE("_codecs", "encode", ENCODE),
    USE(MANAGERS, "Token", NEW),
    USE(MANAGERS, "Namespace", NEW),
    USE(MANAGERS, "Value", NEW),
    USE(MANAGERS, "RebuildProxy", PROXY),
    USE(MANAGERS, "AutoProxy", PROXY_CLASS),
    USE(MANAGERS, "ListProxy", PROXY_CLASS),
    USE(MANAGERS, "DictProxy", PROXY_CLASS),
    USE(MANAGERS, "SetProxy", PROXY_CLASS),
    USE(MANAGERS, "NamespaceProxy", PROXY_CLASS),
    USE(MANAGERS, "EventProxy", PROXY_CLASS),
    USE(MANAGERS, "AcquirerProxy", PROXY_CLASS),
    USE(MANAGERS, "ConditionProxy", PROXY_CLASS),
    USE(MANAGERS, "BarrierProxy", PROXY_CLASS),
    USE(MANAGERS, "ValueProxy", PROXY_CLASS),
    USE(MANAGERS, "ArrayProxy", PROXY_CLASS),
    USE(MANAGERS, "PoolProxy", PROXY_CLASS),
    USE(MANAGERS, "IteratorProxy", PROXY_CLASS),
    EXCEPTION(MANAGERS, "RemoteError", EREMOTEIO),
    EXCEPTION("queue", "Empty", EAGAIN),
    EXCEPTION("queue", "Full", EAGAIN),
    EXCEPTION("queue", "ShutDown", EPIPE),
    EXCEPTION("threading", "BrokenBarrierError", EPIPE),
    EXCEPTION("multiprocessing.context", "ProcessError", EREMOTEIO),
    EXCEPTION("multiprocessing.context", "BufferTooShort", EMSGSIZE),
    EXCEPTION("multiprocessing.context", "TimeoutError", ETIMEDOUT),
    EXCEPTION("multiprocessing.context", "AuthenticationError", EACCES),
    EXCEPTION("builtins", "ArithmeticError", EDOM),
    EXCEPTION("builtins", "AssertionError", EREMOTEIO),
    EXCEPTION("builtins", "AttributeError", ENOENT),
    EXCEPTION("builtins", "BaseException", EREMOTEIO),
    EXCEPTION("builtins", "BaseExceptionGroup", EREMOTEIO),
    EXCEPTION("builtins", "BlockingIOError", EAGAIN),
    EXCEPTION("builtins", "BrokenPipeError", EPIPE),
    EXCEPTION("builtins", "BufferError", EBUSY),
    EXCEPTION("builtins", "BytesWarning", EREMOTEIO),
    EXCEPTION("builtins", "ChildProcessError", ECHILD),
    EXCEPTION("builtins", "ConnectionAbortedError", ECONNABORTED),
    EXCEPTION("builtins", "ConnectionError", ECONNRESET),
    EXCEPTION("builtins", "ConnectionRefusedError", ECONNREFUSED),
    EXCEPTION("builtins", "ConnectionResetError", ECONNRESET),
    EXCEPTION("builtins", "DeprecationWarning", EREMOTEIO),
    EXCEPTION("builtins", "EOFError", ENODATA),
    EXCEPTION("builtins", "EncodingWarning", EREMOTEIO),
    EXCEPTION("builtins", "Exception", EREMOTEIO),
    EXCEPTION("builtins", "ExceptionGroup", EREMOTEIO),
    EXCEPTION("builtins", "FileExistsError", EEXIST),
    EXCEPTION("builtins", "FileNotFoundError", ENOENT),
    EXCEPTION("builtins", "FloatingPointError", EDOM),
    EXCEPTION("builtins", "FutureWarning", EREMOTEIO),
    EXCEPTION("builtins", "GeneratorExit", ECANCELED),
    EXCEPTION("builtins", "ImportError", ENOENT),
    EXCEPTION("builtins", "ImportWarning", EREMOTEIO),
    EXCEPTION("builtins", "IndentationError", EINVAL),
    EXCEPTION("builtins", "IndexError", ERANGE),
    EXCEPTION("builtins", "InterruptedError", EINTR),
    EXCEPTION("builtins", "IsADirectoryError", EISDIR),
    EXCEPTION("builtins", "KeyError", ENOENT),
    EXCEPTION("builtins", "KeyboardInterrupt", EINTR),
    EXCEPTION("builtins", "LookupError", ENOENT),
    EXCEPTION("builtins", "MemoryError", ENOMEM),
    EXCEPTION("builtins", "ModuleNotFoundError", ENOENT),
    EXCEPTION("builtins", "NameError", ENOENT),
    EXCEPTION("builtins", "NotADirectoryError", ENOTDIR),
    EXCEPTION("builtins", "NotImplementedError", ENOSYS),
    EXCEPTION("builtins", "OSError", EIO),
    EXCEPTION("builtins", "OverflowError", EOVERFLOW),
    EXCEPTION("builtins", "PendingDeprecationWarning", EREMOTEIO),
    EXCEPTION("builtins", "PermissionError", EACCES),
    EXCEPTION("builtins", "ProcessLookupError", ESRCH),
    EXCEPTION("builtins", "PythonFinalizationError", EREMOTEIO),
    EXCEPTION("builtins", "RecursionError", EREMOTEIO),
    EXCEPTION("builtins", "ReferenceError", ESTALE),
    EXCEPTION("builtins", "ResourceWarning", EREMOTEIO),
    EXCEPTION("builtins", "RuntimeError", EREMOTEIO),
    EXCEPTION("builtins", "RuntimeWarning", EREMOTEIO),
    EXCEPTION("builtins", "StopAsyncIteration", ENODATA),
    EXCEPTION("builtins", "StopIteration", ENODATA),
    EXCEPTION("builtins", "SyntaxError", EINVAL),
    EXCEPTION("builtins", "SyntaxWarning", EREMOTEIO),
    EXCEPTION("builtins", "SystemError", EREMOTEIO),
    EXCEPTION("builtins", "SystemExit", ECANCELED),
    EXCEPTION("builtins", "TabError", EINVAL),
    EXCEPTION("builtins", "TimeoutError", ETIMEDOUT),
    EXCEPTION("builtins", "TypeError", EINVAL),
    EXCEPTION("builtins", "UnboundLocalError", ENOENT),
    EXCEPTION("builtins", "UnicodeDecodeError", EILSEQ),
    EXCEPTION("builtins", "UnicodeEncodeError", EILSEQ),
    EXCEPTION("builtins", "UnicodeError", EILSEQ),
    EXCEPTION("builtins", "UnicodeTranslateError", EILSEQ),
    EXCEPTION("builtins", "UnicodeWarning", EREMOTEIO),
    EXCEPTION("builtins", "UserWarning", EREMOTEIO),
    EXCEPTION("builtins", "ValueError", EINVAL),
    EXCEPTION("builtins", "Warning", EREMOTEIO),
    EXCEPTION("builtins", "ZeroDivisionError", EDOM),
};
/* clang-format on */

static bool is(const char *octets, size_t length, const char *text)
{
    return strlen(text) == length && memcmp(octets, text, length) == 0;
}

/* The module's name today. */
static const char *module_now(const char *module, size_t length, const char *otherwise)
{
    static const char *const old[][2] = {{"__builtin__", "builtins"}, {"exceptions", "builtins"}, {"Queue", "queue"}, {"_queue", "queue"},
        {"multiprocessing", "multiprocessing.context"}};
    for (size_t i = 0; i < sizeof(old) / sizeof(*old); i++)
        if (is(module, length, old[i][0]))
            return old[i][1];
    return otherwise;
}

const struct wefti_pickle_name *wefti_pickle_find(const char *module, size_t module_length, const char *name, size_t length)
{
    const char *now = module_now(module, module_length, NULL);
    if (is(name, length, "xrange") && is(module, module_length, "__builtin__"))
        return wefti_pickle_find("builtins", 8, "range", 5);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!is(name, length, names[i].name))
            continue;
        if (now ? strcmp(now, names[i].module) == 0 : is(module, module_length, names[i].module))
            return &names[i];
    }
    return NULL;
}

const struct wefti_pickle_name *wefti_pickle_find_full(const char *full)
{
    const char *dot = strrchr(full, '.');
    if (!dot)
        return wefti_pickle_find("builtins", 8, full, strlen(full));
    return wefti_pickle_find(full, (size_t)(dot - full), dot + 1, strlen(dot + 1));
}

void wefti_pickle_full(const struct wefti_pickle_name *name, char full[WEFTI_PICKLE_FULL])
{
    if (strcmp(name->module, "builtins") == 0)
        snprintf(full, WEFTI_PICKLE_FULL, "%s", name->name);
    else
        snprintf(full, WEFTI_PICKLE_FULL, "%s.%s", name->module, name->name);
}
