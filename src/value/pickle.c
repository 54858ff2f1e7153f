/* SPDX-License-Identifier: MIT */
/* Pickles for programs: what pickle_read.c and pickle_write.c do, with values for octets and reasons. */

#include <weft/pickle.h>

#include <errno.h>

#include "value/object.h"
#include "value/pickle.h"

static int told(int result, const struct wefti_pickle_reason *reason, weft_value *error)
{
    int code = errno;
    if (result != 0 && error)
        *error = weft_error(code, "%s", reason->text);
    errno = code;
    return result;
}

/* What was written behind room for a text's head, as bytes; it is taken on success. */
static int bytes_of(struct wefti_octets *out, weft_value *bytes)
{
    enum { HEAD = sizeof(struct wefti_text) };
    if (!wefti_octets_reserve(out, 1))
        return -1;
    void *exact = wefti_realloc(out->octets, out->length + 1);
    out->octets = exact ? exact : out->octets;
    weft_value made = wefti_bytes_of_block(out->octets, out->length - HEAD);
    if (weft_is_error(made))
        return -1;
    out->octets = NULL;
    *bytes = made;
    return 0;
}

int weft_pickle_dump(weft_value value, weft_value *bytes, weft_value *error)
{
    struct wefti_octets out = {0};
    struct wefti_pickle_reason reason = {.text = "out of memory"};
    int result = wefti_octets_reserve(&out, sizeof(struct wefti_text)) ? 0 : -1;
    out.length = result == 0 ? sizeof(struct wefti_text) : 0;
    if (result == 0)
        result = wefti_pickle_write(value, &out, PTRDIFF_MAX, &reason);
    if (result == 0)
        result = bytes_of(&out, bytes);
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
