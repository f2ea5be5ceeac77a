// SPDX-License-Identifier: MIT
#include <heddle/io/http/form_data.h>

#include <heddle/core/errors.h>
#include <heddle/io/file.h>
#include <heddle/io/http/content_type.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/part_reader.h>

#include <algorithm>
#include <utility>

namespace heddle::http {
namespace detail {

struct kept_file {
  std::string name;
  std::string filename;
  std::string raw_filename;
  std::string content_type;
  std::string bytes;                            // unless on_disk
  mutable std::optional<heddle::file> on_disk;  // read_at changes nothing that readers see
  std::uint64_t size = 0;

  static uploaded_file handle(std::shared_ptr<const kept_file> f) {
    return uploaded_file(std::move(f));
  }
};

namespace {

/// A file on disk, as a body.
class disk_input final : public body_input {
 public:
  explicit disk_input(std::shared_ptr<const kept_file> from) noexcept : from_(std::move(from)) {}
  [[nodiscard]] task<std::string_view> next() override {
    constexpr std::ptrdiff_t step = 64 * 1024;
    task<std::string> reading = from_->on_disk->read_at(at_, step);
    piece_ = co_await reading;
    at_ += piece_.size();
    co_return piece_;
  }

 private:
  const std::shared_ptr<const kept_file> from_;
  std::string piece_;
  std::uint64_t at_ = 0;
};

}  // namespace
}  // namespace detail

namespace {

using detail::kept_file;

class form_keeper {
 public:
  explicit form_keeper(form_limits limits) : limits_(std::move(limits)) {}

  task<> keep(part& p) {
    if (p.raw_filename()) {
      task<> keeping = keep_file(p);
      co_await keeping;
    } else {
      task<> keeping = keep_field(p);
      co_await keeping;
    }
  }
  form_data found;

 private:
  task<> keep_field(part& p) {
    const std::size_t most = std::min(limits_.field_bytes, limits_.memory_bytes - in_memory_);
    std::string value;
    for (;;) {
      task<std::optional<std::string_view>> next = p.body.next_chunk();
      const auto piece = co_await next;
      if (!piece) break;
      if (piece->size() > most - value.size()) {
        throw part_error(413, "the field \"" + printable(p.name()) + "\" has more than " +
                                  std::to_string(most) + " bytes");
      }
      value += *piece;
    }
    in_memory_ += value.size();
    found.fields.add(p.name(), std::move(value));
  }

  task<> keep_file(part& p) {
    const auto kept = std::make_shared<kept_file>();
    kept->name = p.name();
    kept->filename = p.filename();
    kept->raw_filename = p.raw_filename().value_or("");
    kept->content_type = p.content_type();
    for (;;) {
      task<std::optional<std::string_view>> next = p.body.next_chunk();
      const auto piece = co_await next;
      if (!piece) break;
      kept->size += piece->size();
      kept->bytes += *piece;
      const bool large = kept->bytes.size() > limits_.spool_bytes ||
                         kept->bytes.size() > limits_.memory_bytes - in_memory_;
      if (!kept->on_disk && !large) continue;
      task<> writing = write_out(*kept);
      co_await writing;
    }
    if (kept->size == 0 && kept->raw_filename.empty()) co_return;
    in_memory_ += kept->bytes.size();
    found.files.push_back(kept_file::handle(kept));
  }

  /// Moves what is in memory to disk.
  task<> write_out(kept_file& to) {
    if (!to.on_disk) {
      if (on_disk_ == limits_.files_on_disk) {
        throw part_error(413, "the form has more than " + std::to_string(on_disk_) +
                                  " files that do not fit into memory");
      }
      ++on_disk_;
      task<heddle::file> making =
          limits_.directory.empty() ? temporary_file() : temporary_file(limits_.directory);
      to.on_disk = co_await making;
    }
    task<> writing = to.on_disk->write(std::exchange(to.bytes, {}));
    co_await writing;
  }

  const form_limits limits_;
  std::size_t in_memory_ = 0;
  std::size_t on_disk_ = 0;
};

task<form_data> read_urlencoded(body_reader body, form_limits limits) {
  std::string text;
  for (;;) {
    task<std::optional<std::string_view>> next = body.next_chunk();
    const auto piece = co_await next;
    if (!piece) break;
    if (piece->size() > limits.memory_bytes - text.size()) {
      throw part_error(413,
                       "the form has more than " + std::to_string(limits.memory_bytes) + " bytes");
    }
    text += *piece;
  }
  form_data found;
  try {
    found.fields = form::parse(text, limits.parts.parts);
  } catch (const part_error&) { throw; } catch (const payload_error& e) {
    throw part_error(413, e.what());
  }
  co_return found;
}

}  // namespace

const std::string& uploaded_file::name() const noexcept { return state_->name; }
const std::string& uploaded_file::filename() const noexcept { return state_->filename; }
const std::string& uploaded_file::raw_filename() const noexcept { return state_->raw_filename; }
const std::string& uploaded_file::content_type() const noexcept { return state_->content_type; }
std::uint64_t uploaded_file::size() const noexcept { return state_->size; }
bool uploaded_file::in_memory() const noexcept { return !state_->on_disk; }

body_reader uploaded_file::body() const {
  if (in_memory()) return body_reader(state_->bytes);
  return body_reader(std::make_unique<detail::disk_input>(state_));
}

task<std::uint64_t> uploaded_file::save_to(std::string path) const {
  body_reader from = body();
  task<std::uint64_t> saving = from.save_to(std::move(path));
  const std::uint64_t n = co_await saving;
  co_return n;
}

const uploaded_file* form_data::file(std::string_view name) const noexcept {
  const auto found = std::ranges::find(files, name, &uploaded_file::name);
  return found == files.end() ? nullptr : &*found;
}

task<form_data> read_form(body_reader body, std::string content_type) {
  return read_form(std::move(body), std::move(content_type), form_limits{});
}

task<form_data> read_form(body_reader body, std::string content_type, form_limits limits) {
  const auto type = content_type::parse(content_type);
  if (type && type->type == form::content_type) {
    task<form_data> reading = read_urlencoded(std::move(body), std::move(limits));
    form_data found = co_await reading;
    co_return found;
  }
  if (!type || type->type != "multipart/form-data")
    throw part_error(415, "the type \"" + printable(content_type) + "\" is no form");
  part_reader parts(std::move(body), content_type, limits.parts);
  form_keeper keeper(std::move(limits));
  for (;;) {
    task<std::optional<part>> next = parts.next_part();
    auto p = co_await next;
    if (!p) break;
    task<> keeping = keeper.keep(*p);
    co_await keeping;
  }
  co_return std::move(keeper.found);
}

task<form_data> read_form(request& r) { return read_form(r, form_limits{}); }

task<form_data> read_form(request& r, form_limits limits) {
  std::string type(r.headers.get("Content-Type").value_or(""));
  return read_form(r.body_stream(), std::move(type), std::move(limits));
}

}  // namespace heddle::http
