/* SPDX-License-Identifier: MIT */
/* All of Weft: #include <weft.h>. Each noun has its header, and each header says what its calls do. */
#ifndef WEFT_H
#define WEFT_H

#include <weft/base.h>
#include <weft/wait.h>
#include <weft/deadline.h>
#include <weft/select.h>
#include <weft/value.h>
#include <weft/pickle.h>
#include <weft/shared.h>
#include <weft/task.h>
#include <weft/group.h>
#include <weft/timer.h>
#include <weft/signals.h>
#include <weft/sync.h>
#include <weft/queue.h>
#include <weft/array.h>
#include <weft/map.h>
#include <weft/scalar.h>
#include <weft/pool.h>
#include <weft/inspect.h>
#include <weft/parallel.h>
#include <weft/command.h>
#include <weft/coroutine.h>
#include <weft/io.h>
#include <weft/stream.h>
#include <weft/serve.h>
#include <weft/connection.h>
#include <weft/manager.h>
#include <weft/proxy.h>
#include <weft/patch.h>

#endif
