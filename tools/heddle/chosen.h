// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: which tasks the options choose.
#pragma once

#include "options.h"

#include <heddle/core/seeing/report.h>

namespace tool {

/// True: no option rules the task out.
[[nodiscard]] bool is_chosen(const options& o, const heddle::detail::seeing::task_view& task,
                             heddle::detail::seeing::sight& from);

}  // namespace tool
