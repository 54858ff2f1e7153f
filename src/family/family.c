/* SPDX-License-Identifier: MIT */
/*
 * The members' side of a family: its beginning, and asking the supervisor for processes.
 *
 * A request is a message on a socket that all members have: the address of a struct wefti_process in the arena with its ticket, and four
 * descriptors (working directory, standard input, output and error; one that is closed is stood for by the socket itself). The answer is
 * the process's state. Who waits for an answer waits for three words: the state, the family's epoch, and the life of a keeper that lives,
 * which the kernel marks when it dies.
 *
 * A life is the word of a robust mutex that the keeper holds. A waiter sets FUTEX_WAITERS in it before he sleeps, as the kernel asks for
 * who wants to be woken by a death. The kernel wakes one; so each who finds a keeper dead wakes all others.
 *
 * When the supervisor dies, the spare takes its place (supervisor.c) and changes the epoch, as the supervisor does when a process that
 * stood by has died, perhaps with a request in its hand. What has not been answered is then asked for again. A request that so comes twice
 * is met once: by who claims it (claim.c).
 *
 * The maker's hold of a record stands among what its process holds (life.h), so that the supervisor lets go for a maker that dies (held.h).
 * What the process will hold stands in the record (`born`): the maker strikes it out when he lets go of one that never ran.
 */

#include "family/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alone.h"
#include "base/file_id.h"
#include "base/futex.h"
#include "base/latch.h"
#include "base/leave.h"
#include "base/memory.h"
#include "base/opening.h"
#include "base/streams.h"
#include "family/below.h"
#include "family/claim.h"
#include "family/ids.h"
#include "family/joined.h"
#include "shared/block.h"
#include "shared/life.h"
#include "wait/wait.h"

enum { GRACE = 500000000 /* ns */, JOIN_LOOK = 100000000 /* ns */, JOIN_LOOKS = 4 };

static int asking = -1;                  /* the members' end of the socket */
static struct wefti_file_id asking_file; /* what that is of, as long as nobody else has the number; set before it */
bool wefti_family_threaded;
uintptr_t wefti_family_shift;

static uint32_t *life_word(struct wefti_keeper *keeper)
{
    return (uint32_t *)&keeper->life.__data.__lock;
}

/* Whether the keeper is dead, or has not begun; if not, *life is its word while it lives, marked as waited for. */
static bool keeper_dead(struct wefti_keeper *keeper, uint32_t *life)
{
    uint32_t word = __atomic_load_n(life_word(keeper), __ATOMIC_ACQUIRE);
    while ((word & FUTEX_TID_MASK) && !(word & (FUTEX_WAITERS | FUTEX_OWNER_DIED)))
        if (__atomic_compare_exchange_n(life_word(keeper), &word, word | FUTEX_WAITERS, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            word |= FUTEX_WAITERS;
    *life = word;
    if ((word & FUTEX_TID_MASK) && !(word & FUTEX_OWNER_DIED))
        return false;
    weft_wake(life_word(keeper), UINT32_MAX);
    return true;
}

static unsigned lives_watch(struct wefti_family *family, struct wefti_item *items)
{
    unsigned count = 0;
    for (unsigned i = 0; i < WEFTI_KEEPERS; i++) {
        uint32_t life;
        if (!keeper_dead(&family->keepers[i], &life))
            items[count++] = (struct wefti_item){.kind = WEFTI_WORD, .word = life_word(&family->keepers[i]), .expected = life};
    }
    return count;
}

unsigned wefti_family_watch(struct wefti_item *items)
{
    return lives_watch(wefti_family_now(), items);
}

/*
 * Waits while the word has this value and the epoch that. 0: one of them has changed; -1 with EPIPE when both keepers are dead, and the
 * errors of wefti_wait_items. A spare that has been forked and has not begun looks dead too: so the last look comes GRACE after no life was
 * seen.
 */
static int wait_while(struct wefti_family *family, const uint32_t *word, uint32_t value, uint32_t epoch, weft_time deadline)
{
    weft_time late = 0;
    for (;;) {
        struct wefti_item items[2 + WEFTI_KEEPERS];
        unsigned lives = lives_watch(family, items + 2);
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value || __atomic_load_n(&family->epoch, __ATOMIC_ACQUIRE) != epoch)
            return 0;
        late = lives > 0 ? 0 : late ? late : weft_clock() + GRACE;
        if (late && weft_clock() >= late) {
            errno = EPIPE;
            return -1;
        }
        weft_time until = late && late < deadline ? late : deadline;
        items[0] = (struct wefti_item){.kind = WEFTI_WORD, .word = word, .expected = value};
        items[1] = (struct wefti_item){.kind = WEFTI_WORD, .word = &family->epoch, .expected = epoch};
        if (wefti_wait_items(items, 2 + lives, until) < 0 && !(errno == ETIMEDOUT && until < deadline))
            return -1;
    }
}

/* The beginning. */

#ifdef WEFTI_TSAN
enum { OWN_THREADS = 2 }; /* it has one itself */
#else
enum { OWN_THREADS = 1 };
#endif

bool wefti_threads_live(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count > OWN_THREADS;
}

/* Whether the orphans among its descendants come to this process: it is the first of a container, or has asked for them. */
static bool orphans_come(void)
{
    int asked = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &asked);
    return getpid() == 1 || asked;
}

/* Its one descriptor is the root's; it has no arena. SIGCHLD, blocked, waits to be read. */
static int between_bare(int root)
{
    sigset_t all, children;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    wefti_children_heed();
    prctl(PR_SET_NAME, "weft-between");
    munmap((void *)wefti_arena_base, wefti_arena_size); /* NOLINT: an address */
    if (root > 0)
        syscall(SYS_close_range, 0, root - 1, 0);
    syscall(SYS_close_range, root + 1, ~0U, 0);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    return chdir("/") == 0 ? signalfd(-1, &children, SFD_NONBLOCK) : -1;
}

/*
 * Where orphans come to the root, the supervisor would be the root's child as soon as its parent is gone: a wait() for any child would see
 * it, and never end. So there its parent stays, takes in what the supervisors that die leave behind, and ends with the root.
 */
_Noreturn static void between_stay(int root)
{
    struct signalfd_siginfo ended;
    struct pollfd polls[2] = {{.fd = root, .events = POLLIN}, {.fd = between_bare(root), .events = POLLIN}};
    while (polls[1].fd >= 0) {
        pid_t child;
        while ((child = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
            ;
        if (child < 0 || (poll(polls, 2, -1) > 0 && polls[0].revents))
            break;
        while (read(polls[1].fd, &ended, sizeof(ended)) > 0)
            ;
    }
    wefti_leave(0);
}

/* The process in between: the supervisor's parent, so that the host is not; gone when that runs, unless it has to stay. */
_Noreturn static void between_run(struct wefti_family *family, struct wefti_supervisor_start *start, bool stays)
{
    if (stays)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t supervisor = start->root < 0 ? -1 : fork();
    if (supervisor == 0)
        wefti_supervisor_run(family, start);
    if (stays && supervisor > 0)
        between_stay(start->root);
    wefti_leave(0);
}

/*
 * Waits for the supervisor's word that it takes requests. It alone has the other end now, so its death is the end of the socket: then
 * EAGAIN. In recv and not in `wait`, for this is the only thread, and giving up would leave a supervisor behind.
 */
static int supervisor_await(int socket)
{
    char word;
    ssize_t got;
    do
        got = recv(socket, &word, sizeof(word), 0);
    while (got < 0 && errno == EINTR);
    return got == sizeof(word) ? 0 : EAGAIN;
}

static void between_end(pid_t between)
{
    siginfo_t info;
    while (syscall(SYS_waitid, P_PID, between, &info, WEXITED | __WALL, NULL) != 0 && errno == EINTR)
        ; /* a host that waits for any child may have been faster, where this one is one */
}

/* The host's SIGCHLD and its waitpid(-1) do not see this child, which sends no signal. (One that was made beside threads does, and so does
 * not stay.) Closes the supervisor's end. 0 or an error number. */
static int supervisor_start(struct wefti_family *family, struct wefti_supervisor_start *start)
{
    start->root = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (start->root < 0 && (errno == EMFILE || errno == ENFILE)) {
        int failed = errno;
        close(start->requests);
        return failed;
    }
    fflush(NULL); /* what is buffered here would be printed again by each process that is made */
    bool stays = !wefti_family_threaded && orphans_come();
    long between = wefti_fails_with(EAGAIN) ? -1 : wefti_family_threaded ? fork() : syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (between == 0)
        between_run(family, start, stays);
    int error = between < 0 ? errno : 0;
    if (start->root >= 0)
        close(start->root);
    close(start->requests);
    if (error)
        return error;
    if (!stays)
        between_end((pid_t)between);
    error = supervisor_await(start->asking);
    if (stays && error)
        between_end((pid_t)between);
    return error;
}

/* 0 or an error number. */
static int socket_make(int ends[2])
{
    if (wefti_fails_with(EMFILE) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    int error = 0;
    for (int i = 0; i < 2; i++)
        if ((ends[i] = wefti_beside_streams(ends[i])) < 0)
            error = errno;
    for (int i = 0; error && i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    return error;
}

static int family_start(void)
{
    int ends[2];
    wefti_ids_note();
    int failed = socket_make(ends);
    if (failed)
        return failed;
    struct wefti_family *family = wefti_family_get();
    struct wefti_supervisor_start start = {.requests = ends[0], .asking = ends[1]};
    int error = family ? supervisor_start(family, &start) : errno;
    if (!family)
        close(ends[0]);
    if (!error) {
        asking_file = wefti_file_id_of(ends[1]);
        __atomic_store_n(&asking, ends[1], __ATOMIC_RELEASE);
        return 0;
    }
    close(ends[1]);
    return error;
}

static int family_begin(bool threaded)
{
    static struct wefti_latch latch; /* of the beginning; those who are made meanwhile have it closed, and do not come here */
    if (!wefti_arena_get())
        return -1;
    int error = 0;
    if (__atomic_load_n(&asking, __ATOMIC_ACQUIRE) < 0) {
        wefti_latch_close(&latch);
        bool threads = asking < 0 && wefti_threads_live();
        if (threads && !threaded)
            error = EBUSY;
        else if (asking < 0) {
            wefti_family_threaded = threads;
            error = family_start();
        }
        wefti_latch_open(&latch);
    }
    if (!error && wefti_family_threaded && !threaded)
        error = EBUSY;
    if (!error)
        return 0;
    errno = error;
    return -1;
}

int wefti_family_begin(void)
{
    return family_begin(false);
}

int wefti_family_begin_threaded(void)
{
    return family_begin(true);
}

/* Processes. */

void wefti_process_release(struct wefti_process *process, uint64_t ticket, uint32_t holder)
{
    if (wefti_held_leave(&process->held, ticket, holder))
        wefti_block_free(process);
}

static int (*main_there(int (*main)(struct wefti_process *self)))(struct wefti_process *self)
{
    return (int (*)(struct wefti_process *))((uintptr_t)main + wefti_family_shift); /* NOLINT: the library's, elsewhere */
}

struct wefti_process *wefti_process_new(int (*main)(struct wefti_process *self), void *data)
{
    struct wefti_family *family = wefti_family_get();
    struct wefti_process *process = family ? wefti_block_take(sizeof(*process)) : NULL;
    if (!process)
        return NULL;
    uint64_t ticket = __atomic_add_fetch(&family->tickets, 1, __ATOMIC_RELAXED);
    *process = (struct wefti_process){.held = wefti_held_word(ticket, WEFTI_PROCESS_MAKERS),
        .main = main_there(main),
        .data = data,
        .claim = wefti_claim_none(ticket),
        .maker = wefti_maker_here(family)};
    if (wefti_hold_process(WEFTI_HOLD_PROCESS, process, ticket) != 0) {
        wefti_block_cancel(process, sizeof(*process));
        return NULL;
    }
    wefti_block_commit(process, sizeof(*process));
    return process;
}

void wefti_process_let_go(struct wefti_process *process)
{
    if (!process)
        return;
    uint32_t state = __atomic_load_n(&process->state, __ATOMIC_ACQUIRE);
    if (state == WEFTI_PROCESS_NEW || state == WEFTI_PROCESS_REFUSED)
        wefti_unhold(&process->born); /* it never ran, and the caller knows: before it could be taken for dead */
    wefti_process_release(process, wefti_held_ticket(&process->held), WEFTI_PROCESS_MAKERS);
    wefti_unhold_process(WEFTI_HOLD_PROCESS, process);
}

/* Nobody meets it, and nobody has: then it is not the supervisor's either. */
static bool process_withdraw(struct wefti_process *process, uint64_t ticket)
{
    return wefti_claim(process, ticket, WEFTI_CLAIM_NOBODY) || wefti_claimed_for(process, ticket, WEFTI_CLAIM_NOBODY);
}

/* The maker is dead, perhaps while he let go. This is the supervisor: a refusal that was not said will not be. */
static void process_mend(uint32_t dead, void *object, uint64_t ticket)
{
    struct wefti_process *process = object;
    if (!wefti_held_there(process, sizeof(*process)) || !wefti_held_by(&process->held, ticket, WEFTI_PROCESS_MAKERS))
        return;
    bool refused = wefti_claimed_for(process, ticket, WEFTI_CLAIM_REFUSED) ||
                   __atomic_load_n(&process->state, __ATOMIC_ACQUIRE) == WEFTI_PROCESS_REFUSED;
    if (process_withdraw(process, ticket) || refused) { /* it never ran: what it would have held is put right in its maker's name */
        process->seat = wefti_life_seat(dead);
        wefti_holding_mend(dead, &process->born);
        wefti_process_release(process, ticket, WEFTI_PROCESS_SUPERVISORS);
    }
    wefti_process_release(process, ticket, WEFTI_PROCESS_MAKERS);
}

static uint64_t mask_change(uint64_t mask)
{
    uint64_t before = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &before, sizeof(mask));
    return before;
}

/* umask(2) cannot ask without changing, and it is all threads'; /proc can. */
static uint32_t creation_mask_read(void)
{
    char line[128];
    unsigned mask = 022;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "Umask: %o", &mask) == 1)
            break;
    if (file)
        fclose(file);
    return mask;
}

/* The masks that a process begins with are those of this moment. No handler of a program without threads is called while its mask of file
 * creation is another: that is 10 us faster than to read it. */
static void masks_note(struct wefti_process *process)
{
    process->signals = mask_change(UINT64_MAX);
    if (wefti_alone())
        umask((mode_t)(process->creation_mask = umask(077)));
    else
        process->creation_mask = creation_mask_read();
    mask_change(process->signals);
}

/* Sends the request with its descriptors; waits while the socket is full. */
int wefti_request_send(const struct wefti_request *request, const int *descriptors, size_t count)
{
    union {
        char octets[CMSG_SPACE(WEFTI_HANDED_MOST * sizeof(int))];
        struct cmsghdr header;
    } control;
    struct iovec body = {.iov_base = (void *)request, .iov_len = sizeof(*request)};
    struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int))};
    memcpy(CMSG_DATA(&control.header), descriptors, count * sizeof(int));
    for (;;) {
        if (sendmsg(asking, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return 0;
        if (errno == ECONNRESET)
            errno = EPIPE;
        if (errno != EAGAIN && errno != EINTR)
            return -1;
        struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = asking, .events = POLLOUT};
        if (wefti_wait_items(&item, 1, WEFT_FOREVER) < 0)
            return -1;
    }
}

/* Whether nobody meets it any more: then nobody ever will. */
static bool request_given_up(const struct wefti_request *request)
{
    int error = errno;
    bool given_up = process_withdraw(request->process, request->ticket);
    if (given_up)
        wefti_process_release(request->process, request->ticket, WEFTI_PROCESS_SUPERVISORS);
    errno = error;
    return given_up;
}

/*
 * Asks until there is an answer: 0, the state being RUNS or more; -1. Whoever had the request and died has not said so, but the epoch
 * changes then: it is asked for again, which does no harm if somebody has it. If it cannot be sent then, he who has it is waited for.
 */
static int request_ask(struct wefti_family *family, const struct wefti_request *request, const int *descriptors, size_t count)
{
    struct wefti_process *process = request->process;
    __atomic_fetch_or(&process->held, WEFTI_PROCESS_SUPERVISORS, __ATOMIC_RELAXED);
    do {
        uint32_t epoch = __atomic_load_n(&family->epoch, __ATOMIC_ACQUIRE);
        if (wefti_request_send(request, descriptors, count) != 0 && request_given_up(request))
            return -1;
        if (wait_while(family, &process->state, WEFTI_PROCESS_NEW, epoch, WEFT_FOREVER) != 0) {
            request_given_up(request);
            return -1;
        }
    } while (__atomic_load_n(&process->state, __ATOMIC_ACQUIRE) == WEFTI_PROCESS_NEW);
    return 0;
}

/* The working directory and the first three; [0] is to be closed. -1 with EMFILE. */
static int descriptors_gather(struct wefti_process *process, int handed[WEFTI_HANDED])
{
    process->closed = 0;
    for (int i = 1; i < WEFTI_HANDED; i++) { /* before another can come to lie where one is closed */
        bool closed = fcntl(i - 1, F_GETFD) < 0;
        process->closed |= (uint32_t)closed << (i - 1);
        handed[i] = closed ? asking : i - 1;
    }
    handed[0] = wefti_fails_with(EMFILE) ? -1 : open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return handed[0] < 0 ? -1 : 0;
}

/* The family, if processes can be asked for; NULL with ESTALE; EBADF: the program has closed the socket here. */
static struct wefti_family *family_asked(void)
{
    struct wefti_family *family = wefti_member && asking >= 0 ? wefti_family_now() : NULL;
    if (!family)
        errno = ESTALE;
    else if (!wefti_file_id_is(asking, asking_file)) {
        errno = EBADF;
        family = NULL;
    }
    return family;
}

/* Sends, waits, and says how it went. */
static int process_ask(struct wefti_process *process, bool adopt, const int *descriptors, size_t count)
{
    struct wefti_request request = {.process = process, .ticket = wefti_held_ticket(&process->held), .adopt = adopt};
    wefti_shield_raise();
    int failed = request_ask(wefti_family_now(), &request, descriptors, count);
    wefti_shield_lower();
    if (failed)
        return -1;
    if (__atomic_load_n(&process->state, __ATOMIC_ACQUIRE) != WEFTI_PROCESS_REFUSED)
        return 0;
    wefti_claim_refused(process, request.ticket);
    errno = process->error;
    return -1;
}

int wefti_process_start(struct wefti_process *process)
{
    if (family_asked() && !wefti_ids_same()) {
        errno = EPERM;
        return -1;
    }
    return wefti_process_start_errand(process);
}

int wefti_process_start_errand(struct wefti_process *process)
{
    int handed[WEFTI_HANDED_MOST];
    size_t count = WEFTI_HANDED;
    if (!family_asked())
        return -1;
    if (descriptors_gather(process, handed) != 0)
        return -1;
    if (process->given)
        handed[count++] = (int)process->given - 1;
    masks_note(process);
    int failed = process_ask(process, false, handed, count), error = errno;
    close(handed[0]);
    errno = error;
    return failed;
}

int wefti_process_adopt(struct wefti_process *process, int pidfd)
{
    return family_asked() ? process_ask(process, true, &pidfd, 1) : -1;
}

/* Whether it is the record yet that had this ticket. */
static bool record_is(const struct wefti_process *process, uint64_t ticket)
{
    return wefti_held_there(process, sizeof(*process)) && wefti_held_ticket(&process->held) == ticket;
}

/*
 * It belongs to nobody yet. So it is told of nothing when its maker dies before he has asked for its adoption, but finds that the record is
 * gone; and when the family ends it is not killed, and the one wake that the kernel has for who watches a keeper may have gone to one who
 * is. So it does not rely on being woken. The looks together take less than half of the second in which a family is to end, and longer than
 * a spare takes to begin.
 */
int wefti_process_join(struct wefti_process *process, uint64_t ticket)
{
    uint32_t state;
    struct wefti_item lives[WEFTI_KEEPERS];
    struct wefti_family *family = wefti_family_now();
    for (int alone = 0; (state = __atomic_load_n(&process->state, __ATOMIC_ACQUIRE)) == WEFTI_PROCESS_NEW;) {
        uint32_t epoch = __atomic_load_n(&family->epoch, __ATOMIC_ACQUIRE);
        if (wait_while(family, &process->state, state, epoch, weft_clock() + JOIN_LOOK) < 0 && errno != ETIMEDOUT)
            return -1;
        alone = lives_watch(family, lives) > 0 ? 0 : alone + 1;
        if (alone < JOIN_LOOKS && record_is(process, ticket))
            continue;
        errno = EPIPE;
        return -1;
    }
    if (state == WEFTI_PROCESS_RUNS && record_is(process, ticket)) {
        wefti_member = (uint16_t)process->seat;
        return 0;
    }
    errno = ECANCELED;
    return -1;
}

int wefti_process_wait(struct wefti_process *process, int *status, weft_time deadline)
{
    uint32_t state;
    struct wefti_family *family = wefti_family_now();
    while ((state = __atomic_load_n(&process->state, __ATOMIC_ACQUIRE)) != WEFTI_PROCESS_ENDED) {
        if (state != WEFTI_PROCESS_RUNS) {
            errno = EINVAL;
            return -1;
        }
        if (wait_while(family, &process->state, WEFTI_PROCESS_RUNS, __atomic_load_n(&family->epoch, __ATOMIC_ACQUIRE), deadline) < 0)
            return -1;
    }
    *status = process->status;
    return 0;
}

void wefti_family_joined(int socket)
{
    asking = socket;
    asking_file = wefti_file_id_of(socket);
}

int wefti_family_socket(void)
{
    return asking;
}

WEFTI_OPENING_WAIT static void family_open(void)
{
    wefti_menders[WEFTI_HOLD_PROCESS] = process_mend;
}
