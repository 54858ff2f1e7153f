/* SPDX-License-Identifier: MIT */
/*
 * A shared array: so many elements of one C type, in shared memory, for the tasks of all processes. The pointer means the same in each of
 * them.
 *
 * Types are named by the letters of Python's array module:
 *   c char (an octet, 0 to 255)    u a code point (uint32_t)    b int8_t    B uint8_t    h int16_t    H uint16_t
 *   i int32_t    I uint32_t    l, q int64_t    L, Q uint64_t    f float    d double
 * An element is read and written as a whole, so a process that dies leaves each as it was or as it was to become. What takes several steps,
 * as adding to an element, wants the array's lock:
 *
 *     weft_with (weft_array_lock(array))
 *         weft_array_set_int(array, 3, weft_array_get_int(array, 3) + 1);
 *
 * No call here takes that lock by itself. An index below zero counts from the end. As values, elements of f and d are floats, all others
 * ints. Any task of any process may call everything here; nothing waits.
 */
#ifndef WEFT_ARRAY_H
#define WEFT_ARRAY_H

#include <weft/rlock.h>
#include <weft/value.h>

typedef struct weft_array weft_array;

WEFT_BEGIN

/*
 * An array of `count` elements, all zero. It belongs to no process: it stays until weft_array_free, whoever else comes and goes. NULL with
 * EINVAL (no such type, or a count of 0), ENOMEM, and what the first weft_shared_alloc says besides.
 */
WEFT_API weft_array *weft_array_new(char type, size_t count) WEFT_WARN_UNUSED;
/* Frees it, once, when nobody uses it any more. NULL is allowed. 0; -1 with EINVAL (there is no array), ESTALE (as weft_shared_free). */
WEFT_API int weft_array_free(weft_array *array);

/* How many elements; their type's letter; the octets of one. Cannot fail. */
WEFT_API size_t weft_array_length(const weft_array *array);
WEFT_API char weft_array_type(const weft_array *array);
WEFT_API size_t weft_array_item_size(const weft_array *array);
/* The lock that goes with it; it is the array's. weft_with_seen says whether an owner died, and may have left a change of several elements
 * half done. */
WEFT_API weft_rlock *weft_array_lock(weft_array *array);
/* The elements themselves, one after the other, aligned to 64 octets; they are the array's. */
WEFT_API void *weft_array_data(weft_array *array);

/*
 * One element. As an int, a float's fraction is cut off; as a float, an int is converted. Outside of the array 0 with errno ERANGE;
 * EOVERFLOW, and the nearest limit, where an int64_t cannot hold it (of L and Q, f and d; a NaN is 0 then). errno is untouched otherwise.
 * weft_array_get gives none where those give 0 or a limit.
 */
WEFT_API weft_value weft_array_get(const weft_array *array, ptrdiff_t index);
WEFT_API int64_t weft_array_get_int(const weft_array *array, ptrdiff_t index);
WEFT_API double weft_array_get_float(const weft_array *array, ptrdiff_t index);
/*
 * Changes one element. 0; -1 with ERANGE (outside of the array), EOVERFLOW (the type cannot hold it; for u, beyond 0x10ffff), EINVAL (not a
 * number; a float for an array of integers). Ints and bools go into all arrays; c takes a str or bytes of one octet as well. Into an array
 * of integers weft_array_set_float puts what has no fraction. `value` is only looked at.
 */
WEFT_API int weft_array_set(weft_array *array, ptrdiff_t index, weft_value value);
WEFT_API int weft_array_set_int(weft_array *array, ptrdiff_t index, int64_t value);
WEFT_API int weft_array_set_float(weft_array *array, ptrdiff_t index, double value);

/*
 * A list of the elements from `from` up to, not including, `to`, which are cut to the array as in Python. An error value as weft_list
 * gives it, or of EOVERFLOW.
 */
WEFT_API weft_value weft_array_get_slice(const weft_array *array, ptrdiff_t from, ptrdiff_t to);
/*
 * Puts the items of a list or tuple there, for c also the octets of a str or bytes: from `from` on, all or, when it fails, none. A process
 * that dies inside has put the first few. -1 with ERANGE (`from` is outside, or there are more items than elements from there on),
 * EOVERFLOW and EINVAL as weft_array_set. `values` is only looked at.
 */
WEFT_API int weft_array_set_slice(weft_array *array, ptrdiff_t from, weft_value values);
/* Makes all elements equal to the value; -1 with EOVERFLOW, EINVAL as weft_array_set. */
WEFT_API int weft_array_fill(weft_array *array, weft_value value);

WEFT_END

#endif
