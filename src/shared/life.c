/* SPDX-License-Identifier: MIT */
/*
 * Seats and lives: the table of a family, and the sweep after a death.
 *
 * The table is a block of the arena, made with the first life or process; the process that makes it is the root, seat 1.
 *
 * A life is made once for each number of a seat and never freed: when its task ends, another of the same process takes it, and when the
 * process has died and been swept, the next one with that seat does. So whoever walks over lives needs no lock and never meets freed
 * memory. A new one is linked first and committed afterwards: who sweeps commits what he finds linked, so a death in between loses nothing.
 *
 * The sweep of a dead member: each of its holdings is mended by the floor that knows the object, then struck out; its blocks in hand are
 * taken back; then every word that a living task says it sleeps on is woken. That last step closes the cases that have no owner to be
 * found: a wake that the dead had been given and had not used, one that it owed. A sleeper writes its words down before the kernel compares
 * them (sequentially consistent store of waits_used), the sweep mends before it reads waits_used (sequentially consistent load): either it
 * finds the sleeper, or the kernel finds what was mended. Each step may be done twice.
 *
 * A thread that ends in a living process mends its own life in the same way.
 *
 * fork: the child of the host's own has no lives, and is no member.
 */

#include "shared/life.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/latch.h"
#include "base/opening.h"
#include "shared/block.h"
#include "shared/joint.h"

wefti_mender *wefti_menders[WEFTI_HOLD_KINDS];

static struct wefti_latch latch;        /* of this process: who has which life, and the holdings of the next */
static struct wefti_life *process_life; /* of this process as such */

enum { KIND_SHIFT = 56 };

/* The table. */

static pthread_mutexattr_t *life_attributes(pthread_mutexattr_t *attributes)
{
    pthread_mutexattr_init(attributes);
    pthread_mutexattr_setpshared(attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(attributes, PTHREAD_MUTEX_ROBUST);
    return attributes;
}

static void family_fill(struct wefti_family *family)
{
    struct timespec now;
    pthread_mutexattr_t attributes;
    memset(family, 0, sizeof(*family));
    life_attributes(&attributes);
    for (unsigned i = 0; i < WEFTI_KEEPERS; i++)
        pthread_mutex_init(&family->keepers[i].life, &attributes);
    pthread_mutexattr_destroy(&attributes);
    clock_gettime(CLOCK_BOOTTIME, &now);
    family->root = getpid();
    family->seats[WEFTI_SEAT_ROOT].pid = getpid();
    family->seats[WEFTI_SEAT_ROOT].started = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    family->seats[WEFTI_SEAT_ROOT].state = WEFTI_SEAT_TAKEN;
}

struct wefti_family *wefti_family_get(void)
{
    struct wefti_family *family = wefti_family_now();
    struct wefti_arena *arena = family || !wefti_member ? NULL : wefti_arena_get();
    if (family || !wefti_member || !arena) {
        errno = wefti_member ? errno : ESTALE;
        return wefti_member ? family : NULL;
    }
    family = wefti_block_take(sizeof(*family));
    if (!family)
        return NULL;
    family_fill(family);
    uint64_t none = 0;
    if (__atomic_compare_exchange_n(&arena->family, &none, (uintptr_t)family, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        wefti_block_commit(family, sizeof(*family));
        return family;
    }
    wefti_block_cancel(family, sizeof(*family)); /* another thread was faster */
    return wefti_family_now();
}

/* Lives. */

static uint32_t life_number(const struct wefti_life *life)
{
    return life->ident & (WEFTI_LIFE_LIMIT - 1);
}

/* A life of this seat with the next number, linked. Under the latch: nobody else links to this seat. */
static struct wefti_life *life_make(struct wefti_seat *seat)
{
    uint32_t number = seat->lives ? life_number(seat->lives) + 1 : 0;
    struct wefti_life *life = number < WEFTI_LIFE_LIMIT ? wefti_block_take(sizeof(*life)) : NULL;
    if (!life) {
        errno = number < WEFTI_LIFE_LIMIT ? errno : EAGAIN;
        return NULL;
    }
    memset(life, 0, sizeof(*life));
    life->ident = (uint32_t)wefti_member << WEFTI_LIFE_BITS | number;
    life->next = seat->lives;
    __atomic_store_n(&seat->lives, life, __ATOMIC_RELEASE); /* pairs with the acquire of who walks */
    wefti_block_commit(life, sizeof(*life));
    return life;
}

/* That of the process as such is made first, and has the number 0. */
static struct wefti_life *life_of_process(struct wefti_seat *seat)
{
    if (process_life)
        return process_life;
    struct wefti_life *life = seat->lives;
    while (life && life_number(life) > 0)
        life = life->next;
    if (!life)
        life = life_make(seat);
    if (life)
        __atomic_store_n(&life->thread, getpid(), __ATOMIC_RELAXED);
    return process_life = life;
}

static struct wefti_life *life_take(struct wefti_seat *seat)
{
    if (!life_of_process(seat))
        return NULL;
    struct wefti_life *life = seat->lives;
    while (life && (life == process_life || __atomic_load_n(&life->thread, __ATOMIC_ACQUIRE) != 0))
        life = life->next;
    if (!life)
        life = life_make(seat);
    if (life)
        __atomic_store_n(&life->thread, gettid(), __ATOMIC_RELAXED);
    return life;
}

struct wefti_life *wefti_life_begin(void)
{
    struct wefti_family *family = wefti_family_get();
    if (!family)
        return NULL;
    wefti_latch_close(&latch);
    struct wefti_life *life = life_take(&family->seats[wefti_member]);
    wefti_latch_open(&latch);
    if (life)
        prctl(PR_GET_NAME, life->name);
    return life;
}

static struct wefti_life *seat_lives(const struct wefti_seat *seat)
{
    return __atomic_load_n(&seat->lives, __ATOMIC_ACQUIRE);
}

struct wefti_life *wefti_life_of(uint32_t ident)
{
    const struct wefti_family *family = wefti_family_now();
    uint32_t seat = wefti_life_seat(ident);
    struct wefti_life *life = family && seat < WEFTI_SEATS ? seat_lives(&family->seats[seat]) : NULL;
    while (life && life->ident != ident)
        life = life->next;
    return life;
}

/* Holdings. */

static struct wefti_holding *holding_among(struct wefti_holding *holdings, unsigned count, uint64_t object)
{
    for (unsigned i = 0; i < count; i++)
        if (__atomic_load_n(&holdings[i].object, __ATOMIC_RELAXED) == object)
            return &holdings[i];
    return NULL;
}

/* The holding in which exactly this stands (0: an empty one), or NULL. */
static struct wefti_holding *holding_search(struct wefti_life *life, uint64_t object)
{
    struct wefti_holding *found = holding_among(life->holdings, WEFTI_LIFE_HOLDINGS, object);
    for (struct wefti_life_more *more = life->more; !found && more; more = more->next)
        found = holding_among(more->holdings, WEFTI_LIFE_MORE, object);
    return found;
}

struct wefti_holding *wefti_holding_find(struct wefti_life *life)
{
    struct wefti_holding *found = holding_search(life, 0);
    struct wefti_life_more *more = found ? NULL : wefti_block_take(sizeof(*more));
    if (!more)
        return found;
    memset(more, 0, sizeof(*more));
    more->next = life->more;
    __atomic_store_n(&life->more, more, __ATOMIC_RELEASE);
    wefti_block_commit(more, sizeof(*more));
    return &more->holdings[0];
}

static uint64_t holding_word(enum wefti_holding_kind kind, const void *object)
{
    return (uint64_t)(uintptr_t)object | (uint64_t)kind << KIND_SHIFT;
}

struct wefti_holding *wefti_holding_of(struct wefti_life *life, enum wefti_holding_kind kind, const void *object)
{
    return holding_search(life, holding_word(kind, object));
}

int wefti_hold_process(enum wefti_holding_kind kind, const void *object, uint64_t detail)
{
    struct wefti_family *family = wefti_family_get();
    if (!family)
        return -1;
    wefti_latch_close(&latch);
    struct wefti_life *life = life_of_process(&family->seats[wefti_member]);
    struct wefti_holding *holding = life ? wefti_holding_find(life) : NULL;
    if (holding)
        wefti_hold(holding, kind, object, detail);
    wefti_latch_open(&latch);
    return holding ? 0 : -1;
}

void wefti_unhold_process(enum wefti_holding_kind kind, const void *object)
{
    wefti_latch_close(&latch);
    struct wefti_holding *holding = process_life ? wefti_holding_of(process_life, kind, object) : NULL;
    if (holding)
        wefti_unhold(holding);
    wefti_latch_open(&latch);
}

/* The sweep. */

void wefti_holding_mend(uint32_t dead, struct wefti_holding *holding)
{
    uint64_t word = __atomic_load_n(&holding->object, __ATOMIC_ACQUIRE);
    uint64_t kind = word >> KIND_SHIFT;
    if (kind > WEFTI_HOLD_NOTHING && kind < WEFTI_HOLD_KINDS && wefti_menders[kind])
        wefti_menders[kind](
            dead, (void *)(uintptr_t)(word << 8 >> 8), __atomic_load_n(&holding->detail, __ATOMIC_RELAXED)); /* NOLINT: it was a pointer */
    __atomic_store_n(&holding->object, 0, __ATOMIC_RELEASE);
}

static void holdings_mend(uint32_t dead, struct wefti_holding *holdings, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        wefti_holding_mend(dead, &holdings[i]);
}

static void life_mend(struct wefti_life *life)
{
    wefti_life_wakes(life);
    life->sleep = WEFTI_SLEEP_WORD;
    life->leases = 0;
    wefti_joint_recover(life);
    holdings_mend(life->ident, life->holdings, WEFTI_LIFE_HOLDINGS);
    for (struct wefti_life_more *more = life->more; more; more = more->next) {
        wefti_block_commit(more, sizeof(*more)); /* its maker may have died before he did */
        holdings_mend(life->ident, more->holdings, WEFTI_LIFE_MORE);
    }
}

/*
 * Whether the dead may have owed a wake of this word. Not of those of the family itself: keepers alone store them, and a keeper's death is
 * followed by another's change of the epoch, which all who wait for any of them wait for too.
 */
static bool wake_owed(const struct wefti_family *family, const uint32_t *word)
{
    uintptr_t at = (uintptr_t)word, first = (uintptr_t)family;
    return at < first || at >= first + offsetof(struct wefti_family, seats);
}

/* Lets everybody who sleeps on words of the arena, but this one, look again. */
static void sleepers_wake(const struct wefti_family *family, const uint32_t *but)
{
    for (uint32_t i = 0; i < WEFTI_SEATS; i++) {
        bool taken = __atomic_load_n(&family->seats[i].state, __ATOMIC_ACQUIRE) == WEFTI_SEAT_TAKEN;
        for (const struct wefti_life *life = taken ? seat_lives(&family->seats[i]) : NULL; life; life = life->next) {
            uint32_t used = __atomic_load_n(&life->waits_used, __ATOMIC_SEQ_CST); /* pairs with wefti_life_sleeps */
            for (uint32_t j = 0; j < used && j < WEFTI_LIFE_WAITS; j++) {
                const uint32_t *word = __atomic_load_n(&life->waits[j], __ATOMIC_RELAXED);
                if (word != but && wake_owed(family, word))
                    wefti_futex_wake_shared(word, UINT32_MAX);
            }
        }
    }
}

void wefti_seat_mend(struct wefti_family *family, uint32_t number, struct wefti_holding *besides, const uint32_t *but)
{
    for (struct wefti_life *life = seat_lives(&family->seats[number]); life; life = life->next) {
        wefti_block_commit(life, sizeof(*life));
        life_mend(life);
        __atomic_store_n(&life->thread, 0, __ATOMIC_RELAXED);
    }
    if (besides)
        wefti_holding_mend(number << WEFTI_LIFE_BITS, besides);
    wefti_blocks_repair((uint16_t)number);
    __atomic_add_fetch(
        &family->deaths, 1, __ATOMIC_RELEASE); /* pairs with the acquire of who waits for it, before he gives up what he had */
    wefti_futex_wake_shared(&family->deaths, UINT32_MAX);
    sleepers_wake(family, but);
}

void wefti_life_end(struct wefti_life *life)
{
    if (!life || wefti_life_seat(life->ident) != wefti_member)
        return;
    life_mend(life);
    __atomic_store_n(&life->thread, 0, __ATOMIC_RELEASE); /* from here on it is somebody else's; pairs with the acquire in life_take */
}

void wefti_life_sleeps(struct wefti_life *life, const uint32_t *const *words, unsigned count)
{
    const struct wefti_family *family = wefti_family_now();
    unsigned used = 0;
    for (unsigned i = 0; i < count && used < WEFTI_LIFE_WAITS; i++)
        if (words[i] != &family->deaths) /* it says of none what it waits for, and is woken anyway */
            __atomic_store_n(&life->waits[used++], words[i], __ATOMIC_RELAXED);
    __atomic_store_n(&life->since, (uint64_t)weft_clock(), __ATOMIC_RELAXED);
    __atomic_store_n(&life->waits_used, used, __ATOMIC_SEQ_CST); /* pairs with sleepers_wake */
}

static WEFTI_FORKED void lives_forked(void)
{
    latch = (struct wefti_latch){0};
    process_life = NULL;
}

WEFTI_OPENING_SHARED static void lives_open(void)
{
    pthread_atfork(NULL, NULL, lives_forked);
}
