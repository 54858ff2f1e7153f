/* SPDX-License-Identifier: MIT */
/*
 * Shared arrays: a block of the arena with a head and, from its next multiple of 64 octets on, the elements.
 *
 * The head is constant from before anybody else has its address, but for the lock, and for the mark that weft_array_free takes away. An
 * element is written by one store of its size (aligned, so never in part), relaxed: who wants order takes the lock.
 *
 * Death. The block is in hand until the head is written, then it is committed and given out; freeing is the one step of the allocator.
 * Changes of several elements check all values before the first store.
 *
 * Fork. A child of the host's own may read and write elements; the lock refuses it.
 */

#include <weft/array.h>

#include <errno.h>
#include <string.h>

#include "shared/block.h"
#include "value/value.h"

#define ARRAY_MAGIC UINT32_C(0x79617272) /* "rray" */

struct weft_array {
    weft_rlock lock;
    uint32_t magic; /* ARRAY_MAGIC; 0 once it is being freed */
    char type;
    uint8_t size; /* octets of an element */
    uint16_t reserved;
    uint64_t count;
    uint64_t reserved_too;
    char data[] __attribute__((aligned(64)));
};

/* What a type can hold, when it holds integers. */
struct range {
    int64_t least;
    uint64_t most;
};

/* The octets of an element; 0: there is no such type. */
static uint8_t type_size(char type)
{
    static const char letters[] = "cbBhHuiIflLqQd";
    static const uint8_t octets[] = {1, 1, 1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8};
    const char *letter = type ? strchr(letters, type) : NULL;
    return letter ? octets[letter - letters] : 0;
}

static bool type_real(char type)
{
    return type == 'f' || type == 'd';
}

static bool type_signed(char type)
{
    return strchr("bhilq", type) != NULL;
}

static struct range type_range(char type)
{
    if (type == 'u')
        return (struct range){0, 0x10ffff};
    unsigned bits = 8U * type_size(type);
    if (type_signed(type))
        return (struct range){INT64_MIN >> (64 - bits), (uint64_t)INT64_MAX >> (64 - bits)};
    return (struct range){0, UINT64_MAX >> (64 - bits)};
}

static int array_fails(int error)
{
    errno = error;
    return -1;
}

/* An element as it lies there: so many octets of a word. */

static uint64_t word_load(const char *at, unsigned size)
{
    const void *element = at;
    if (size == 1)
        return __atomic_load_n((const uint8_t *)element, __ATOMIC_RELAXED);
    if (size == 2)
        return __atomic_load_n((const uint16_t *)element, __ATOMIC_RELAXED);
    if (size == 4)
        return __atomic_load_n((const uint32_t *)element, __ATOMIC_RELAXED);
    return __atomic_load_n((const uint64_t *)element, __ATOMIC_RELAXED);
}

static void word_store(char *at, unsigned size, uint64_t word)
{
    void *element = at;
    if (size == 1)
        __atomic_store_n((uint8_t *)element, (uint8_t)word, __ATOMIC_RELAXED);
    else if (size == 2)
        __atomic_store_n((uint16_t *)element, (uint16_t)word, __ATOMIC_RELAXED);
    else if (size == 4)
        __atomic_store_n((uint32_t *)element, (uint32_t)word, __ATOMIC_RELAXED);
    else
        __atomic_store_n((uint64_t *)element, word, __ATOMIC_RELAXED);
}

static double word_real(uint64_t word, unsigned size)
{
    float single;
    double real;
    uint32_t half = (uint32_t)word;
    memcpy(&single, &half, sizeof(single));
    memcpy(&real, &word, sizeof(real));
    return size == sizeof(float) ? (double)single : real;
}

static uint64_t real_word(double real, unsigned size)
{
    float single = (float)real;
    uint32_t half;
    uint64_t word;
    memcpy(&half, &single, sizeof(half));
    memcpy(&word, &real, sizeof(word));
    return size == sizeof(float) ? half : word;
}

/* The whole number that a float is, cut; EOVERFLOW and the nearest limit where there is none. */
static int64_t real_integer(double real)
{
    if (real >= -0x1p63 && real < 0x1p63)
        return (int64_t)real;
    errno = EOVERFLOW;
    return real != real ? 0 : real < 0 ? INT64_MIN : INT64_MAX;
}

/* A word of a type of integers. */
static int64_t word_integer(char type, unsigned size, uint64_t word)
{
    if (type_signed(type))
        return (int64_t)(word << (64 - 8 * size)) >> (64 - 8 * size);
    if (word <= INT64_MAX)
        return (int64_t)word;
    errno = EOVERFLOW;
    return INT64_MAX;
}

/* Where an element lies, or NULL with ERANGE. */
static const char *array_at(const weft_array *array, ptrdiff_t index)
{
    uint64_t at = index < 0 ? (uint64_t)index + array->count : (uint64_t)index;
    if (at < array->count)
        return array->data + at * array->size;
    errno = ERANGE;
    return NULL;
}

/* The words that values become. 0; -1 with EOVERFLOW, EINVAL. */

static int integer_word(const weft_array *array, int64_t integer, uint64_t *word)
{
    if (type_real(array->type)) {
        *word = real_word((double)integer, array->size);
        return 0;
    }
    struct range range = type_range(array->type);
    if (integer < range.least || (integer > 0 && (uint64_t)integer > range.most))
        return array_fails(EOVERFLOW);
    *word = (uint64_t)integer;
    return 0;
}

static int float_element(const weft_array *array, double real, uint64_t *word)
{
    if (!type_real(array->type))
        return array_fails(EINVAL);
    if (array->type == 'f' && real - real == 0 && (real > 0x1.fffffefffffffp127 || real < -0x1.fffffefffffffp127))
        return array_fails(EOVERFLOW); /* finite, and no float is */
    *word = real_word(real, array->size);
    return 0;
}

static int value_word(const weft_array *array, weft_value value, uint64_t *word)
{
    switch (weft_kind(value)) {
    case WEFT_BOOL:
    case WEFT_INT:
        return integer_word(array, value.as.integer, word);
    case WEFT_FLOAT:
        return float_element(array, value.as.real, word);
    case WEFT_STR:
    case WEFT_BYTES:
        if (array->type == 'c' && weft_length(value) == 1) {
            *word = *(const uint8_t *)weft_as_bytes(value);
            return 0;
        }
        return array_fails(EINVAL);
    default:
        return array_fails(EINVAL);
    }
}

/* An element's value; none where it has no int64_t, with EOVERFLOW. */
static weft_value element_value(const weft_array *array, const char *at)
{
    uint64_t word = word_load(at, array->size);
    if (type_real(array->type))
        return weft_float(word_real(word, array->size));
    if (!type_signed(array->type) && word > INT64_MAX) {
        errno = EOVERFLOW;
        return weft_none;
    }
    return weft_int(word_integer(array->type, array->size, word));
}

/* The public face. */

weft_array *weft_array_new(char type, size_t count)
{
    uint8_t size = type_size(type);
    if (size == 0 || count == 0) {
        errno = EINVAL;
        return NULL;
    }
    if (count > (SIZE_MAX - sizeof(struct weft_array)) / size) {
        errno = ENOMEM;
        return NULL;
    }
    size_t octets = sizeof(struct weft_array) + count * size;
    weft_array *array = wefti_block_take(octets);
    if (!array)
        return NULL;
    memset(array, 0, octets);
    array->type = type;
    array->size = size;
    array->count = count;
    array->magic = ARRAY_MAGIC;
    wefti_block_commit(array, octets);
    return array;
}

int weft_array_free(weft_array *array)
{
    if (!array)
        return 0;
    if (!wefti_member)
        return array_fails(ESTALE);
    bool whole = wefti_block_size(array) >= sizeof(struct weft_array) && __atomic_load_n(&array->magic, __ATOMIC_RELAXED) == ARRAY_MAGIC;
    if (!whole || wefti_block_withdraw(array, wefti_member) != 0) /* from here on the sweep frees it */
        return array_fails(EINVAL);
    __atomic_store_n(&array->magic, 0, __ATOMIC_RELAXED);
    wefti_block_discard(array);
    return 0;
}

size_t weft_array_length(const weft_array *array)
{
    return array->count;
}

char weft_array_type(const weft_array *array)
{
    return array->type;
}

size_t weft_array_item_size(const weft_array *array)
{
    return array->size;
}

weft_rlock *weft_array_lock(weft_array *array)
{
    return &array->lock;
}

void *weft_array_data(weft_array *array)
{
    return array->data;
}

weft_value weft_array_get(const weft_array *array, ptrdiff_t index)
{
    const char *at = array_at(array, index);
    return at ? element_value(array, at) : weft_none;
}

int64_t weft_array_get_int(const weft_array *array, ptrdiff_t index)
{
    const char *at = array_at(array, index);
    if (!at)
        return 0;
    uint64_t word = word_load(at, array->size);
    return type_real(array->type) ? real_integer(word_real(word, array->size)) : word_integer(array->type, array->size, word);
}

double weft_array_get_float(const weft_array *array, ptrdiff_t index)
{
    const char *at = array_at(array, index);
    if (!at)
        return 0;
    uint64_t word = word_load(at, array->size);
    if (type_real(array->type))
        return word_real(word, array->size);
    return type_signed(array->type) ? (double)word_integer(array->type, array->size, word) : (double)word;
}

int weft_array_set(weft_array *array, ptrdiff_t index, weft_value value)
{
    const char *at = array_at(array, index);
    uint64_t word;
    if (!at || value_word(array, value, &word) != 0)
        return -1;
    word_store((char *)at, array->size, word);
    return 0;
}

int weft_array_set_int(weft_array *array, ptrdiff_t index, int64_t value)
{
    const char *at = array_at(array, index);
    uint64_t word;
    if (!at || integer_word(array, value, &word) != 0)
        return -1;
    word_store((char *)at, array->size, word);
    return 0;
}

int weft_array_set_float(weft_array *array, ptrdiff_t index, double value)
{
    if (type_real(array->type))
        return weft_array_set(array, index, weft_float(value));
    bool whole = value >= -0x1p63 && value < 0x1p63;
    if (whole && (double)(int64_t)value == value)
        return weft_array_set_int(array, index, (int64_t)value);
    return array_at(array, index) ? array_fails(whole || value != value ? EINVAL : EOVERFLOW) : -1;
}

/* As Python cuts the ends of a slice. */
static uint64_t slice_end(const weft_array *array, ptrdiff_t end)
{
    if (end < 0)
        return 0 - (uint64_t)end > array->count ? 0 : array->count + (uint64_t)end;
    return (uint64_t)end > array->count ? array->count : (uint64_t)end;
}

weft_value weft_array_get_slice(const weft_array *array, ptrdiff_t from, ptrdiff_t to)
{
    uint64_t end = slice_end(array, to);
    weft_value list = weft_list();
    for (uint64_t at = slice_end(array, from); at < end && !weft_is_error(list); at++) {
        weft_value item = element_value(array, array->data + at * array->size);
        if (!weft_is_none(item) && weft_list_append(list, item) == 0)
            continue;
        int error = errno;
        weft_drop(list);
        list = weft_error(error, NULL);
    }
    return list;
}

/* The item at this place of what a slice is set from. */
static weft_value slice_item(weft_value values, size_t at)
{
    if (weft_kind(values) == WEFT_LIST || weft_kind(values) == WEFT_TUPLE)
        return weft_list_at(values, (ptrdiff_t)at);
    return weft_int(((const uint8_t *)weft_as_bytes(values))[at]);
}

/* Whether a slice can be set from it. */
static bool slice_source(const weft_array *array, weft_value values)
{
    enum weft_value_kind kind = weft_kind(values);
    return kind == WEFT_LIST || kind == WEFT_TUPLE || (array->type == 'c' && (kind == WEFT_STR || kind == WEFT_BYTES));
}

int weft_array_set_slice(weft_array *array, ptrdiff_t from, weft_value values)
{
    if (!slice_source(array, values))
        return array_fails(EINVAL);
    size_t count = weft_length(values);
    uint64_t begin = from < 0 ? (uint64_t)from + array->count : (uint64_t)from, word;
    if (begin > array->count || count > array->count - begin)
        return array_fails(ERANGE);
    for (size_t i = 0; i < count; i++)
        if (value_word(array, slice_item(values, i), &word) != 0)
            return -1;
    for (size_t i = 0; i < count && value_word(array, slice_item(values, i), &word) == 0; i++)
        word_store(array->data + (begin + i) * array->size, array->size, word);
    return 0;
}

int weft_array_fill(weft_array *array, weft_value value)
{
    uint64_t word;
    if (value_word(array, value, &word) != 0)
        return -1;
    for (uint64_t i = 0; i < array->count; i++)
        word_store(array->data + i * array->size, array->size, word);
    return 0;
}
