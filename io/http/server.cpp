// SPDX-License-Identifier: MIT
#include <heddle/io/http/server.h>

#include <heddle/core/errors.h>
#include <heddle/io/files/file_threads.h>
#include <heddle/io/http/files.h>
#include <heddle/io/http/serving/engine.h>
#include <heddle/io/http/serving/listening.h>

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

namespace heddle::http {
namespace {

// A file up to this size is read at once, by the job that opened it. A larger file is read in
// pieces of this size.
constexpr std::size_t file_piece = 256 * 1024;

std::string read_piece(file_answer& file) {
  std::string text;
  text.resize(static_cast<std::size_t>(std::min<std::uint64_t>(file.length, file_piece)));
  std::size_t filled = 0;
  while (filled < text.size()) filled += file.read(std::span(text).subspan(filled));
  return text;
}

/// Opens the file that is asked for, and reads it if it is small. Blocks.
file_answer open_and_read(const file_root& root, const request& r, std::string_view below) {
  auto a = root.answer(r, below);
  if (!a.file) return a;
  if (r.method == method::head) {
    a.head.headers.set("Content-Length", std::to_string(a.length));
  } else if (a.length <= file_piece) {
    a.head.body = read_piece(a);
  } else {
    return a;
  }
  a.file = file_handle();
  return a;
}

task<> send_pieces(std::shared_ptr<file_answer> file, body_writer& out) {
  while (file->length > 0) {
    // The job may run on when this task has been cancelled. So it keeps the file.
    auto job = heddle::detail::on_file_thread([file] { return read_piece(*file); });
    const std::string piece = co_await job;
    task<> sent = out.write(piece);
    co_await sent;
  }
}

task<response> answer_file(std::shared_ptr<const file_root> root, request asked,
                           std::string below) {
  auto job = heddle::detail::on_file_thread(
      [](const std::shared_ptr<const file_root>& files, const request& r, const std::string& path) {
        return open_and_read(*files, r, path);
      },
      std::move(root), std::move(asked), std::move(below));
  file_answer a = co_await job;
  response answer = std::move(a.head);
  if (a.file) {
    const auto length = a.length;
    auto file = std::make_shared<file_answer>(std::move(a));
    answer.stream.length = length;
    answer.stream.write = [file](body_writer& out) { return send_pieces(file, out); };
  }
  co_return answer;
}

}  // namespace

namespace detail {
/// What a server holds: the engine is shared with its connections.
struct engine_handle {
  std::shared_ptr<engine> shared;
};
}  // namespace detail

server::server(server_options options)
    : engine_(new detail::engine_handle{detail::engine::make(std::move(options))}) {}

detail::engine& server::at() const noexcept { return *engine_->shared; }

server::server(server&&) noexcept = default;

server& server::operator=(server&& other) noexcept {
  if (this != &other) {
    if (engine_ && at().listener.valid()) at().listener.close();
    engine_ = std::move(other.engine_);
  }
  return *this;
}

server::~server() {
  if (engine_ && at().listener.valid()) at().listener.close();
}

server& server::route(method m, std::string path, handler h) {
  if (!path.starts_with('/'))
    throw bad_value("the path of a route begins with \"/\": \"" + path + "\"");
  if (at().started) heddle::detail::throw_usage("routes are added before the server starts");
  at().routes.add(std::move(m), std::move(path), std::move(h), false);
  return *this;
}

server& server::prefix(method m, std::string path, handler h) {
  if (!path.starts_with('/'))
    throw bad_value("the path of a route begins with \"/\": \"" + path + "\"");
  if (at().started) heddle::detail::throw_usage("routes are added before the server starts");
  at().routes.add(std::move(m), std::move(path), std::move(h), true);
  return *this;
}

server& server::files(std::string path, const std::string& directory) {
  auto root = std::make_shared<const file_root>(directory);
  const auto below = path.size();
  return prefix(method::get, std::move(path), [root, below](request& r) {
    request asked;  // a copy of what the answer depends on, for the thread that opens the file
    asked.method = r.method;
    asked.target = r.target;
    asked.headers = r.headers;
    return answer_file(root, std::move(asked), r.path.substr(below));
  });
}

task<> server::start(std::string host, port_number port) {
  return detail::start_listening(at(), std::move(host), port);
}

task<> server::serve_forever() { return at().listener.serve_forever(); }

task<> server::stop(any_duration grace) { return detail::stop_listening(at(), grace); }

bool server::is_serving() const noexcept {
  return at().listener.valid() && at().listener.is_serving();
}

std::uint16_t server::port() const { return at().listener.valid() ? at().listener.port() : 0; }

server_stats server::stats() const { return at().stats(); }

}  // namespace heddle::http
