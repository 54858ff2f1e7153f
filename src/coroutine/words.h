/* SPDX-License-Identifier: MIT */
/* Words that the kernel or other processes wake, and that coroutines wait for; see words.c. */
#ifndef WEFTI_WORDS_H
#define WEFTI_WORDS_H

#include <stdbool.h>

struct wefti_flow;
struct wefti_wait;

/*
 * Has the kernel words of the flow's wait watched, and the one of `watch`, if it has one; when one of them has been woken or has changed,
 * its `seen` is set, and `worded` of the flow posted, once, or the flow made ready (by a ring). 0; 1: one has changed already, its `seen`
 * set; -1 with EINVAL (more than 32 words), ENOMEM or EAGAIN (no thread could be had). What was watched is to be removed in any case, wait
 * by wait.
 */
int wefti_words_add(struct wefti_flow *flow, const struct wefti_wait *wait, const struct wefti_wait *watch);
/* Has them watched no more. True: the note was posted before that, or is just being; when it has come, words_sent is to be taken back. */
bool wefti_words_remove(struct wefti_flow *flow, const struct wefti_wait *wait);

#endif
