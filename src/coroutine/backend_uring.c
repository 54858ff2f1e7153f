/* SPDX-License-Identifier: MIT */
/*
 * The back end that has io_uring do transfers, and sleeps in it.
 *
 * The ring is made with the hub's first transfer. Where the kernel refuses it (a filter, kernel.io_uring_disabled, no memory) the hub goes
 * on with epoll alone, and no other hub of the process tries again.
 *
 * A transfer is one request, whose number is its item's address. It is put into the ring at once and handed to the kernel with the next
 * look, together with all others since the last one: one system call for the requests, the results and the sleep. The kernel does the
 * transfer, too, in that call (IORING_SETUP_DEFER_TASKRUN), so the memory of a coroutine that waits changes only while its hub is in here.
 * Who leaves before it is done takes the request back, and comes back with its result when that has come: at once, as only this thread does
 * such work. If that is octets, they have been received, and the caller gets them, late or cancelled as he may be: nothing that has come is
 * lost.
 *
 * epoll's own descriptor is one that the ring polls (LISTENS), each change of it once, which is when something becomes ready: so each such
 * result is followed by looks at epoll until it has no more (`more`). A hub that is lent to another loop has it the other way round: the
 * ring rings the bell, which is among epoll's. (The ring's own descriptor does not become readable while what came still waits to be done
 * by this thread.)
 *
 * A word that is watched is one request of FUTEX_WAIT. The kernel compares it when the request is handed over, which is later than the
 * waiter published where he sleeps (shared/life.c); who wakes has changed it before. So a wake in between finds the request refused
 * (EAGAIN), which ends the wait.
 *
 * liburing is loaded with the first hub that is to have a ring (base/library.h). Each ring has its own pointers to what is called of it, so
 * nobody waits for another who loads it.
 *
 * fork: the child gives the mapping up, and its copy of the descriptor. The ring, what is in it and its results are the parent's.
 */

#include "coroutine/backend.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>

#include "base/library.h"
#include "base/memory.h"
#include "coroutine/descriptors.h"
#include "wait/parked.h"

#ifdef WEFTI_SMALL
enum { REQUESTS = 4, RESULTS = 8, LONG = 3 /* items */, SHARE = 2 };
#else
enum { REQUESTS = 256, RESULTS = 2048, LONG = 256, SHARE = 20 /* results */ };
#endif
enum { DEEP = 64, MOST = 1 << 30 /* octets of a transfer */ };

/* Of Linux 6.7, and newer than the headers of Debian 12. */
enum { WORD_WAIT = 51 /* IORING_OP_FUTEX_WAIT */, WORD_OF_32 = 2 /* FUTEX2_SIZE_U32 */ };

/* Numbers of requests that are no item's. */
enum { NOBODY = 0, LISTENS = 1 };

/* What is called of liburing, beside what its header has inline. */
struct library {
    __typeof__(&io_uring_queue_init_params) init;
    __typeof__(&io_uring_queue_exit) exit;
    __typeof__(&io_uring_get_probe_ring) probe;
    __typeof__(&io_uring_free_probe) probe_free;
    __typeof__(&io_uring_register_eventfd) ring_bell;
    __typeof__(&io_uring_submit) submit;
    __typeof__(&io_uring_get_events) get;
    __typeof__(&io_uring_submit_and_get_events) submit_get;
    __typeof__(&io_uring_submit_and_wait) submit_wait;
    __typeof__(&io_uring_submit_and_wait_timeout) submit_wait_until;
};

struct wefti_ring {
    struct io_uring uring;
    struct library library;
    bool listens;   /* epoll is polled */
    bool more;      /* epoll may have more to tell */
    unsigned taken; /* results, the last time */
    bool lent;      /* the ring rings epoll's bell, and does not poll epoll */
};

static uint32_t uring_refused;  /* 1: the kernel has it not, or not for this process */
static uint32_t uring_wordless; /* 1: it has it, but does not watch words in it, as before Linux 6.7 */

/*
 * How many rings were given up. A ring may be mapped where another thread's was. The kernel orders the two, but by calls that a tool which
 * watches for races does not see: so who gives one up adds here (release), and who has made one looks (acquire).
 */
static uint32_t uring_closed;

/* Once it has been loaded this only finds it. */
static void *uring_library(void)
{
    return wefti_library_load("liburing.so.2");
}

static void uring_load(void)
{
    (void)uring_library();
}

static bool library_load(struct library *library)
{
    void *handle = uring_library();
    return wefti_library_find(handle, "io_uring_queue_init_params", &library->init) &&
           wefti_library_find(handle, "io_uring_queue_exit", &library->exit) &&
           wefti_library_find(handle, "io_uring_get_probe_ring", &library->probe) &&
           wefti_library_find(handle, "io_uring_free_probe", &library->probe_free) &&
           wefti_library_find(handle, "io_uring_register_eventfd", &library->ring_bell) &&
           wefti_library_find(handle, "io_uring_submit", &library->submit) &&
           wefti_library_find(handle, "io_uring_get_events", &library->get) &&
           wefti_library_find(handle, "io_uring_submit_and_get_events", &library->submit_get) &&
           wefti_library_find(handle, "io_uring_submit_and_wait", &library->submit_wait) &&
           wefti_library_find(handle, "io_uring_submit_and_wait_timeout", &library->submit_wait_until);
}

/* 0, or an errno number below 0. Linux 6.1 has what is asked for. */
static int ring_init(struct wefti_ring *ring)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = RESULTS};
    if (wefti_fails())
        return -ENOMEM;
    return library_load(&ring->library) ? ring->library.init(REQUESTS, &ring->uring, &params) : -ENOSYS;
}

/* Finds out whether the kernel watches words. One that has no memory to tell is asked by the first of them. */
static void ring_probe(struct wefti_ring *ring)
{
    struct io_uring_probe *probe = ring->library.probe(&ring->uring);
    if (probe && !io_uring_opcode_supported(probe, WORD_WAIT))
        __atomic_store_n(&uring_wordless, 1, __ATOMIC_RELAXED);
    ring->library.probe_free(probe);
}

/* From here on the ring rings the bell when it has something. */
static bool ring_lend(struct wefti_descriptors *descriptors, struct wefti_ring *ring)
{
    return ring->lent = ring->library.ring_bell(&ring->uring, descriptors->bell) == 0;
}

/* The hub's ring, made if there is none. NULL: there is none to be had, and the hub goes on without. */
static struct wefti_ring *ring_get(struct wefti_descriptors *descriptors)
{
    if (descriptors->ring)
        return descriptors->ring;
    struct wefti_ring *ring = __atomic_load_n(&uring_refused, __ATOMIC_RELAXED) ? NULL : wefti_alloc(sizeof(*ring));
    int error = ring ? ring_init(ring) : -ENOMEM;
    (void)__atomic_load_n(&uring_closed, __ATOMIC_ACQUIRE);
    if (error == 0)
        ring_probe(ring);
    if (error == 0 && (!descriptors->lent || ring_lend(descriptors, ring)))
        return descriptors->ring = ring;
    if (error == 0)
        ring->library.exit(&ring->uring);
    else if (error != -ENOMEM && error != -EMFILE && error != -ENFILE)
        __atomic_store_n(&uring_refused, 1, __ATOMIC_RELAXED);
    wefti_release(ring);
    descriptors->backend = &wefti_backend_epoll;
    return NULL;
}

static void uring_close(struct wefti_descriptors *descriptors)
{
    if (!descriptors->ring)
        return;
    __atomic_add_fetch(&uring_closed, 1, __ATOMIC_RELEASE);
    descriptors->ring->library.exit(&descriptors->ring->uring); /* two mappings and a descriptor: nothing is said to the kernel's side */
    wefti_release(descriptors->ring);
    descriptors->ring = NULL;
}

/* Room for a request; NULL: the kernel takes none at present. */
static struct io_uring_sqe *ring_request(struct wefti_ring *ring)
{
    struct io_uring_sqe *request = io_uring_get_sqe(&ring->uring);
    if (request)
        return request;
    ring->library.submit(&ring->uring);
    return io_uring_get_sqe(&ring->uring);
}

/* The kernel has the item's request still. */
static bool item_pends(const struct wefti_item *item)
{
    return item->kind == WEFTI_KERNEL_WORD ? item->queued : item->transfer->begun;
}

static void item_ended(struct wefti_descriptors *descriptors, struct wefti_item *item, long result)
{
    if (item->kind != WEFTI_KERNEL_WORD) {
        wefti_descriptors_transferred(descriptors, item, result);
        return;
    }
    if (result < 0 && result != -EAGAIN && result != -ECANCELED && result != -EINTR)
        __atomic_store_n(&uring_wordless, 1, __ATOMIC_RELAXED);
    wefti_word_watched(descriptors, item, result);
}

/* Takes the results that are there. True: there were some. */
static bool ring_reap(struct wefti_descriptors *descriptors, struct wefti_ring *ring)
{
    struct io_uring_cqe *result;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring->uring, head, result)
    {
        count++;
        if (result->user_data == LISTENS) {
            ring->more = true;
            ring->listens = (result->flags & IORING_CQE_F_MORE) != 0;
        } else if (result->user_data != NOBODY)
            item_ended(descriptors, (struct wefti_item *)(uintptr_t)result->user_data, result->res); /* NOLINT: it was a pointer */
    }
    io_uring_cq_advance(&ring->uring, count);
    ring->taken = count;
    return count > 0;
}

/* Has the ring poll epoll, unless it does. */
static void ring_listen(struct wefti_descriptors *descriptors, struct wefti_ring *ring)
{
    struct io_uring_sqe *request = ring->listens || ring->lent ? NULL : ring_request(ring);
    if (!request)
        return;
    io_uring_prep_poll_multishot(request, descriptors->epoll, POLLIN);
    request->user_data = LISTENS;
    ring->listens = true;
}

/*
 * The kernel does no more than twenty transfers a call (SHARE), unless more are waited for; and one that can be done when it is handed over
 * comes before all that are in line. So where the line is long, more are asked for, as far as they have come.
 */
static void ring_enter_deep(struct wefti_ring *ring)
{
    struct io_uring_cqe *first;
    struct __kernel_timespec now = {0};
    ring->library.submit_wait_until(&ring->uring, &first, DEEP, &now, NULL);
}

/* One call for all: hands over what was begun, waits, has the kernel do what it can. */
static void ring_enter(struct wefti_ring *ring, weft_time until)
{
    struct io_uring_cqe *first;
    weft_time left = until == WEFT_FOREVER || until <= WEFT_NOW ? 0 : until - weft_clock();
    struct __kernel_timespec rest = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    if (until == WEFT_FOREVER)
        ring->library.submit_wait(&ring->uring, 1);
    else if (left <= 0)
        ring->library.submit_get(&ring->uring);
    else
        ring->library.submit_wait_until(&ring->uring, &first, 1, &rest, NULL);
}

/* Has the kernel do all that it can now. True: something was. */
static bool ring_drain(struct wefti_descriptors *descriptors, struct wefti_ring *ring)
{
    bool some = false;
    do { /* each call does a part of what there is to do */
        ring_enter(ring, WEFT_NOW);
    } while (ring_reap(descriptors, ring) && (some = true));
    return some;
}

/* The ring rings the bell, so epoll tells of it. */
static void lent_look(struct wefti_descriptors *descriptors, struct wefti_ring *ring, weft_time until)
{
    bool some = ring_drain(descriptors, ring);
    wefti_epoll_look(descriptors, some ? WEFT_NOW : until);
    ring_drain(descriptors, ring);
}

static void uring_look(struct wefti_descriptors *descriptors, weft_time until)
{
    struct wefti_ring *ring = descriptors->ring;
    if (!ring) {
        wefti_epoll_look(descriptors, until);
        return;
    }
    if (ring->lent) {
        lent_look(descriptors, ring, until);
        return;
    }
    ring_listen(descriptors, ring);
    if (ring->taken >= SHARE && descriptors->waiting >= LONG)
        ring_enter_deep(ring);
    if (io_uring_cq_ready(&ring->uring) == 0)
        ring_enter(ring, ring->more ? WEFT_NOW : until);
    ring_reap(descriptors, ring);
    if (ring->more)
        ring->more = wefti_epoll_look(descriptors, WEFT_NOW);
}

static bool uring_begin(struct wefti_descriptors *descriptors, struct wefti_item *item)
{
    struct wefti_transfer *transfer = item->transfer;
    struct wefti_ring *ring = ring_get(descriptors);
    struct io_uring_sqe *request = ring ? ring_request(ring) : NULL;
    item->tried &= request != NULL; /* not since the last transfer, which may have left something */
    if (!request)
        return false;
    io_uring_prep_recv(request, item->descriptor, transfer->octets, transfer->size < MOST ? transfer->size : MOST, 0);
    io_uring_sqe_set_data(request, item);
    transfer->begun = true;
    return true;
}

static bool uring_watch(struct wefti_descriptors *descriptors, struct wefti_item *item)
{
    bool can = !__atomic_load_n(&uring_wordless, __ATOMIC_RELAXED) && wefti_descriptors_open(descriptors) == 0;
    struct wefti_ring *ring = can ? ring_get(descriptors) : NULL;
    struct io_uring_sqe *request = ring && !__atomic_load_n(&uring_wordless, __ATOMIC_RELAXED) ? ring_request(ring) : NULL;
    if (!request)
        return false;
    io_uring_prep_rw(WORD_WAIT, request, WORD_OF_32, item->word, 0, item->expected);
    request->addr3 = UINT32_MAX; /* by whatever wake */
    io_uring_sqe_set_data(request, item);
    return true;
}

static void uring_end(struct wefti_descriptors *descriptors, struct wefti_item *item)
{
    struct wefti_ring *ring = descriptors->ring;
    struct io_uring_sqe *request = NULL;
    if (item->kind != WEFTI_KERNEL_WORD)
        item->transfer->left = true;
    while (item_pends(item) && !(request = ring_request(ring))) {
        ring->library.get(&ring->uring);
        ring_reap(descriptors, ring);
    }
    if (request) {
        io_uring_prep_cancel(request, item, 0);
        request->user_data = NOBODY;
    }
    while (item_pends(item)) {
        ring->library.submit_wait(&ring->uring, 1);
        ring_reap(descriptors, ring);
    }
}

static void uring_flush(struct wefti_descriptors *descriptors)
{
    if (descriptors->ring)
        descriptors->ring->library.submit(&descriptors->ring->uring);
}

static int uring_lend(struct wefti_descriptors *descriptors)
{
    struct wefti_ring *ring = descriptors->ring;
    if (!ring)
        return 0; /* the one that comes will be */
    if (!ring_lend(descriptors, ring)) {
        errno = ENOMEM;
        return -1;
    }
    struct io_uring_sqe *request = ring->listens ? ring_request(ring) : NULL;
    if (request) {
        io_uring_prep_poll_remove(request, LISTENS);
        request->user_data = NOBODY;
    }
    return 0;
}

static const struct wefti_backend uring = {.name = "io_uring",
    .load = uring_load,
    .look = uring_look,
    .begin = uring_begin,
    .watch = uring_watch,
    .end = uring_end,
    .lend = uring_lend,
    .flush = uring_flush,
    .close = uring_close};
const struct wefti_backend *const wefti_backend_uring = &uring;
