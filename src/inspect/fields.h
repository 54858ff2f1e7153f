/* SPDX-License-Identifier: MIT */
/* What reports are made of, between the files of this floor. `failed` remembers that a value could not be had. */
#ifndef WEFTI_FIELDS_H
#define WEFTI_FIELDS_H

#include <stdbool.h>
#include <sys/types.h>

#include <weft/value.h>

static inline void wefti_field_set(weft_value dict, const char *key, weft_value item, bool *failed)
{
    if (!weft_is_error(item) && weft_dict_set_str(dict, key, item) == 0)
        return;
    weft_drop(item);
    *failed = true;
}

static inline void wefti_item_add(weft_value list, weft_value item, bool *failed)
{
    if (!weft_is_error(item) && weft_list_append(list, item) == 0)
        return;
    weft_drop(item);
    *failed = true;
}

/* The first `most` coroutines of a process, as weft_inspect_coroutines has them: a list, empty when they cannot be looked at. */
weft_value wefti_coroutines_report(pid_t pid, size_t most, bool *failed);

#endif
