/* SPDX-License-Identifier: MIT */
/*
 * Data that lies in itself, without cycles: where a container would come to lie in itself, a value of the kind WEFT_ABOVE says how many
 * levels up it is. What holds such a value means something only where it lies.
 */
#ifndef WEFTI_RECURSIVE_H
#define WEFTI_RECURSIVE_H

#include "value/object.h"

/* Lists, tuples, dicts and objects: what may hold what it lies in. */
bool wefti_recursive_kind(weft_value value);

/* Octets of a copy, and the copy, with the same items: an error as constructors. */
size_t wefti_recursive_octets(weft_value value);
weft_value wefti_recursive_copy(weft_value value);
/*
 * Into the place of a copy from which a walk of the copied came last (wefti_container_next, which left *at so): the item is given away, in
 * any case. 0; -1 with errno.
 */
int wefti_recursive_put(weft_value copied, weft_value copy, size_t at, weft_value item);

/* In a copy of a list or dict, puts what lay in it as it is outside of it: weft_unfold. 0; -1 with errno, the copy being neither. */
int wefti_recursive_unfold(weft_value value, weft_value copy);
/* A list of your own of what lies in a list or tuple, as it is outside of it. An error as weft_unfold. */
weft_value wefti_recursive_items(weft_value value);

/* Before so many octets are copied, and so many things looked at: 0; -1 with errno, and that is the end of it. */
typedef int wefti_recursive_spend(void *data, size_t octets, size_t things);

/*
 * Of a value with cycles, which only who makes values can have: the same without, yours. Of one with references upwards: the same, where no
 * part lies in two places in which these mean different things. Lists and dicts that say WEFTI_LOOPING are copied, as are those that hold
 * such; all else is kept, unless it has to be another in another place. Each cycle has a list or dict that says so. `depth`: levels that
 * the value may come to. An error with EDOM (a reference leads out of the value), ELOOP (a tuple lies in itself through tuples alone),
 * EINVAL (what cannot be written lies in itself), E2BIG (too deep), ENOMEM, and what `spend` says.
 */
weft_value wefti_fold(weft_value value, size_t depth, wefti_recursive_spend *spend, void *data);
/* Takes out of a list or dict all that may have made a cycle of it. */
void wefti_unloop(weft_value value);

#endif
