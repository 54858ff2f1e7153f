/* SPDX-License-Identifier: MIT */
/*
 * Managers and peers that break off, keep silent, are slow, are many, or send what does harm. The server is a process of its own, so that
 * it can be stopped in the middle, have few descriptors, and be measured.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "connection/connection.h"
#include "connection/digest.h"
#include "fixture.h"

static const char KEY[] = "secret";
enum { KEY_LENGTH = 6 };

static void need_digests(void)
{
    if (!wefti_digest_offered())
        fixture_skip("built without OpenSSL");
}

/* The server. */

struct server {
    pid_t process;
    char address[200];
};

struct server_options {
    const char *address; /* NULL: TCP */
    rlim_t descriptors;  /* 0: as many as there may be */
    double seconds;      /* for the handshake */
};

static void server_run(int tell, const struct server_options *options)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = options->descriptors ? options->descriptors : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    weft_manager *manager = weft_manager_new(options->address ? options->address : "127.0.0.1:0", .key = KEY, .key_length = KEY_LENGTH,
        .standard = true, .handshake_seconds = options->seconds, .backlog = 4096);
    if (!manager)
        fixture_leave(1);
    weft_manager_register(manager, "get_queue", .standard = "Queue", .single = true);
    weft_manager_register(manager, "get_lock", .standard = "RLock", .single = true);
    weft_manager_register(manager, "get_plain_lock", .standard = "Lock", .single = true);
    weft_manager_register(manager, "get_semaphore", .standard = "Semaphore", .single = true);
    const char *address = weft_manager_address(manager);
    if (write(tell, address, strlen(address) + 1) < 0)
        fixture_leave(2);
    close(tell);
    int result = weft_manager_serve(manager);
    weft_manager_free(manager);
    fixture_leave(result == 0 ? 0 : 3);
}

static struct server server_begin(struct server_options options)
{
    struct server server;
    int tell[2];
    need_digests();
    ck_assert_int_eq(pipe(tell), 0);
    server.process = fork();
    ck_assert_int_ge(server.process, 0);
    if (server.process == 0) {
        close(tell[0]);
        server_run(tell[1], &options);
    }
    close(tell[1]);
    ck_assert_int_gt(read(tell[0], server.address, sizeof(server.address)), 0);
    close(tell[0]);
    return server;
}

static weft_remote *remote_at(const struct server *server)
{
    weft_remote *remote = weft_manager_connect(server->address, weft_in(20), .key = KEY, .key_length = KEY_LENGTH);
    ck_assert_ptr_nonnull(remote);
    return remote;
}

static weft_value ask(weft_remote *remote, const char *what)
{
    weft_value result;
    ck_assert_int_eq(weft_remote_call(remote, what, &result, weft_in(20)), 0);
    return result;
}

static void server_end(const struct server *server)
{
    int status;
    weft_remote *remote = remote_at(server);
    weft_drop(ask(remote, "shutdown"));
    weft_remote_free(remote);
    ck_assert_int_eq(waitpid(server->process, &status, 0), server->process);
    ck_assert_int_eq(status, 0);
}

/* Its memory that is no file's, and what it has used of its processor, both since it began. */
static size_t server_memory(const struct server *server)
{
    char path[60], line[200];
    size_t kibibytes = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", server->process);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (kibibytes == 0 && fgets(line, sizeof(line), file))
        sscanf(line, "RssAnon: %zu", &kibibytes);
    fclose(file);
    return kibibytes << 10;
}

static double server_seconds(const struct server *server)
{
    clockid_t clock;
    struct timespec used;
    ck_assert_int_eq(clock_getcpuclockid(server->process, &clock), 0);
    ck_assert_int_eq(clock_gettime(clock, &used), 0);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static int server_threads(const struct server *server)
{
    char path[60], line[200];
    int threads = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", server->process);
    FILE *file = fopen(path, "r");
    while (threads == 0 && fgets(line, sizeof(line), file))
        sscanf(line, "Threads: %d", &threads);
    fclose(file);
    return threads;
}

/* Peers that are a socket and nothing else. */

static int stranger(const char *address)
{
    bool local = strncmp(address, "unix:", 5) == 0;
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    int made = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(made, 0);
    if (local)
        snprintf(path.sun_path, sizeof(path.sun_path), "%s", address + 5);
    else
        tcp.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    struct sockaddr *to = local ? (struct sockaddr *)&path : (struct sockaddr *)&tcp;
    ck_assert_int_eq(connect(made, to, local ? sizeof(path) : sizeof(tcp)), 0);
    return made;
}

static bool take(int from, void *room, size_t length)
{
    struct pollfd one = {.fd = from, .events = POLLIN};
    size_t got = 0;
    while (got < length) {
        ck_assert_int_eq(poll(&one, 1, 20000), 1);
        ssize_t some = recv(from, (char *)room + got, length - got, 0);
        if (some <= 0)
            return false;
        got += (size_t)some;
    }
    return true;
}

static void give(int to, const void *octets, size_t length)
{
    ck_assert_int_eq(send(to, octets, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* The next message: how long; -1 at the end. */
static int take_frame(int from, char room[300])
{
    unsigned char header[4];
    if (!take(from, header, 4))
        return -1;
    int length = header[2] << 8 | header[3];
    ck_assert_int_lt(length, 300);
    return take(from, room, (size_t)length) ? length : -1;
}

struct stream {
    char octets[2000];
    size_t length;
};

static void add_frame(struct stream *stream, const char *word, const void *octets, size_t length)
{
    size_t all = strlen(word) + length;
    char header[4] = {0, 0, (char)(all >> 8), (char)all};
    ck_assert_uint_lt(stream->length + all + 4, sizeof(stream->octets));
    memcpy(stream->octets + stream->length, header, 4);
    memcpy(stream->octets + stream->length + 4, word, strlen(word));
    memcpy(stream->octets + stream->length + 4 + strlen(word), octets, length);
    stream->length += 4 + all;
}

static void add_request(struct stream *stream, const char *ident, const char *method, weft_value arguments)
{
    weft_value parts[] = {ident ? weft_str(ident) : weft_none, weft_str(method), arguments, weft_dict()}, request = weft_tuple(parts, 4);
    struct wefti_octets out = {0};
    struct wefti_pickle_reason reason;
    ck_assert_int_eq(wefti_pickle_write(request, &out, SIZE_MAX, &reason), 0);
    add_frame(stream, "", out.octets, out.length);
    free(out.octets);
    weft_drop(request);
}

static weft_value one(weft_value item)
{
    return weft_tuple(&item, 1);
}

static const weft_value none_given = {.kind = WEFT_NONE};

/* All that a client says from the beginning on, having seen our challenge: its own need not differ each time. */
static void add_proof(struct stream *stream, int socket)
{
    char challenge[300], answer[8 + WEFTI_DIGEST_MOST] = "{sha256}", own[48] = "{sha256}";
    int length = take_frame(socket, challenge);
    ck_assert_int_eq(length, 11 + 48);
    size_t mac = wefti_digest_mac(WEFTI_SHA256, KEY, KEY_LENGTH, challenge + 11, 48, (unsigned char *)answer + 8);
    add_frame(stream, "", answer, 8 + mac);
    add_frame(stream, "#CHALLENGE#", own, sizeof(own));
    add_frame(stream, "#WELCOME#", "", 0);
}

struct request {
    const char *ident, *method; /* ident NULL: one of the server's own, and the only one of its connection */
    const char *text;           /* an argument; NULL: none */
};

static void add_all(struct stream *stream, int socket, const struct request *request)
{
    add_proof(stream, socket);
    if (request->ident)
        add_request(stream, NULL, "accept_connection", one(weft_str("raw")));
    add_request(stream, request->ident, request->method, request->text ? one(weft_str(request->text)) : weft_tuple(NULL, 0));
}

/* What comes before the answer to that request: the verdict, an answer, and the reply to accept_connection. */
static void skip_replies(int socket, const struct request *request)
{
    char room[300];
    for (int i = 0; i < (request->ident ? 3 : 2); i++)
        ck_assert_int_gt(take_frame(socket, room), 0);
}

/* A client that is cut off after so many octets of what it had to say; true: that was all. */
static bool cut_off(const struct server *server, const struct request *request, size_t after)
{
    struct stream stream = {.length = 0};
    int socket = stranger(server->address);
    add_all(&stream, socket, request);
    bool whole = after >= stream.length;
    give(socket, stream.octets, whole ? stream.length : after);
    close(socket);
    return whole;
}

/* The objects that the tests use, and what has to be true of them. */
struct objects {
    weft_remote *remote;
    weft_proxy *queue, *lock, *semaphore;
    int64_t count;
};

static weft_value call(weft_proxy *proxy, const char *method, weft_value arguments)
{
    weft_value result;
    ck_assert_int_eq(weft_proxy_call(proxy, method, &result, weft_in(20), .arguments = arguments), 0);
    weft_drop(arguments);
    ck_assert_msg(!weft_is_error(result), "%s", weft_error_text(result));
    return result;
}

static struct objects objects_begin(const struct server *server)
{
    struct objects objects = {.remote = remote_at(server)};
    objects.queue = weft_proxy_new(objects.remote, "get_queue", weft_in(20));
    objects.lock = weft_proxy_new(objects.remote, "get_lock", weft_in(20));
    objects.semaphore = weft_proxy_new(objects.remote, "get_semaphore", weft_in(20));
    ck_assert(objects.queue && objects.lock && objects.semaphore);
    objects.count = weft_as_int(ask(objects.remote, "number_of_objects"));
    return objects;
}

static int64_t queue_size(const struct objects *objects)
{
    return weft_as_int(call(objects->queue, "qsize", none_given));
}

static void objects_are_free(const struct objects *objects)
{
    weft_value wait = weft_tuple((weft_value[]){weft_bool(true), weft_float(20)}, 2);
    ck_assert(weft_as_bool(call(objects->lock, "acquire", weft_keep(wait))));
    weft_drop(call(objects->lock, "release", none_given));
    ck_assert(weft_as_bool(call(objects->semaphore, "acquire", wait)));
    weft_drop(call(objects->semaphore, "release", none_given));
    fixture_until(weft_as_int(ask(objects->remote, "number_of_objects")) == objects->count);
}

static void objects_end(struct objects *objects)
{
    weft_proxy_free(objects->queue), weft_proxy_free(objects->lock), weft_proxy_free(objects->semaphore);
    weft_remote_free(objects->remote);
}

static const char *in_folder(void)
{
    static char path[200];
    snprintf(path, sizeof(path), "unix:%s/socket", fixture_folder());
    return path;
}

enum { STEP = FIXTURE_STRIDE > 1 || FIXTURE_TSAN ? 7 : 1 };

/* Cut off anywhere, a client has done nothing. */
static void cut_anywhere(const char *address)
{
    struct server server = server_begin((struct server_options){.address = address});
    struct objects objects = objects_begin(&server);
    const char *queue = weft_proxy_ident(objects.queue), *lock = weft_proxy_ident(objects.lock);
    const struct request requests[] = {
        {queue, "get", NULL}, {queue, "put", "item"}, {lock, "acquire", NULL}, {NULL, "create", "list"}, {NULL, "decref", queue}};
    weft_drop(call(objects.queue, "put", one(weft_str("the first"))));
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
        struct stream all = {.length = 0};
        int socket = stranger(server.address);
        add_all(&all, socket, &requests[i]);
        close(socket);
        size_t step = i == 0 && !fixture_copies() ? STEP : 13 * STEP; /* the first octets are the same */
        for (size_t after = i % step; after < all.length; after += after < 140 ? step : 1)
            ck_assert(!cut_off(&server, &requests[i], after));
    }
    objects_are_free(&objects);
    ck_assert_int_eq(queue_size(&objects), 1);
    weft_value first = call(objects.queue, "get", none_given);
    ck_assert_str_eq(weft_as_str(first), "the first");
    weft_drop(first);
    objects_end(&objects);
    server_end(&server);
}

START_TEST(a_client_that_is_cut_off_anywhere_has_done_nothing)
{
    cut_anywhere(NULL);
    cut_anywhere(in_folder());
}
END_TEST

/* How a client ends that has asked: it closes the socket, or says that it says no more, and sees that it gets no answer. */
enum ending { CLOSES, SAYS_NO_MORE };

/*
 * A client that has read all that it was told asks for one thing more, and is gone before the server looks. One that is gone before it
 * was told would show nothing: the server's own words to it would fail, and it would never come to the question.
 */
static void ask_and_die(const struct server *server, const struct request *request, enum ending ending)
{
    struct stream stream = {.length = 0}, last = {.length = 0};
    int socket = stranger(server->address), status;
    char octet;
    add_proof(&stream, socket);
    if (request->ident)
        add_request(&stream, NULL, "accept_connection", one(weft_str("raw")));
    add_request(&last, request->ident, request->method, request->text ? one(weft_str(request->text)) : weft_tuple(NULL, 0));
    give(socket, stream.octets, stream.length);
    skip_replies(socket, request);
    kill(server->process, SIGSTOP);
    ck_assert_int_eq(waitpid(server->process, &status, WUNTRACED), server->process);
    give(socket, last.octets, last.length);
    if (ending == SAYS_NO_MORE)
        shutdown(socket, SHUT_WR);
    else
        close(socket);
    kill(server->process, SIGCONT);
    if (ending == CLOSES)
        return;
    ck_assert(!take(socket, &octet, 1));
    close(socket);
}

static void dead_before(const char *address)
{
    struct server server = server_begin((struct server_options){.address = address});
    struct objects objects = objects_begin(&server);
    const char *queue = weft_proxy_ident(objects.queue), *lock = weft_proxy_ident(objects.lock);
    const struct request requests[] = {{queue, "get", NULL}, {lock, "acquire", NULL},
        {weft_proxy_ident(objects.semaphore), "acquire", NULL}, {NULL, "create", "list"}, {NULL, "create", "get_queue"}};
    for (int i = 0; i < 3; i++)
        weft_drop(call(objects.queue, "put", one(weft_int(i))));
    for (size_t i = 0; i < 2 * sizeof(requests) / sizeof(*requests); i++)
        ask_and_die(&server, &requests[i / 2], i % 2 ? SAYS_NO_MORE : CLOSES);
    objects_are_free(&objects);
    fixture_until(queue_size(&objects) == 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_as_int(call(objects.queue, "get", none_given)), i);
    objects_end(&objects);
    server_end(&server);
}

START_TEST(what_the_dead_asked_for_is_undone)
{
    dead_before(NULL);
    dead_before(in_folder());
}
END_TEST

/* A Lock is nobody's, and does not come back with a session's end: so what took it for the dead has to be undone, also where a condition
 * stands on it. */
static void plain_lock_before(const char *address)
{
    struct server server = server_begin((struct server_options){.address = address});
    weft_remote *remote = remote_at(&server);
    weft_proxy *lock = weft_proxy_new(remote, "get_plain_lock", weft_in(20));
    weft_value stands = one(weft_proxy_value(lock, "Lock"));
    weft_proxy *condition = weft_proxy_new(remote, "Condition", weft_in(20), .arguments = stands);
    ck_assert(lock && condition);
    const struct request requests[] = {{weft_proxy_ident(lock), "acquire", NULL}, {weft_proxy_ident(condition), "acquire", NULL}};
    for (size_t i = 0; i < 4; i++) {
        ask_and_die(&server, &requests[i / 2], i % 2 ? SAYS_NO_MORE : CLOSES);
        ck_assert_int_eq(weft_proxy_acquire(lock, weft_in(5)), 0);
        ck_assert_int_eq(weft_proxy_release(lock, weft_in(20)), 0);
    }
    weft_drop(stands);
    weft_proxy_free(condition), weft_proxy_free(lock);
    weft_remote_free(remote);
    server_end(&server);
}

START_TEST(a_plain_lock_that_the_dead_asked_for)
{
    plain_lock_before(NULL);
    plain_lock_before(in_folder());
}
END_TEST

/* So much of a reply is read, and then the client ends. A short one was sent, whoever read it; a long one that was not is undone. */
static void read_and_die(const struct server *server, const struct request *request, size_t octets)
{
    struct stream stream = {.length = 0};
    char room[300];
    int socket = stranger(server->address);
    add_all(&stream, socket, request);
    give(socket, stream.octets, stream.length);
    skip_replies(socket, request);
    ck_assert_uint_lt(octets, sizeof(room));
    ck_assert(take(socket, room, octets));
    close(socket);
}

START_TEST(a_client_that_ends_while_it_reads_an_answer)
{
    enum { SHORT = 19 /* the frame of ('#RETURN', True) */ };
    struct server server = server_begin((struct server_options){.address = NULL});
    struct objects objects = objects_begin(&server);
    const struct request get = {weft_proxy_ident(objects.queue), "get", NULL}, acquire = {weft_proxy_ident(objects.lock), "acquire", NULL};
    int64_t left = SHORT / STEP + 2;
    for (int64_t i = 0; i < left; i++)
        weft_drop(call(objects.queue, "put", one(weft_str("item"))));
    for (size_t octets = 1; octets <= SHORT; octets += STEP) {
        read_and_die(&server, &get, octets);
        ck_assert_int_eq(queue_size(&objects), --left);
        read_and_die(&server, &acquire, octets);
    }
    objects_are_free(&objects);
    while (left-- > 0)
        weft_drop(call(objects.queue, "get", none_given));
    size_t length = (size_t)16 << 20;
    char *octets = calloc(1, length);
    weft_drop(call(objects.queue, "put", one(weft_bytes(octets, length))));
    for (size_t i = 0; i < 5; i++) {
        read_and_die(&server, &get, 1 + 50 * i);
        fixture_until(queue_size(&objects) == 1);
    }
    weft_value item = call(objects.queue, "get", none_given);
    ck_assert_uint_eq(weft_length(item), length);
    weft_drop(item);
    free(octets);
    objects_end(&objects);
    server_end(&server);
}
END_TEST

/* Slow ones. */

START_TEST(one_octet_at_a_time)
{
    struct server server = server_begin((struct server_options){.address = NULL});
    struct objects objects = objects_begin(&server);
    const struct request put = {weft_proxy_ident(objects.queue), "put", "item"};
    struct stream stream = {.length = 0};
    char room[300];
    int socket = stranger(server.address);
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    add_all(&stream, socket, &put);
    for (size_t i = 0; i < stream.length; i++) {
        give(socket, stream.octets + i, 1);
        weft_sleep(0.0005);
    }
    skip_replies(socket, &put);
    ck_assert_int_gt(take_frame(socket, room), 0);
    ck_assert_int_eq(queue_size(&objects), 1);
    close(socket);
    objects_end(&objects);
    server_end(&server);
}
END_TEST

START_TEST(a_proof_that_takes_too_long_is_ended)
{
    struct server server = server_begin((struct server_options){.seconds = fixture_copies() ? 3 : 0.2});
    struct stream stream = {.length = 0};
    int slow = stranger(server.address), silent = stranger(server.address), said_nothing = stranger(server.address);
    struct stream proof = {.length = 0};
    add_proof(&stream, slow);
    add_proof(&proof, said_nothing);
    give(said_nothing, proof.octets, proof.length); /* proves itself, and asks for nothing */
    size_t sent = 0;
    while (sent < stream.length && send(slow, stream.octets + sent, 1, MSG_NOSIGNAL) == 1) {
        weft_sleep(fixture_copies() ? 0.1 : 0.02);
        sent++;
    }
    ck_assert_uint_lt(sent, stream.length);
    char room[300];
    while (take_frame(silent, room) > 0)
        ;
    while (take_frame(said_nothing, room) > 0)
        ;
    close(slow), close(silent), close(said_nothing);
    server_end(&server);
}
END_TEST

/* Proofs that are none. */

/* What an answer is answered with: 'W'elcome or 'F'ailure. */
static char verdict(const struct server *server, const char *named, enum wefti_digest digest, const char *key, size_t cut)
{
    char challenge[300], answer[20 + WEFTI_DIGEST_MOST], word[300];
    struct stream stream = {.length = 0};
    int socket = stranger(server->address);
    ck_assert_int_eq(take_frame(socket, challenge), 11 + 48);
    memcpy(answer, named, strlen(named));
    size_t mac = wefti_digest_mac(digest, key, strlen(key), challenge + 11, 48, (unsigned char *)answer + strlen(named));
    add_frame(&stream, "", answer, strlen(named) + mac - cut);
    give(socket, stream.octets, stream.length);
    ck_assert_int_eq(take_frame(socket, word), 9);
    bool welcome = memcmp(word, "#WELCOME#", 9) == 0;
    ck_assert(welcome || memcmp(word, "#FAILURE#", 9) == 0);
    if (!welcome)
        ck_assert_int_eq(take_frame(socket, word), -1); /* and nothing more is said */
    close(socket);
    return word[1];
}

START_TEST(answers_of_every_digest)
{
    static const struct {
        const char *named;
        enum wefti_digest digest;
        const char *key;
        size_t cut;
        char verdict;
    } answers[] = {{"{sha256}", WEFTI_SHA256, "secret", 0, 'W'}, {"{md5}", WEFTI_MD5, "secret", 0, 'W'}, {"", WEFTI_MD5, "secret", 0, 'W'},
        {"{sha384}", WEFTI_SHA384, "secret", 0, 'W'}, {"{sha3_256}", WEFTI_SHA3_256, "secret", 0, 'W'},
        {"{sha3_384}", WEFTI_SHA3_384, "secret", 0, 'W'}, {"{sha256}", WEFTI_SHA256, "other", 0, 'F'}, {"", WEFTI_MD5, "other", 0, 'F'},
        {"{sha256}", WEFTI_SHA256, "", 0, 'F'}, {"{sha256}", WEFTI_MD5, "secret", 0, 'F'}, {"{sha256}", WEFTI_SHA3_256, "secret", 0, 'F'},
        {"{sha3_256}", WEFTI_SHA256, "secret", 0, 'F'}, {"{sha1}", WEFTI_SHA256, "secret", 0, 'F'},
        {"{sha512}", WEFTI_SHA384, "secret", 0, 'F'}, {"", WEFTI_SHA256, "secret", 0, 'F'}, {"{sha256}", WEFTI_SHA256, "secret", 1, 'F'},
        {"{sha256}", WEFTI_SHA256, "secret", 32, 'F'}, {"{sha256}", WEFTI_SHA256, "secret", 40, 'F'},
        {"{SHA256}", WEFTI_SHA256, "secret", 0, 'F'}, {"{sha256", WEFTI_SHA256, "secret", 0, 'F'}};
    struct server server = server_begin((struct server_options){.address = NULL});
    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++)
        ck_assert_msg(
            verdict(&server, answers[i].named, answers[i].digest, answers[i].key, answers[i].cut) == answers[i].verdict, "answer %zu", i);
    server_end(&server);
}
END_TEST

/* A client without a key says its request where its answer is due; a server without one is one that a client with a key waits for. */
START_TEST(who_has_no_key)
{
    struct server server = server_begin((struct server_options){.address = NULL});
    weft_connection *keyless = weft_connection_dial(server.address, weft_in(20));
    weft_value request = one(weft_str("dummy")), challenge;
    ck_assert_int_eq(weft_connection_send(keyless, request, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_receive_bytes(keyless, &challenge, weft_in(20)), 0);
    ck_assert_mem_eq(weft_as_bytes(challenge), "#CHALLENGE#", 11);
    weft_drop(challenge);
    ck_assert_int_eq(weft_connection_receive_bytes(keyless, &challenge, weft_in(20)), 0);
    ck_assert_mem_eq(weft_as_bytes(challenge), "#FAILURE#", 9);
    weft_drop(challenge);
    ck_assert_int_eq(weft_connection_receive_bytes(keyless, &challenge, weft_in(20)), -1);
    weft_connection_close(keyless);
    weft_listener *open = weft_connection_listen("127.0.0.1:0");
    ck_fails_null(weft_connection_dial(weft_listener_address(open), weft_in(0.05), .key = KEY, .key_length = KEY_LENGTH), ETIMEDOUT);
    weft_listener_close(open);
    weft_drop(request);
    server_end(&server);
}
END_TEST

/* Bombs. */

struct bomb {
    char *octets;
    size_t length;
};

static void bomb_add(struct bomb *bomb, const char *octets, size_t length, size_t times)
{
    bomb->octets = realloc(bomb->octets, bomb->length + length * times);
    for (size_t i = 0; i < times; i++, bomb->length += length)
        memcpy(bomb->octets + bomb->length, octets, length);
}
#define ADD(octets_, times_) bomb_add(&bomb, (octets_), sizeof(octets_) - 1, (times_))

/* A request to the object of this name whose argument the pickle in between makes. */
static struct bomb bomb_begin(const char *ident, const char *method)
{
    struct bomb bomb = {NULL, 0};
    char lengths[2] = {(char)strlen(ident), (char)strlen(method)};
    ADD("\x80\x04(\x8c", 1);
    bomb_add(&bomb, lengths, 1, 1);
    bomb_add(&bomb, ident, strlen(ident), 1);
    ADD("\x8c", 1);
    bomb_add(&bomb, lengths + 1, 1, 1);
    bomb_add(&bomb, method, strlen(method), 1);
    return bomb;
}

/* What the answer is: "#RETURN" and so on, yours to free. */
static char *bomb_thrown(weft_connection *client, struct bomb bomb)
{
    weft_value reply;
    ADD("\x85}t.", 1);
    ck_assert_int_eq(weft_connection_send_bytes(client, bomb.octets, bomb.length, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_receive(client, &reply, weft_in(60)), 0);
    char *kind = strdup(weft_as_str(weft_list_at(reply, 0)));
    weft_drop(reply);
    free(bomb.octets);
    return kind;
}

static void bomb_answers(weft_connection *client, struct bomb bomb, const char *kind)
{
    char *got = bomb_thrown(client, bomb);
    ck_assert_str_eq(got, kind);
    free(got);
}

/* What a request's argument is made of, and what kind of answer it gets. */
struct bomb_plan {
    const char *method, *kind;
    struct {
        const char *octets; /* NULL: there are no more pieces */
        size_t length, times;
    } pieces[6];
};
#define PIECE(octets_, times_)                   \
    {                                            \
        (octets_), sizeof(octets_) - 1, (times_) \
    }

static void bombs_answer(weft_connection *client, const char *ident, const struct bomb_plan *plans, size_t count)
{
    for (const struct bomb_plan *plan = plans; plan < plans + count; plan++) {
        struct bomb bomb = bomb_begin(ident, plan->method);
        for (size_t i = 0; plan->pieces[i].octets; i++)
            bomb_add(&bomb, plan->pieces[i].octets, plan->pieces[i].length, plan->pieces[i].times);
        bomb_answers(client, bomb, plan->kind);
    }
}

/* Forty tuples or lists, each of which holds the one before twice; the last of them ('(' is 40). */
static struct bomb laughs(const char *ident, const char *method, bool lists)
{
    struct bomb bomb = bomb_begin(ident, method);
    char tuple[] = "h\0h\0\x86\x94\x30", list[] = "]h\0ah\0a\x94\x30";
    ADD(")\x94\x30", 1);
    for (int i = 0; i < 40; i++) {
        tuple[1] = tuple[3] = list[2] = list[5] = (char)i;
        bomb_add(&bomb, lists ? list : tuple, lists ? sizeof(list) - 1 : sizeof(tuple) - 1, 1);
    }
    ADD("h(", 1);
    return bomb;
}

static weft_connection *client_in_object_mode(const struct server *server)
{
    weft_connection *made = weft_connection_dial(server->address, weft_in(20), .key = KEY, .key_length = KEY_LENGTH);
    weft_value request = weft_tuple((weft_value[]){weft_none, weft_str("accept_connection"), one(weft_str("raw")), weft_dict()}, 4), reply;
    ck_assert_ptr_nonnull(made);
    ck_assert_int_eq(weft_connection_send(made, request, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_receive(made, &reply, weft_in(20)), 0);
    weft_drop(request), weft_drop(reply);
    return made;
}

START_TEST(bombs_do_no_harm)
{
    size_t part = fixture_copies() || FIXTURE_TSAN ? 20 : 1; /* of what is only to be survived, where that is slow */
    struct server server = server_begin((struct server_options){.address = NULL});
    weft_remote *remote = remote_at(&server);
    weft_proxy *list = weft_proxy_new(remote, "list", weft_in(20)), *dict = weft_proxy_new(remote, "dict", weft_in(20));
    const char *into = weft_proxy_ident(list), *keyed = weft_proxy_ident(dict);
    weft_connection *client = client_in_object_mode(&server);
    const struct bomb_plan large[] = {
        {"append", "#TRACEBACK", {PIECE("]", 200000 / part), PIECE("a", 200000 / part - 1)}},     /* deeper than values go */
        {"append", "#TRACEBACK", {PIECE("(", 2000000)}},                                          /* more marks than there may be */
        {"append", "#TRACEBACK", {PIECE("](", 1), PIECE("}", 500000 / part), PIECE("e", 1)}},     /* forty megabytes of dicts */
        {"append", "#TRACEBACK", {PIECE("N", 1), PIECE("\x94", 5000000)}},                        /* a memo that has no end */
        {"append", "#RETURN", {PIECE("]\x94(", 1), PIECE("h\0", 1000000 / part), PIECE("e", 1)}}, /* a million times itself */
        {"append", "#RETURN", {PIECE("](]\x94", 1), PIECE("h\0", 999999 / part), PIECE("e", 1)}}, /* a million times the same */
    };
    const struct bomb_plan compared[] = {
        {"extend", "#RETURN", {PIECE("]((", 1), PIECE("N", 100000), PIECE("t\x94", 1), PIECE("h\0", 2000), PIECE("e", 1)}},
        {"count", part > 1 ? "#RETURN" : "#ERROR", {PIECE("(", 1), PIECE("N", 100000 / part), PIECE("t", 1)}}, /* takes long */
        {"append", "#TRACEBACK", {PIECE("\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R", 1)}},
    };
    bombs_answer(client, into, large, sizeof(large) / sizeof(*large));
    for (int lists = 0; lists < 2; lists++) {
        static const char *const methods[] = {"__contains__", "count", "index", "remove", "extend", "append", "append"};
        for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
            free(bomb_thrown(client, laughs(into, methods[i], lists))); /* whatever the answer is, it comes soon */
        static const char *const of_keys[] = {
            "__getitem__", "get", "pop", "__contains__", "__delitem__", "incr", "setdefault", "fromkeys", "update"};
        for (size_t i = 0; i < sizeof(of_keys) / sizeof(*of_keys); i++)
            free(bomb_thrown(client, laughs(keyed, of_keys[i], lists)));
        struct bomb bomb = laughs(into, "append", lists);
        ADD("\x8c\x0cRebuildProxy\x86", 1);
        bomb_answers(client, bomb, "#RETURN"); /* searched for proxies */
    }
    bombs_answer(client, into, compared, sizeof(compared) / sizeof(*compared));
    static const char *const alone[] = {"__repr__", "__str__", "sort", "copy", "#GETVALUE"};
    for (size_t i = 0; i < sizeof(alone) / sizeof(*alone); i++) {
        weft_value result;
        ck_assert_int_eq(weft_proxy_call(list, alone[i], &result, weft_in(60)), 0);
        weft_drop(result);
    }
    weft_connection_close(client);
    weft_proxy_free(list), weft_proxy_free(dict);
    weft_remote_free(remote);
    server_end(&server);
}
END_TEST

/* Many. */

static int wanted(void)
{
    const char *told = getenv("WEFT_TEST_CONNECTIONS");
    return told ? atoi(told) : 300;
}

static void room_for(int descriptors)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < (rlim_t)descriptors + 50) {
        limit.rlim_cur = (rlim_t)descriptors + 50 < limit.rlim_max ? (rlim_t)descriptors + 50 : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < (rlim_t)descriptors + 50)
        ck_abort_msg("descriptors are limited to %lu", (unsigned long)limit.rlim_max);
}

/* Octets of the server's memory for each of so many; a few have a share of what is there once that says nothing of many. */
static void memory_is(const char *what, const struct server *server, size_t before, int count, size_t most)
{
    size_t each = (server_memory(server) - before) / (size_t)count;
    if (getenv("WEFT_TEST_CONNECTIONS"))
        fprintf(stderr, "%d %s: %zu octets each, %d threads\n", count, what, each, server_threads(server));
    if (count >= 5000 && FIXTURE_STRIDE == 1 && !FIXTURE_TSAN && !fixture_copies())
        ck_assert_msg(each <= most, "%s: %zu octets each", what, each);
}

/* First they have said nothing; then they have proved themselves and are idle; then each waits for an item, which one gets. */
START_TEST(thousands_that_are_idle)
{
    enum { STACK_PAGES = 8 << 10, BEFORE = 4 << 10, AFTER = 12 << 10 };
    int count = wanted();
    char room[300];
    room_for(count);
    struct server server = server_begin((struct server_options){.seconds = 300});
    struct objects objects = objects_begin(&server);
    const struct request get = {weft_proxy_ident(objects.queue), "get", NULL};
    int *sockets = malloc((size_t)count * sizeof(*sockets)), threads = server_threads(&server);
    size_t before = server_memory(&server);
    struct stream *proofs = calloc((size_t)count, sizeof(*proofs));
    for (int i = 0; i < count; i++) {
        sockets[i] = stranger(server.address);
        add_proof(&proofs[i], sockets[i]); /* it is served: it has the challenge */
    }
    memory_is("strangers", &server, before, count, BEFORE + STACK_PAGES);
    for (int i = 0; i < count; i++) {
        add_request(&proofs[i], NULL, "accept_connection", one(weft_str("raw")));
        give(sockets[i], proofs[i].octets, proofs[i].length);
        skip_replies(sockets[i], &get);
    }
    memory_is("idle clients", &server, before, count, AFTER);
    for (int i = 0; i < count; i++) {
        struct stream stream = {.length = 0};
        add_request(&stream, get.ident, "get", weft_tuple(NULL, 0));
        give(sockets[i], stream.octets, stream.length);
    }
    ck_assert_int_eq(queue_size(&objects), 0);
    memory_is("waiting clients", &server, before, count, AFTER);
    ck_assert_int_eq(server_threads(&server), threads);
    for (int i = 0; i < count - 1; i++)
        close(sockets[i]);
    weft_drop(call(objects.queue, "put", one(weft_str("the last one's"))));
    ck_assert_int_gt(take_frame(sockets[count - 1], room), 0);
    close(sockets[count - 1]);
    free(sockets), free(proofs);
    objects_end(&objects);
    server_end(&server);
}
END_TEST

/* More come than there are descriptors for: who is there is served, the others wait, and it costs little; when some go, others come in. */
START_TEST(descriptors_exhausted)
{
    enum { LIMIT = 60, MANY = 100 };
    struct server server = server_begin((struct server_options){.descriptors = LIMIT, .seconds = 300});
    struct objects objects = objects_begin(&server);
    int sockets[MANY];
    ck_assert_int_eq(queue_size(&objects), 0); /* our connection is there before the others */
    for (int i = 0; i < MANY; i++)
        sockets[i] = stranger(server.address);
    struct pollfd first = {.fd = sockets[0], .events = POLLIN}, last = {.fd = sockets[MANY - 1], .events = POLLIN};
    ck_assert_int_eq(poll(&first, 1, 20000), 1);
    double began = (double)weft_clock() / 1e9, used = server_seconds(&server);
    ck_assert_int_eq(poll(&last, 1, 300), 0);
    ck_assert_int_eq(queue_size(&objects), 0); /* is answered */
    double took = (double)weft_clock() / 1e9 - began;
    if (!fixture_copies())
        ck_assert(server_seconds(&server) - used < took / 2);
    for (int i = 0; i < MANY - 1; i++)
        close(sockets[i]);
    ck_assert_int_eq(poll(&last, 1, 20000), 1);
    close(sockets[MANY - 1]);
    objects_end(&objects);
    server_end(&server);
}
END_TEST

/* Descriptors that come along over a local socket are let go of; the kernel ends what is read in one go behind them, and nothing is
 * overlooked. */
START_TEST(descriptors_come_along)
{
    struct server server = server_begin((struct server_options){.address = in_folder()});
    struct objects objects = objects_begin(&server);
    const struct request put = {weft_proxy_ident(objects.queue), "put", "item"};
    struct stream stream = {.length = 0};
    char room[300];
    union {
        struct cmsghdr header;
        char octets[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    int socket = stranger(server.address), status;
    add_all(&stream, socket, &put);
    struct iovec part = {stream.octets, stream.length - 10};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.header), &socket, sizeof(int));
    kill(server.process, SIGSTOP);
    ck_assert_int_eq(waitpid(server.process, &status, WUNTRACED), server.process);
    ck_assert_int_eq(sendmsg(socket, &message, MSG_NOSIGNAL), (ssize_t)part.iov_len);
    give(socket, stream.octets + part.iov_len, 10);
    kill(server.process, SIGCONT);
    skip_replies(socket, &put);
    ck_assert_int_gt(take_frame(socket, room), 0);
    ck_assert_int_eq(queue_size(&objects), 1);
    close(socket);
    objects_end(&objects);
    server_end(&server);
}
END_TEST

/* One that keeps silent holds up no select for long, and what was asked of it is not lost. */
START_TEST(a_silent_server_ends_no_select_late)
{
    struct server server = server_begin((struct server_options){.address = NULL});
    struct objects objects = objects_begin(&server);
    weft_queue *queue = weft_queue_of_proxy(objects.queue);
    weft_value got = weft_none;
    weft_case cases[] = {weft_case_get(queue, &got), weft_case_time(WEFT_FOREVER)};
    int status;
    weft_drop(call(objects.queue, "put", one(weft_str("item"))));
    kill(server.process, SIGSTOP);
    ck_assert_int_eq(waitpid(server.process, &status, WUNTRACED), server.process);
    ck_fails(weft_select(cases, 2, weft_in(0.01)), ETIMEDOUT);
    kill(server.process, SIGCONT);
    ck_assert_int_eq(weft_select(cases, 2, weft_in(20)), 0);
    ck_assert_int_eq(cases[0].error, 0);
    ck_assert_str_eq(weft_as_str(got), "item");
    weft_drop(got);
    weft_queue_free(queue);
    objects_end(&objects);
    server_end(&server);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_client_that_is_cut_off_anywhere_has_done_nothing);
    tcase_add_test(tests, what_the_dead_asked_for_is_undone);
    tcase_add_test(tests, a_plain_lock_that_the_dead_asked_for);
    tcase_add_test(tests, a_client_that_ends_while_it_reads_an_answer);
    tcase_add_test(tests, one_octet_at_a_time);
    tcase_add_test(tests, a_proof_that_takes_too_long_is_ended);
    tcase_add_test(tests, answers_of_every_digest);
    tcase_add_test(tests, who_has_no_key);
    tcase_add_test(tests, bombs_do_no_harm);
    tcase_add_test(tests, thousands_that_are_idle);
    tcase_add_test(tests, descriptors_exhausted);
    tcase_add_test(tests, descriptors_come_along);
    tcase_add_test(tests, a_silent_server_ends_no_select_late);
}

int main(void)
{
    return fixture_main("manager_input", add);
}
