/* SPDX-License-Identifier: MIT */
/* Pickles for programs: what pickle_read.c and pickle_write.c do, with values for octets and reasons. */

#include <weft/pickle.h>

#include <errno.h>

#include "base/memory.h"
#include "value/pickle.h"

static int told(int result, const struct wefti_pickle_reason *reason, weft_value *error)
{
    int code = errno;
    if (result != 0 && error)
        *error = weft_error(code, "%s", reason->text);
    errno = code;
    return result;
}

int weft_pickle_dump(weft_value value, weft_value *bytes, weft_value *error)
{
    struct wefti_octets out = {0};
    struct wefti_pickle_reason reason = {.text = "out of memory"};
    int result = wefti_pickle_write(value, &out, PTRDIFF_MAX, &reason);
    if (result == 0) {
        weft_value made = weft_bytes(out.octets, out.length);
        result = weft_is_error(made) ? -1 : 0;
        if (result == 0)
            *bytes = made;
    }
    int code = errno;
    wefti_release(out.octets);
    errno = code;
    return told(result, &reason, error);
}

int weft_pickle_load(const void *octets, size_t length, weft_value *value, weft_value *error)
{
    struct wefti_pickle_reason reason = {.text = "no octets"};
    if (octets)
        return told(wefti_pickle_read(octets, length, NULL, value, &reason), &reason, error);
    errno = EINVAL;
    return told(-1, &reason, error);
}
