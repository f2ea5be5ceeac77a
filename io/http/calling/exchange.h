// SPDX-License-Identifier: MIT
// Internal to io.
// A request and its answer over one connection.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/calling/call.h>
#include <heddle/io/http/calling/connections.h>
#include <heddle/io/http/calling/sending.h>
#include <heddle/sched/create_task.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::http::detail {

/// An answer whose head is here, in the parser of its connection.
struct answered {
  wire_ptr line;
  std::shared_ptr<sending> job;  // null, or the body that is still being sent
  task_handle<> sender;          // of that job
};

/// The limits on the next piece of an answer.
struct reading_limits {
  std::optional<any_duration> read;
  std::optional<time_point> until;  // the end of the total time, if nothing around watches it
};

/// Waits for more bytes. False: the connection has ended. The read clock begins when the job, if
/// there is one, has sent its body. `name` is the request's, for errors.
/// Throws  timed_out; what the connection broke with
task<bool> fill_in_time(wire& w, std::shared_ptr<sending> job, reading_limits limits,
                        std::string name);

/// Sends a request without a source.
void write_plain(call& c, wire& w);

/// Sends the request and its body from the job. Ends when the head of the answer is here; the body
/// may still be under way then. False: as read_answer.
task<bool> exchange_with_source(call& c, answered& a);

/// Reads an answer: to its end, or its head alone, if the body is not to be read here. False: the
/// connection ended before a byte of the answer came. The server may not have seen the request.
/// Throws  protocol_error, payload_error, connection_lost, timed_out, tls_error
task<bool> read_answer(call& c, wire& w, std::shared_ptr<sending> job);

/// What is wrong with an answer that its parser refuses, or that has ended too early.
/// `in_body`: its head was accepted. `got` and `declared` are of its body.
[[noreturn]] void throw_bad_answer(const wire& w, const std::string& name, bool in_body,
                                   std::uint64_t got, std::optional<std::uint64_t> declared);
/// The error with which a connection broke, told as connection_lost. Errors of TLS stay; one that
/// cuts a body off is a payload_error. To be called in a handler.
[[noreturn]] void rethrow_lost(const std::string& name, const sending* job, bool in_body);

/// The answer is complete, or not wanted. Gives its connection back to the session, or closes it.
void settle(connection_pool& pool, answered a, bool had_body, bool closes);

}  // namespace heddle::http::detail
