/* SPDX-License-Identifier: MIT */
/*
 * Where large tables lie: behind all else that is zero at first (the linker sorts sections by name). A forked process has to have its own
 * copy of each page in which it writes something, and what is written in every one lies on two or three pages so, not on one between each
 * two tables.
 */
#ifndef WEFTI_LARGE_H
#define WEFTI_LARGE_H

#define WEFTI_LARGE __attribute__((section(".bss.large")))

#endif
