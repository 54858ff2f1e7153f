/* SPDX-License-Identifier: MIT */
/* Functions that cross: packed here, found here, in a forked child, and as another process with other addresses would find them. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "task/function.h"

static weft_value twice(weft_value n)
{
    return weft_int(weft_as_int(n) * 2);
}

static weft_value thrice(weft_value n)
{
    return weft_int(weft_as_int(n) * 3);
}

static weft_function *found(const struct wefti_function *packed)
{
    weft_function *function = NULL;
    ck_assert_int_eq(wefti_function_find(packed, &function), 0);
    return function;
}

START_TEST(a_function_is_packed_and_found)
{
    struct wefti_function packed, again, other;
    ck_assert_int_eq(wefti_function_pack(twice, &packed), 0);
    ck_assert_int_eq(wefti_function_pack(twice, &again), 0);
    ck_assert_int_eq(wefti_function_pack(thrice, &other), 0);
    ck_assert_mem_eq(&packed, &again, sizeof(packed));
    ck_assert_uint_eq(packed.module, other.module);
    ck_assert_uint_ne(packed.offset, other.offset);
    ck_assert_ptr_nonnull(strstr(packed.name, "test_function"));
    ck_assert(found(&packed) == twice && found(&again) == twice && found(&other) == thrice);
}
END_TEST

/* As a process packs it in which the program lies elsewhere. */
START_TEST(a_function_is_found_at_another_address)
{
    struct wefti_function packed, other;
    ck_assert_int_eq(wefti_function_pack(twice, &packed), 0);
    packed.address += 0x7000000;
    ck_assert(found(&packed) == twice && found(&packed) == twice);
    ck_assert_int_eq(wefti_function_pack(thrice, &other), 0);
    other.address = packed.address; /* as two processes may have it */
    ck_assert(found(&other) == thrice && found(&packed) == twice);
    ck_assert_int_eq(wefti_function_pack(twice, &other), 0);
    ck_assert_uint_eq(other.address, (uintptr_t)twice);
}
END_TEST

/* Of the program and of a module that might be unloaded. */
START_TEST(more_functions_than_there_are_places)
{
    weft_function *const functions[] = {twice, (weft_function *)(void (*)(void))labs};
    struct wefti_function packed, function;
    ck_assert_int_eq(wefti_function_pack(functions[_i], &packed), 0);
    ck_assert_int_eq(wefti_function_lasts(functions[_i]), _i == 0);
    for (uint64_t i = 0; i < 1000; i++) {
        function = packed;
        function.address += i * 4096;
        ck_assert(found(&function) == functions[_i] && found(&function) == functions[_i]);
    }
}
END_TEST

START_TEST(what_is_in_no_module_is_refused)
{
    struct wefti_function packed = {.module = 7}, zero = packed;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_fails(wefti_function_pack((weft_function *)(uintptr_t)page, &packed), EFAULT);
    ck_fails(wefti_function_pack((weft_function *)(uintptr_t)16, &packed), EFAULT);
    ck_fails(wefti_function_pack((weft_function *)(uintptr_t)&zero, &packed), EFAULT); /* data is no function */
    ck_assert_mem_eq(&packed, &zero, sizeof(packed));
    munmap(page, 4096);
}
END_TEST

START_TEST(a_module_that_is_not_there_is_told)
{
    struct wefti_function packed;
    weft_function *function = twice;
    ck_assert_int_eq(wefti_function_pack(twice, &packed), 0);
    struct wefti_function other = packed;
    other.module ^= 2; /* another build of it */
    ck_fails(wefti_function_find(&other, &function), ENOEXEC);
    other = packed;
    other.offset = UINT64_C(1) << 40; /* not in it */
    ck_fails(wefti_function_find(&other, &function), ENOEXEC);
    ck_assert(function == twice);
}
END_TEST

/* A library that comes and goes. */
START_TEST(an_unloaded_module_is_forgotten)
{
    void *library = dlopen("libBrokenLocale.so.1", RTLD_NOW | RTLD_LOCAL);
    uintptr_t address = library ? (uintptr_t)dlsym(library, "__ctype_get_mb_cur_max") : 0;
    if (!address)
        fixture_skip("there is no small library to load and unload");
    struct wefti_function packed, again;
    weft_function *function = NULL;
    ck_assert_int_eq(wefti_function_pack((weft_function *)address, &packed), 0);
    ck_assert_int_eq(wefti_function_pack((weft_function *)address, &again), 0);
    ck_assert_mem_eq(&packed, &again, sizeof(packed));
    ck_assert_str_eq(packed.name, "libBrokenLocale.so.1");
    ck_assert(found(&packed) == (weft_function *)address);
    dlclose(library);
    ck_fails(wefti_function_find(&packed, &function), ENOEXEC);
    ck_fails(wefti_function_pack((weft_function *)address, &again), EFAULT);
    library = dlopen("libBrokenLocale.so.1", RTLD_NOW | RTLD_LOCAL);
    ck_assert(found(&packed) == (weft_function *)(uintptr_t)dlsym(library, "__ctype_get_mb_cur_max"));
    dlclose(library);
}
END_TEST

START_TEST(a_forked_child_finds_it)
{
    struct wefti_function packed, before;
    ck_assert_int_eq(wefti_function_pack(twice, &before), 0);
    pid_t child = fork();
    if (child == 0) {
        weft_function *function = NULL;
        bool well = wefti_function_find(&before, &function) == 0 && function == twice;
        fixture_leave(well && wefti_function_pack(thrice, &packed) == 0 && found(&packed) == thrice ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

static weft_value packs(weft_value unused)
{
    struct wefti_function packed;
    for (int i = 0; i < 1000; i++) {
        weft_function *function = i % 2 ? twice : thrice;
        if (wefti_function_pack(function, &packed) != 0 || found(&packed) != function)
            return weft_error(EIO, NULL);
    }
    return unused;
}

START_TEST(many_threads_pack_at_once)
{
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++)
        ck_assert_ptr_nonnull(tasks[i] = weft_spawn(WEFT_THREAD, packs, weft_none));
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_task_outcome(tasks[i]), WEFT_DONE);
        weft_task_free(tasks[i]);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_function_is_packed_and_found);
    tcase_add_test(tests, a_function_is_found_at_another_address);
    tcase_add_loop_test(tests, more_functions_than_there_are_places, 0, 2);
    tcase_add_test(tests, what_is_in_no_module_is_refused);
    tcase_add_test(tests, a_module_that_is_not_there_is_told);
    tcase_add_test(tests, an_unloaded_module_is_forgotten);
    tcase_add_test(tests, a_forked_child_finds_it);
    tcase_add_test(tests, many_threads_pack_at_once);
}

int main(void)
{
    return fixture_main("function", add);
}
