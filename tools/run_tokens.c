/* SPDX-License-Identifier: MIT */
/*
 * See run_tokens.h. The pipe is opened anew, so that not blocking is our affair alone: the description that make handed down is
 * everybody's.
 */
#include "run_tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"

static const char *const token_options[] = {"--jobserver-auth=", "--jobserver-fds="};

/* Whether a word of MAKEFLAGS names a jobserver; then how long the option is. */
static size_t names_jobserver(const char *word)
{
    for (size_t i = 0; i < sizeof token_options / sizeof *token_options; i++)
        if (strncmp(word, token_options[i], strlen(token_options[i])) == 0)
            return strlen(token_options[i]);
    return 0;
}

/* The next word from *at on, before " -- " (variables follow that), and its length; NULL when there is none. */
static const char *next_word(const char **at, size_t *length)
{
    const char *word = *at + strspn(*at, " ");
    *length = strcspn(word, " ");
    *at = word + *length;
    return *length == 0 || (*length == 2 && strncmp(word, "--", 2) == 0) ? NULL : word;
}

const char *run_tokens_find(const char *flags, size_t *length)
{
    const char *found = NULL;
    size_t word_length;
    for (const char *at = flags, *word; at && (word = next_word(&at, &word_length));) {
        size_t option = names_jobserver(word);
        if (option) {
            found = word + option;
            *length = word_length - option;
        }
    }
    return found;
}

void run_tokens_flags(const char *flags, unsigned jobs, const char *where, struct text *out)
{
    const char *at = flags ? flags : "", *word;
    size_t length;
    text_add_string(out, "MAKEFLAGS=");
    bool first = *at != ' '; /* without a blank before it, the first word is letters of options */
    while ((word = next_word(&at, &length))) {
        if (!names_jobserver(word) && strncmp(word, "-j", 2) != 0) {
            text_add_string(out, first ? "" : " ");
            text_add(out, word, length);
        }
        first = false;
    }
    text_format(out, " -j%u --jobserver-auth=%s", jobs, where);
    if (length)
        text_format(out, " --%s", at);
}

static bool is_pipe(int fd, int wanted)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
           ((flags & O_ACCMODE) == wanted || (flags & O_ACCMODE) == O_RDWR);
}

/* Opens the two ends that others know under these names. */
static int open_ends(struct run_tokens *tokens, const char *in, const char *out)
{
    tokens->in = open(in, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    tokens->out = tokens->in < 0 ? -1 : open(out, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (tokens->out >= 0)
        return 0;
    int error = errno;
    if (tokens->in >= 0)
        close(tokens->in);
    tokens->in = -1;
    errno = error;
    return -1;
}

/*
 * Joins the jobserver that is named there. Where it was not handed down to us, which make does for rules that have a + only, there is none.
 */
static int join_server(struct run_tokens *tokens, const char *where, size_t length)
{
    char name[4096], in[40], out[40];
    int read_end, write_end;
    snprintf(name, sizeof name, "%.*s", (int)length, where);
    if (strncmp(name, "fifo:", 5) == 0)
        return open_ends(tokens, name + 5, name + 5);
    if (sscanf(name, "%d,%d", &read_end, &write_end) != 2 || !is_pipe(read_end, O_RDONLY) || !is_pipe(write_end, O_WRONLY)) {
        errno = EBADF;
        return -1;
    }
    snprintf(in, sizeof in, "/proc/self/fd/%d", read_end);
    snprintf(out, sizeof out, "/proc/self/fd/%d", write_end);
    return open_ends(tokens, in, out);
}

void run_tokens_add(struct run_tokens *tokens)
{
    if (tokens->in < 0 || tokens->gift)
        return;
    ssize_t written = write(tokens->out, "+", 1);
    (void)written; /* a pipe that is full has tokens enough */
}

static int make_server(struct run_tokens *tokens, unsigned jobs)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        complain("cannot make a jobserver: %s", strerror(errno));
        return -1;
    }
    tokens->in = ends[0];
    tokens->out = ends[1];
    if (jobs > 4096)
        fcntl(ends[1], F_SETPIPE_SZ, jobs);
    for (unsigned i = 0; i < jobs; i++)
        run_tokens_add(tokens);
    return 0;
}

static struct run_tokens *tokens_of_all; /* to be given back when the program gives up */

static void give_all_back(void)
{
    struct run_tokens *tokens = tokens_of_all;
    ssize_t written = tokens->held.length ? write(tokens->out, tokens->held.at, tokens->held.length) : 0;
    (void)written;
}

int run_tokens_begin(struct run_tokens *tokens, enum run_tokens_style style, unsigned jobs)
{
    size_t length = 0;
    const char *flags = getenv("MAKEFLAGS"), *where = run_tokens_find(flags, &length);
    *tokens = (struct run_tokens){.in = -1, .out = -1, .returned = -1, .style = style};
    tokens->gift = where && join_server(tokens, where, length) == 0;
    if (where && !tokens->gift && jobs != 1 && style == RUN_TOKENS_NO_SERVER)
        complain("make's jobserver is not handed down to this rule (+ before it does that): it is not shared");
    if (!tokens->gift && style != RUN_TOKENS_NO_SERVER && make_server(tokens, jobs) != 0)
        return -1;
    if (tokens->in < 0)
        return 0;
    text_reserve(&tokens->held, jobs + 1); /* giving up must not allocate */
    tokens_of_all = tokens;
    give_up_after(give_all_back);
    snprintf(tokens->in_path, sizeof tokens->in_path, "/proc/%d/fd/%d", (int)getpid(), tokens->in);
    snprintf(tokens->out_path, sizeof tokens->out_path, "/proc/%d/fd/%d", (int)getpid(), tokens->out);
    if (style == RUN_TOKENS_PIPE)
        run_tokens_flags(flags, jobs, "3,4", &tokens->flags);
    if (style == RUN_TOKENS_FIFO) {
        char name[48];
        snprintf(name, sizeof name, "fifo:%s", tokens->in_path);
        run_tokens_flags(flags, jobs, name, &tokens->flags);
    }
    tokens->returned = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return 0;
}

void run_tokens_wrap(const struct run_tokens *tokens, struct run_wrap *wrap)
{
    if (tokens->in < 0 || tokens->style != RUN_TOKENS_PIPE)
        return;
    run_wrap_add(wrap, "exec 3<\"$1\"", tokens->in_path);
    run_wrap_add(wrap, "exec 4>\"$1\"", tokens->out_path);
}

/* Takes one if there is one now. */
static bool take_now(struct run_tokens *tokens, int *token)
{
    char octet;
    uint32_t no = 0;
    if (tokens->gift && __atomic_compare_exchange_n(&tokens->given, &no, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        *token = RUN_TOKEN_GIFT;
        return true;
    }
    bool taken = false;
    weft_with (&tokens->lock) {
        taken = read(tokens->in, &octet, 1) == 1;
        if (taken)
            text_add_char(&tokens->held, octet);
    }
    *token = taken ? (unsigned char)octet : RUN_TOKEN_NONE;
    return taken;
}

bool run_tokens_take(struct run_tokens *tokens, struct run_pace *pace, int *token)
{
    *token = RUN_TOKEN_NONE;
    if (tokens->in < 0)
        return true;
    struct pollfd waits[] = {
        {.fd = tokens->in, .events = POLLIN}, {.fd = tokens->returned, .events = POLLIN}, {.fd = pace->stop->draining, .events = POLLIN}};
    bool taken;
    while (!(taken = take_now(tokens, token))) {
        run_pace_tell(pace, RUN_PACE_TOKEN);
        uint64_t times;
        poll(waits, sizeof waits / sizeof *waits, -1);
        if (waits[2].revents)
            break;
        ssize_t length = waits[1].revents ? read(tokens->returned, &times, sizeof times) : 0;
        (void)length; /* it is looked at anyway */
    }
    run_pace_tell(pace, RUN_PACE_NOTHING);
    return taken;
}

/* Forgets one octet of those that are held. */
static void held_remove(struct text *held, char octet)
{
    char *at = held->length ? memchr(held->at, octet, held->length) : NULL;
    if (at)
        *at = held->at[--held->length];
}

void run_tokens_give(struct run_tokens *tokens, int token)
{
    uint64_t one = 1;
    char octet = (char)token;
    if (token == RUN_TOKEN_NONE)
        return;
    if (token == RUN_TOKEN_GIFT) {
        __atomic_store_n(&tokens->given, 0, __ATOMIC_RELEASE);
        ssize_t written = write(tokens->returned, &one, sizeof one);
        (void)written; /* it rings already then */
        return;
    }
    weft_with (&tokens->lock) {
        held_remove(&tokens->held, octet);
        while (write(tokens->out, &octet, 1) < 0 && errno == EINTR)
            continue;
    }
}

void run_tokens_end(struct run_tokens *tokens)
{
    if (tokens->in < 0)
        return;
    give_up_after(NULL);
    close(tokens->in);
    close(tokens->out);
    close(tokens->returned);
    text_free(&tokens->held);
    text_free(&tokens->flags);
}
