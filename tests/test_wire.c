/* SPDX-License-Identifier: MIT */
/*
 * What managers and clients of Python's versions said to each other (wire/), said again: to our server in their clients' words, and to our
 * client in their servers'. So versions that are not at hand are peers all the same. Idents are ours in what our server hears; texts of
 * exceptions, and what a server says of itself, differ from version to version and are not compared.
 */
#include "manager_peers.h"
#include "manager/remote.h"

enum { FRAMES = 400, CONNECTIONS = 20, PROOF = 6 /* frames of a handshake that comes to its end */, IDENTS = 40 };

struct frame {
    int connection;
    char side;
    size_t length, number; /* of those of the connection */
    unsigned char *octets;
};

struct capture {
    char name[60];
    size_t count;
    struct frame frames[FRAMES];
};

typedef void use(struct capture *capture);

static const char *const versions[] = {"3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"};
enum { VERSIONS = sizeof(versions) / sizeof(*versions) };

static unsigned digit(char letter)
{
    return (unsigned)(letter <= '9' ? letter - '0' : letter - 'a' + 10);
}

static void capture_add(struct capture *capture, char *line)
{
    struct frame *frame = &capture->frames[capture->count];
    char *hex;
    ck_assert_uint_lt(capture->count, FRAMES);
    *frame = (struct frame){.connection = (int)strtol(line, &hex, 10)};
    frame->side = hex[1];
    hex += 3;
    frame->length = strcspn(hex, "\n") / 2;
    frame->octets = malloc(frame->length + 1);
    for (size_t i = 0; i < frame->length; i++)
        frame->octets[i] = (unsigned char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    for (size_t i = 0; i < capture->count; i++)
        frame->number += capture->frames[i].connection == frame->connection;
    ck_assert_int_lt(frame->connection, CONNECTIONS);
    capture->count++;
}

static void capture_end(struct capture *capture, use *with)
{
    if (capture->count)
        with(capture);
    for (size_t i = 0; i < capture->count; i++)
        free(capture->frames[i].octets);
    capture->count = 0;
}

static void captures_of(const char *version, use *with)
{
    char path[300], *line = NULL;
    size_t room = 0;
    struct capture capture = {.count = 0};
    snprintf(path, sizeof(path), TESTS_FOLDER "/wire/python%s.txt", version);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (getline(&line, &room, file) > 0) {
        if (*line == '#')
            continue;
        if (*line != '=') {
            capture_add(&capture, line);
            continue;
        }
        capture_end(&capture, with);
        snprintf(capture.name, sizeof(capture.name), "%s: %s", version, line + 2);
    }
    capture_end(&capture, with);
    free(line);
    fclose(file);
}

/* Of a client that knew the key and was told that it did not. */
static bool is_refused(const struct capture *capture)
{
    return strstr(capture->name, "refused") != NULL;
}

/* Proofs. */

static const struct frame *frame_after(const struct capture *capture, const struct frame *frame)
{
    for (const struct frame *next = frame + 1; next < capture->frames + capture->count; next++)
        if (next->connection == frame->connection)
            return next;
    return NULL;
}

static bool frame_is(const struct frame *frame, const char *word)
{
    return frame && frame->length == strlen(word) && memcmp(frame->octets, word, frame->length) == 0;
}

static void proof_holds(const struct wefti_key *key, const struct capture *capture, const struct frame *frame)
{
    const struct frame *answer = frame_after(capture, frame), *verdict = frame_after(capture, answer);
    const char *challenge = (const char *)frame->octets + 11;
    size_t length = frame->length - 11;
    unsigned char ours[WEFTI_PROOF_MOST];
    size_t made = wefti_key_answer(key, challenge, length, ours);
    ck_assert_uint_gt(made, 0);
    bool right = wefti_key_holds(key, challenge, length, (const char *)answer->octets, answer->length);
    ck_assert_msg(right && (is_refused(capture) || frame_is(verdict, "#WELCOME#")), "%s", capture->name);
    answer->octets[answer->length - 1] ^= 1;
    ck_assert(!wefti_key_holds(key, challenge, length, (const char *)answer->octets, answer->length));
    answer->octets[answer->length - 1] ^= 1;
    if (made == answer->length) /* else it is of a version that knows MD5 only */
        ck_assert_msg(memcmp(ours, answer->octets, made) == 0, "%s", capture->name);
}

static void proofs_hold(struct capture *capture)
{
    struct wefti_key key = {.octets = (void *)(uintptr_t)KEY, .length = strlen(KEY)};
    for (const struct frame *frame = capture->frames; frame < capture->frames + capture->count; frame++)
        if (frame->number < PROOF && frame->length > 11 && memcmp(frame->octets, "#CHALLENGE#", 11) == 0)
            proof_holds(&key, capture, frame);
}

START_TEST(proofs_of_every_version_hold)
{
    need_digests();
    captures_of(versions[_i], proofs_hold);
}
END_TEST

/* Their clients and our server. */

static struct session {
    weft_connection *connections[CONNECTIONS];
    const char *methods[CONNECTIONS]; /* that was asked for last */
    struct {
        char theirs[20], ours[20];
    } idents[IDENTS];
    size_t known;
    const struct capture *capture;
} session;

static const char *ident_ours(const char *theirs)
{
    for (size_t i = session.known; i-- > 0;)
        if (strcmp(session.idents[i].theirs, theirs) == 0)
            return session.idents[i].ours;
    return NULL;
}

static void ident_note(weft_value theirs, weft_value ours)
{
    ck_assert_uint_lt(session.known, IDENTS);
    snprintf(session.idents[session.known].theirs, 20, "%s", weft_as_str(theirs));
    snprintf(session.idents[session.known++].ours, 20, "%s", weft_as_str(ours));
}

/* The octets with our idents in place of theirs; the frame that they lie in is as much longer. */
static size_t octets_translate(const struct frame *frame, unsigned char *to)
{
    size_t length = 0;
    uint64_t frame_length;
    for (size_t at = 0; at < frame->length;) {
        char theirs[20] = "";
        size_t has = frame->octets[at] == 0x8c && at + 1 < frame->length ? frame->octets[at + 1] : 0;
        if (has > 8 && has < sizeof(theirs) && at + 2 + has <= frame->length)
            memcpy(theirs, frame->octets + at + 2, has);
        const char *ours = *theirs ? ident_ours(theirs) : NULL;
        if (!ours) {
            to[length++] = frame->octets[at++];
            continue;
        }
        to[length++] = 0x8c;
        to[length++] = (unsigned char)strlen(ours);
        memcpy(to + length, ours, strlen(ours));
        length += strlen(ours);
        at += 2 + has;
    }
    if (to[2] == 0x95) {
        memcpy(&frame_length, to + 3, 8);
        frame_length += length - frame->length;
        memcpy(to + 3, &frame_length, 8);
    }
    return length;
}

static weft_value read_octets(const void *octets, size_t length)
{
    weft_value value;
    struct wefti_pickle_reason reason = {.text = ""};
    ck_assert_msg(wefti_pickle_read(octets, length, NULL, &value, &reason) == 0, "%s: %s", session.capture->name, reason.text);
    return value;
}

static void client_says(const struct frame *frame)
{
    unsigned char octets[9000];
    static char methods[CONNECTIONS][40];
    int which = frame->connection;
    ck_assert_uint_lt(frame->length, sizeof(octets) / 2);
    size_t length = octets_translate(frame, octets);
    weft_value request = read_octets(octets, length);
    snprintf(methods[which], sizeof(methods[which]), "%s", weft_as_str(weft_list_at(request, 1)));
    session.methods[which] = methods[which];
    weft_drop(request);
    ck_assert_int_eq(weft_connection_send_bytes(session.connections[which], octets, length, weft_in(20)), 0);
}

static void texts_are_same(weft_value theirs, weft_value ours)
{
    char a[2000], b[2000];
    weft_repr(theirs, a, sizeof(a));
    weft_repr(ours, b, sizeof(b));
    char *at = strstr(a, " at 0x"), *same = strstr(b, " at 0x");
    if (at && same)
        *at = *same = 0;
    ck_assert_msg(strcmp(a, b) == 0, "%s: %s instead of %s", session.capture->name, b, a);
}

static weft_value token_ident(weft_value proxy)
{
    return weft_list_at(weft_object_state(weft_list_at(proxy, 1)), 2);
}

static void replies_are_same(const char *method, weft_value theirs, weft_value ours)
{
    weft_value kind = weft_list_at(theirs, 0), a = weft_list_at(theirs, 1), b = weft_list_at(ours, 1);
    texts_are_same(kind, weft_list_at(ours, 0));
    const char *word = weft_as_str(kind);
    if (strcmp(word, "#PROXY") == 0)
        ident_note(token_ident(a), token_ident(b));
    else if (strcmp(word, "#ERROR") == 0)
        ck_assert_msg(strcmp(weft_error_type(a), weft_error_type(b)) == 0, "%s: %s", session.capture->name, weft_error_type(b));
    else if (strcmp(word, "#RETURN") == 0 && strcmp(method, "create") == 0)
        ident_note(weft_list_at(a, 0), weft_list_at(b, 0));
    else if (strcmp(word, "#RETURN") == 0)
        texts_are_same(a, b);
}

static void server_answers(const struct frame *frame)
{
    weft_value theirs = read_octets(frame->octets, frame->length), ours;
    ck_assert_msg(weft_connection_receive(session.connections[frame->connection], &ours, weft_in(20)) == 0, "%s: frame %zu: %s %s",
        session.capture->name, (size_t)(frame - session.capture->frames), session.methods[frame->connection], strerror(errno));
    replies_are_same(session.methods[frame->connection], theirs, ours);
    weft_drop(theirs), weft_drop(ours);
}

static weft_manager *manager_of_captures(weft_queue *queues[2])
{
    weft_manager *manager = manager_at("127.0.0.1:0", 1);
    queues[0] = weft_queue_new(), queues[1] = weft_queue_new();
    ck_assert_int_eq(weft_manager_register(manager, "get_task_queue", .queue = queues[0]), 0);
    ck_assert_int_eq(weft_manager_register(manager, "get_result_queue", .queue = queues[1]), 0);
    ck_assert_int_eq(weft_manager_register(manager, "get_dict", .standard = "dict", .single = true), 0);
    ck_assert_int_eq(weft_manager_register(manager, "get_dict_auto", .standard = "dict", .single = true), 0);
    return manager;
}

static void clients_say_it_again(struct capture *capture)
{
    weft_queue *queues[2];
    if (is_refused(capture))
        return;
    weft_manager *manager = manager_of_captures(queues);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    memset(&session, 0, sizeof(session));
    session.capture = capture;
    for (const struct frame *frame = capture->frames; frame < capture->frames + capture->count; frame++) {
        weft_connection **connection = &session.connections[frame->connection];
        if (frame->number < PROOF)
            continue;
        if (!*connection)
            *connection = weft_connection_dial(weft_manager_address(manager), weft_in(20), .key = KEY, .key_length = 6);
        ck_assert_ptr_nonnull(*connection);
        if (frame->side == 'C')
            client_says(frame);
        else
            server_answers(frame);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        weft_connection_close(session.connections[i]);
    serve_end(manager, task);
    weft_manager_free(manager);
    weft_queue_free(queues[0]), weft_queue_free(queues[1]);
}

START_TEST(clients_of_every_version_are_served)
{
    need_digests();
    captures_of(versions[_i], clients_say_it_again);
}
END_TEST

/* Their servers and our client. */

struct script {
    weft_listener *listener;
    const struct frame *request, *reply; /* what is to come, and what is said then; the request is stored last */
};

/* One request: false when the connection is at its end. */
static bool script_answer(struct script *script, weft_connection *client)
{
    weft_value request, none = weft_tuple((weft_value[]){weft_str("#RETURN"), weft_none}, 2);
    bool came = weft_connection_receive(client, &request, WEFT_FOREVER) == 0;
    const char *method = came ? weft_as_str(weft_list_at(request, 1)) : "";
    const struct frame *expected = __atomic_load_n(&script->request, __ATOMIC_ACQUIRE);
    if (came && (strcmp(method, "accept_connection") == 0 || !expected)) {
        ck_assert_int_eq(weft_connection_send(client, none, weft_in(20)), 0);
    } else if (came) {
        weft_value theirs = read_octets(expected->octets, expected->length);
        texts_are_same(theirs, request);
        weft_drop(theirs);
        const struct frame *reply = __atomic_load_n(&script->reply, __ATOMIC_RELAXED);
        ck_assert_int_eq(weft_connection_send_bytes(client, reply->octets, reply->length, weft_in(20)), 0);
    }
    bool goes_on = came && (strcmp(method, "accept_connection") == 0 || !weft_is_none(weft_list_at(request, 0)));
    if (came)
        weft_drop(request);
    weft_drop(none);
    return goes_on;
}

struct speaker {
    struct script *script;
    weft_connection *client;
};

static weft_value script_speak(weft_value argument)
{
    struct speaker *speaker = weft_as_ptr(argument);
    while (script_answer(speaker->script, speaker->client))
        ;
    weft_connection_close(speaker->client);
    free(speaker);
    return weft_none;
}

static weft_value script_serve(weft_value argument)
{
    struct script *script = weft_as_ptr(argument);
    weft_group *group = weft_group_new();
    for (weft_connection *client; (client = weft_connection_accept(script->listener, WEFT_FOREVER));) {
        struct speaker *speaker = malloc(sizeof(*speaker));
        *speaker = (struct speaker){script, client};
        ck_assert_int_eq(weft_group_spawn(group, WEFT_COROUTINE, script_speak, weft_ptr(speaker)), 0);
    }
    weft_group_cancel(group);
    weft_shield weft_group_free(group);
    return weft_none;
}

static void answer_is(weft_value reply, weft_value result, const weft_proxy *proxy)
{
    const char *kind = weft_as_str(weft_list_at(reply, 0));
    weft_value theirs = weft_list_at(reply, 1);
    if (strcmp(kind, "#PROXY") == 0)
        ck_assert_str_eq(weft_proxy_ident(proxy), weft_as_str(token_ident(theirs)));
    else if (strcmp(kind, "#RETURN") == 0 && !proxy)
        texts_are_same(theirs, result);
    else if (strcmp(kind, "#ERROR") == 0)
        ck_assert_str_eq(weft_error_type(result), weft_error_type(theirs));
    else if (!proxy)
        ck_assert_str_eq(weft_error_type(result), "multiprocessing.managers.RemoteError");
}

/* One exchange of theirs, in our words. */
static void client_asks(struct script *script, weft_remote *remote, const struct frame *request, const struct frame *reply)
{
    weft_value asked = read_octets(request->octets, request->length), answered = read_octets(reply->octets, reply->length);
    weft_value ident = weft_list_at(asked, 0), arguments = weft_list_at(asked, 2), keywords = weft_list_at(asked, 3), result = weft_none;
    const char *method = weft_as_str(weft_list_at(asked, 1));
    weft_proxy *proxy = NULL, *inner = NULL;
    int called = 0;
    if (strcmp(method, "accept_connection") != 0 && strcmp(method, "dummy") != 0) {
        __atomic_store_n(&script->reply, reply, __ATOMIC_RELAXED);
        __atomic_store_n(&script->request, request, __ATOMIC_RELEASE);
        if (weft_is_none(ident))
            called = weft_remote_call(remote, method, &result, weft_in(20), .arguments = arguments, .keywords = keywords);
        else {
            proxy = wefti_proxy_make(remote, ident, weft_none, weft_none);
            called = weft_proxy_call(proxy, method, &result, weft_in(20), .arguments = arguments, .keywords = keywords, .proxy = &inner);
        }
        ck_assert_msg(called == 0, "%s: %s: %s", session.capture->name, method, strerror(errno));
        __atomic_store_n(&script->request, NULL, __ATOMIC_RELEASE); /* what comes now is of the proxies' ends */
        answer_is(answered, result, inner);
    }
    weft_proxy_free(proxy), weft_proxy_free(inner);
    weft_drop(result), weft_drop(asked), weft_drop(answered);
}

static void servers_say_it_again(struct capture *capture)
{
    struct script script = {.request = NULL};
    if (is_refused(capture))
        return;
    session.capture = capture;
    script.listener = weft_connection_listen("127.0.0.1:0", .key = KEY, .key_length = 6);
    ck_assert_ptr_nonnull(script.listener);
    weft_task *task = weft_spawn(WEFT_THREAD, script_serve, weft_ptr(&script));
    weft_remote *remote = remote_at(weft_listener_address(script.listener));
    for (const struct frame *frame = capture->frames; frame < capture->frames + capture->count; frame++) {
        const struct frame *reply = frame->side == 'C' && frame->number >= PROOF ? frame_after(capture, frame) : NULL;
        if (reply)
            client_asks(&script, remote, frame, reply);
    }
    weft_remote_free(remote);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_task_join(task, weft_in(20)), 0);
    weft_task_free(task);
    weft_listener_close(script.listener);
}

START_TEST(servers_of_every_version_are_understood)
{
    need_digests();
    captures_of(versions[_i], servers_say_it_again);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, proofs_of_every_version_hold, 0, VERSIONS);
    tcase_add_loop_test(tests, clients_of_every_version_are_served, 0, VERSIONS);
    tcase_add_loop_test(tests, servers_of_every_version_are_understood, 0, VERSIONS);
}

int main(void)
{
    return fixture_main("wire", add);
}
