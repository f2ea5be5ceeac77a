// SPDX-License-Identifier: MIT
#include "history.h"

#include "limits.h"

#include <heddle/io/http/json.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace board {

namespace http = heddle::http;

namespace {

h::task<h::file> open_to_append(std::string path) {
  h::file_options how;
  how.append = how.create = true;
  co_return co_await h::file::open(path, how);
}

}  // namespace

h::task<history> history::open(std::string path) {
  history past(std::move(path));
  past.file_ = co_await open_to_append(past.path_);
  const auto status = co_await past.file_.status();
  past.size_ = status.size;
  const std::uint64_t most = limits::kept * limits::line;
  const std::uint64_t from = past.size_ > most ? past.size_ - most : 0;
  const std::string end = co_await past.file_.read_at(from, limits::kept * limits::line);
  // Whole lines alone: the first may be cut by `from`, the last by the end of a program.
  std::size_t at = from == 0 ? 0 : end.find('\n') + 1;
  const std::size_t whole = end.rfind('\n') + 1;
  if (whole < end.size()) {
    past.size_ = from + whole;
    co_await past.file_.truncate(past.size_);
  }
  while (at < whole) {
    const auto line = std::string_view(end).substr(at, end.find('\n', at) - at);
    at += line.size() + 1;
    try {
      past.remember(http::read_json<message>(line));
    } catch (const http::payload_error&) {}  // somebody has edited the file: the rest is good
  }
  co_return past;
}

h::task<> history::append(message m) {
  const std::string line = http::write_json(m) + "\n";
  if (size_ + line.size() > limits::history) co_await begin_anew();
  std::exception_ptr failure;
  try {
    co_await file_.write(line);
  } catch (const std::system_error&) { failure = std::current_exception(); }
  if (failure) {  // half a line may be there
    co_await file_.truncate(size_);
    std::rethrow_exception(failure);
  }
  size_ += line.size();
  remember(std::move(m));
}

h::task<> history::begin_anew() {
  // The open file goes along. Without a file at the path, this has failed half-way before.
  const bool is_there = co_await h::exists(path_);
  if (is_there) co_await h::rename(path_, path_ + ".old");
  auto file = co_await open_to_append(path_);
  std::swap(file_, file);
  size_ = 0;
  co_await file.close();
}

void history::remember(message m) {
  last_.push_back(std::move(m));
  if (last_.size() > limits::kept) last_.pop_front();
}

}  // namespace board
