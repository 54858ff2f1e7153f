/* SPDX-License-Identifier: MIT */
/*
 * Queues in another order in the arena: last in, first out, and by priority.
 *
 * All values lie in the nodes of the table (queue_shared_nodes.h), under one gate, as both ends meet at the same place. A node's word is
 * the truth: READY is in the queue. A put fills a FREE node and says READY, one store; a get says FREE, and who dies after that took the
 * value along. Of a joinable queue a get leases the first (queue_shared_joinable.c).
 *
 * The order is derived: nodes have key, sequence and value, and are linked as a stack (`next`) or a pairing heap (`child` the first of
 * those below, `next` the next beside it), which needs no memory of its own. After a death inside the gate it is made anew from the words.
 * What came back from the dead, or for want of memory, comes first.
 *
 * A key function is called by the putter, in his process. Its address stands in the queue with that at which the program began where the
 * queue was made: a process in which that differs (one that was started anew, and not copied) has the function elsewhere, and a put fails
 * there (ENOEXEC).
 *
 * Without one the value says its order: numbers before strs before bytes, of tuples and lists the first item. It is read from where the
 * value lies, as flat.c writes it.
 */

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#include "queue/queue_shared_fifo.h"
#include "value/value.h"
#include "wait/wait.h"

enum { PART_KIND = 9, PART_BODY = 10, PART_TEXT = 18, DEATHS = 3 };

/* What a value is ordered by. */
struct part {
    uint8_t kind;
    union {
        int64_t integer;
        double real;
    } as;
    const char *text;
    uint64_t length;
};

static struct part part_of_flat(const char *octets)
{
    struct part part = {.kind = (uint8_t)octets[PART_KIND]};
    memcpy(part.kind < WEFT_STR ? (void *)&part.as : (void *)&part.length, octets + PART_BODY, sizeof(uint64_t));
    if (part.kind == WEFT_BOOL)
        part.as.integer = octets[PART_BODY];
    part.text = octets + PART_TEXT;
    return part;
}

static struct part part_of(const struct wefti_node *node)
{
    const struct wefti_cargo *cargo = wefti_cell_cargo(&node->cell);
    const char *octets = cargo ? cargo->octets : node->cell.as.octets;
    struct part part = {.kind = (uint8_t)(node->cell.form & ~WEFTI_FORM_BLOCK), .text = octets};
    if (part.kind == WEFTI_FORM_FLAT)
        return part_of_flat(octets);
    part.length = cargo ? cargo->length : node->cell.length;
    part.as.integer = (int64_t)node->cell.as.number;
    return part;
}

static int part_rank(const struct part *part)
{
    return part->kind <= WEFT_FLOAT ? 0 : part->kind;
}

/* Of two with the same key. */
static int parts_compare(const struct part *a, const struct part *b)
{
    if (part_rank(a) != part_rank(b))
        return part_rank(a) - part_rank(b);
    if (part_rank(a) > 0) {
        int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
        return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
    }
    long double first = a->kind == WEFT_FLOAT ? (long double)a->as.real : (long double)a->as.integer;
    long double second = b->kind == WEFT_FLOAT ? (long double)b->as.real : (long double)b->as.integer;
    return (first > second) - (first < second);
}

static bool node_before(const struct wefti_nodes *nodes, const struct wefti_node *a, const struct wefti_node *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    if (nodes->natural) {
        struct part one = part_of(a), other = part_of(b);
        int order = parts_compare(&one, &other);
        if (order != 0)
            return order < 0;
    }
    return a->sequence < b->sequence;
}

/* The heap. */

/* Of two trees: the one whose first is less takes the other in. */
static uint32_t heap_meld(const struct wefti_nodes *nodes, uint32_t a, uint32_t b)
{
    struct wefti_node *one = wefti_node_at(nodes, a), *other = wefti_node_at(nodes, b);
    if (!one || !other)
        return one ? a : b;
    bool before = node_before(nodes, one, other);
    struct wefti_node *above = before ? one : other, *below = before ? other : one;
    below->next = above->child;
    above->child = below->number;
    return above->number;
}

/* The trees beside each other become one: by pairs, then all of those from the last. */
static uint32_t heap_gather(const struct wefti_nodes *nodes, uint32_t first)
{
    uint32_t pairs = 0, all = 0;
    while (first) {
        struct wefti_node *one = wefti_node_at(nodes, first), *other = wefti_node_at(nodes, one->next);
        first = other ? other->next : 0;
        one->next = 0;
        if (other)
            other->next = 0;
        uint32_t pair = heap_meld(nodes, one->number, other ? other->number : 0);
        wefti_node_at(nodes, pair)->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct wefti_node *pair = wefti_node_at(nodes, pairs);
        pairs = pair->next;
        pair->next = 0;
        all = heap_meld(nodes, all, pair->number);
    }
    return all;
}

/* The stack: the highest sequence first. Only after a death does one come that is not the highest. */
static void stack_add(struct wefti_nodes *nodes, struct wefti_node *node)
{
    uint32_t *link = &nodes->ready;
    for (struct wefti_node *above; (above = wefti_node_at(nodes, *link)) && above->sequence > node->sequence;)
        link = &above->next;
    node->next = *link;
    *link = node->number;
}

void wefti_ready_add(struct wefti_nodes *nodes, struct wefti_node *node)
{
    node->next = node->child = 0;
    if (nodes->stack)
        stack_add(nodes, node);
    else
        nodes->ready = heap_meld(nodes, nodes->ready, node->number);
    __atomic_store_n(&nodes->ready_count, nodes->ready_count + 1, __ATOMIC_RELAXED);
}

struct wefti_node *wefti_ready_first(struct wefti_nodes *nodes)
{
    struct wefti_node *node = wefti_node_at(nodes, nodes->ready);
    if (!node)
        return NULL;
    nodes->ready = nodes->stack ? node->next : heap_gather(nodes, node->child);
    __atomic_store_n(&nodes->ready_count, nodes->ready_count - 1, __ATOMIC_RELAXED);
    return node;
}

/* Keys. */

static int64_t real_floor(double real)
{
    if (real < -0x1p63)
        return INT64_MIN;
    if (real >= 0x1p63)
        return INT64_MAX;
    int64_t whole = (int64_t)real;
    return (double)whole > real ? whole - 1 : whole;
}

/* -1 with EINVAL: it has no order. */
static int key_of_itself(weft_value value, int64_t *key)
{
    if (value.kind == WEFT_TUPLE || value.kind == WEFT_LIST)
        value = weft_length(value) > 0 ? weft_list_at(value, 0) : weft_none;
    bool number = value.kind == WEFT_INT || value.kind == WEFT_BOOL || (value.kind == WEFT_FLOAT && value.as.real == value.as.real);
    if (!number && value.kind != WEFT_STR && value.kind != WEFT_BYTES) {
        errno = EINVAL;
        return -1;
    }
    if (value.kind == WEFT_FLOAT)
        *key = real_floor(value.as.real);
    else
        *key = number ? value.as.integer : INT64_MAX;
    return 0;
}

static int key_of(const struct shared_fifo *fifo, weft_value value, int64_t *key)
{
    *key = 0;
    if (fifo->nodes.natural)
        return key_of_itself(value, key);
    if (!fifo->key)
        return 0;
    if (fifo->entry != getauxval(AT_ENTRY)) {
        errno = ENOEXEC;
        return -1;
    }
    weft_queue_key *ask = (weft_queue_key *)(uintptr_t)fifo->key;
    *key = ask(value, (void *)(uintptr_t)fifo->data); /* NOLINT: it was a pointer */
    return 0;
}

/* Calls. */

/* Inside: 0, EPIPE, EAGAIN, ENOMEM. */
static int shared_ordered_add(struct shared_fifo *fifo, struct wefti_parcel *parcel, int64_t key)
{
    struct wefti_nodes *nodes = &fifo->nodes;
    if (wefti_queue_is_closed(&fifo->shared.queue))
        return EPIPE;
    if (nodes->ready_count >= fifo->shared.queue.capacity)
        return EAGAIN;
    struct wefti_node *node = wefti_node_new(nodes, &fifo->out.gate, GROW);
    if (!node)
        return ENOMEM;
    wefti_parcel_lay(parcel, &node->cell);
    node->key = key;
    node->sequence = ++nodes->puts;
    if (parcel->cargo) {
        wefti_gate_begin(&fifo->out.gate, parcel->cargo, DONE, node->number);
        wefti_block_commit(parcel->cargo, parcel->cargo_size);
    }
    wefti_node_put(node, wefti_node_word(WEFTI_NODE_READY, 0, 0));
    wefti_gate_done(&fifo->out.gate);
    wefti_ready_add(nodes, node);
    nodes->held++;
    return 0;
}

/* Inside, all together: how many. Keys are asked for in here, as the header says. */
static size_t shared_ordered_add_some(struct shared_fifo *fifo, const weft_value *values, size_t count, int *error)
{
    size_t put = 0;
    while (put < count && !*error) {
        struct wefti_parcel parcel = {.cargo = NULL};
        int64_t key;
        if (key_of(fifo, values[put], &key) != 0 || wefti_parcel_pack(&parcel, values[put]) != 0)
            *error = errno;
        else if ((*error = shared_ordered_add(fifo, &parcel, key)) != 0)
            wefti_parcel_cancel(&parcel);
        else
            weft_drop(wefti_value_take(values[put++]));
    }
    return put;
}

/* 0, EPIPE, EAGAIN, ENOMEM, EINVAL, ENOEXEC, EFAULT, or why it could not enter: the value is given away with 0. `deadline` is for the gate
 * alone. */
static int shared_ordered_try_put(struct shared_fifo *fifo, weft_value value, weft_time deadline)
{
    struct wefti_parcel parcel;
    struct wefti_visit visit;
    int64_t key;
    if (key_of(fifo, value, &key) != 0 || wefti_parcel_pack(&parcel, value) != 0)
        return errno;
    int error = wefti_gate_enter_by(&fifo->out.gate, &visit, deadline) == 0 ? 0 : errno;
    if (error == 0) {
        wefti_nodes_whole(&fifo->nodes);
        error = shared_ordered_add(fifo, &parcel, key);
        wefti_gate_leave(&fifo->out.gate, &visit, error ? 0 : WEFTI_GATE_VALUES);
        wefti_visit_end(&visit);
    }
    if (error)
        wefti_parcel_cancel(&parcel);
    else
        weft_drop(wefti_value_take(value));
    return error;
}

/* Inside: 0, EPIPE, EAGAIN, ENOMEM. */
static int shared_ordered_remove(struct shared_fifo *fifo, struct wefti_catch *caught)
{
    if (fifo->dropped)
        return EPIPE;
    if (fifo->out.back) {
        *caught = wefti_catch_back(&fifo->out);
        return 0;
    }
    struct wefti_node *node = wefti_ready_first(&fifo->nodes);
    if (!node)
        return wefti_queue_is_closed(&fifo->shared.queue) ? EPIPE : EAGAIN;
    if (!wefti_cell_cargo(&node->cell) && wefti_cell_read(&node->cell, &caught->value) != 0) {
        wefti_ready_add(&fifo->nodes, node);
        return ENOMEM;
    }
    caught->form = node->cell.form;
    caught->cargo = wefti_node_finish(fifo, node);
    fifo->nodes.held--;
    return 0;
}

/* 0, EPIPE, EAGAIN, ENOMEM; else as a put. */
static int shared_ordered_try_get(struct shared_fifo *fifo, weft_value *value, weft_time deadline)
{
    struct wefti_visit visit;
    struct wefti_catch caught;
    if (fifo->joinable)
        return wefti_joinable_try_get(fifo, value, deadline);
    if (wefti_gate_enter_by(&fifo->out.gate, &visit, deadline) != 0)
        return errno;
    wefti_nodes_whole(&fifo->nodes);
    int error = shared_ordered_remove(fifo, &caught);
    wefti_gate_leave(&fifo->out.gate, &visit, error ? 0 : WEFTI_GATE_ROOM);
    wefti_visit_end(&visit);
    return error ? error : wefti_catch_read(fifo, &caught, value);
}

static bool shared_ordered_shut(const struct shared_fifo *fifo, uint32_t flag)
{
    const struct wefti_nodes *nodes = &fifo->nodes;
    size_t ready = __atomic_load_n(&nodes->ready_count, __ATOMIC_RELAXED);
    if (__atomic_load_n(&nodes->broken, __ATOMIC_ACQUIRE) || wefti_queue_is_closed(&fifo->shared.queue))
        return false;
    if (flag == WEFTI_GATE_ROOM)
        return ready >= fifo->shared.queue.capacity;
    return ready == 0 && !nodes_some(nodes) && __atomic_load_n(&fifo->out.back, __ATOMIC_RELAXED) == 0;
}

static struct wefti_shared_door *flag_door(struct shared_fifo *fifo, uint32_t flag)
{
    return flag == WEFTI_GATE_VALUES ? &fifo->shared.filled : &fifo->shared.emptied;
}

/* What a try that found `error` does next: 0 to try again, -1 with errno. */
static int shared_ordered_retry(struct shared_fifo *fifo, uint32_t flag, int error, weft_time deadline)
{
    errno = error;
    if (error != EAGAIN || deadline <= WEFT_NOW)
        return -1;
    struct wefti_shared_door *door = flag_door(fifo, flag);
    uint32_t bell = wefti_shared_door_watch(door, &fifo->out.gate, flag);
    int result = shared_ordered_shut(fifo, flag) ? weft_wait(&door->bell, bell, deadline) : 0;
    error = errno;
    wefti_shared_door_leave(door, &fifo->out.gate, flag, !shared_ordered_shut(fifo, flag));
    errno = error;
    return result;
}

static int shared_ordered_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    int error;
    while ((error = shared_ordered_try_put(fifo, value, deadline)) != 0)
        if (shared_ordered_retry(fifo, WEFTI_GATE_ROOM, error, deadline) < 0)
            return -1;
    return 0;
}

static int shared_ordered_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    int error;
    while ((error = shared_ordered_try_get(fifo, value, deadline)) != 0)
        if (shared_ordered_retry(fifo, WEFTI_GATE_VALUES, error, deadline) < 0)
            return -1;
    return 0;
}

static size_t shared_ordered_put_some(weft_queue *queue, const weft_value *values, size_t count, int *error)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    struct wefti_visit visit;
    *error = 0;
    if (wefti_gate_enter_by(&fifo->out.gate, &visit, WEFT_NOW) != 0) {
        *error = errno;
        return 0;
    }
    wefti_nodes_whole(&fifo->nodes);
    size_t put = shared_ordered_add_some(fifo, values, count, error);
    wefti_gate_leave(&fifo->out.gate, &visit, put ? WEFTI_GATE_VALUES : 0);
    wefti_visit_end(&visit);
    return put;
}

static size_t shared_ordered_get_some(weft_queue *queue, weft_value *values, size_t count, int *error)
{
    size_t got = 0;
    *error = 0;
    while (got < count && (*error = shared_ordered_try_get((struct shared_fifo *)queue, &values[got], WEFT_NOW)) == 0)
        got++;
    return got;
}

static size_t shared_ordered_size(const weft_queue *queue)
{
    const struct shared_fifo *fifo = (const struct shared_fifo *)queue;
    if (__atomic_load_n(&fifo->nodes.broken, __ATOMIC_ACQUIRE))
        wefti_fifo_rebuild((struct shared_fifo *)(uintptr_t)queue); /* NOLINT: none of what it says of itself changes */
    return (size_t)__atomic_load_n(&fifo->nodes.ready_count, __ATOMIC_RELAXED) +
           __atomic_load_n(&fifo->nodes.returned_count, __ATOMIC_RELAXED) + __atomic_load_n(&fifo->out.backs, __ATOMIC_RELAXED);
}

/* Select. */

static int shared_ordered_case_get(weft_case *one)
{
    struct shared_fifo *fifo = one->object;
    return shared_ordered_shut(fifo, WEFTI_GATE_VALUES) ? 0 : wefti_queue_outcome(shared_ordered_try_get(fifo, one->operation, WEFT_NOW));
}

static int shared_ordered_case_put(weft_case *one)
{
    struct shared_fifo *fifo = one->object;
    if (shared_ordered_shut(fifo, WEFTI_GATE_ROOM))
        return 0;
    return wefti_queue_outcome(shared_ordered_try_put(fifo, *(weft_value *)one->operation, WEFT_NOW));
}

static bool shared_ordered_watch(struct shared_fifo *fifo, uint32_t flag, struct wefti_item *item)
{
    item->kind = WEFTI_WORD;
    item->word = &flag_door(fifo, flag)->bell;
    item->expected = wefti_shared_door_watch(flag_door(fifo, flag), &fifo->out.gate, flag);
    return !shared_ordered_shut(fifo, flag);
}

static bool shared_ordered_case_get_enqueue(weft_case *one, struct wefti_item *item)
{
    return shared_ordered_watch(one->object, WEFTI_GATE_VALUES, item);
}

static bool shared_ordered_case_put_enqueue(weft_case *one, struct wefti_item *item)
{
    return shared_ordered_watch(one->object, WEFTI_GATE_ROOM, item);
}

static void shared_ordered_unwatch(struct shared_fifo *fifo, uint32_t flag)
{
    wefti_shared_door_leave(flag_door(fifo, flag), &fifo->out.gate, flag, !shared_ordered_shut(fifo, flag));
}

static void shared_ordered_case_get_dequeue(weft_case *one)
{
    shared_ordered_unwatch(one->object, WEFTI_GATE_VALUES);
}

static void shared_ordered_case_put_dequeue(weft_case *one)
{
    shared_ordered_unwatch(one->object, WEFTI_GATE_ROOM);
}

static const struct weft_waitable shared_ordered_get_waitable = {
    .ready = shared_ordered_case_get, .enqueue = shared_ordered_case_get_enqueue, .dequeue = shared_ordered_case_get_dequeue};
static const struct weft_waitable shared_ordered_put_waitable = {
    .ready = shared_ordered_case_put, .enqueue = shared_ordered_case_put_enqueue, .dequeue = shared_ordered_case_put_dequeue};

const struct wefti_shared_kind wefti_queue_shared_ordered = {
    .calls =
        {
            .put = shared_ordered_put,
            .get = shared_ordered_get,
            .put_some = shared_ordered_put_some,
            .get_some = shared_ordered_get_some,
            .size = shared_ordered_size,
            .close = wefti_fifo_close,
            .free = wefti_queue_shared_free,
            .get_case = &shared_ordered_get_waitable,
            .put_case = &shared_ordered_put_waitable,
        },
    .gate = wefti_fifo_gate,
    .blocks = wefti_fifo_blocks,
    .settle = wefti_fifo_settle,
    .mend = wefti_joinable_mend,
    .drop_all = wefti_joinable_drop_all,
    .task_done = wefti_joinable_task_done,
    .join = wefti_joinable_join,
    .deliveries = wefti_joinable_deliveries,
    .letter = wefti_joinable_letter,
};

struct weft_queue *wefti_queue_shared_ordered_new(const struct weft_queue_options *options)
{
    struct shared_fifo *fifo = wefti_block_take(sizeof(*fifo));
    if (!fifo)
        return NULL;
    memset(fifo, 0, sizeof(*fifo));
    wefti_queue_shared_prepare(&fifo->shared, WEFTI_QUEUE_SHARED_ORDERED, options->capacity);
    fifo->ordered = true;
    fifo->joinable = options->joinable;
    fifo->key = (uintptr_t)options->key;
    fifo->data = (uintptr_t)options->data;
    fifo->entry = getauxval(AT_ENTRY);
    fifo->in.gate.queue = fifo->out.gate.queue = &fifo->shared;
    fifo->nodes.ordered = true;
    fifo->nodes.stack = options->order == WEFT_LIFO;
    fifo->nodes.natural = options->order == WEFT_PRIORITY && !options->key;
    fifo->nodes.deaths = options->deaths ? options->deaths : DEATHS;
    wefti_block_commit(fifo, sizeof(*fifo));
    return &fifo->shared.queue;
}
