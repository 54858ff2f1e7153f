/* SPDX-License-Identifier: MIT */
/*
 * Python's pickles, as data. Reading runs, imports and looks up nothing: what is not data is refused by name. What comes back, and what can
 * be written, is what connections and managers carry: all kinds of values but pointers, and objects of the few classes that multiprocessing
 * has besides. Lists and dicts of Python's that lie in themselves have references upwards in those places (weft_above), and what has such
 * is written as what it was.
 */
#ifndef WEFT_PICKLE_H
#define WEFT_PICKLE_H

#include <weft/value.h>

WEFT_BEGIN

/*
 * The pickle of a value, of protocol 4, which every Python 3 reads: bytes, yours, through *bytes. -1 with EFAULT (a pointer), EILSEQ (a str
 * that is no UTF-8), EINVAL (an object of a class that is not known, a reference upwards out of the value), EMSGSIZE (it lies in
 * itself too often, or more than 1024 deep), ENOMEM; *error (NULL is allowed) is then an error value, yours, whose
 * text says why. Any task; never waits.
 */
WEFT_API int weft_pickle_dump(weft_value value, weft_value *bytes, weft_value *error);
/*
 * The value of a pickle of protocol 2 to 5: yours, through *value. An exception that was pickled is an error value. -1 with EBADMSG (it is
 * none, or one that is refused), EMSGSIZE (longer than 64 MiB, nested deeper than 1000, or too much for its length), EINVAL (no octets),
 * ENOMEM; *error as above. Any task; never waits.
 */
WEFT_API int weft_pickle_load(const void *octets, size_t length, weft_value *value, weft_value *error);

WEFT_END

#endif
