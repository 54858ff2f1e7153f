/* SPDX-License-Identifier: MIT */
/*
 * For libFuzzer (./check fuzz): whatever octets a peer sends, frames are those that a reader of a few lines finds in them, whatever pieces
 * they come in; and nobody gets past the proof of the key who has not used it.
 *
 * The first octet of an input says what is tried, see the enum below. Without a proof the second is the length of the pieces in which the
 * rest comes, 0: all at once. With one, the rest is a row of what the peer says, each an octet that tells what and one of its length:
 * octets as they are, or in a frame, or a word, or a challenge, or an answer that is right for a key. Our challenge is the same each time,
 * so that answers to it can lie in the socket before it is sent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection/connection.h"
#include "connection/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

enum { PROOF = 1, ACCEPTED = 2, EAGER = 4, TCP = 8, SETTLED = 16, SHA256_ONLY = 32, EMPTY_KEY = 64, WRONG_KEY = 128 };
enum { SAY_RAW, SAY_FRAME, SAY_CHALLENGE, SAY_WELCOME, SAY_FAILURE, SAY_ANSWER, SAYS };
enum { MOST = 1000, RANDOM = 40 };

static const char *const digests[] = {"{md5}", "{sha256}", "{sha384}", "{sha3_256}", "{sha3_384}", ""};

static void must(bool held)
{
    if (!held)
        abort();
}

ssize_t getrandom(void *octets, size_t length, unsigned flags)
{
    (void)flags;
    memset(octets, 'r', length);
    return (ssize_t)length;
}

/* What the peer is going to say: in one piece, for many small ones do not fit into a socket. What is too much is left out. */
static struct {
    size_t length;
    char octets[1 << 16];
} said;

static void say(const void *octets, size_t length)
{
    if (length == 0 || length > sizeof(said.octets) - said.length)
        return;
    memcpy(said.octets + said.length, octets, length);
    said.length += length;
}

static void say_frame(const char *word, const void *octets, size_t length)
{
    size_t all = strlen(word) + length;
    uint8_t header[4] = {0, 0, (uint8_t)(all >> 8), (uint8_t)all};
    say(header, 4);
    say(word, strlen(word));
    say(octets, length);
}

static void said_send(int to)
{
    must(said.length == 0 || send(to, said.octets, said.length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)said.length);
    said.length = 0;
}

/* Frames without a proof. */

/* What there is in a stream; the end is told by errno. False at the end. */
static bool frame_next(const uint8_t **at, const uint8_t *end, const uint8_t **frame, uint64_t *length)
{
    size_t left = (size_t)(end - *at);
    bool high = left >= 4 && memcmp(*at, "\xff\xff\xff\xff", 4) == 0;
    size_t header = high ? 12 : 4;
    errno = left == 0 ? EPIPE : ECONNRESET;
    if (left < header)
        return false;
    *length = 0;
    for (size_t i = high ? 4 : 0; i < header; i++)
        *length = *length << 8 | (*at)[i];
    errno = *length > MOST ? EPROTO : ECONNRESET;
    *frame = *at + header;
    if (*length > MOST || left - header < *length)
        return false;
    *at = *frame + *length;
    return true;
}

/* Those that have come so far, each sent back; the errno that ends them. */
static int frames_take(weft_connection *connection, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *frame;
    uint64_t length;
    while (wefti_frame_receive(connection, MOST, WEFT_NOW) == 0) {
        must(frame_next(at, end, &frame, &length));
        must(connection->body.length == length && (length == 0 || memcmp(connection->body.octets, frame, length) == 0));
        must(wefti_frame_send(connection, connection->body.octets, connection->body.length, WEFT_NOW) == 0);
    }
    return errno;
}

static void try_frames(weft_connection *connection, int peer, const uint8_t *octets, size_t length, size_t piece)
{
    const uint8_t *at = octets, *end = octets + length, *frame;
    uint64_t unused;
    int error = EAGAIN;
    for (size_t sent = 0, more; sent < length && error == EAGAIN; sent += more) {
        more = piece && piece < length - sent ? piece : length - sent;
        say(octets + sent, more);
        said_send(peer);
        error = frames_take(connection, &at, end);
    }
    shutdown(peer, SHUT_WR);
    if (error == EAGAIN)
        error = frames_take(connection, &at, end);
    must(!frame_next(&at, end, &frame, &unused));
    must(errno == error);
    must(wefti_frame_receive(connection, MOST, WEFT_NOW) != 0 && errno == error); /* for good */
}

/* Proofs. */

static const char *key_of(uint8_t flags, size_t *length)
{
    *length = flags & EMPTY_KEY ? 0 : 6;
    return "secret";
}

static void say_answer(uint8_t flags, uint8_t digest)
{
    char challenge[8 + RANDOM] = "{sha256}", answer[16 + WEFTI_DIGEST_MOST];
    const char *named = digests[digest % (WEFTI_DIGESTS + 1)];
    memset(challenge + 8, 'r', RANDOM);
    memcpy(answer, named, strlen(named));
    size_t key_length;
    const char *key = key_of(flags, &key_length);
    size_t mac = wefti_digest_mac(digest % (WEFTI_DIGESTS + 1) % WEFTI_DIGESTS, flags & WRONG_KEY ? "another" : key, key_length, challenge,
        sizeof(challenge), (unsigned char *)answer + strlen(named));
    say_frame("", answer, strlen(named) + mac);
}

/* Whether an answer was made with the right key. */
static bool say_all(uint8_t flags, const uint8_t *at, size_t left)
{
    bool used = false;
    while (left >= 2) {
        uint8_t what = at[0] % SAYS, number = at[1];
        size_t one = what <= SAY_CHALLENGE ? number : 0;
        one = one < left - 2 ? one : left - 2;
        if (what == SAY_RAW)
            say(at + 2, one);
        else if (what != SAY_ANSWER)
            say_frame((const char *[]){"", "", "#CHALLENGE#", "#WELCOME#", "#FAILURE#"}[what], at + 2, one);
        else
            say_answer(flags, number);
        used = used || (what == SAY_ANSWER && (!(flags & WRONG_KEY) || flags & EMPTY_KEY));
        at += 2 + one;
        left -= 2 + one;
    }
    return used;
}

static void try_proof(weft_connection *connection, int peer, uint8_t flags, const uint8_t *octets, size_t length)
{
    struct wefti_key key = {.sha256_only = flags & SHA256_ONLY};
    bool used = say_all(flags, octets, length);
    said_send(peer);
    shutdown(peer, SHUT_WR);
    key.octets = (void *)(uintptr_t)key_of(flags, &key.length);
    if (wefti_key_prove(connection, &key, flags & ACCEPTED, WEFT_NOW) == 0)
        must(used);
    else
        must(errno == EACCES || errno == EPROTO || errno == EPIPE || errno == ECONNRESET);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    int ends[2], size = 1 << 20;
    if (length < 2 || length > 1 << 14 || !wefti_digest_offered())
        return 0;
    uint8_t flags = octets[0];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    weft_connection *connection = calloc(1, sizeof(*connection));
    must(connection);
    *connection =
        (weft_connection){.descriptor = ends[0], .most = MOST, .tcp = flags & TCP, .eager = flags & EAGER, .settled = flags & SETTLED};
    if (flags & PROOF)
        try_proof(connection, ends[1], flags, octets + 1, length - 1);
    else
        try_frames(connection, ends[1], octets + 2, length - 2, octets[1]);
    weft_connection_close(connection);
    close(ends[1]);
    return 0;
}
