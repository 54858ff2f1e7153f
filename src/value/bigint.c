/* SPDX-License-Identifier: MIT */
/*
 * Integers that 64 bits cannot hold: two's complement, the lowest octet first, in as few octets as they need; so two are equal when their
 * octets are. There is no arithmetic: they are read, handed on, compared and printed.
 */

#include <math.h>
#include <string.h>

#include "value/object.h"

static bool octets_negative(const unsigned char *octets, size_t length)
{
    return length > 0 && octets[length - 1] & 0x80;
}

size_t wefti_bigint_trim(const unsigned char *octets, size_t length)
{
    unsigned char sign = octets_negative(octets, length) ? 0xff : 0;
    while (length > 1 && octets[length - 1] == sign && ((octets[length - 2] ^ sign) & 0x80) == 0)
        length--;
    return length;
}

weft_value weft_int_n(const void *octets, size_t length)
{
    if (!octets && length)
        return wefti_value_failed(EINVAL);
    length = wefti_bigint_trim(octets, length);
    if (length > WEFT_BIGINT_MOST)
        return wefti_value_failed(EOVERFLOW);
    if (length > sizeof(int64_t))
        return wefti_text_new(WEFT_BIGINT, 0, octets, length);
    uint64_t integer = octets_negative(octets, length) ? UINT64_MAX : 0;
    for (size_t i = length; i-- > 0;)
        integer = integer << 8 | ((const unsigned char *)octets)[i];
    return weft_int((int64_t)integer);
}

/* Of the magnitude, octet `at`. `carry` goes from one to the next, from the lowest on; it begins as 1. */
static unsigned char magnitude_octet(const struct wefti_text *bigint, size_t at, unsigned *carry)
{
    unsigned octet = (unsigned char)bigint->octets[at];
    if (!octets_negative((const unsigned char *)bigint->octets, bigint->length))
        return (unsigned char)octet;
    octet = (octet ^ 0xff) + *carry;
    *carry = octet >> 8;
    return (unsigned char)octet;
}

/* The words of the magnitude, the lowest first: how many. They have room for all octets and four more. */
static size_t magnitude_words(const struct wefti_text *bigint, uint32_t *words)
{
    size_t count = (bigint->length + 3) / 4;
    unsigned carry = 1;
    memset(words, 0, count * sizeof(*words));
    for (size_t i = 0; i < bigint->length; i++)
        words[i / 4] |= (uint32_t)magnitude_octet(bigint, i, &carry) << (i % 4 * 8);
    while (count > 0 && words[count - 1] == 0)
        count--;
    return count;
}

/* Divides by 10^9 and gives what remains. */
static uint32_t words_divide(uint32_t *words, size_t count)
{
    uint64_t rest = 0;
    for (size_t i = count; i-- > 0;) {
        rest = rest << 32 | words[i];
        words[i] = (uint32_t)(rest / 1000000000);
        rest %= 1000000000;
    }
    return (uint32_t)rest;
}

/* The groups grow downwards from the end into the room that the words leave: a group takes nearly 30 bits away from them and 32 for
 * itself. */
void wefti_bigint_decimal(const struct wefti_text *bigint, struct wefti_bigint_groups *decimal)
{
    size_t count = magnitude_words(bigint, decimal->groups);
    decimal->first = WEFTI_BIGINT_GROUPS;
    while (count > 0) {
        uint32_t group = words_divide(decimal->groups, count);
        while (count > 0 && decimal->groups[count - 1] == 0)
            count--;
        decimal->groups[--decimal->first] = group;
    }
}

/* The highest 64 bits, of which the lowest is 1 also when any below them is, decide how the float is rounded. */
double wefti_bigint_float(const struct wefti_text *bigint)
{
    struct wefti_bigint_groups room;
    size_t count = magnitude_words(bigint, room.groups);
    uint64_t high = (uint64_t)room.groups[count - 1] << 32 | room.groups[count - 2];
    size_t at = count - 2;
    int shift = __builtin_clzll(high);
    uint32_t next = at > 0 ? room.groups[--at] : 0;
    if (shift > 0) {
        high = high << shift | next >> (32 - shift);
        next <<= shift;
    }
    while (!next && at > 0)
        next = room.groups[--at];
    double real = ldexp((double)(high | (next != 0)), (int)(count - 2) * 32 - shift);
    if (isinf(real))
        errno = ERANGE;
    return octets_negative((const unsigned char *)bigint->octets, bigint->length) ? -real : real;
}

static void octets_negate(unsigned char *octets, size_t length)
{
    unsigned carry = 1;
    for (size_t i = 0; i < length; i++) {
        carry += octets[i] ^ 0xffU;
        octets[i] = (unsigned char)carry;
        carry >>= 8;
    }
}

size_t wefti_bigint_of_float(double real, unsigned char octets[WEFTI_FLOAT_OCTETS])
{
    int64_t small;
    int exponent;
    if (!isfinite(real) || fabs(real) < 0x1p63 || wefti_float_integer(real, &small))
        return 0;
    uint64_t mantissa = (uint64_t)ldexp(frexp(fabs(real), &exponent), 53);
    unsigned shift = (unsigned)exponent - 53;
    memset(octets, 0, WEFTI_FLOAT_OCTETS);
    for (unsigned bit = 0; bit < 53; bit++)
        if (mantissa >> bit & 1)
            octets[(shift + bit) / 8] = (unsigned char)(octets[(shift + bit) / 8] | 1U << (shift + bit) % 8);
    if (real < 0)
        octets_negate(octets, WEFTI_FLOAT_OCTETS);
    return wefti_bigint_trim(octets, WEFTI_FLOAT_OCTETS);
}
