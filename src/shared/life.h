/* SPDX-License-Identifier: MIT */
/*
 * Lives: what is known, in the arena, of each task that uses shared objects, so that others can put right what it leaves when it dies: what
 * it holds, and which words it sleeps on.
 *
 * Whoever is about to take something of a shared object (a lock, a permit, an item) writes that down first, as a holding of its life, and
 * strikes it out when it has given it back and woken whom it had to. So a holding says "perhaps", and the object says whether: who mends
 * looks there.
 */
#ifndef WEFTI_LIFE_H
#define WEFTI_LIFE_H

#include "shared/seat.h"

/* Of a word's owner: bits 0 to 16 the number of the life in its seat, 17 to 28 the seat. Never 0. */
enum { WEFTI_LIFE_BITS = 17, WEFTI_LIFE_LIMIT = 1 << WEFTI_LIFE_BITS };

static inline uint32_t wefti_life_seat(uint32_t ident)
{
    return ident >> WEFTI_LIFE_BITS;
}

enum wefti_holding_kind {
    WEFTI_HOLD_NOTHING,
    WEFTI_HOLD_LOCK,    /* a weft_lock */
    WEFTI_HOLD_READER,  /* a weft_rwlock, for reading */
    WEFTI_HOLD_WRITER,  /* and for writing */
    WEFTI_HOLD_PERMITS, /* a weft_semaphore */
    WEFTI_HOLD_PARTY,   /* a weft_barrier */
    WEFTI_HOLD_ONCE,    /* a weft_once */
    WEFTI_HOLD_QUEUE,   /* a shared queue: values of it */
    WEFTI_HOLD_MAP,     /* a weft_map */
    WEFTI_HOLD_PROCESS, /* a struct wefti_process */
    WEFTI_HOLD_POOL,    /* a pool of processes */
    WEFTI_HOLD_TASK,    /* a process task's record */
    WEFTI_HOLD_KINDS
};

/* What a task sleeps on that it holds nothing of; of a weft_rwlock its gate, or, as one who wants to write, that its readers leave. */
enum wefti_sleep {
    WEFTI_SLEEP_WORD,
    WEFTI_SLEEP_CONDITION,
    WEFTI_SLEEP_EVENT,
    WEFTI_SLEEP_PERMITS,
    WEFTI_SLEEP_GATE,
    WEFTI_SLEEP_READERS,
    WEFTI_SLEEPS
};

struct wefti_holding {
    uint64_t object; /* its address, the kind in bits 56 to 63; 0: free. Written last when the holding begins, alone when it ends */
    uint64_t detail; /* the kind's own */
};

enum { WEFTI_LIFE_HOLDINGS = 14, WEFTI_LIFE_MORE = 31, WEFTI_LIFE_WAITS = 33 };

/* When those of a life are used up. Linked before it is committed. */
struct wefti_life_more {
    struct wefti_life_more *next;
    uint64_t reserved;
    struct wefti_holding holdings[WEFTI_LIFE_MORE];
};

/* A change of two words that is being made: joint.c. */
struct wefti_joint {
    uint64_t state; /* others may set a bit in it */
    uint64_t *word;
    struct wefti_holding *holding;
    uint64_t detail; /* what the holding's will be */
};

/* Written by its task alone, while that lives; read by anybody. */
struct wefti_life {
    uint32_t ident;          /* constant */
    int32_t thread;          /* the kernel's number of its thread; 0: nobody has the life */
    struct wefti_life *next; /* in the seat's list; constant */
    struct wefti_life_more *more;
    char name[16];       /* its thread's or coroutine's, for `weft ps`; may be read half written */
    uint64_t since;      /* weft_clock at the beginning of the present sleep */
    uint32_t waits_used; /* how many of `waits` it sleeps on; stored (sequentially consistent) after them and before the sleep */
    uint32_t inside;     /* it is changing a holding together with its object: signal handlers that interrupt that leave both alone */
    const uint32_t *waits[WEFTI_LIFE_WAITS];
    uint32_t leases; /* how many of the holdings are a queue's leases: the queue floor's, which need not look for what is not there */
    uint32_t sleep;  /* enum wefti_sleep: what the first of `waits` lies in, where no holding tells; for `weft ps` */
    struct wefti_joint joint;
    union {
        uint64_t meeting; /* shared/meeting.h; not only its task's to write */
        uint32_t meeting_word;
    };
    struct wefti_holding holdings[WEFTI_LIFE_HOLDINGS];
};

/*
 * What the table of a family looks like, in a number: sizes, and the last of each enumeration. Another build of the library may read an
 * arena of the same number, and no other: it would take one state for another.
 */
#define WEFTI_ARENA_LAYOUT                                                                                                \
    (((((uint64_t)sizeof(struct wefti_family) << 16 ^ sizeof(struct wefti_life)) << 8 ^ sizeof(struct wefti_seat)) << 8 ^ \
         (uint64_t)WEFTI_SEAT_GONE << 4 ^ WEFTI_HOLD_KINDS)                                                               \
            << 8 ^                                                                                                        \
        sizeof(struct wefti_life_more) ^ sizeof(struct wefti_arena))

/*
 * A life for the calling task, which ends it. NULL with ESTALE (this process is no member of the arena's family), ENOMEM, EAGAIN (131071
 * tasks have one). Life 0 of a process is its own: wefti_hold_process.
 */
struct wefti_life *wefti_life_begin(void);
/* Mends what its task still holds, and lets another have it. NULL is allowed. */
void wefti_life_end(struct wefti_life *life);

/* The life with this ident, or NULL. Lives stay where they are; their tasks come and go. */
struct wefti_life *wefti_life_of(uint32_t ident);

/* A place for one more holding, still empty; NULL with ENOMEM. It stays empty unless wefti_hold is called. By the life's task. */
struct wefti_holding *wefti_holding_find(struct wefti_life *life);

/* Begins a holding: before the object is touched. The compiler's order is the order that counts: a process that dies has made its stores in
 * order. */
static inline void wefti_hold(struct wefti_holding *holding, enum wefti_holding_kind kind, const void *object, uint64_t detail)
{
    __atomic_store_n(&holding->detail, detail, __ATOMIC_RELAXED);
    __atomic_store_n(&holding->object, (uint64_t)(uintptr_t)object | (uint64_t)kind << 56, __ATOMIC_RELEASE);
}

/* Ends it: after the last touch of the object, and the last wake that was owed. */
static inline void wefti_unhold(struct wefti_holding *holding)
{
    __atomic_store_n(&holding->object, 0, __ATOMIC_RELEASE);
}

static inline bool wefti_holding_is(const struct wefti_holding *holding, enum wefti_holding_kind kind, const void *object)
{
    return __atomic_load_n(&holding->object, __ATOMIC_RELAXED) == ((uint64_t)(uintptr_t)object | (uint64_t)kind << 56);
}

/* The life's holding of this object, or NULL. By the life's task. */
struct wefti_holding *wefti_holding_of(struct wefti_life *life, enum wefti_holding_kind kind, const void *object);

/* Holdings of this process as such, whichever of its tasks began them. 0; -1 as wefti_life_begin. */
int wefti_hold_process(enum wefti_holding_kind kind, const void *object, uint64_t detail);
void wefti_unhold_process(enum wefti_holding_kind kind, const void *object);

/*
 * Puts right what a dead task held of one object, whether it did or was about to; then wakes whoever may wait for that. `dead` is the
 * life's ident (number 0: the process as such). It may be called again for the same, also after somebody died in it; and the object may be
 * freed, and something else by now: so it changes nothing that does not bear the mark of the dead. Set by the floors, when the library is
 * loaded.
 */
typedef void wefti_mender(uint32_t dead, void *object, uint64_t detail);
extern wefti_mender *wefti_menders[WEFTI_HOLD_KINDS] __attribute__((visibility("hidden")));

/* Puts right one holding of the dead, and strikes it out. */
void wefti_holding_mend(uint32_t dead, struct wefti_holding *holding);

/*
 * The sweep: all that the dead member of this seat left, and the holding `besides` (NULL: none) after those of its lives. May be repeated.
 * By another member. Who waits for the word `but` (NULL: none) is not woken: the caller does that next.
 */
void wefti_seat_mend(struct wefti_family *family, uint32_t seat, struct wefti_holding *besides, const uint32_t *but);

/* Takes down, and strikes out, what the life's task is about to sleep on: `count` addresses, of which those beyond WEFTI_LIFE_WAITS are
 * left out. */
void wefti_life_sleeps(struct wefti_life *life, const uint32_t *const *words, unsigned count);
static inline void wefti_life_wakes(struct wefti_life *life)
{
    __atomic_store_n(&life->waits_used, 0, __ATOMIC_RELAXED);
}

#endif
