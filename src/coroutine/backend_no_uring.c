/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "coroutine/backend.h"

const struct wefti_backend *const wefti_backend_uring = NULL;
