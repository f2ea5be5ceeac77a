// SPDX-License-Identifier: MIT
// Internal to io.
// How a job runs, in a worker and in this process: once, to an outcome.
#pragma once

#include <heddle/io/cluster/call.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <string>

namespace heddle::cluster::detail {

struct ran {
  outcome result;
  bool may_retry = false;  // it threw, and not `permanent`
};

/// What an exception of a job becomes.
[[nodiscard]] ran outcome_of_error(const std::exception_ptr& error, job_place place);

/// Runs the implementation once, in the calling task. Throws cancelled_error only if the task was
/// cancelled.
[[nodiscard]] task<ran> execute(const implementation& i, std::shared_ptr<job_run> run,
                                std::string arguments, std::uint64_t signature, job_place place);

/// The pause before attempt number `next`, from 2.
[[nodiscard]] duration retry_pause(const retry_options& r, unsigned next) noexcept;

[[nodiscard]] std::string host_name();

}  // namespace heddle::cluster::detail
