// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/file_routes.h>

#include <heddle/core/errors.h>
#include <heddle/io/files/file_threads.h>
#include <heddle/io/files/open_file.h>
#include <heddle/io/http/files.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>
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

std::string read_small(file_answer& file) {
  std::string text;
  text.resize(static_cast<std::size_t>(std::min<std::uint64_t>(file.length, most_small)));
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
  } else if (a.length <= most_small) {
    a.head.body = read_small(a);
  } else {
    return a;
  }
  a.file = file_handle();
  return a;
}

/// The file that was opened, as an answer.
task<response> answer_opened(task<file_answer> opening, std::string name) {
  file_answer a = co_await opening;
  response answer = std::move(a.head);
  if (a.file) {
    const auto offset = a.offset;
    const auto length = a.length;
    auto file = std::make_shared<heddle::detail::open_file>(heddle::detail::fd(a.file.release()),
                                                            std::move(name), file_options());
    answer.stream.length = length;
    answer.stream.verbatim = true;
    answer.stream.write = [file, offset, length](body_writer& out) {
      return file_sender::send(out, file, offset, length);
    };
  }
  co_return answer;
}

/// What the answer depends on, for the thread that opens the file.
request copy_of(const request& r) {
  request asked;
  asked.method = r.method;
  asked.target = r.target;
  asked.headers = r.headers;
  return asked;
}

task<response> answer_file(std::shared_ptr<const file_root> root, request asked,
                           std::string below) {
  std::string name = below;  // for the text of errors
  auto job = heddle::detail::on_file_thread(
      [](const std::shared_ptr<const file_root>& files, const request& r, const std::string& path) {
        return open_and_read(*files, r, path);
      },
      std::move(root), std::move(asked), std::move(below));
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
    return answer_file(root, copy_of(r), r.path.substr(std::min(below, r.path.size())));
  };
}

}  // namespace heddle::http::detail

namespace heddle::http {

task<response> file_response(const request& r, std::shared_ptr<const file_root> root,
                             std::string path) {
  return detail::answer_file(std::move(root), detail::copy_of(r), std::move(path));
}

task<response> file_response(const request& r, std::string path) {
  std::string name = path;
  auto job = heddle::detail::on_file_thread(
      [](const request& asked, const std::string& where) { return detail::open_one(asked, where); },
      detail::copy_of(r), std::move(path));
  return detail::answer_opened(std::move(job), std::move(name));
}

}  // namespace heddle::http
