/* SPDX-License-Identifier: MIT */
/*
 * Shared numbers: one word, changed by one atomic step at a time, so there is nothing that a death could leave half done, and nothing to
 * repair.
 *
 * Each change releases and acquires, each look acquires: who sees a number sees what was done before it was put there. They say nothing
 * about the order in which others see changes of two numbers.
 *
 * What no processor can do in one instruction is a loop of compare-and-swap: somebody succeeds each time round.
 */

#include <weft/scalar.h>

#include <string.h>

static uint64_t float_word(double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof(word));
    return word;
}

static double word_float(uint64_t word)
{
    double value;
    memcpy(&value, &word, sizeof(value));
    return value;
}

static uint64_t scalar_look(const weft_scalar *scalar)
{
    return __atomic_load_n(&scalar->word, __ATOMIC_ACQUIRE);
}

/* *seen becomes what is there when it fails. */
static bool scalar_move(weft_scalar *scalar, uint64_t *seen, uint64_t value)
{
    return __atomic_compare_exchange_n(&scalar->word, seen, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

int64_t weft_scalar_get(const weft_scalar *scalar)
{
    return (int64_t)scalar_look(scalar);
}

void weft_scalar_set(weft_scalar *scalar, int64_t value)
{
    __atomic_store_n(&scalar->word, (uint64_t)value, __ATOMIC_RELEASE);
}

int64_t weft_scalar_swap(weft_scalar *scalar, int64_t value)
{
    return (int64_t)__atomic_exchange_n(&scalar->word, (uint64_t)value, __ATOMIC_ACQ_REL);
}

int64_t weft_scalar_add(weft_scalar *scalar, int64_t amount)
{
    return (int64_t)__atomic_fetch_add(&scalar->word, (uint64_t)amount, __ATOMIC_ACQ_REL);
}

int64_t weft_scalar_max(weft_scalar *scalar, int64_t value)
{
    uint64_t seen = scalar_look(scalar);
    while ((int64_t)seen < value && !scalar_move(scalar, &seen, (uint64_t)value))
        ;
    return (int64_t)seen;
}

int64_t weft_scalar_min(weft_scalar *scalar, int64_t value)
{
    uint64_t seen = scalar_look(scalar);
    while ((int64_t)seen > value && !scalar_move(scalar, &seen, (uint64_t)value))
        ;
    return (int64_t)seen;
}

bool weft_scalar_compare_and_set(weft_scalar *scalar, int64_t *expected, int64_t value)
{
    uint64_t seen = (uint64_t)*expected;
    bool moved = scalar_move(scalar, &seen, (uint64_t)value);
    if (!moved)
        *expected = (int64_t)seen;
    return moved;
}

double weft_scalar_get_float(const weft_scalar *scalar)
{
    return word_float(scalar_look(scalar));
}

void weft_scalar_set_float(weft_scalar *scalar, double value)
{
    __atomic_store_n(&scalar->word, float_word(value), __ATOMIC_RELEASE);
}

double weft_scalar_swap_float(weft_scalar *scalar, double value)
{
    return word_float(__atomic_exchange_n(&scalar->word, float_word(value), __ATOMIC_ACQ_REL));
}

double weft_scalar_add_float(weft_scalar *scalar, double amount)
{
    uint64_t seen = scalar_look(scalar);
    while (!scalar_move(scalar, &seen, float_word(word_float(seen) + amount)))
        ;
    return word_float(seen);
}

double weft_scalar_max_float(weft_scalar *scalar, double value)
{
    uint64_t seen = scalar_look(scalar);
    while (word_float(seen) < value && !scalar_move(scalar, &seen, float_word(value)))
        ;
    return word_float(seen);
}

double weft_scalar_min_float(weft_scalar *scalar, double value)
{
    uint64_t seen = scalar_look(scalar);
    while (word_float(seen) > value && !scalar_move(scalar, &seen, float_word(value)))
        ;
    return word_float(seen);
}

bool weft_scalar_compare_and_set_float(weft_scalar *scalar, double *expected, double value)
{
    uint64_t seen = scalar_look(scalar);
    while (word_float(seen) == *expected)
        if (scalar_move(scalar, &seen, float_word(value)))
            return true;
    *expected = word_float(seen);
    return false;
}
