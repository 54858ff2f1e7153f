/* SPDX-License-Identifier: MIT */
/*
 * The records of checked builds. A record stands for one hold (or, where memory was out, for several) and is closed when the hold ends: by
 * a drop, or because the value was given away and its taker holds it under a new record. A closed record stays in a bounded quarantine
 * for a while, in which its address is not used again, so that whoever still has the old value is recognised.
 *
 * Ordering: `holds` tells who may go on. Whoever closes writes `closer` and `given` before the last decrement (release), and whoever finds
 * zero reads it with acquire. The quarantine is a ring of atomic places: a closer claims the next place, and frees what it displaces.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "value/object.h"

#ifdef WEFTI_SMALL
enum { QUARANTINE = 64 };
#else
enum { QUARANTINE = 8192 };
#endif

enum { RECORD_MAGIC = 0x77656674 };

struct record {
    uint32_t magic; /* RECORD_MAGIC until it is freed */
    uint32_t holds; /* that it stands for; 0: closed */
    uint8_t kind;
    bool given; /* away, rather than dropped */
    const char *closer;
    void *object;
};

static struct record *quarantine[QUARANTINE];
static uint32_t quarantine_next;

static _Noreturn void record_misuse(const struct record *record, const char *use)
{
    const char *kind = weft_kind_name(record->kind);
    if (record->magic != RECORD_MAGIC)
        dprintf(STDERR_FILENO, "weft: %s of a value that ended long ago, or never was one\n", use);
    else
        dprintf(STDERR_FILENO, "weft: %s of a value of kind %s after it was %s (by %s)\n", use, kind,
            record->given ? "given away" : "dropped", record->closer ? record->closer : "somebody");
    abort();
}

static struct record *record_open(weft_value value, const char *use)
{
    struct record *record = value.as.pointer;
    if (record->magic != RECORD_MAGIC || __atomic_load_n(&record->holds, __ATOMIC_ACQUIRE) == 0)
        record_misuse(record, use);
    return record;
}

static struct record *record_new(uint8_t kind, void *object)
{
    struct record *record = wefti_alloc(sizeof *record);
    if (record)
        *record = (struct record){.magic = RECORD_MAGIC, .holds = 1, .kind = kind, .object = object};
    return record;
}

static void record_quarantine(struct record *record)
{
    uint32_t place = __atomic_fetch_add(&quarantine_next, 1, __ATOMIC_RELAXED) % QUARANTINE;
    struct record *displaced = __atomic_exchange_n(&quarantine[place], record, __ATOMIC_ACQ_REL);
    if (!displaced)
        return;
    displaced->magic = 0;
    wefti_release(displaced);
}

static void record_close(struct record *record, const char *use, bool given, const char *closer)
{
    uint32_t holds = __atomic_load_n(&record->holds, __ATOMIC_ACQUIRE);
    do {
        if (holds == 0)
            record_misuse(record, use);
        if (holds == 1) {
            __atomic_store_n(&record->closer, closer, __ATOMIC_RELAXED);
            __atomic_store_n(&record->given, given, __ATOMIC_RELAXED);
        }
    } while (!__atomic_compare_exchange_n(&record->holds, &holds, holds - 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    if (holds == 1)
        record_quarantine(record);
}

void *wefti_handle_object(weft_value value)
{
    return record_open(value, "use")->object;
}

bool wefti_handle_open(weft_value *value, void *object)
{
    value->as.pointer = record_new(value->kind, object);
    return value->as.pointer;
}

void wefti_handle_move(weft_value *value, void *object)
{
    ((struct record *)value->as.pointer)->object = object;
}

weft_value wefti_handle_again(weft_value value)
{
    struct record *old = record_open(value, "use");
    int before = errno;
    struct record *new = record_new(old->kind, old->object);
    if (new)
        value.as.pointer = new;
    else
        __atomic_fetch_add(&old->holds, 1, __ATOMIC_RELAXED);
    errno = before;
    return value;
}

void *wefti_handle_close(weft_value value, const char *closer)
{
    struct record *record = record_open(value, "drop");
    void *object = record->object;
    record_close(record, "drop", false, closer);
    return object;
}

weft_value wefti_value_take_by(weft_value value, const char *taker)
{
    if (!wefti_value_counted(value))
        return value;
    struct record *old = record_open(value, "giving away");
    int before = errno;
    struct record *new = record_new(old->kind, old->object);
    errno = before;
    if (!new)
        return value;
    record_close(old, "giving away", true, taker);
    value.as.pointer = new;
    return value;
}
