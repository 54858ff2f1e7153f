/* SPDX-License-Identifier: MIT */
/*
 * Misuse that checked builds catch: each case runs in a child, which has to say one line on standard error and die of SIGABRT. And what
 * is no misuse is not caught.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "value/value.h"

static void use_after_drop(void)
{
    weft_value text = weft_str("a");
    weft_drop(text);
    weft_as_str(text);
}

static void drop_twice(void)
{
    weft_value list = weft_list();
    weft_drop(list);
    weft_drop(list);
}

/* The object still lives; it is the hold that is over. */
static void drop_twice_while_kept(void)
{
    weft_value dict = weft_dict(), kept = weft_keep(dict);
    weft_drop(dict);
    weft_drop(dict);
    weft_drop(kept);
}

static void keep_after_drop(void)
{
    weft_value octets = weft_bytes("a", 1);
    weft_drop(octets);
    weft_keep(octets);
}

static void use_after_append(void)
{
    static weft_value list;
    weft_value text = weft_str("a");
    list = weft_list();
    weft_list_append(list, text);
    weft_as_str(text);
}

static void drop_after_set(void)
{
    static weft_value dict;
    weft_value inner = weft_list();
    dict = weft_dict();
    weft_dict_set_str(dict, "a", inner);
    weft_drop(inner);
}

static void drop_after_key(void)
{
    static weft_value dict;
    weft_value key = weft_str("a");
    dict = weft_dict();
    weft_dict_set(dict, key, weft_none);
    weft_drop(key);
}

static void drop_after_tuple(void)
{
    weft_value error = weft_error(EIO, "told"), tuple = weft_tuple(&error, 1);
    weft_drop(error);
    weft_drop(tuple);
}

static void give_twice(void)
{
    static weft_value list;
    weft_value text = weft_str("a");
    list = weft_list();
    weft_list_append(list, text);
    weft_list_append(list, text);
}

static void give_after_drop(void)
{
    weft_value tuple = weft_tuple(NULL, 0);
    weft_drop(tuple);
    wefti_value_take(tuple);
}

static void borrowed_after_drop(void)
{
    weft_value list = weft_list();
    weft_list_append(list, weft_str("a"));
    weft_value item = weft_list_at(list, 0);
    weft_drop(list);
    weft_as_str(item);
}

static void borrowed_after_replace(void)
{
    weft_value dict = weft_dict(), item;
    weft_dict_set_str(dict, "a", weft_str("old"));
    weft_dict_get_str(dict, "a", &item);
    weft_dict_set_str(dict, "a", weft_str("new"));
    weft_length(item);
}

static void taken_by_a_taker(void)
{
    weft_value text = weft_str("a");
    weft_value taken = wefti_value_take(text);
    weft_drop(text);
    weft_drop(taken);
}

static const struct {
    void (*misuse)(void);
    const char *line;
} misuses[] = {
    {use_after_drop, "weft: use of a value of kind str after it was dropped (by weft_drop)\n"},
    {drop_twice, "weft: drop of a value of kind list after it was dropped (by weft_drop)\n"},
    {drop_twice_while_kept, "weft: drop of a value of kind dict after it was dropped (by weft_drop)\n"},
    {keep_after_drop, "weft: use of a value of kind bytes after it was dropped (by weft_drop)\n"},
    {use_after_append, "weft: use of a value of kind str after it was given away (by weft_list_append)\n"},
    {drop_after_set, "weft: drop of a value of kind list after it was given away (by dict_add)\n"},
    {drop_after_key, "weft: drop of a value of kind str after it was given away (by dict_add)\n"},
    {drop_after_tuple, "weft: drop of a value of kind error after it was given away (by weft_tuple)\n"},
    {give_twice, "weft: giving away of a value of kind str after it was given away (by weft_list_append)\n"},
    {give_after_drop, "weft: giving away of a value of kind tuple after it was dropped (by weft_drop)\n"},
    {borrowed_after_drop, "weft: use of a value of kind str after it was dropped (by weft_drop)\n"},
    {borrowed_after_replace, "weft: use of a value of kind str after it was dropped (by weft_drop)\n"},
    {taken_by_a_taker, "weft: drop of a value of kind str after it was given away (by taken_by_a_taker)\n"},
};

static _Noreturn void child_run(void (*misuse)(void), int stream)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGABRT, SIG_DFL);
    dup2(stream, STDERR_FILENO);
    misuse();
    _exit(0);
}

START_TEST(misuse_is_told_and_ends_the_process)
{
    int stream[2], status;
    char said[256] = "";
    ck_assert_int_eq(pipe(stream), 0);
    pid_t child = fork();
    if (child == 0)
        child_run(misuses[_i].misuse, stream[1]);
    close(stream[1]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ssize_t length = read(stream[0], said, sizeof said - 1);
    close(stream[0]);
    ck_assert_int_ge(length, 0);
    ck_assert_str_eq(said, misuses[_i].line);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

START_TEST(scalars_are_never_misused)
{
    weft_value scalars[] = {weft_none, weft_int(1), weft_float(2), weft_ptr(scalars), weft_error(EIO, NULL)};
    weft_value list = weft_list();
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) {
        weft_drop(scalars[i]);
        weft_drop(scalars[i]);
        ck_assert_int_eq(weft_list_append(list, scalars[i]), 0);
        ck_assert_int_eq(weft_list_append(list, wefti_value_take(scalars[i])), 0);
    }
    weft_drop(list);
}
END_TEST

START_TEST(a_failed_give_away_is_none)
{
    weft_value list = weft_list(), kept = weft_keep(list), text = weft_str("a");
    ck_fails(weft_list_append(list, text), EBUSY);
    ck_fails(weft_list_append(weft_none, text), EINVAL);
    ck_assert_str_eq(weft_as_str(text), "a");
    weft_drop(text), weft_drop(list), weft_drop(kept);
}
END_TEST

START_TEST(closed_records_are_bounded)
{
    weft_value text = weft_str("a");
    for (int i = 0; i < 100000; i++)
        weft_drop(weft_keep(text));
    ck_assert_str_eq(weft_as_str(text), "a");
    weft_drop(text);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, misuse_is_told_and_ends_the_process, 0, sizeof misuses / sizeof *misuses);
    tcase_add_test(tests, scalars_are_never_misused);
    tcase_add_test(tests, a_failed_give_away_is_none);
    tcase_add_test(tests, closed_records_are_bounded);
}

int main(void)
{
    return fixture_main("value_checks", add);
}
