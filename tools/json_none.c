/* SPDX-License-Identifier: MIT */
/* Built without jansson: there is no JSON. */
#include <errno.h>

#include "managers.h"

weft_value json_value(const char *text)
{
    (void)text;
    return weft_error(ENOTSUP, "this weft was built without jansson, which reads JSON");
}

bool json_line(struct text *line, weft_value value)
{
    if (!json_fits(value))
        return false;
    size_t length = weft_repr(value, NULL, 0);
    text_reserve(line, length + 1);
    weft_repr(value, line->at + line->length, length + 1);
    line->length += length;
    return true;
}
