/* SPDX-License-Identifier: MIT */
/*
 * Queues in another order than that of the puts, in the memory of one process: last in, first out, and by priority.
 *
 * The values stand in an array of entries: a stack, or a heap of four branches a node, of which the first is the next to come out. A
 * bounded queue has all its room from the beginning; an unbounded one doubles it, and halves it when three quarters are unused. All of it
 * is under one latch, as both ends meet at the same place.
 *
 * The gap. A get takes the first out of the heap and leaves its place empty (`gap`), the others standing where they stood. The put that
 * comes next fills it, so that a get and a put go through the heap once; a get that comes next fills it with the last entry.
 *
 * Order. An entry has its key and the number of its put. The least key comes first, then what `compare` puts first, then the lower
 * number. So the place of an entry in the array follows from what stands in the entries alone: the array could be put in order anew from
 * them, whatever a process that died had left. A key of 0, or no function, leaves the decision to the next. Without a key function of the
 * user's, the key of a value is the part of its natural order that a number can hold:
 * the number itself, rounded down; the largest there is for texts, which `natural_compare` then tells apart.
 *
 * Waiting is at two doors (queue.h): at `filled` for a value, at `emptied` for room. Close sets `closed` under the latch and rings both.
 *
 * Opening the latch is the last that a call touches, and free passes it: who has got the value may free the queue though the put has not
 * quite returned. After a fork the child has a copy, usable if no other thread was inside a call on it at that moment.
 */

#include <errno.h>
#include <string.h>

#include "base/latch.h"
#include "base/memory.h"
#include "queue/queue.h"
#include "value/value.h"
#include "wait/wait.h"

#ifdef WEFTI_SMALL
enum { ROOM_LEAST = 2 };
#else
enum { ROOM_LEAST = 64 };
#endif
enum { BRANCHES = 4 };

__extension__ typedef __int128 entry_order; /* key and number as one, the key above */
__extension__ typedef unsigned __int128 entry_bits;

struct entry {
    int64_t key;
    uint64_t number;
    weft_value value;
};

struct ordered {
    struct weft_queue queue;
    bool stack; /* constant, as the next three */
    weft_queue_key *key;
    weft_queue_compare *compare; /* NULL: the key decides */
    void *data;
    struct wefti_latch latch __attribute__((aligned(128))); /* of all that follows */
    struct wefti_door filled, emptied;
    uint64_t puts; /* read without the latch, as the next */
    size_t count;  /* of values */
    size_t room;   /* for entries */
    struct entry *entries;
    bool gap;   /* the root is a gap, and the values stand behind it */
    bool exact; /* there are ints only: of equal keys the values are equal, and need not be compared */
};

/* Numbers before strs before bytes; what has no order is no part of a queue. */
static int natural_rank(weft_value value)
{
    return value.kind <= WEFT_FLOAT ? 0 : value.kind;
}

/* What a value is ordered by: itself, or what it begins with. */
static weft_value natural_part(weft_value value)
{
    if (value.kind != WEFT_TUPLE && value.kind != WEFT_LIST)
        return value;
    return weft_length(value) > 0 ? weft_list_at(value, 0) : weft_none;
}

static int text_compare(weft_value a, weft_value b)
{
    size_t first = weft_length(a), second = weft_length(b);
    int order = memcmp(weft_as_bytes(a), weft_as_bytes(b), first < second ? first : second);
    return order != 0 ? order : (first > second) - (first < second);
}

/* Of two whose keys are equal, so that numbers differ in their fractions at most. */
static int natural_compare(weft_value a, weft_value b, void *data)
{
    (void)data;
    a = natural_part(a);
    b = natural_part(b);
    int rank = natural_rank(a) - natural_rank(b);
    if (rank != 0 || a.kind == WEFT_STR || a.kind == WEFT_BYTES)
        return rank != 0 ? rank : text_compare(a, b);
    if (a.kind != WEFT_FLOAT && b.kind != WEFT_FLOAT)
        return 0;
    long double first = a.kind == WEFT_FLOAT ? (long double)a.as.real : (long double)a.as.integer;
    long double second = b.kind == WEFT_FLOAT ? (long double)b.as.real : (long double)b.as.integer;
    return (first > second) - (first < second);
}

/* The whole number below, or the nearest there is. */
static int64_t float_floor(double real)
{
    if (real < -0x1p63)
        return INT64_MIN;
    if (real >= 0x1p63)
        return INT64_MAX;
    int64_t whole = (int64_t)real;
    return (double)whole > real ? whole - 1 : whole;
}

/* False: the value has no order. */
static bool natural_key(weft_value value, int64_t *key)
{
    value = natural_part(value);
    switch (value.kind) {
    case WEFT_INT:
    case WEFT_BOOL:
        *key = value.as.integer;
        return true;
    case WEFT_FLOAT:
        *key = value.as.real == value.as.real ? float_floor(value.as.real) : 0;
        return value.as.real == value.as.real;
    case WEFT_STR:
    case WEFT_BYTES:
        *key = INT64_MAX;
        return true;
    default:
        return false;
    }
}

/* Whether keys and numbers tell the order of all that is in it. */
static inline bool ordered_is_plain(const struct ordered *ordered)
{
    return !ordered->compare || ordered->exact;
}

/* False when the value has no order. */
static bool ordered_key(const struct ordered *ordered, weft_value value, int64_t *key)
{
    *key = 0;
    if (ordered->key)
        *key = ordered->key(value, ordered->data);
    return ordered->compare != natural_compare || natural_key(value, key);
}

/* Key and number as one, so that a comparison is two instructions and no branch. */
static inline entry_order entry_rank(const struct entry *entry)
{
    return (entry_order)((entry_bits)(uint64_t)entry->key << 64 | entry->number);
}

static bool entry_before(const struct ordered *ordered, const struct entry *a, const struct entry *b)
{
    if (a->key != b->key || ordered_is_plain(ordered))
        return entry_rank(a) < entry_rank(b);
    int order = ordered->compare(a->value, b->value, ordered->data);
    return order != 0 ? order < 0 : a->number < b->number;
}

/* Moves the entry that belongs at `at` or nearer to the root there. */
static void heap_rise(const struct ordered *ordered, size_t at, const struct entry *entry)
{
    struct entry *entries = ordered->entries;
    while (at > 0) {
        size_t above = (at - 1) / BRANCHES;
        if (!entry_before(ordered, entry, &entries[above]))
            break;
        entries[at] = entries[above];
        at = above;
    }
    entries[at] = *entry;
}

/* Without a branch: of two random numbers no processor can tell beforehand which is the lower. */
static inline size_t choose(bool second, size_t here, size_t there)
{
    return here ^ ((here ^ there) & -(size_t)second);
}

/*
 * The first of the four branches that begin at `at`, by keys and numbers alone. Each is read but once, all at the same time, as every step
 * down waits for this.
 */
static inline size_t branches_first_plainly(const struct entry *entries, size_t at)
{
    entry_order a = entry_rank(&entries[at]), b = entry_rank(&entries[at + 1]);
    entry_order c = entry_rank(&entries[at + 2]), d = entry_rank(&entries[at + 3]);
    entry_order left = b < a ? b : a, right = d < c ? d : c;
    return choose(right < left, at + (b < a), at + 2 + (d < c));
}

/* Moves the gap at the root down to where it has less than all branches, by keys and numbers alone: where it is then. */
static size_t heap_descend_plainly(struct entry *entries, size_t count)
{
    size_t at = 0;
    for (size_t below = 1; below + BRANCHES <= count; below = BRANCHES * at + 1) {
        size_t first = branches_first_plainly(entries, below);
        entries[at] = entries[first];
        at = first;
    }
    return at;
}

/* The first in order of the branches that begin at `at`, of `count` entries. */
static size_t branch_first(const struct ordered *ordered, size_t at, size_t count)
{
    const struct entry *entries = ordered->entries;
    size_t first = at, end = at + BRANCHES < count ? at + BRANCHES : count;
    while (++at < end)
        if (entry_before(ordered, &entries[at], &entries[first]))
            first = at;
    return first;
}

/*
 * Closes the gap at the root of `count` entries with another entry: down to a leaf, where it then rises from. It seldom rises far, be it
 * the last, which came from there, or one that was just put.
 */
static void heap_close_gap(struct ordered *ordered, size_t count, const struct entry *entry)
{
    struct entry *entries = ordered->entries;
    size_t at = ordered_is_plain(ordered) ? heap_descend_plainly(entries, count) : 0;
    for (size_t below = BRANCHES * at + 1; below < count; below = BRANCHES * at + 1) {
        size_t first = branch_first(ordered, below, count);
        entries[at] = entries[first];
        at = first;
    }
    heap_rise(ordered, at, entry);
    ordered->gap = false;
}

/* Takes the first out of a heap that is not empty, and leaves a gap. */
static weft_value heap_take(struct ordered *ordered)
{
    if (ordered->gap) {
        struct entry last = ordered->entries[ordered->count];
        heap_close_gap(ordered, ordered->count, &last);
    }
    ordered->gap = ordered->count > 1;
    return ordered->entries[0].value;
}

static void heap_add(struct ordered *ordered, const struct entry *entry)
{
    if (ordered->gap)
        heap_close_gap(ordered, ordered->count + 1, entry);
    else
        heap_rise(ordered, ordered->count, entry);
}

static bool ordered_resize(struct ordered *ordered, size_t room)
{
    struct entry *entries = room <= PTRDIFF_MAX / sizeof(*entries) ? wefti_realloc(ordered->entries, room * sizeof(*entries)) : NULL;
    if (!entries)
        return false;
    ordered->entries = entries;
    ordered->room = room;
    return true;
}

static void ordered_count(struct ordered *ordered, size_t count)
{
    __atomic_store_n(&ordered->count, count, __ATOMIC_RELEASE);
}

/* The latch is held. 0, EPIPE, EAGAIN (full), ENOMEM. */
static int ordered_add(struct ordered *ordered, weft_value value, int64_t key)
{
    size_t count = ordered->count;
    if (wefti_queue_is_closed(&ordered->queue))
        return EPIPE;
    if (count >= ordered->queue.capacity)
        return EAGAIN;
    if (count == ordered->room && !ordered_resize(ordered, 2 * ordered->room))
        return ENOMEM;
    ordered->exact = (ordered->exact || count == 0) && ordered->compare == natural_compare && natural_part(value).kind <= WEFT_INT;
    struct entry entry = {.key = key, .number = ordered->puts, .value = wefti_value_take(value)};
    if (ordered->stack)
        ordered->entries[count] = entry;
    else
        heap_add(ordered, &entry);
    ordered_count(ordered, count + 1);
    __atomic_store_n(&ordered->puts, ordered->puts + 1, __ATOMIC_RELEASE);
    return 0;
}

/* The latch is held. 0, EPIPE (closed and empty), EAGAIN (empty). */
static int ordered_remove(struct ordered *ordered, weft_value *value)
{
    if (ordered->count == 0)
        return wefti_queue_is_closed(&ordered->queue) ? EPIPE : EAGAIN;
    *value = ordered->stack ? ordered->entries[ordered->count - 1].value : heap_take(ordered);
    ordered_count(ordered, ordered->count - 1);
    if (ordered->queue.capacity == WEFT_UNBOUNDED && ordered->room > ROOM_LEAST && ordered->count == ordered->room / 4)
        ordered_resize(ordered, ordered->room / 2); /* or keeps what it has */
    return 0;
}

static void door_wake(const struct wefti_door *door, bool wake)
{
    if (wake)
        weft_wake(&door->bell, 1);
}

/* Its number is below all that were given. */
static int ordered_back(weft_queue *queue, weft_value value)
{
    struct ordered *ordered = (struct ordered *)queue;
    int64_t key = 0;
    ordered_key(ordered, value, &key);
    wefti_latch_close(&ordered->latch);
    if (ordered->count == ordered->room && !ordered_resize(ordered, 2 * ordered->room)) {
        wefti_latch_open(&ordered->latch);
        return -1;
    }
    struct entry entry = {.key = key, .number = 0, .value = wefti_value_take(value)};
    if (ordered->count == 0)
        ordered->exact = false;
    if (ordered->stack)
        ordered->entries[ordered->count] = entry;
    else
        heap_add(ordered, &entry);
    ordered_count(ordered, ordered->count + 1);
    bool wake = wefti_door_bring(&ordered->filled);
    wefti_latch_open(&ordered->latch);
    door_wake(&ordered->filled, wake);
    return 0;
}

static size_t ordered_put_some(weft_queue *queue, const weft_value *values, size_t count, int *error)
{
    struct ordered *ordered = (struct ordered *)queue;
    size_t put = 0;
    *error = 0;
    wefti_latch_close(&ordered->latch);
    for (int64_t key; put < count; put++) {
        *error = ordered_key(ordered, values[put], &key) ? ordered_add(ordered, values[put], key) : EINVAL;
        if (*error)
            break;
    }
    bool wake = put > 0 && wefti_door_bring(&ordered->filled);
    wefti_latch_open(&ordered->latch);
    door_wake(&ordered->filled, wake);
    return put;
}

static size_t ordered_get_some(weft_queue *queue, weft_value *values, size_t count, int *error)
{
    struct ordered *ordered = (struct ordered *)queue;
    size_t got = 0;
    *error = 0;
    wefti_latch_close(&ordered->latch);
    while (got < count && !(*error = ordered_remove(ordered, &values[got])))
        got++;
    bool wake = got > 0 && wefti_door_bring(&ordered->emptied);
    wefti_latch_open(&ordered->latch);
    door_wake(&ordered->emptied, wake);
    return got;
}

/* 0, EPIPE, EAGAIN, ENOMEM. */
static int ordered_try_put(struct ordered *ordered, weft_value value, int64_t key)
{
    wefti_latch_close(&ordered->latch);
    int error = ordered_add(ordered, value, key);
    bool wake = error == 0 && wefti_door_bring(&ordered->filled);
    wefti_latch_open(&ordered->latch);
    door_wake(&ordered->filled, wake);
    return error;
}

/* 0, EPIPE, EAGAIN. */
static int ordered_try_get(struct ordered *ordered, weft_value *value)
{
    wefti_latch_close(&ordered->latch);
    int error = ordered_remove(ordered, value);
    bool wake = error == 0 && wefti_door_bring(&ordered->emptied);
    wefti_latch_open(&ordered->latch);
    door_wake(&ordered->emptied, wake);
    return error;
}

/* Whether those who wait at the door need not. The latch is held. */
static bool door_has(const struct ordered *ordered, const struct wefti_door *door)
{
    if (wefti_queue_is_closed(&ordered->queue))
        return true;
    return door == &ordered->filled ? ordered->count > 0 : ordered->count < ordered->queue.capacity;
}

static void door_quit(struct ordered *ordered, struct wefti_door *door)
{
    wefti_latch_close(&ordered->latch);
    bool wake = wefti_door_leave(door, door_has(ordered, door));
    wefti_latch_open(&ordered->latch);
    door_wake(door, wake);
}

/* What a try that found `error` does next: 0 to try again, after a wait at the door; -1 with errno. */
static int ordered_retry(struct ordered *ordered, struct wefti_door *door, int error, weft_time deadline)
{
    if (error != EAGAIN || deadline <= WEFT_NOW) {
        errno = error;
        return -1;
    }
    wefti_latch_close(&ordered->latch);
    bool has = door_has(ordered, door);
    uint32_t bell = has ? 0 : wefti_door_watch(door);
    wefti_latch_open(&ordered->latch);
    if (has)
        return 0;
    int waited = weft_wait(&door->bell, bell, deadline);
    int why = errno;
    door_quit(ordered, door);
    errno = why;
    return waited;
}

static int ordered_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    struct ordered *ordered = (struct ordered *)queue;
    int64_t key;
    if (!ordered_key(ordered, value, &key)) {
        errno = EINVAL;
        return -1;
    }
    for (;;) {
        int error = ordered_try_put(ordered, value, key);
        if (__builtin_expect(error == 0, 1))
            return 0;
        if (ordered_retry(ordered, &ordered->emptied, error, deadline) < 0)
            return -1;
    }
}

static int ordered_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    struct ordered *ordered = (struct ordered *)queue;
    for (;;) {
        int error = ordered_try_get(ordered, value);
        if (__builtin_expect(error == 0, 1))
            return 0;
        if (ordered_retry(ordered, &ordered->filled, error, deadline) < 0)
            return -1;
    }
}

static size_t ordered_size(const weft_queue *queue)
{
    return __atomic_load_n(&((const struct ordered *)queue)->count, __ATOMIC_ACQUIRE);
}

static void door_wake_all(struct wefti_latch *latch, struct wefti_door *door)
{
    wefti_latch_close(latch);
    door->armed = false;
    wefti_door_ring(door);
    wefti_latch_open(latch);
    weft_wake(&door->bell, UINT32_MAX);
}

static void ordered_close(weft_queue *queue)
{
    struct ordered *ordered = (struct ordered *)queue;
    wefti_latch_close(&ordered->latch);
    __atomic_store_n(&queue->closed, 1, __ATOMIC_RELEASE);
    wefti_latch_open(&ordered->latch);
    door_wake_all(&ordered->latch, &ordered->filled);
    door_wake_all(&ordered->latch, &ordered->emptied);
}

static void ordered_free(weft_queue *queue)
{
    struct ordered *ordered = (struct ordered *)queue;
    wefti_queue_latch_pass(&ordered->latch);
    for (size_t i = 0; i < ordered->count; i++)
        weft_drop(ordered->entries[i + ordered->gap].value);
    wefti_release(ordered->entries);
    wefti_release(ordered);
}

static int ordered_case_get(weft_case *one)
{
    struct ordered *ordered = one->object;
    if (ordered_size(&ordered->queue) == 0 && !wefti_queue_is_closed(&ordered->queue))
        return 0;
    return wefti_queue_outcome(ordered_try_get(ordered, one->operation));
}

static int ordered_case_put(weft_case *one)
{
    struct ordered *ordered = one->object;
    weft_value value = *(weft_value *)one->operation;
    int64_t key;
    if (ordered_size(&ordered->queue) >= ordered->queue.capacity && !wefti_queue_is_closed(&ordered->queue))
        return 0;
    return wefti_queue_outcome(ordered_key(ordered, value, &key) ? ordered_try_put(ordered, value, key) : EINVAL);
}

/* Becomes a waiter at the door. True when it need not wait. */
static bool door_case_watch(struct ordered *ordered, struct wefti_door *door, struct wefti_item *item)
{
    wefti_latch_close(&ordered->latch);
    item->kind = WEFTI_WORD;
    item->word = &door->bell;
    item->expected = wefti_door_watch(door);
    bool has = door_has(ordered, door);
    wefti_latch_open(&ordered->latch);
    return has;
}

static bool ordered_case_get_enqueue(weft_case *one, struct wefti_item *item)
{
    struct ordered *ordered = one->object;
    return door_case_watch(ordered, &ordered->filled, item);
}

static bool ordered_case_put_enqueue(weft_case *one, struct wefti_item *item)
{
    struct ordered *ordered = one->object;
    return door_case_watch(ordered, &ordered->emptied, item);
}

static void ordered_case_get_dequeue(weft_case *one)
{
    struct ordered *ordered = one->object;
    door_quit(ordered, &ordered->filled);
}

static void ordered_case_put_dequeue(weft_case *one)
{
    struct ordered *ordered = one->object;
    door_quit(ordered, &ordered->emptied);
}

static const struct weft_waitable ordered_get_waitable = {
    .ready = ordered_case_get, .enqueue = ordered_case_get_enqueue, .dequeue = ordered_case_get_dequeue};
static const struct weft_waitable ordered_put_waitable = {
    .ready = ordered_case_put, .enqueue = ordered_case_put_enqueue, .dequeue = ordered_case_put_dequeue};

static const struct wefti_queue_kind ordered_kind = {
    .put = ordered_put,
    .get = ordered_get,
    .put_some = ordered_put_some,
    .get_some = ordered_get_some,
    .size = ordered_size,
    .back = ordered_back,
    .close = ordered_close,
    .free = ordered_free,
    .get_case = &ordered_get_waitable,
    .put_case = &ordered_put_waitable,
};

weft_queue *wefti_queue_ordered_new(const struct weft_queue_options *options)
{
    size_t room = options->capacity == WEFT_UNBOUNDED ? ROOM_LEAST : options->capacity;
    if (room > PTRDIFF_MAX / sizeof(struct entry)) {
        errno = EINVAL;
        return NULL;
    }
    struct ordered *ordered = wefti_alloc_aligned(_Alignof(struct ordered), sizeof(*ordered));
    struct entry *entries = wefti_alloc_raw(room * sizeof(*entries));
    if (!ordered || !entries) {
        wefti_release(ordered);
        wefti_release(entries);
        return NULL;
    }
    memset(ordered, 0, sizeof(*ordered));
    ordered->queue.kind = &ordered_kind;
    ordered->queue.capacity = options->capacity;
    ordered->queue.puts = &ordered->puts;
    ordered->stack = options->order == WEFT_LIFO;
    ordered->key = options->key;
    ordered->compare = ordered->stack || options->key || options->compare ? options->compare : natural_compare;
    ordered->data = options->data;
    ordered->room = room;
    ordered->entries = entries;
    return &ordered->queue;
}
