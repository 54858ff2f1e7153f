/* SPDX-License-Identifier: MIT */
/*
 * What queues in the arena are made of: gates, doors, cells.
 *
 * All of it may be looked at by every process of the family, and each of them may die between any two stores. So nothing here is an address
 * of the library (the kind is a number), and each field says who writes it.
 *
 * A gate is a lock for a few instructions, which is never left half way: when its owner dies, the sweep (life.h) finishes or takes back in
 * his name what he had begun, and opens the gate only then. Who enters it finds everything whole.
 *
 * gate.word: bits 3 to 31 the owner's life, 0 when it is open; and flags.
 *   SLEEPERS  somebody may sleep on the word. Set by who is about to; taken away by a leave that wakes one, who sets it again.
 *   VALUES    somebody waits at the door `filled`. Set by him before he looks for the last time; taken away by who leaves the gate having
 *   brought a value
 *   ROOM      the same of `emptied`, and of who has made room
 * A flag and the gate are one word so that no barrier is needed: he who waits sets his flag before the owner leaves, and the owner sees it;
 * or after that, and sees what the owner has brought.
 *
 * gate.pending: a block that is between two owners while the gate is shut, with what is being done to it in the low bits; 0 when there is
 * none. Written before the first store of the move and cleared after the last, so who finishes it knows from the structure itself which
 * half was done. The block of a dead owner cannot have come to anybody else in the meantime: only the sweep opens the gate, and the sweep
 * gives back what he had in hand after that.
 *
 * Who enters has a holding of the gate in his life from before he touches the word until after his last wake. A block that he has taken out
 * of the structure is withdrawn (block.h): in his hands until he has read it, and given back by the sweep when he dies before that.
 */
#ifndef WEFTI_QUEUE_SHARED_H
#define WEFTI_QUEUE_SHARED_H

#include "queue/queue.h"
#include "shared/block.h"
#include "wait/context.h"

struct wefti_shared_queue;

enum { WEFTI_GATE_SLEEPERS = 1, WEFTI_GATE_VALUES = 2, WEFTI_GATE_ROOM = 4, WEFTI_GATE_FLAGS = 7, WEFTI_GATE_OWNER_SHIFT = 3 };

struct wefti_gate {
    uint32_t word;
    uint32_t reserved;
    struct wefti_shared_queue *queue; /* constant */
    uint64_t pending;                 /* the owner's, as the next */
    uint64_t at;                      /* what belongs to it; written before */
};

/* Where one waits. A wake changes the bell while the gate is shut, and wakes after that. */
struct wefti_shared_door {
    uint32_t bell;
    uint32_t waiting; /* at least so many wait: those who died waiting stay counted, which costs a needless wake at most */
};

struct wefti_shared_queue {
    struct weft_queue queue; /* its kind is a number; puts, and done.latch, are not used */
    uint64_t magic;          /* constant; the last to be written when it is made, and 0 once all its blocks are in hand of who frees it */
    uint64_t freer;          /* the life of who is freeing it; 0 before that */
    uint64_t reserved[6];
    struct wefti_shared_door filled __attribute__((aligned(64))); /* values have come */
    struct wefti_shared_door emptied __attribute__((aligned(64)));
} __attribute__((aligned(64)));

#define WEFTI_QUEUE_MAGIC UINT64_C(0x3165756575717477) /* "wtqueue1" */

/* The kinds by number: what stands in place of queue->kind. 0 is none. */
enum { WEFTI_QUEUE_SHARED_FIFO = 1, WEFTI_QUEUE_SHARED_ORDERED = 2, WEFTI_QUEUE_SHARED_RENDEZVOUS = 3, WEFTI_QUEUE_SHARED_KINDS };

/* What is done with a block. */
typedef void wefti_queue_step(void *block, uint16_t member);

struct wefti_shared_kind {
    struct wefti_queue_kind calls;
    /* Its gates: the first is number 0; NULL beyond the last. */
    struct wefti_gate *(*gate)(struct wefti_shared_queue *queue, unsigned number);
    /* Does this with each block of the queue, values' too, the queue's own last; what leads to a block is read before. Nobody is inside. */
    void (*blocks)(struct wefti_shared_queue *queue, wefti_queue_step *step, uint16_t member);
    /*
     * Finishes, or takes back, what the gate's owner, who is dead, had begun: he owns it yet, so nobody else is inside. The pending block
     * that he has taken, or that never came to the structure, is withdrawn in his name. May be done again after who did it has died.
     */
    void (*settle)(struct wefti_shared_queue *queue, struct wefti_gate *gate, uint16_t dead);
    size_t (*drop_all)(struct wefti_shared_queue *queue);
    /* NULL where nothing is leased, as the next four. What the dead task had leased comes back. */
    void (*mend)(struct wefti_shared_queue *queue, uint32_t dead);
    int (*task_done)(struct wefti_shared_queue *queue);
    int (*join)(struct wefti_shared_queue *queue, weft_time deadline);
    long (*deliveries)(struct wefti_shared_queue *queue);
    int (*letter)(struct wefti_shared_queue *queue, weft_value *value, weft_time deadline);
};

extern const struct wefti_shared_kind wefti_queue_shared_fifo __attribute__((visibility("hidden")));
extern const struct wefti_shared_kind wefti_queue_shared_ordered __attribute__((visibility("hidden")));
extern const struct wefti_shared_kind wefti_queue_shared_rendezvous __attribute__((visibility("hidden")));

/* Whoever is inside a gate, or about to be. */
struct wefti_visit {
    struct wefti_holding *holding;
    uint32_t me; /* the gate's word when it is his */
};

/* What the detail of a holding says. */
enum { WEFTI_DETAIL_GATE = 1, WEFTI_DETAIL_LEASES = 2, WEFTI_DETAIL_FREE = 3, WEFTI_DETAIL_KINDS = 255 /* the rest is a count */ };

void wefti_gate_wait(struct wefti_gate *gate, const struct wefti_visit *visit);
int wefti_gate_wait_by(struct wefti_gate *gate, struct wefti_visit *visit, weft_time deadline);
void wefti_gate_leave_slow(struct wefti_gate *gate, struct wefti_visit *visit, uint32_t brought);

/* 0: inside. 1: it is shut. -1 with ESTALE (no member), ENOMEM, EAGAIN (too many tasks). */
static inline int wefti_gate_try(struct wefti_gate *gate, struct wefti_visit *visit)
{
    struct wefti_life *life = wefti_context_life(wefti_context_current());
    if (__builtin_expect(!life, 0))
        return -1;
    visit->holding = __builtin_expect(life->holdings[0].object == 0, 1) ? &life->holdings[0] : wefti_holding_find(life);
    if (__builtin_expect(!visit->holding, 0))
        return -1;
    visit->me = life->ident << WEFTI_GATE_OWNER_SHIFT;
    wefti_hold(visit->holding, WEFTI_HOLD_QUEUE, gate, WEFTI_DETAIL_GATE);
    uint32_t open = 0;
    if (__builtin_expect(__atomic_compare_exchange_n(&gate->word, &open, visit->me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED), 1))
        return 0;
    return 1;
}

/* 0: inside. -1 as wefti_gate_try. Ended neither by a deadline nor by cancellation: for what has to be done, and for calls that have no
 * deadline. */
static inline int wefti_gate_enter(struct wefti_gate *gate, struct wefti_visit *visit)
{
    int tried = wefti_gate_try(gate, visit);
    if (__builtin_expect(tried > 0, 0))
        wefti_gate_wait(gate, visit);
    return tried < 0 ? -1 : 0;
}

/*
 * The same for a call with a deadline, which bounds it, though not before a moment's patience: whoever is inside has been preempted, or
 * died, and others will be there in a moment. Then -1 with EAGAIN (WEFT_NOW), ETIMEDOUT, ECANCELED: nothing has been done.
 */
static inline int wefti_gate_enter_by(struct wefti_gate *gate, struct wefti_visit *visit, weft_time deadline)
{
    int tried = wefti_gate_try(gate, visit);
    return __builtin_expect(tried > 0, 0) ? wefti_gate_wait_by(gate, visit, deadline) : tried;
}

/* `brought`: VALUES, ROOM: of those who wait for that one is woken. Release: pairs with the acquire of who enters. The holding goes on. */
static inline void wefti_gate_leave(struct wefti_gate *gate, struct wefti_visit *visit, uint32_t brought)
{
    uint32_t mine = visit->me;
    if (__builtin_expect(!__atomic_compare_exchange_n(&gate->word, &mine, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED), 0))
        wefti_gate_leave_slow(gate, visit, brought);
}

static inline void wefti_visit_end(struct wefti_visit *visit)
{
    wefti_unhold(visit->holding);
}

/* Inside: says what is about to happen to a block; then that it has happened. */
static inline void wefti_gate_begin(struct wefti_gate *gate, const void *block, unsigned what, uint64_t at)
{
    __atomic_store_n(&gate->at, at, __ATOMIC_RELAXED);
    __atomic_store_n(&gate->pending, (uint64_t)(uintptr_t)block | what, __ATOMIC_RELEASE);
}

static inline void wefti_gate_done(struct wefti_gate *gate)
{
    __atomic_store_n(&gate->pending, 0, __ATOMIC_RELEASE);
}

/*
 * Waiting. `flag` is VALUES or ROOM. A waiter watches: from then on a bring rings. He looks once more, sleeps until the bell differs from
 * what watch gave, and leaves the door; while others wait, who leaves hands on, as he may have been woken for nothing: he wakes one if
 * there is something, else arms the gate again.
 */
uint32_t wefti_shared_door_watch(struct wefti_shared_door *door, struct wefti_gate *gate, uint32_t flag);
void wefti_shared_door_leave(struct wefti_shared_door *door, struct wefti_gate *gate, uint32_t flag, bool some);
/* Makes all who wait there look again. */
void wefti_shared_door_ring(struct wefti_shared_door *door);

/* Values in and out. */

enum { WEFTI_CELL_INLINE = 120 };

/* An item where it lies. Written inside the gate before the item is committed. */
struct wefti_cell {
    uint8_t form;   /* the kind of a plain value, or FORM_FLAT; with FORM_BLOCK: in a block */
    uint8_t length; /* octets of a text or flat form that lies here */
    uint16_t reserved;
    uint32_t reserved_too;
    union {
        uint64_t number; /* of a none, bool, int, float or ptr */
        uint64_t block;  /* the address of a struct wefti_cargo */
        char octets[WEFTI_CELL_INLINE];
    } as;
};

enum { WEFTI_FORM_FLAT = 64, WEFTI_FORM_BLOCK = 128 };

/* A block with an item that is too long for a cell. */
struct wefti_cargo {
    uint64_t next;   /* the kind's own */
    uint64_t length; /* of octets */
    uint64_t reserved[2];
    char octets[];
};

/* An item that is about to be put, the putter's own. */
struct wefti_parcel {
    uint8_t form;
    uint8_t length;
    uint64_t number;
    const void *octets;        /* of the value, or `flat` */
    struct wefti_cargo *cargo; /* in hand */
    size_t cargo_size;
    char flat[WEFTI_CELL_INLINE];
};

/* -1 with EFAULT (it has a pointer that leads out of the arena), ENOMEM, ESTALE. The value stays the caller's. */
int wefti_parcel_pack(struct wefti_parcel *parcel, weft_value value);
/* It was not put. */
void wefti_parcel_cancel(struct wefti_parcel *parcel);
/* Out of line: what is no plain number. */
void wefti_parcel_lay_octets(const struct wefti_parcel *parcel, struct wefti_cell *cell);
int wefti_cell_read_octets(const struct wefti_cell *cell, weft_value *value);
/* The value in a block: 0; -1 with ENOMEM. */
int wefti_cargo_read(uint8_t form, const struct wefti_cargo *cargo, weft_value *value);

static inline void wefti_parcel_lay(const struct wefti_parcel *parcel, struct wefti_cell *cell)
{
    if (__builtin_expect(parcel->form > WEFT_PTR, 0)) {
        wefti_parcel_lay_octets(parcel, cell);
        return;
    }
    cell->form = parcel->form;
    cell->as.number = parcel->number;
}

/* NULL when the item lies in the cell. */
static inline struct wefti_cargo *wefti_cell_cargo(const struct wefti_cell *cell)
{
    return cell->form & WEFTI_FORM_BLOCK ? (struct wefti_cargo *)(uintptr_t)cell->as.block : NULL; /* NOLINT: it was a pointer */
}

/* The value of a cell without a block: 0; -1 with ENOMEM. */
static inline int wefti_cell_read(const struct wefti_cell *cell, weft_value *value)
{
    if (__builtin_expect(cell->form > WEFT_PTR, 0))
        return wefti_cell_read_octets(cell, value);
    *value = (weft_value){.kind = cell->form, .as = {.integer = (int64_t)cell->as.number}};
    return 0;
}

struct weft_queue *wefti_queue_shared_fifo_new(const struct weft_queue_options *options);
struct weft_queue *wefti_queue_shared_ordered_new(const struct weft_queue_options *options);
struct weft_queue *wefti_queue_shared_rendezvous_new(void);
/* Frees one of any kind. */
void wefti_queue_shared_free(struct weft_queue *queue);
/* What all kinds begin with. */
void wefti_queue_shared_prepare(struct wefti_shared_queue *queue, unsigned kind, size_t capacity);
const struct wefti_shared_kind *wefti_queue_shared_kind(const struct wefti_shared_queue *queue);

#endif
