/* SPDX-License-Identifier: MIT */
/* What weft_repr prints next to what Python 3.11 prints: the expected strings were made by its repr(). */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static void assert_repr(weft_value value, const char *expected)
{
    char text[1024];
    memset(text, 'x', sizeof text);
    errno = EXDEV;
    size_t length = weft_repr(value, text, sizeof text);
    ck_assert_int_eq(errno, EXDEV);
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(length, strlen(expected));
    weft_drop(value);
}

static const struct {
    double real;
    const char *repr;
} floats[] = {
    {0x0.0p+0, "0.0"},
    {-0x0.0p+0, "-0.0"},
    {0x1.0000000000000p+0, "1.0"},
    {-0x1.0000000000000p+0, "-1.0"},
    {0x1.999999999999ap-4, "0.1"},
    {0x1.8000000000000p+0, "1.5"},
    {0x1.9000000000000p+6, "100.0"},
    {0x1.e240c9fbe76c9p+16, "123456.789"},
    {0x1.c6bf526340000p+49, "1000000000000000.0"},
    {0x1.1c37937e08000p+53, "1e+16"},
    {0x1.6345785d8a000p+56, "1e+17"},
    {0x1.1c37937e07fffp+53, "9999999999999998.0"},
    {0x1.b69b4ba630f35p+56, "1.2345678901234568e+17"},
    {0x1.0f0cf064dd592p+73, "1e+22"},
    {0x1.52d02c7e14af6p+76, "1e+23"},
    {0x1.0624dd2f1a9fcp-10, "0.001"},
    {0x1.a36e2eb1c432dp-14, "0.0001"},
    {0x1.4f8b588e368f1p-17, "1e-05"},
    {0x1.02e4b6ce5dc68p-13, "0.00012345"},
    {0x1.421f5f40d8376p-23, "1.5e-07"},
    {0x0.0000000000001p-1022, "5e-324"},
    {0x1.0000000000000p-1022, "2.2250738585072014e-308"},
    {0x0.fffffffffffffp-1022, "2.225073858507201e-308"},
    {0x1.fffffffffffffp+1023, "1.7976931348623157e+308"},
    {0x1.0000000000000p+53, "9007199254740992.0"},
    {0x1.3333333333334p-2, "0.30000000000000004"},
    {0x1.921fb54442d18p+1, "3.141592653589793"},
    {0x1.5bf0a8b145769p+1, "2.718281828459045"},
    {0x1.5555555555555p-2, "0.3333333333333333"},
    {0x1.5555555555555p-1, "0.6666666666666666"},
    {0x1.0000000000000p-1017, "7.120236347223045e-307"},
    {0x1.0000000000000p-44, "5.684341886080802e-14"},
    {0x1.0000000000000p-140, "7.174648137343064e-43"},
    {0x1.0000000000000p+70, "1.1805916207174113e+21"},
    {0x0.000000000000ap-1022, "5e-323"},
    {0x0.0000000000018p-1022, "1.2e-322"},
    {0x1.1666666666666p+2, "4.35"},
    {0x1.249ad2594c37dp+332, "1e+100"},
    {0x1.bff2ee48e0530p-333, "1e-100"},
    {0x1.fe185ca57c517p+78, "6.02214076e+23"},
    {0x1.1de784a000000p+28, "299792458.0"},
    {0x1.86a0000000000p+16, "100000.0"},
    {0x1.9cb8320b15070p-17, "1.23e-05"},
    {(double)INFINITY, "inf"},
    {-(double)INFINITY, "-inf"},
    {(double)NAN, "nan"},
    {-(double)NAN, "nan"},
};

/* In octal, with the length in octets: UTF-8 and what Python makes of it. */
static const struct {
    const char *octets;
    size_t length;
    const char *repr;
} strings[] =
    {
        {"", 0, "''"},
        {"abc", 3, "'abc'"},
        {"it's", 4, "\042it's\042"},
        {"say \042x\042", 7, "'say \042x\042'"},
        {"both ' and \042", 12, "'both \134' and \042'"},
        {"back\134slash", 10, "'back\134\134slash'"},
        {"tab\011nl\012cr\015", 10, "'tab\134tnl\134ncr\134r'"},
        {"\000\001\037\177", 4, "'\134x00\134x01\134x1f\134x7f'"},
        {"\303\251", 2, "'\303\251'"},
        {"\303\237\342\206\222\342\202\254", 8, "'\303\237\342\206\222\342\202\254'"},
        {"\360\237\230\200", 4, "'\360\237\230\200'"},
        {"\302\200\302\237\302\240", 6, "'\134x80\134x9f\134xa0'"},
        {"\302\255", 2, "'\134xad'"},
        {"\342\200\213\342\200\217", 6, "'\134u200b\134u200f'"},
        {"\342\200\250\342\200\256", 6, "'\134u2028\134u202e'"},
        {"\343\200\200", 3, "'\134u3000'"},
        {"\357\273\277", 3, "'\134ufeff'"},
        {"\363\240\200\201", 4, "'\134U000e0001'"},
        {"\364\217\277\277", 4, "'\134U0010ffff'"},
        {"\356\200\200", 3, "'\134ue000'"},
        {"\305\274\303\263\305\202\304\207 \346\227\245\346\234\254\350\252\236", 18,
            "'\305\274\303\263\305\202\304\207 \346\227\245\346\234\254\350\252\236'"},
        {"a'\012", 3, "\042a'\134n\042"},
        {"\134'", 2, "\042\134\134'\042"},
},
  bytes[] = {
      {"", 0, "b''"},
      {"abc", 3, "b'abc'"},
      {"it's", 4, "b\042it's\042"},
      {"\042", 1, "b'\042'"},
      {"'\042", 2, "b'\134'\042'"},
      {"\000\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020\021\022\023\024\025\026\027\030\031\032\033\034\035\036\037 !\042#$%&'",
          40,
          "b'\134x00\134x01\134x02\134x03\134x04\134x05\134x06\134x07\134x08\134t\134n\134x0b\134x0c\134r\134x0e\134x0f\134x10\134x11\134x12\134x13\134x14\134x15\134x16\134x17\134x18\134x19\134x1a\134x1b\134x1c\134x1d\134x1e\134x1f !\042#$%&\134''"},
      {"xyz{|}~\177\200\201\202\203\204\205\206\207", 16, "b'xyz{|}~\134x7f\134x80\134x81\134x82\134x83\134x84\134x85\134x86\134x87'"},
      {"\134\012\015\011\377", 5, "b'\134\134\134n\134r\134t\134xff'"},
      {"\303\251", 2, "b'\134xc3\134xa9'"},
};

START_TEST(floats_are_the_shortest)
{
    assert_repr(weft_float(floats[_i].real), floats[_i].repr);
}
END_TEST

enum { RIGHT, WRONG, NO_LOCALE };

static bool prints(double real, const char *expected)
{
    char text[32];
    weft_repr(weft_float(real), text, sizeof text);
    return strcmp(text, expected) == 0;
}

static int print_in_locale(void)
{
    char text[16];
    if (!setlocale(LC_NUMERIC, "ps_AF.UTF-8"))
        return NO_LOCALE;
    snprintf(text, sizeof text, "%.1f", 1.5);
    bool foreign = strcmp(text, "1.5") != 0;
    return foreign && prints(1234.5, "1234.5") && prints(5e-324, "5e-324") && prints(0x1p-1017, "7.120236347223045e-307") ? RIGHT : WRONG;
}

/* In a locale with a decimal point of two octets, made for this test; in a child, because the C library maps files for it. */
START_TEST(floats_know_no_locale)
{
    char command[256];
    int status = 0;
    const char *folder = fixture_folder();
    snprintf(command, sizeof command, "localedef -i ps_AF -f UTF-8 %s/ps_AF.UTF-8 >%s/told 2>&1", folder, folder);
    ck_assert_int_ge(system(command), 0);
    setenv("LOCPATH", folder, 1);
    pid_t child = fork();
    if (child == 0)
        _exit(print_in_locale());
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WEXITSTATUS(status) == NO_LOCALE)
        fixture_skip("localedef cannot make ps_AF.UTF-8 here (Debian's package \"locales\")");
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(strings_are_quoted)
{
    assert_repr(weft_str_n(strings[_i].octets, strings[_i].length), strings[_i].repr);
}
END_TEST

START_TEST(bytes_are_quoted)
{
    assert_repr(weft_bytes(bytes[_i].octets, bytes[_i].length), bytes[_i].repr);
}
END_TEST

/* Python's str cannot hold these: each octet is shown. */
START_TEST(what_is_no_utf8_is_escaped)
{
    assert_repr(weft_str("a\xff"), "'a\\xff'");
    assert_repr(weft_str("\x80"), "'\\x80'");
    assert_repr(weft_str("\xc3"), "'\\xc3'");
    assert_repr(weft_str("\xc3("), "'\\xc3('");
    assert_repr(weft_str("\xe2\x82"), "'\\xe2\\x82'");
    assert_repr(weft_str("\xc0\xaf"), "'\\xc0\\xaf'");
    assert_repr(weft_str("\xe0\x80\xaf"), "'\\xe0\\x80\\xaf'");
    assert_repr(weft_str("\xed\xa0\x80"), "'\\ud800'");
    assert_repr(weft_str("\xf4\x90\x80\x80"), "'\\xf4\\x90\\x80\\x80'");
    assert_repr(weft_str("\xf8\x88\x80\x80\x80"), "'\\xf8\\x88\\x80\\x80\\x80'");
}
END_TEST

START_TEST(scalars_print)
{
    assert_repr(weft_none, "None");
    assert_repr(weft_bool(true), "True");
    assert_repr(weft_bool(false), "False");
    assert_repr(weft_int(0), "0");
    assert_repr(weft_int(INT64_MIN), "-9223372036854775808");
    assert_repr(weft_int(INT64_MAX), "9223372036854775807");
    assert_repr(weft_ptr(NULL), "<ptr 0x0>");
    assert_repr(weft_ptr((void *)(uintptr_t)0xbeef0), "<ptr 0xbeef0>");
}
END_TEST

START_TEST(errors_print)
{
    assert_repr(weft_error(ENOENT, "no such page: %s", "/x"), "<error ENOENT: no such page: /x>");
    assert_repr(weft_error(ENOENT, NULL), "<error ENOENT: No such file or directory>");
    assert_repr(weft_error(123456, NULL), "<error 123456>");
    assert_repr(weft_error(-3, "told"), "<error -3: told>");
}
END_TEST

static weft_value list_of(size_t count, const weft_value *items)
{
    weft_value list = weft_list();
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(weft_list_append(list, items[i]), 0);
    return list;
}

START_TEST(containers_print)
{
    weft_value one = weft_int(1), dict = weft_dict(), key[] = {weft_int(1), weft_none};
    assert_repr(weft_list(), "[]");
    assert_repr(weft_tuple(NULL, 0), "()");
    assert_repr(weft_dict(), "{}");
    assert_repr(weft_tuple(&one, 1), "(1,)");
    assert_repr(weft_tuple(key, 2), "(1, None)");
    assert_repr(list_of(1, &one), "[1]");
    ck_assert_int_eq(weft_dict_set_str(dict, "a", list_of(2, key)), 0);
    ck_assert_int_eq(weft_dict_set(dict, weft_tuple(key, 2), weft_dict()), 0);
    ck_assert_int_eq(weft_dict_set(dict, weft_int(3), weft_tuple(&one, 1)), 0);
    ck_assert_int_eq(weft_dict_set_str(dict, "gone", weft_none), 0);
    ck_assert_int_eq(weft_dict_pop_str(dict, "gone", NULL), 0);
    assert_repr(dict, "{'a': [1, None], (1, None): {}, 3: (1,)}");
}
END_TEST

/* `inner` within so many lists. */
static weft_value wrapped(int depth, weft_value inner)
{
    while (depth-- > 0)
        inner = list_of(1, &inner);
    return inner;
}

START_TEST(the_deepest_are_cut)
{
    char expected[256];
    snprintf(expected, sizeof expected, "%.100s%s%.100s",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "[...]",
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    assert_repr(wrapped(100, weft_list()), expected);
    assert_repr(wrapped(101, weft_int(1)), expected);
    memcpy(strstr(expected, "[...]"), "(...)", 5);
    assert_repr(wrapped(100, weft_tuple(NULL, 0)), expected);
    memcpy(strstr(expected, "(...)"), "{...}", 5);
    assert_repr(wrapped(100, weft_dict()), expected);
    memcpy(strstr(expected, "{...}"), "12345", 5);
    assert_repr(wrapped(100, weft_int(12345)), expected);
}
END_TEST

START_TEST(output_is_cut_as_by_snprintf)
{
    weft_value text = weft_str("abcdef");
    char buffer[8];
    for (size_t size = 0; size <= sizeof buffer; size++) {
        memset(buffer, 'x', sizeof buffer);
        ck_assert_uint_eq(weft_repr(text, buffer, size), 8);
        if (size > 0)
            ck_assert_uint_eq(strlen(buffer), size - 1);
        ck_assert_int_eq(strncmp(buffer, "'abcdef'", size > 0 ? size - 1 : 0), 0);
        for (size_t i = size; i < sizeof buffer; i++)
            ck_assert_int_eq(buffer[i], 'x');
    }
    ck_assert_uint_eq(weft_repr(text, NULL, 0), 8);
    weft_drop(text);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, floats_are_the_shortest, 0, sizeof floats / sizeof *floats);
    tcase_add_test(tests, floats_know_no_locale);
    tcase_add_loop_test(tests, strings_are_quoted, 0, sizeof strings / sizeof *strings);
    tcase_add_loop_test(tests, bytes_are_quoted, 0, sizeof bytes / sizeof *bytes);
    tcase_add_test(tests, what_is_no_utf8_is_escaped);
    tcase_add_test(tests, scalars_print);
    tcase_add_test(tests, errors_print);
    tcase_add_test(tests, containers_print);
    tcase_add_test(tests, the_deepest_are_cut);
    tcase_add_test(tests, output_is_cut_as_by_snprintf);
}

int main(void)
{
    return fixture_main("value_repr", add);
}
