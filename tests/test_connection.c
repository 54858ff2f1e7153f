/* SPDX-License-Identifier: MIT */
/* Connections: with each other, with Python's multiprocessing.connection in both roles (connection_peer.py), and with peers that speak
 * something else. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connection/connection.h"
#include "connection/digest.h"
#include "fixture.h"

static char text_room[300];

static const char *in_folder(const char *prefix, const char *name)
{
    snprintf(text_room, sizeof(text_room), "%s%s/%s", prefix, fixture_folder(), name);
    return strdup(text_room);
}

static const char *key_file(const char *name, const char *octets)
{
    const char *path = in_folder("", name);
    FILE *file = fopen(path, "w");
    fputs(octets, file);
    fclose(file);
    return path;
}

/* One that is to be accepted: what the other task does. */
struct other {
    const char *address, *key;
    bool sha256_only;
    int error;
};

static weft_value dial_echo(weft_value argument)
{
    struct other *other = weft_as_ptr(argument);
    weft_connection *made = weft_connection_dial(
        other->address, weft_in(20), .key = other->key, .key_length = strlen(other->key), .sha256_only = other->sha256_only);
    other->error = made ? 0 : errno;
    weft_value value;
    while (made && weft_connection_receive(made, &value, weft_in(20)) == 0) {
        weft_connection_send(made, value, weft_in(20));
        weft_drop(value);
    }
    weft_connection_close(made);
    return weft_none;
}

static void echoes(weft_connection *made)
{
    weft_value list = weft_list(), again;
    for (int i = 0; i < 3000; i++)
        weft_list_append(list, weft_str_f("item %d", i));
    ck_assert_int_eq(weft_connection_send(made, list, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_poll(made, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_receive(made, &again, weft_in(20)), 0);
    ck_assert(weft_equal(list, again));
    weft_drop(list), weft_drop(again);
}

static void among_ourselves(const char *address)
{
    setenv("WEFT_TEST_KEY", "secret", 1);
    weft_listener *listener = weft_connection_listen(address, .key_variable = "WEFT_TEST_KEY");
    ck_assert_ptr_nonnull(listener);
    struct other other = {.address = weft_listener_address(listener), .key = "secret"};
    weft_task *task = weft_spawn(WEFT_THREAD, dial_echo, weft_ptr(&other));
    weft_connection *made = weft_connection_accept(listener, weft_in(20));
    ck_assert_ptr_nonnull(made);
    echoes(made);
    weft_value value;
    ck_fails(weft_connection_receive(made, &value, WEFT_NOW), EAGAIN);
    ck_fails(weft_connection_receive(made, &value, weft_in(0.01)), ETIMEDOUT);
    ck_fails(weft_connection_poll(made, WEFT_NOW), EAGAIN);
    ck_fails(weft_connection_send(made, weft_ptr(&value), WEFT_NOW), EFAULT);
    ck_assert_str_eq(weft_connection_reason(made), "a pointer means nothing elsewhere");
    weft_connection_close(made);
    ck_assert_int_eq(weft_task_join(task, weft_in(20)), 0);
    weft_task_free(task);
    ck_assert_int_eq(other.error, 0);
    weft_listener_close(listener);
}

START_TEST(over_all_kinds_of_sockets)
{
    const char *path = in_folder("unix:", "socket");
    char abstract[60];
    snprintf(abstract, sizeof(abstract), "abstract:weft-test-%d", getpid());
    if (!wefti_digest_offered())
        fixture_skip("built without OpenSSL");
    among_ourselves("127.0.0.1:0");
    among_ourselves("localhost:0");
    among_ourselves(path);
    ck_assert_int_eq(access(path + 5, F_OK), -1);
    among_ourselves(abstract);
    free((char *)path);
}
END_TEST

/* A name is looked up, and stands for several addresses, one of which is where somebody listens; of a name that nobody has, -1. */
START_TEST(names_are_looked_up_to_dial)
{
    weft_listener *listener = weft_connection_listen("127.0.0.1:0");
    ck_assert_ptr_nonnull(listener);
    const char *port = strrchr(weft_listener_address(listener), ':') + 1;
    static const char *const hosts[] = {"localhost", "127.0.0.1", "127.1", ""};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        char address[100];
        snprintf(address, sizeof(address), "%s:%s", hosts[i], port);
        weft_connection *dialled = weft_connection_dial(address, weft_in(20)), *accepted;
        ck_assert_msg(dialled != NULL, "%s: %s", address, strerror(errno));
        ck_assert_ptr_nonnull(accepted = weft_connection_accept(listener, weft_in(20)));
        weft_connection_close(dialled);
        weft_connection_close(accepted);
    }
    weft_listener_close(listener);
    ck_assert_ptr_null(weft_connection_dial("nobody.invalid:1", weft_in(0.5)));
    ck_assert_msg(errno == ENOENT || errno == ETIMEDOUT, "%s", strerror(errno));
    ck_fails_null(weft_connection_dial("127.0.0.1:70000", weft_in(20)), EINVAL);
    ck_fails_null(weft_connection_dial("::1:5000", weft_in(20)), EINVAL);
    ck_fails_null(weft_connection_dial(NULL, weft_in(20)), EINVAL);
}
END_TEST

/* A socket's path as it stays behind when who listened there was killed. */
static void left_by_the_dead(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int bound = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, path);
    ck_assert_int_eq(bind(bound, (struct sockaddr *)&address, sizeof(address)), 0);
    close(bound);
}

START_TEST(addresses_and_options_are_checked)
{
    ck_fails_null(weft_connection_listen(NULL), EINVAL);
    ck_fails_null(weft_connection_listen(""), EINVAL);
    ck_fails_null(weft_connection_listen("127.0.0.1"), EINVAL);
    ck_fails_null(weft_connection_listen("127.0.0.1:70000"), EINVAL);
    ck_fails_null(weft_connection_listen("127.0.0.1:5x"), EINVAL);
    ck_fails_null(weft_connection_listen("example.org:80"), EINVAL);
    ck_fails_null(weft_connection_listen("unix:"), EINVAL);
    ck_fails_null(
        weft_connection_listen(
            "unix:/2345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"),
        ENAMETOOLONG);
    ck_fails_null(weft_connection_listen("127.0.0.1:0", .key = "a", .key_length = 1, .key_file = "b"), EINVAL);
    ck_fails_null(weft_connection_listen("127.0.0.1:0", .handshake_seconds = -1), EINVAL);
    ck_fails_null(weft_connection_dial("unix:/nowhere/at/all", weft_in(1)), ENOENT);
    ck_fails_null(weft_connection_accept(NULL, WEFT_NOW), EINVAL);
    if (!wefti_digest_offered()) {
        ck_fails_null(weft_connection_listen("127.0.0.1:0", .key = "a", .key_length = 1), ENOTSUP);
        fixture_skip("built without OpenSSL");
    }
    ck_fails_null(weft_connection_listen("127.0.0.1:0", .key_file = "/nowhere/key"), ENOENT);
    ck_fails_null(weft_connection_listen("127.0.0.1:0", .key_variable = "WEFT_NO_SUCH_VARIABLE"), ENODATA);
    const char *path = in_folder("unix:", "socket");
    weft_listener *first = weft_connection_listen(path);
    ck_assert_ptr_nonnull(first);
    ck_fails_null(weft_connection_listen(path), EADDRINUSE);
    ck_fails_null(weft_connection_accept(first, WEFT_NOW), EAGAIN);
    weft_listener_close(first);
    weft_listener_close(NULL);
    weft_connection_close(NULL);
    left_by_the_dead(path + strlen("unix:"));
    first = weft_connection_listen(path);
    ck_assert_ptr_nonnull(first);
    ck_fails_null(weft_connection_listen(path), EADDRINUSE);
    weft_listener_close(first);
    ck_assert_int_eq(close(creat(path + strlen("unix:"), 0600)), 0); /* no socket: somebody's */
    ck_fails_null(weft_connection_listen(path), EADDRINUSE);
    free((char *)path);
}
END_TEST

/* Listeners that start at once where a dead one was: one has the path, and it stays his. */
static uint32_t starters;

static weft_value take_over(weft_value path)
{
    __atomic_sub_fetch(&starters, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&starters, __ATOMIC_ACQUIRE) > 0)
        sched_yield();
    weft_listener *listener = weft_connection_listen(weft_as_str(path));
    return listener ? weft_ptr(listener) : weft_error(errno, NULL);
}

START_TEST(a_path_is_taken_from_the_dead_by_one)
{
    enum { ROUNDS = 500, AT_ONCE = 3 };
    const char *path = in_folder("unix:", "socket");
    for (int round = 0; round < ROUNDS; round++) {
        weft_task *tasks[AT_ONCE];
        weft_listener *listener = NULL;
        left_by_the_dead(path + strlen("unix:"));
        starters = AT_ONCE;
        for (int i = 0; i < AT_ONCE; i++)
            ck_assert_ptr_nonnull(tasks[i] = weft_spawn(WEFT_THREAD, take_over, weft_str(path)));
        for (int i = 0; i < AT_ONCE; i++) {
            weft_value result;
            ck_assert_int_eq(weft_task_result(tasks[i], &result, WEFT_FOREVER), 0);
            weft_task_free(tasks[i]);
            if (weft_is_error(result))
                ck_assert_int_eq(weft_error_code(result), EADDRINUSE);
            else {
                ck_assert_ptr_null(listener);
                listener = weft_as_ptr(result);
            }
            weft_drop(result);
        }
        ck_assert_ptr_nonnull(listener);
        int dialled = weft_dial(path, weft_in(10));
        ck_assert_int_ge(dialled, 0);
        weft_close(dialled);
        weft_listener_close(listener);
        ck_assert_int_eq(access(path + strlen("unix:"), F_OK), -1);
    }
    free((char *)path);
}
END_TEST

START_TEST(a_path_that_is_anothers_by_now_stays)
{
    const char *path = in_folder("unix:", "socket");
    weft_listener *first = weft_connection_listen(path);
    ck_assert_ptr_nonnull(first);
    ck_assert_int_eq(unlink(path + strlen("unix:")), 0);
    weft_listener *second = weft_connection_listen(path);
    ck_assert_ptr_nonnull(second);
    weft_listener_close(first);
    int dialled = weft_dial(path, weft_in(10));
    ck_assert_int_ge(dialled, 0);
    weft_close(dialled);
    weft_listener_close(second);
    ck_assert_int_eq(access(path + strlen("unix:"), F_OK), -1);
    free((char *)path);
}
END_TEST

static void digits_are(const unsigned char *octets, size_t length, const char *digits)
{
    char made[200];
    for (size_t i = 0; i < length; i++)
        sprintf(made + 2 * i, "%02x", octets[i]);
    ck_assert_str_eq(made, digits);
}

START_TEST(digests_are_those_of_python)
{
    unsigned char message[48] = "{sha256}", mac[WEFTI_DIGEST_MOST], old[20];
    if (!wefti_digest_offered())
        fixture_skip("built without OpenSSL");
    for (int i = 0; i < 40; i++)
        message[8 + i] = (unsigned char)i;
    for (int i = 0; i < 20; i++)
        old[i] = (unsigned char)i;
    digits_are(mac, wefti_digest_mac(WEFTI_SHA256, "secret", 6, message, 48, mac),
        "fc57fbe650d6124b98215e7b5d197d5807ad69982d275a9735ea2d56f1fa6989");
    digits_are(mac, wefti_digest_mac(WEFTI_MD5, "secret", 6, message, 48, mac), "8e48d2bb349b4b72b9382999ed5b62eb");
    digits_are(mac, wefti_digest_mac(WEFTI_MD5, "secret", 6, old, 20, mac), "7defa9cc46abc3583325d17ccda75190");
    digits_are(mac, wefti_digest_mac(WEFTI_MD5, "", 0, old, 20, mac), "eee7e8c8fa6d98a59d76c44ce7018548");
}
END_TEST

START_TEST(a_wrong_key_is_refused_by_both)
{
    if (!wefti_digest_offered())
        fixture_skip("built without OpenSSL");
    weft_listener *listener = weft_connection_listen("127.0.0.1:0", .key = "secret", .key_length = 6);
    struct other other = {.address = weft_listener_address(listener), .key = "other"};
    weft_task *task = weft_spawn(WEFT_THREAD, dial_echo, weft_ptr(&other));
    ck_fails_null(weft_connection_accept(listener, weft_in(20)), EACCES);
    ck_assert_int_eq(weft_task_join(task, weft_in(20)), 0);
    weft_task_free(task);
    ck_assert_int_eq(other.error, EACCES);
    weft_listener_close(listener);
}
END_TEST

/* A bare socket that is connected to the listener, after it has sent so many octets. */
static int stranger(weft_listener *listener, const void *octets, size_t length)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strchr(weft_listener_address(listener), ':') + 1));
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(made, (struct sockaddr *)&to, sizeof(to)), 0);
    ck_assert_int_eq(send(made, octets, length, MSG_NOSIGNAL), (ssize_t)length);
    return made;
}

START_TEST(strangers_get_nowhere)
{
    static const struct {
        const char *octets;
        size_t length;
        int error;
    } said[] = {{"GET / HTTP/1.0\r\n\r\n", 18, EPROTO}, {"\0\0\1\1", 4, EPROTO}, {"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12, EPROTO},
        {"\x80\0\0\0", 4, EPROTO}, {"\x7f\xff\xff\xff", 4, EPROTO}, {"\0\0\0\x09#WELCOME#", 13, EACCES}, {"\0\0\0\0", 4, EACCES},
        {"\0\0\0\x10{234567890123456", 20, EACCES}};
    if (!wefti_digest_offered())
        fixture_skip("built without OpenSSL");
    weft_listener *listener = weft_connection_listen("127.0.0.1:0", .key = "secret", .key_length = 6, .handshake_seconds = 0.05);
    for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
        int peer = stranger(listener, said[i].octets, said[i].length);
        errno = 0;
        ck_assert_ptr_null(weft_connection_accept(listener, weft_in(20)));
        ck_assert_int_eq(errno, said[i].error);
        close(peer);
    }
    int silent = stranger(listener, "", 0), half = stranger(listener, "\0\0", 2), gone = stranger(listener, "\0\0", 2);
    ck_fails_null(weft_connection_accept(listener, weft_in(20)), ETIMEDOUT);
    ck_fails_null(weft_connection_accept(listener, weft_in(20)), ETIMEDOUT);
    close(gone);
    ck_fails_null(weft_connection_accept(listener, weft_in(20)), ECONNRESET);
    close(silent), close(half);
    weft_listener_close(listener);
}
END_TEST

static weft_connection *keyless(weft_listener *listener, int *peer, const void *octets, size_t length)
{
    *peer = stranger(listener, octets, length);
    weft_connection *made = weft_connection_accept(listener, weft_in(20));
    ck_assert_ptr_nonnull(made);
    return made;
}

static int option_of(const weft_connection *connection, int level, int name)
{
    int option = -1;
    ck_assert_int_eq(getsockopt(connection->descriptor, level, name, &option, &(socklen_t){sizeof(option)}), 0);
    return option;
}

START_TEST(what_is_accepted_has_what_the_listener_has)
{
    int peer;
    weft_listener *listener = weft_connection_listen("127.0.0.1:0");
    ck_assert_int_eq(setsockopt(wefti_listener_descriptor(listener), IPPROTO_TCP, TCP_KEEPIDLE, &(int){61}, sizeof(int)), 0);
    ck_assert_int_eq(setsockopt(wefti_listener_descriptor(listener), IPPROTO_TCP, TCP_USER_TIMEOUT, &(int){62}, sizeof(int)), 0);
    weft_connection *made = keyless(listener, &peer, "", 0);
    ck_assert_int_ne(option_of(made, IPPROTO_TCP, TCP_NODELAY), 0);
    ck_assert_int_ne(option_of(made, SOL_SOCKET, SO_KEEPALIVE), 0);
    ck_assert_int_eq(option_of(made, IPPROTO_TCP, TCP_KEEPIDLE), 61);
    ck_assert_int_eq(option_of(made, IPPROTO_TCP, TCP_USER_TIMEOUT), 62);
    close(peer);
    weft_connection_close(made);
    weft_listener_close(listener);
}
END_TEST

/* What a program prints that has no standard output must not go to a peer. */
START_TEST(no_socket_is_a_stream)
{
    int kept[3];
    fixture_streams_close(kept);
    weft_listener *listener = weft_connection_listen("127.0.0.1:0");
    int peer = listener ? weft_dial(weft_listener_address(listener), weft_in(20)) : -1;
    weft_connection *made = peer >= 0 ? weft_connection_accept(listener, weft_in(20)) : NULL;
    bool taken = fixture_streams_back(kept);
    ck_assert(made && !taken);
    weft_close(peer);
    weft_connection_close(made);
    weft_listener_close(listener);
}
END_TEST

START_TEST(frames_of_all_shapes)
{
    weft_listener *listener = weft_connection_listen("127.0.0.1:0", .most = 1000);
    weft_value value = weft_none;
    int peer;
    /* the long form of a short message, an empty one, a refused pickle, and after it a good one */
    static const char good[] = "\xff\xff\xff\xff\0\0\0\0\0\0\0\2ab\0\0\0\0\0\0\0\4\x80\4\x82.\0\0\0\4\x80\4N.\0\0\0\5ab";
    weft_connection *made = keyless(listener, &peer, good, sizeof(good) - 1);
    weft_case cases[] = {weft_case_receive(made), weft_case_accept(listener)};
    ck_assert_int_eq(weft_select(cases, 2, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_receive_bytes(made, &value, weft_in(20)), 0);
    ck_assert_mem_eq(weft_as_bytes(value), "ab", 3);
    weft_drop(value);
    ck_assert_int_eq(weft_connection_receive_bytes(made, &value, weft_in(20)), 0);
    ck_assert_uint_eq(weft_length(value), 0);
    weft_drop(value);
    ck_fails(weft_connection_receive(made, &value, weft_in(20)), EBADMSG);
    ck_assert_str_eq(weft_connection_reason(made), "refusing pickle opcode 0x82 at offset 2");
    ck_assert_int_eq(weft_connection_receive(made, &value, weft_in(20)), 0);
    ck_assert(weft_is_none(value));
    ck_assert_str_eq(weft_connection_reason(made), "");
    ck_fails(weft_connection_receive_bytes(made, &value, weft_in(0.01)), ETIMEDOUT); /* and goes on */
    ck_assert_int_eq(send(peer, "cde", 3, 0), 3);
    ck_assert_int_eq(weft_connection_receive_bytes(made, &value, weft_in(20)), 0);
    ck_assert_mem_eq(weft_as_bytes(value), "abcde", 6);
    weft_drop(value);
    ck_assert_int_eq(send(peer, "\0\0", 2, 0), 2);
    close(peer);
    ck_fails(weft_connection_receive(made, &value, weft_in(20)), ECONNRESET);
    weft_connection_close(made);
    made = keyless(listener, &peer, "\0\0\3\xe9", 4);
    ck_fails(weft_connection_receive(made, &value, weft_in(20)), EPROTO);
    ck_fails(weft_connection_receive(made, &value, weft_in(20)), EPROTO);
    weft_connection_close(made);
    close(peer);
    made = keyless(listener, &peer, "", 0);
    close(peer);
    ck_fails(weft_connection_receive(made, &value, weft_in(20)), EPIPE);
    ck_fails(weft_connection_send_bytes(made, NULL, 1, WEFT_NOW), EINVAL);
    weft_connection_close(made);
    weft_listener_close(listener);
}
END_TEST

START_TEST(a_send_that_stops_in_the_middle_is_the_last)
{
    weft_listener *listener = weft_connection_listen("127.0.0.1:0");
    int peer;
    weft_connection *made = keyless(listener, &peer, "", 0);
    size_t length = (size_t)64 << 20;
    char *octets = calloc(1, length);
    ck_fails(weft_connection_send_bytes(made, octets, length, weft_in(0.02)), ETIMEDOUT);
    ck_fails(weft_connection_send_bytes(made, octets, 1, WEFT_NOW), EPIPE);
    free(octets);
    close(peer);
    weft_connection_close(made);
    weft_listener_close(listener);
}
END_TEST

/* Python's side, and what it says first. */
static FILE *python(const char *role, const char *address, const char *key)
{
    char command[900];
    snprintf(command, sizeof(command), "exec python3 " TESTS_FOLDER "/connection_peer.py %s %s %s 2>&1", role, address, key);
    FILE *peer = popen(command, "r");
    ck_assert_ptr_nonnull(peer);
    return peer;
}

static void talk(weft_connection *made)
{
    weft_value sent = weft_tuple((weft_value[]){weft_int(7), weft_str("text")}, 2), value;
    ck_assert_ptr_nonnull(made);
    ck_assert_int_eq(weft_connection_send(made, sent, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_receive(made, &value, weft_in(20)), 0);
    ck_assert(weft_equal(weft_list_at(value, 0), sent));
    ck_assert_str_eq(weft_as_str(weft_list_at(value, 1)), "echo");
    weft_drop(value), weft_drop(sent);
    size_t length = 300000;
    char *octets = calloc(1, length);
    ck_assert_int_eq(weft_connection_send_bytes(made, octets, length, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_receive_bytes(made, &value, weft_in(20)), 0);
    ck_assert_uint_eq(weft_length(value), length);
    weft_drop(value);
    free(octets);
    ck_assert_int_eq(weft_connection_send_bytes(made, "stop", 4, weft_in(20)), 0);
    ck_fails(weft_connection_receive(made, &value, weft_in(20)), EPIPE);
    weft_connection_close(made);
}

static void python_listens(const char *address, const char *key)
{
    char line[100], dialled[300];
    FILE *peer = python("serve", address, key ? key : "-");
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), peer));
    snprintf(dialled, sizeof(dialled), "%s", address);
    if (atoi(line) > 0)
        snprintf(dialled, sizeof(dialled), "127.0.0.1:%d", atoi(line));
    talk(weft_connection_dial(dialled, weft_in(20), .key_file = key));
    ck_assert_int_eq(pclose(peer), 0);
}

static void python_dials(const char *address, const char *key)
{
    weft_listener *listener = weft_connection_listen(address, .key_file = key);
    ck_assert_ptr_nonnull(listener);
    FILE *peer = python("dial", weft_listener_address(listener), key ? key : "-");
    talk(weft_connection_accept(listener, weft_in(20)));
    ck_assert_int_eq(pclose(peer), 0);
    weft_listener_close(listener);
}

START_TEST(python_is_a_peer)
{
    if (!wefti_digest_offered())
        fixture_skip("built without OpenSSL");
    const char *key = key_file("key", "a secret"), *path = in_folder("unix:", "python");
    char abstract[60];
    snprintf(abstract, sizeof(abstract), "abstract:weft-python-%d", getpid());
    python_listens("127.0.0.1:0", key);
    python_listens(path, key);
    python_dials("127.0.0.1:0", key);
    python_dials(abstract, key);
    python_dials("127.0.0.1:0", NULL);
    free((char *)key), free((char *)path);
}
END_TEST

START_TEST(python_with_a_wrong_key_is_told)
{
    char line[100];
    if (!wefti_digest_offered())
        fixture_skip("built without OpenSSL");
    const char *key = key_file("key", "a secret\n"), *other = key_file("other", "another");
    weft_listener *listener = weft_connection_listen("127.0.0.1:0", .key_file = key);
    FILE *peer = python("dial", weft_listener_address(listener), other);
    ck_fails_null(weft_connection_accept(listener, weft_in(20)), EACCES);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), peer));
    ck_assert_str_eq(line, "AuthenticationError\n");
    ck_assert_int_eq(WEXITSTATUS(pclose(peer)), 3);
    weft_listener_close(listener);
    free((char *)key), free((char *)other);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, over_all_kinds_of_sockets);
    tcase_add_test(tests, addresses_and_options_are_checked);
    tcase_add_test(tests, names_are_looked_up_to_dial);
    tcase_add_test(tests, a_path_is_taken_from_the_dead_by_one);
    tcase_add_test(tests, a_path_that_is_anothers_by_now_stays);
    tcase_add_test(tests, digests_are_those_of_python);
    tcase_add_test(tests, a_wrong_key_is_refused_by_both);
    tcase_add_test(tests, strangers_get_nowhere);
    tcase_add_test(tests, what_is_accepted_has_what_the_listener_has);
    tcase_add_test(tests, no_socket_is_a_stream);
    tcase_add_test(tests, frames_of_all_shapes);
    tcase_add_test(tests, a_send_that_stops_in_the_middle_is_the_last);
    tcase_add_test(tests, python_is_a_peer);
    tcase_add_test(tests, python_with_a_wrong_key_is_told);
}

int main(void)
{
    return fixture_main("connection", add);
}
