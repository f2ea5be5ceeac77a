// SPDX-License-Identifier: MIT
#include "uploads.h"

#include "limits.h"
#include "refused.h"

#include <algorithm>
#include <exception>
#include <random>

namespace board {
namespace {

constexpr std::string_view pictures[] = {".png", ".jpg", ".jpeg", ".gif", ".webp"};

/// The end of a file's name, if it is short and plain: ".png".
std::string ending_of(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || name.size() - dot > 9) return {};
  std::string ending(name.substr(dot));
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return ending.size() > 1 && std::all_of(ending.begin() + 1, ending.end(), is_plain) ? ending : "";
}

/// Nobody guesses it, and no two are equal.
std::string random_name() {
  std::random_device from;
  std::string name;
  for (int i = 0; i < 32; ++i) name += "0123456789abcdef"[from() % 16];
  return name;
}

/// What a form brings.
struct upload_form {
  std::string who;
  std::string text;
  attachment file;
};

/// Reads a form whose "file" goes to `path`. All else in it is short.
h::task<upload_form> read_form(http::request& from, std::string path) {
  upload_form form;
  bool has_file = false;
  http::part_reader parts(from);
  while (auto part = co_await parts.next_part()) {
    if (part->name() == "who") {
      const auto text = co_await part->body.read_all(limits::frame);
      form.who = one_line(text, limits::guest_name, "your name");
    } else if (part->name() == "text") {
      const auto text = co_await part->body.read_all(limits::frame);
      if (!text.empty()) form.text = many_lines(text, limits::text, "the message");
    } else if (part->name() == "file") {
      if (has_file) throw refused(400, "a message has one file");
      has_file = true;
      form.file.name = one_line(part->filename(), limits::file_name, "the file's name");
      form.file.path = "/files/" + random_name() + ending_of(form.file.name);
      form.file.bytes = co_await part->body.save_to(path);
    }
  }
  if (form.who.empty()) throw refused(400, "your name is missing");
  if (!has_file) throw refused(400, "the file is missing");
  co_return form;
}

}  // namespace

/// What an upload may take of limits::all_uploads. What it did not need goes back.
class uploads::share {
 public:
  explicit share(std::atomic<std::uint64_t>& used) : used_(used) {
    if (used_.fetch_add(limits::upload) + limits::upload > limits::all_uploads) {
      used_ -= limits::upload;
      throw refused(507, "this board has no room for more files");
    }
  }
  share(const share&) = delete;
  ~share() { used_ -= limits::upload - kept_; }
  void keep(std::uint64_t bytes) { kept_ = std::min(bytes, limits::upload); }

 private:
  std::atomic<std::uint64_t>& used_;
  std::uint64_t kept_ = 0;
};

h::task<> uploads::start() {
  co_await h::remove_tree(incoming());
  co_await h::make_directories(incoming());
  co_await h::make_directories(files());
  auto all = h::list_directory(files());
  while (auto* file = co_await all.next()) {
    const auto status = co_await h::status(files() + "/" + file->name);
    used_ += status.size;
  }
}

h::task<message> uploads::receive(room& where, http::request& from) {
  share mine(used_);
  try {
    // The directory goes with all that is in it, whatever ends this function.
    const auto desk = co_await h::temporary_directory::make(incoming());
    const std::string whole = desk.path() + "/file";
    auto form = co_await read_form(from, whole);
    message m = new_message(std::move(form.who), std::move(form.text));
    m.file = std::move(form.file);
    const message said = co_await keep_and_say(where, whole, m);
    mine.keep(said.file->bytes);
    co_return said;
  } catch (const std::system_error& e) { refuse_if_full(e); }
}

h::task<message> uploads::keep_and_say(room& where, const std::string& whole, message m) {
  const std::string place = directory_ + m.file->path;
  co_await h::rename(whole, place);
  std::exception_ptr failure;
  try {
    co_return co_await where.say(std::move(m));
  } catch (...) { failure = std::current_exception(); }
  co_await h::remove_file(place);  // it was not said: nobody would find it
  std::rethrow_exception(failure);
}

h::task<message> upload(room_name where, http::request& from, http::state<rooms> all,
                        http::state<uploads> files, http::state<counters> count) {
  const auto here = all->at(where.text);
  auto said = co_await files->receive(*here, from);
  ++count->said;
  ++count->uploaded;
  co_return said;
}

h::task<http::response> as_harmless_file(http::request& asked, http::next go_on) {
  auto answer = co_await go_on(asked);
  answer.headers.set("Content-Security-Policy", "default-src 'none'; sandbox");
  const auto is_end = [&](std::string_view end) { return asked.path.ends_with(end); };
  if (answer.status < 300 && !std::ranges::any_of(pictures, is_end))
    answer.headers.set("Content-Disposition", "attachment");
  co_return answer;
}

}  // namespace board
