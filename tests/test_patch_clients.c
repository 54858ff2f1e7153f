/* SPDX-License-Identifier: MIT */
/*
 * Libraries that know nothing of coroutines, a hundred blocking calls of each at once on one thread: libcurl, hiredis with a Redis server,
 * libpq with a PostgreSQL server, both started here. No call can end before all hundred have begun: the servers see to that. So they have
 * waited side by side, or the test never ends.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_CURL
#include <curl/curl.h>
#endif
#ifdef HAVE_HIREDIS
#include <hiredis/hiredis.h>
#endif
#ifdef HAVE_LIBPQ
#include <libpq-fe.h>
#endif

#include "fixture.h"

enum { HUNDRED = 100 };

/* Runs the function in a hundred coroutines, each of which is to return 1, and another beside them. */
static void hundred(weft_function *function, weft_function *beside, void *data)
{
    weft_task *tasks[HUNDRED + 1];
    for (int i = 0; i <= HUNDRED; i++) {
        tasks[i] = weft_spawn(WEFT_COROUTINE, i < HUNDRED ? function : beside, weft_ptr(data), .stack_size = 256 * 1024);
        ck_assert_ptr_nonnull(tasks[i]);
    }
    for (int i = 0; i <= HUNDRED; i++) {
        weft_value value;
        ck_assert_int_eq(weft_task_result(tasks[i], &value, weft_in(60)), 0);
        ck_assert_int_eq(weft_as_int(value), 1);
        weft_task_free(tasks[i]);
    }
}

/* A program of another's, while a test runs. */

static pid_t program_start(char *const *words, const char *user)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    const struct passwd *entry = user && getuid() == 0 ? getpwnam(user) : NULL;
    if (entry && (chdir("/") != 0 || setgid(entry->pw_gid) != 0 || setuid(entry->pw_uid) != 0))
        _exit(126);
    if (!freopen("/dev/null", "w", stdout))
        _exit(126);
    dup2(STDOUT_FILENO, STDERR_FILENO);
    execvp(words[0], words);
    _exit(127);
}

static int program_end(pid_t child, int number)
{
    int status = 0;
    if (number)
        kill(child, number);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

#ifdef HAVE_CURL

static int pages_listener;

/* Answers nobody before all have asked. */
static void *pages_serve(void *data)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    int *fds = data;
    for (int i = 0; i < HUNDRED; i++) {
        char text[2048];
        size_t length = 0;
        fds[i] = accept(pages_listener, NULL, NULL);
        do {
            ssize_t got = recv(fds[i], text + length, sizeof(text) - 1 - length, 0);
            ck_assert_int_gt(got, 0);
            length += (size_t)got;
            text[length] = 0;
        } while (!strstr(text, "\r\n\r\n"));
    }
    for (int i = 0; i < HUNDRED; i++) {
        ck_assert_int_eq(send(fds[i], answer, sizeof(answer) - 1, 0), sizeof(answer) - 1);
        close(fds[i]);
    }
    return NULL;
}

static size_t page_keep(char *text, size_t one, size_t count, void *data)
{
    int *sum = data;
    for (size_t i = 0; i < one * count; i++)
        *sum += text[i];
    return one * count;
}

static weft_value page_fetch(weft_value address)
{
    CURL *easy = curl_easy_init();
    long status = 0;
    int sum = 0;
    curl_easy_setopt(easy, CURLOPT_URL, weft_as_ptr(address));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, page_keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &sum);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    CURLcode code = curl_easy_perform(easy);
    ck_assert_msg(code == CURLE_OK, "%s", curl_easy_strerror(code));
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    return weft_int(status == 200 && sum == 'h' + 'e' + 'l' + 'l' + 'o');
}

static weft_value nobody(weft_value data)
{
    return data.kind == WEFT_NONE ? data : weft_int(1);
}

START_TEST(libcurl)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    static int fds[HUNDRED];
    char url[64];
    pthread_t server;
    ck_assert_int_eq(weft_patch(), 0);
    pages_listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(pages_listener, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(listen(pages_listener, HUNDRED), 0);
    ck_assert_int_eq(getsockname(pages_listener, (struct sockaddr *)&address, &length), 0);
    snprintf(url, sizeof(url), "http://localhost:%d/", ntohs(address.sin_port)); /* a name, to be looked up */
    curl_global_init(CURL_GLOBAL_DEFAULT);
    ck_assert_int_eq(pthread_create(&server, NULL, pages_serve, fds), 0);
    hundred(page_fetch, nobody, url);
    pthread_join(server, NULL);
    curl_global_cleanup();
    close(pages_listener);
}
END_TEST

#endif

#ifdef HAVE_HIREDIS

static redisContext *redis_open(const char *path)
{
    redisContext *redis = redisConnectUnix(path);
    ck_assert_ptr_nonnull(redis);
    return redis;
}

static weft_value redis_take(weft_value path)
{
    redisContext *redis = redis_open(weft_as_ptr(path));
    ck_assert_msg(redis->err == 0, "%s", redis->errstr);
    redisReply *reply = redisCommand(redis, "BLPOP jobs 0");
    ck_assert_ptr_nonnull(reply);
    bool right = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && strcmp(reply->element[1]->str, "job") == 0;
    freeReplyObject(reply);
    redisFree(redis);
    return weft_int(right);
}

/* Gives nothing before a hundred wait for it. */
static weft_value redis_give(weft_value path)
{
    redisContext *redis = redis_open(weft_as_ptr(path));
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "blocked_clients:%d\r", HUNDRED);
    for (bool all = false; !all;) {
        redisReply *reply = redisCommand(redis, "INFO clients");
        ck_assert_ptr_nonnull(reply);
        all = strstr(reply->str, wanted) != NULL;
        freeReplyObject(reply);
        usleep(1000);
    }
    for (int i = 0; i < HUNDRED; i++)
        freeReplyObject(redisCommand(redis, "LPUSH jobs job"));
    redisFree(redis);
    return weft_int(1);
}

static bool redis_answers(const char *path)
{
    redisContext *redis = redisConnectUnix(path);
    bool answers = redis && redis->err == 0;
    if (redis)
        redisFree(redis);
    usleep(1000);
    return answers;
}

START_TEST(hiredis)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/redis", fixture_folder());
    char *words[] = {"redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir",
        (char *)(uintptr_t)fixture_folder(), NULL};
    pid_t server = program_start(words, NULL);
    fixture_until(redis_answers(path));
    ck_assert_int_eq(weft_patch(), 0);
    hundred(redis_take, redis_give, path);
    program_end(server, SIGTERM);
}
END_TEST

#endif

#ifdef HAVE_LIBPQ

static PGconn *database_open(const char *folder)
{
    char told[300];
    snprintf(told, sizeof(told), "host=%s dbname=postgres user=postgres", folder);
    return PQconnectdb(told);
}

/* The first field of the first row, as a number. */
static long database_ask(PGconn *database, const char *question)
{
    PGresult *result = PQexec(database, question);
    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(database));
    long number = strtol(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return number;
}

static weft_value database_wait(weft_value folder)
{
    PGconn *database = database_open(weft_as_ptr(folder));
    ck_assert_msg(PQstatus(database) == CONNECTION_OK, "%s", PQerrorMessage(database));
    while (database_ask(database, "select count(*) from pg_locks where locktype = 'advisory' and granted and mode = 'ExclusiveLock'") == 0)
        usleep(1000);
    database_ask(database, "select pg_advisory_lock_shared(1)");
    PQfinish(database);
    return weft_int(1);
}

/* Does not let go before a hundred wait for that. */
static weft_value database_hold(weft_value folder)
{
    PGconn *database = database_open(weft_as_ptr(folder));
    ck_assert_msg(PQstatus(database) == CONNECTION_OK, "%s", PQerrorMessage(database));
    database_ask(database, "select pg_advisory_lock(1)");
    while (database_ask(database, "select count(*) from pg_locks where locktype = 'advisory' and not granted") < HUNDRED)
        usleep(2000);
    database_ask(database, "select pg_advisory_unlock(1)");
    PQfinish(database);
    return weft_int(1);
}

static bool database_answers(const char *folder)
{
    PGconn *database = database_open(folder);
    bool answers = PQstatus(database) == CONNECTION_OK;
    PQfinish(database);
    usleep(1000);
    return answers;
}

START_TEST(libpq)
{
    char data[200], parent[200];
    char *folder = (char *)(uintptr_t)fixture_folder();
    snprintf(data, sizeof(data), "%s/data", folder);
    snprintf(parent, sizeof(parent), "%s/..", folder);
    const struct passwd *entry = getpwnam("postgres");
    if (getuid() == 0 && (!entry || chown(folder, entry->pw_uid, entry->pw_gid) != 0 || chmod(parent, 0711) != 0))
        fixture_skip("no user is there who may run PostgreSQL");
    char *make[] = {POSTGRES_FOLDER "/initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N", "--no-instructions", NULL};
    char *serve[] = {POSTGRES_FOLDER "/postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c",
        "max_connections=130", NULL};
    ck_assert_int_eq(program_end(program_start(make, "postgres"), 0), 0);
    pid_t server = program_start(serve, "postgres");
    fixture_until(database_answers(folder));
    ck_assert_int_eq(weft_patch(), 0);
    hundred(database_wait, database_hold, folder);
    program_end(server, SIGINT);
}
END_TEST

#endif

static void add(TCase *tests)
{
#ifdef HAVE_CURL
    tcase_add_test(tests, libcurl);
#endif
#ifdef HAVE_HIREDIS
    tcase_add_test(tests, hiredis);
#endif
#ifdef HAVE_LIBPQ
    tcase_add_test(tests, libpq);
#endif
    (void)tests;
}

int main(void)
{
    return fixture_main("patch_clients", add);
}
