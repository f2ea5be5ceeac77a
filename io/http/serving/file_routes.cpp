// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/file_routes.h>

#include <heddle/core/errors.h>
#include <heddle/io/files/file_threads.h>
#include <heddle/io/files/open_file.h>
#include <heddle/io/http/content/packable.h>
#include <heddle/io/http/files.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace heddle::http::detail {

/// The way from here into a body_writer.
struct file_sender {
  static task<> send(body_writer& out, std::shared_ptr<heddle::detail::open_file> from,
                     std::uint64_t offset, std::uint64_t n) {
    return out.send_part(std::move(from), offset, n);
  }
};

namespace {

// A file up to this size is read by the job that opened it, and goes with the head. A larger one is
// sent as send_file() does.
constexpr std::size_t most_small = 256 * 1024;
// Where the kernel has the file in memory, and nothing could make it smaller: up to this size it is
// cheaper to copy it behind the head than to make the calls that sending it from there takes.
constexpr std::size_t most_copied = 16 * 1024;

void say_length(file_answer& a) {
  a.head.headers.set("Content-Length", std::to_string(a.length));
  a.file = file_handle();
}

void read_small(file_answer& a) {
  std::string text;
  text.resize(static_cast<std::size_t>(a.length));
  std::size_t filled = 0;
  while (filled < text.size()) filled += a.read(std::span(text).subspan(filled));
  a.head.body = std::move(text);
  a.file = file_handle();
}

/// Opens the file that is asked for, and reads it if it is small. Blocks.
file_answer open_and_read(const file_root& root, const request& r, std::string_view below) {
  auto a = root.answer(r, below);
  if (!a.file) return a;
  if (r.method == method::head)
    say_length(a);
  else if (a.length <= most_small)
    read_small(a);
  return a;
}

/// The same without blocking, if the kernel has all of it in memory. A middleware may want to pack
/// a text, so a small one is read. Other files stay where they are, and are sent from there.
std::optional<file_answer> open_at_once(const file_root& root, const request& r,
                                        std::string_view below) {
  auto a = root.answer_at_once(r, below);
  if (!a || !a->file) return a;
  if (r.method == method::head) {
    say_length(*a);
  } else if (a->length <= (is_packable(a->head.content_type.text()) ? heddle::detail::most_inline
                                                                    : most_copied)) {
    std::string text;
    text.resize(static_cast<std::size_t>(a->length));
    if (!a->read_at_once(text)) return std::nullopt;
    a->head.body = std::move(text);
    a->file = file_handle();
  } else if (a->length <= most_small && is_packable(a->head.content_type.text())) {
    return std::nullopt;
  }
  return a;
}

/// The file that was opened, as an answer.
response answer_of(file_answer a, std::string name) {
  response answer = std::move(a.head);
  if (!a.file) return answer;
  auto file = std::make_shared<heddle::detail::open_file>(heddle::detail::fd(a.file.release()),
                                                          std::move(name), file_options());
  answer.stream.length = a.length;
  answer.stream.verbatim = true;
  answer.stream.write = [file, offset = a.offset, length = a.length](body_writer& out) {
    return file_sender::send(out, file, offset, length);
  };
  return answer;
}

task<response> answer_ready(file_answer a, std::string name) {
  co_return answer_of(std::move(a), std::move(name));
}

task<response> answer_opened(task<file_answer> opening, std::string name) {
  file_answer a = co_await opening;
  co_return answer_of(std::move(a), std::move(name));
}

/// What the answer depends on, for the thread that opens the file.
request copy_of(const request& r) {
  request asked;
  asked.method = r.method;
  asked.target = r.target;
  asked.headers = r.headers;
  return asked;
}

task<response> answer_file(std::shared_ptr<const file_root> root, const request& r,
                           std::string below) {
  std::string name = below;  // for the text of errors
  if (auto now = open_at_once(*root, r, below)) return answer_ready(std::move(*now), name);
  auto job = heddle::detail::on_file_thread(
      [](const std::shared_ptr<const file_root>& files, const request& asked,
         const std::string& path) { return open_and_read(*files, asked, path); },
      std::move(root), copy_of(r), std::move(below));
  return answer_opened(std::move(job), std::move(name));
}

/// The file at a path of the program's. Blocks.
file_answer open_one(const request& r, const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const std::string directory = slash == std::string::npos ? "."
                                : slash == 0               ? "/"
                                                           : path.substr(0, slash);
  file_answer none;
  none.head = response::error(404);
  if (name.empty()) return none;
  try {
    const file_root root(directory);
    auto a = open_and_read(root, r, name);
    const bool is_directory = a.head.status == 301;
    return is_directory ? std::move(none) : std::move(a);
  } catch (const std::system_error& e) {
    const int why = e.code().value();
    if (why != ENOENT && why != ENOTDIR && why != EACCES && why != ELOOP) throw;
  }
  return none;
}

}  // namespace

handler file_handler(const std::string& directory, files_options options, std::size_t below) {
  auto root = std::make_shared<const file_root>(directory, std::move(options));
  return [root, below](request& r) {
    return answer_file(root, r, r.path.substr(std::min(below, r.path.size())));
  };
}

}  // namespace heddle::http::detail

namespace heddle::http {

task<response> file_response(const request& r, std::shared_ptr<const file_root> root,
                             std::string path) {
  return detail::answer_file(std::move(root), r, std::move(path));
}

task<response> file_response(const request& r, std::string path) {
  std::string name = path;
  auto job = heddle::detail::on_file_thread(
      [](const request& asked, const std::string& where) { return detail::open_one(asked, where); },
      detail::copy_of(r), std::move(path));
  return detail::answer_opened(std::move(job), std::move(name));
}

}  // namespace heddle::http
