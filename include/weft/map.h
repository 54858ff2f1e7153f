/* SPDX-License-Identifier: MIT */
/*
 * A shared map: a dictionary from strings to values that lies in shared memory, for the tasks of all processes. The pointer means the same
 * in each of them.
 *
 *     weft_map *pages = weft_map_new();
 *     weft_map_set(pages, "index.html", weft_str("hello"));         any process, at any time
 *     weft_map_add(pages, "hits", 1, NULL);                         no increment is lost
 *
 * Each call is one change, or one look, for everybody else. A process may die in any of them, at any instruction: the entry then is as it
 * was before the call or as it was to become, all others are untouched, and the next call of anybody goes on. (weft_map_clear and
 * weft_map_update_from change one entry after the other, and so may have been half way.)
 *
 * A map keeps the order in which keys came, as a Python dict does; it grows as far as there is shared memory. Values are copied in and out:
 * a list that was got is the getter's own. A pointer in a value must lead into shared memory: EFAULT otherwise.
 *
 * Keys are text of up to 65535 octets with a zero after it (UTF-8, not checked); longer is ENAMETOOLONG, NULL is EINVAL. A value passed in
 * is given away on success, and stays yours when the call fails; values that come out are yours.
 *
 * From any task of any process of the family. Calls wait for each other for as long as one takes; none can be cancelled or has a deadline.
 * Besides what stands with each, -1 comes with EINVAL (there is no map), ENOMEM, ESTALE (this process is no member: it was forked by the
 * host), and EDEADLK (inside weft_map_update's function, of the same map).
 */
#ifndef WEFT_MAP_H
#define WEFT_MAP_H

#include <weft/value.h>

typedef struct weft_map weft_map;
enum { WEFT_MAP_KEY_MOST = 65535 };

WEFT_BEGIN

/* An empty map. It belongs to no process: it stays until weft_map_free, whoever comes and goes. NULL with the errno of
 * weft_shared_alloc. */
WEFT_API weft_map *weft_map_new(void) WEFT_WARN_UNUSED;
/* Frees it with all in it, when nobody uses it any more. NULL is allowed. 0, or -1. */
WEFT_API int weft_map_free(weft_map *map);

/* Sets a key, new or not. 0; -1 with EFAULT (a pointer that means nothing to other processes). */
WEFT_API int weft_map_set(weft_map *map, const char *key, weft_value value);
/* The value of a key. 0; -1 with ENOENT. */
WEFT_API int weft_map_get(weft_map *map, const char *key, weft_value *value);
/* The same, and takes the key out. NULL drops the value. 0; -1 with ENOENT. */
WEFT_API int weft_map_pop(weft_map *map, const char *key, weft_value *value);
/* Whether there is the key: 1 or 0; -1. */
WEFT_API int weft_map_contains(weft_map *map, const char *key);

/*
 * Adds to the int that the key has, as one step; a key that is not there has 0. The sum through *sum (NULL is allowed). 0; -1 with EINVAL
 * (it has something else than an int), EOVERFLOW: then nothing changed.
 */
WEFT_API int weft_map_add(weft_map *map, const char *key, int64_t amount, int64_t *sum);
/*
 * Sets the key to `value` if it has what equals `expected` (weft_equal), which is only looked at. 1: it did, `value` is given away. 0: it
 * has something else, `value` stays yours. -1 with ENOENT, EFAULT.
 */
WEFT_API int weft_map_compare_and_set(weft_map *map, const char *key, weft_value expected, weft_value value);
/*
 * Sets the key to `value` if it is not there. 1: it was not, `value` is given away. 0: it was, `value` stays yours, and what the key has
 * comes through *there (NULL is allowed). -1 with EFAULT.
 */
WEFT_API int weft_map_setdefault(weft_map *map, const char *key, weft_value value, weft_value *there);

/*
 * What a key is to have instead of `old` (borrowed; none where the key is not there). What it returns is the map's; to leave things as they
 * are, return weft_keep(old). An error value leaves the entry as it was.
 */
typedef weft_value weft_map_function(weft_value old, void *data);
/*
 * Changes a key by a function, as one step: everybody else who uses the map waits meanwhile, so it must be quick, and must not use the map.
 * When the process dies inside, the old value stays. What the key has now comes through *value (NULL is allowed). 0; -1 with EFAULT, and
 * with the code of an error that the function returned.
 */
WEFT_API int weft_map_update(weft_map *map, const char *key, weft_map_function *function, void *data, weft_value *value);
/*
 * Sets all that a dict has, as one step but for a death. The dict is only looked at. 0; -1 with EINVAL (not a dict; a key that is no str,
 * or has a zero in it), ENAMETOOLONG, EFAULT: then nothing changed.
 */
WEFT_API int weft_map_update_from(weft_map *map, weft_value dict);

/* How many keys. 0 with errno when the call fails; errno is untouched otherwise. */
WEFT_API size_t weft_map_size(weft_map *map);
/* Lists of all keys, values, or tuples of both, as they are at one moment. An error value, and errno, when the call fails. */
WEFT_API weft_value weft_map_keys(weft_map *map);
WEFT_API weft_value weft_map_values(weft_map *map);
WEFT_API weft_value weft_map_items(weft_map *map);
/*
 * Walks a map that may change meanwhile: uint64_t at = 0; while (weft_map_next(map, &at, &key, &value) > 0) ...; either may be NULL. Keys
 * that are there all the time come once, in order; those that come or go may be met or not. 1; 0 at the end; -1.
 */
WEFT_API int weft_map_next(weft_map *map, uint64_t *at, weft_value *key, weft_value *value);
/* Takes all keys out, one after the other, while nobody else looks. 0; -1. */
WEFT_API int weft_map_clear(weft_map *map);

WEFT_END

#endif
