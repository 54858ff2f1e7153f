/* SPDX-License-Identifier: MIT */
/*
 * Hashes of dict keys. Keys will come from networks, so their hashes must not be foreseeable, or a peer could make all of them fall on one
 * place: SipHash-1-3 (Aumasson and Bernstein: "SipHash: a fast short-input PRF", with one round a word and three at the end), under a
 * random key of this process.
 *
 * A key is hashed as a sequence of 64-bit words: first one that tells kind and length, then its contents; a tuple's items follow its own
 * first word, however they nest, so no two keys that differ are the same sequence (frozensets, which have no order, come as a sum). Numbers
 * that are equal are made the same words first: 1, 1.0 and true. A NaN, which equals nothing, gets a hash of its own each time, or a dict
 * of many would be slow.
 */

#include <string.h>
#include <sys/random.h>

#include <weft/base.h>

#include "value/object.h"

struct sip {
    uint64_t v0, v1, v2, v3;
    uint64_t words;
    uint8_t frozen; /* the most frozensets within each other that came by */
};

static uint64_t sip_turn(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void sip_round(struct sip *sip)
{
    sip->v0 += sip->v1;
    sip->v2 += sip->v3;
    sip->v1 = sip_turn(sip->v1, 13) ^ sip->v0;
    sip->v3 = sip_turn(sip->v3, 16) ^ sip->v2;
    sip->v0 = sip_turn(sip->v0, 32) + sip->v3;
    sip->v2 += sip->v1;
    sip->v3 = sip_turn(sip->v3, 21) ^ sip->v0;
    sip->v1 = sip_turn(sip->v1, 17) ^ sip->v2;
    sip->v2 = sip_turn(sip->v2, 32);
}

static void sip_begin(struct sip *sip, uint64_t key0, uint64_t key1)
{
    *sip = (struct sip){key0 ^ 0x736f6d6570736575, key1 ^ 0x646f72616e646f6d, key0 ^ 0x6c7967656e657261, key1 ^ 0x7465646279746573, 0, 0};
}

static void sip_word(struct sip *sip, uint64_t word)
{
    sip->v3 ^= word;
    sip_round(sip);
    sip->v0 ^= word;
    sip->words++;
}

static uint64_t sip_end(struct sip *sip)
{
    sip_word(sip, sip->words << 59); /* octets modulo 256, in the last octet */
    sip->v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(sip);
    return sip->v0 ^ sip->v1 ^ sip->v2 ^ sip->v3;
}

uint64_t wefti_hash_words(uint64_t key0, uint64_t key1, const uint64_t *words, size_t count)
{
    struct sip sip;
    sip_begin(&sip, key0, key1);
    for (size_t i = 0; i < count; i++)
        sip_word(&sip, words[i]);
    return sip_end(&sip);
}

/* The key of this process, a word at a time; 0: not chosen yet. */
static uint64_t hash_key[2];

/* Whoever comes first publishes a word, the others take that. Without getrandom the address of the stack and the time must do. */
static uint64_t key_choose(uint64_t *word)
{
    uint64_t chosen = 0, found = 0;
    if (getrandom(&chosen, sizeof chosen, GRND_NONBLOCK) != sizeof chosen)
        chosen = (uint64_t)weft_clock() * 0x9e3779b97f4a7c15 ^ (uint64_t)(uintptr_t)&chosen;
    if (chosen == 0)
        chosen = 1;
    return __atomic_compare_exchange_n(word, &found, chosen, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ? chosen : found;
}

/* Relaxed: the word itself is all there is to see. */
static uint64_t key_word(uint64_t *word)
{
    uint64_t key = __atomic_load_n(word, __ATOMIC_RELAXED);
    return key ? key : key_choose(word);
}

static void hash_begin(struct sip *sip)
{
    sip_begin(sip, key_word(&hash_key[0]), key_word(&hash_key[1]));
}

static void hash_head(struct sip *sip, unsigned kind, size_t length)
{
    sip_word(sip, (uint64_t)kind << 56 ^ length);
}

static void hash_octets(struct sip *sip, const void *octets, size_t length)
{
    const char *from = octets;
    uint64_t word;
    for (; length >= sizeof word; from += sizeof word, length -= sizeof word) {
        memcpy(&word, from, sizeof word);
        sip_word(sip, word);
    }
    if (length == 0)
        return;
    word = 0;
    memcpy(&word, from, length);
    sip_word(sip, word);
}

static void hash_float(struct sip *sip, double real)
{
    static uint64_t strangers;
    uint64_t word;
    int64_t integer;
    if (real != real) {
        hash_head(sip, WEFT_FLOAT, 1);
        word = __atomic_fetch_add(&strangers, 1, __ATOMIC_RELAXED);
    } else if (wefti_float_integer(real, &integer)) {
        hash_head(sip, WEFT_INT, 0);
        word = (uint64_t)integer;
    } else {
        hash_head(sip, WEFT_FLOAT, 0);
        memcpy(&word, &real, sizeof word);
    }
    sip_word(sip, word);
}

/* A float that is as large an integer as a bigint is the same words. */
static void hash_number(struct sip *sip, double real)
{
    unsigned char octets[WEFTI_FLOAT_OCTETS];
    size_t length = wefti_bigint_of_float(real, octets);
    if (length == 0) {
        hash_float(sip, real);
        return;
    }
    hash_head(sip, WEFT_BIGINT, length);
    hash_octets(sip, octets, length);
}

/* In no order: the sum of the hashes of what is in it, which nobody outside can foresee. */
static void hash_frozenset(struct sip *sip, const struct wefti_dict *set)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < set->used; i++)
        sum += set->entries[i].hash;
    hash_head(sip, WEFT_FROZENSET, set->length);
    sip_word(sip, sum);
    if (set->container.head.more > sip->frozen)
        sip->frozen = set->container.head.more;
}

/* A text that may be a key: what may change in Python may not. */
static struct wefti_text *hash_text(weft_value key)
{
    return wefti_kind_among(key.kind, 1U << WEFT_STR | 1U << WEFT_BYTES | 1U << WEFT_BIGINT) ? wefti_text_of(key) : NULL;
}

/* Of a tuple or object only its head. False for what may not be a key. */
static bool hash_one(struct sip *sip, weft_value key)
{
    struct wefti_text *text = hash_text(key);
    if (text) {
        hash_head(sip, key.kind, text->length);
        hash_octets(sip, text->octets, text->length);
    } else if (key.kind == WEFT_NONE) {
        hash_head(sip, WEFT_NONE, 0);
    } else if (key.kind == WEFT_BOOL || key.kind == WEFT_INT) {
        hash_head(sip, WEFT_INT, 0);
        sip_word(sip, (uint64_t)key.as.integer);
    } else if (key.kind == WEFT_FLOAT) {
        hash_number(sip, key.as.real);
    } else if (wefti_object_of(key, WEFT_FROZENSET)) {
        hash_frozenset(sip, wefti_handle_object(key));
    } else if (wefti_object_of(key, WEFT_OBJECT) && !wefti_object_inert(key)) {
        hash_head(sip, WEFT_OBJECT, 0);
    } else if (wefti_object_of(key, WEFT_TUPLE)) {
        hash_head(sip, WEFT_TUPLE, weft_length(key));
    } else {
        return false;
    }
    return true;
}

/* The next item of the innermost tuple, or out of it. -1 with EINVAL, ENOMEM. */
static int hash_step(struct sip *sip, struct wefti_walk *walk)
{
    struct wefti_frame *top = wefti_walk_top(walk);
    weft_value item;
    if (!wefti_container_next(top->container, &top->at, &item)) {
        wefti_walk_leave(walk);
        return 0;
    }
    if (!hash_one(sip, item)) {
        errno = EINVAL;
        return -1;
    }
    return item.kind == WEFT_TUPLE || item.kind == WEFT_OBJECT ? wefti_walk_enter(walk, item, weft_none) : 0;
}

static int hash_tuple(struct sip *sip, weft_value tuple)
{
    struct wefti_walk walk;
    wefti_walk_begin(&walk);
    int result = wefti_walk_enter(&walk, tuple, weft_none);
    while (result == 0 && wefti_walk_top(&walk))
        result = hash_step(sip, &walk);
    wefti_walk_end(&walk);
    return result;
}

int wefti_value_hash(weft_value key, uint64_t *hash, uint8_t *frozen)
{
    struct sip sip;
    hash_begin(&sip);
    if (!hash_one(&sip, key)) {
        errno = EINVAL;
        return -1;
    }
    if ((key.kind == WEFT_TUPLE || key.kind == WEFT_OBJECT) && hash_tuple(&sip, key) != 0)
        return -1;
    *frozen = sip.frozen;
    *hash = sip_end(&sip);
    return 0;
}

uint64_t wefti_text_hash(enum weft_value_kind kind, const void *octets, size_t length)
{
    struct sip sip;
    hash_begin(&sip);
    hash_head(&sip, kind, length);
    hash_octets(&sip, octets, length);
    return sip_end(&sip);
}
