/* SPDX-License-Identifier: MIT */
/* For libFuzzer (./check fuzz): whatever octets are read as a pickle, they become a value that can be written and read again, or are
 * refused cleanly. */
#include <errno.h>
#include <stdlib.h>

#include "value/pickle.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

static void must(bool held)
{
    if (!held)
        abort();
}

/* What was written is read again, and says the same when it is written then. Limits count written octets, of which there may be fewer than
 * were read. */
static void again(weft_value value, const struct wefti_octets *first, const struct wefti_pickle_limits *limits)
{
    struct wefti_pickle_reason reason;
    struct wefti_octets second = {0};
    weft_value same;
    if (wefti_pickle_read(first->octets, first->length, limits, &same, &reason) == 0) {
        must(wefti_pickle_write(same, &second, SIZE_MAX, &reason) == 0);
        must(second.length <= first->length + 16 || weft_kind(value) != WEFT_NONE);
        weft_drop(same);
    } else {
        must(errno == EMSGSIZE || errno == EBADMSG);
    }
    free(second.octets);
}

/* As they are outside of it. */
static void parts(weft_value value)
{
    size_t at = 0;
    weft_value item;
    weft_drop(weft_copy(value));
    while (wefti_container_next(value, &at, &item) && at < 50)
        weft_drop(weft_unfold(value, item));
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    struct wefti_pickle_limits limits = {.exceptions_stay = length % 2, .relay = length / 2 % 2};
    struct wefti_pickle_reason reason;
    struct wefti_octets out = {0};
    weft_value value;
    char text[100];
    if (wefti_pickle_read(octets, length, &limits, &value, &reason) != 0) {
        must(errno == EBADMSG || errno == EMSGSIZE);
        return 0;
    }
    wefti_repr_begin(value, text, sizeof(text));
    parts(value);
    if (wefti_pickle_write(value, &out, 1 << 20, &reason) == 0)
        again(value, &out, &limits);
    else
        must(errno == EMSGSIZE || errno == EINVAL);
    free(out.octets);
    weft_drop(value);
    return 0;
}
