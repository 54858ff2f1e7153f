/* SPDX-License-Identifier: MIT */
/* How a counted value leads to its object in builds without checks: by its pointer. The other way is handle_checked.h. */
#ifndef WEFTI_HANDLE_PLAIN_H
#define WEFTI_HANDLE_PLAIN_H

static inline void *wefti_handle_object(weft_value value)
{
    return value.as.pointer;
}

static inline bool wefti_handle_open(weft_value *value, void *object)
{
    value->as.pointer = object;
    return true;
}

static inline void wefti_handle_move(weft_value *value, void *object)
{
    value->as.pointer = object;
}

static inline weft_value wefti_handle_again(weft_value value)
{
    return value;
}

static inline void *wefti_handle_close(weft_value value, const char *closer)
{
    (void)closer;
    return value.as.pointer;
}

#endif
