// SPDX-License-Identifier: MIT
#include <heddle/io/http/upload.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/upload_source.h>

#include <span>
#include <string_view>
#include <utility>

namespace heddle::http {
namespace detail {
namespace {

using length = std::optional<std::uint64_t>;

/// So much of a file is read at once.
constexpr std::size_t file_piece = 64 * 1024;

class generated_input final : public body_input {
 public:
  explicit generated_input(async_generator<std::string> g) noexcept : from_(std::move(g)) {}
  task<std::string_view> next() override {
    for (;;) {
      std::string* const item = co_await from_.next();
      if (!item) co_return {};
      if (item->empty()) continue;
      piece_ = std::move(*item);
      co_return piece_;
    }
  }

 private:
  async_generator<std::string> from_;
  std::string piece_;
};

class reader_input final : public body_input {
 public:
  explicit reader_input(body_reader r) noexcept : from_(std::move(r)) {}
  task<std::string_view> next() override {
    auto reading = from_.next_chunk();
    const auto piece = co_await reading;
    co_return piece.value_or(std::string_view());
  }

 private:
  body_reader from_;
};

class text_input final : public body_input {
 public:
  explicit text_input(std::shared_ptr<const std::string> t) noexcept : text_(std::move(t)) {}
  task<std::string_view> next() override {
    const auto all = std::string_view(*text_);
    const auto piece = all.substr(at_, file_piece);
    at_ += piece.size();
    co_return piece;
  }

 private:
  std::shared_ptr<const std::string> text_;
  std::size_t at_ = 0;
};

class file_input final : public body_input {
 public:
  file_input(std::shared_ptr<file> f, std::uint64_t from) noexcept
      : file_(std::move(f)), at_(from) {}
  task<std::string_view> next() override {
    auto reading = file_->read_at(at_, static_cast<std::ptrdiff_t>(file_piece));
    piece_ = co_await reading;
    at_ += piece_.size();
    co_return piece_;
  }

 private:
  std::shared_ptr<file> file_;
  std::uint64_t at_;
  std::string piece_;
};

/// Yields a coded body. The end of the coding is a piece of its own.
class coded_input final : public body_input {
 public:
  coded_input(std::unique_ptr<body_input> from, coding how) : from_(std::move(from)), by_(how) {}
  task<std::string_view> next() override {
    piece_.clear();
    while (piece_.empty() && !ended_) {
      auto reading = from_->next();
      const std::string_view plain = co_await reading;
      ended_ = plain.empty();
      if (ended_)
        by_.finish(piece_);
      else
        by_.write(plain, piece_);
    }
    co_return piece_;
  }

 private:
  std::unique_ptr<body_input> from_;
  encoder by_;
  std::string piece_;
  bool ended_ = false;
};

class once_source final : public upload_source {
 public:
  once_source(std::unique_ptr<body_input> from, length n) noexcept
      : from_(std::move(from)), length_(n) {}
  bool ready() const noexcept override { return from_ != nullptr; }
  task<begun_upload> begin() override {
    begun_upload b{std::move(from_), length_};
    co_return b;
  }

 private:
  std::unique_ptr<body_input> from_;
  length length_;
};

class again_source final : public upload_source {
 public:
  again_source(std::function<async_generator<std::string>()> f, length n)
      : begin_(std::move(f)), length_(n) {}
  task<begun_upload> begin() override {
    begun_upload b{std::make_unique<generated_input>(begin_()), length_};
    co_return b;
  }

 private:
  std::function<async_generator<std::string>()> begin_;
  length length_;
};

class text_source final : public upload_source {
 public:
  explicit text_source(std::string t) : text_(std::make_shared<std::string>(std::move(t))) {}
  task<begun_upload> begin() override {
    begun_upload b{std::make_unique<text_input>(text_), text_->size()};
    co_return b;
  }

 private:
  std::shared_ptr<const std::string> text_;
};

/// What stands in a file from a position on.
task<begun_upload> begin_file(std::shared_ptr<file> f, std::uint64_t from) {
  auto asking = f->status();
  const file_status status = co_await asking;
  if (!status.is_file()) throw bad_value("only a regular file can be the body of a request");
  const std::uint64_t rest = status.size > from ? status.size - from : 0;
  begun_upload b{std::make_unique<file_input>(std::move(f), from), rest};
  co_return b;
}

class file_source final : public upload_source {
 public:
  explicit file_source(file f) : file_(std::make_shared<file>(std::move(f))) {}
  task<begun_upload> begin() override {
    if (!from_) {
      auto asking = file_->seek(0, seek_from::here);
      from_ = co_await asking;
    }
    auto beginning = begin_file(file_, *from_);
    begun_upload b = co_await beginning;
    co_return b;
  }

 private:
  std::shared_ptr<file> file_;
  length from_;
};

class path_source final : public upload_source {
 public:
  explicit path_source(std::string p) : path_(std::move(p)) {}
  task<begun_upload> begin() override {
    auto opening = file::open(path_);
    auto opened = std::make_shared<file>(co_await opening);
    auto beginning = begin_file(std::move(opened), 0);
    begun_upload b = co_await beginning;
    co_return b;
  }

 private:
  std::string path_;
};

class coded_source final : public upload_source {
 public:
  coded_source(std::shared_ptr<upload_source> of, coding how) : of_(std::move(of)), how_(how) {}
  bool ready() const noexcept override { return of_->ready(); }
  task<begun_upload> begin() override {
    auto beginning = of_->begin();
    begun_upload b = co_await beginning;
    b.from = std::make_unique<coded_input>(std::move(b.from), how_);
    b.length.reset();
    co_return b;
  }

 private:
  std::shared_ptr<upload_source> of_;
  coding how_;
};

}  // namespace
}  // namespace detail

upload::upload(async_generator<std::string> once, std::optional<std::uint64_t> length)
    : source_(std::make_shared<detail::once_source>(
          std::make_unique<detail::generated_input>(std::move(once)), length)) {}

upload::upload(body_reader from, std::optional<std::uint64_t> length)
    : source_(std::make_shared<detail::once_source>(
          std::make_unique<detail::reader_input>(std::move(from)), length)) {}

upload::upload(file from) : source_(std::make_shared<detail::file_source>(std::move(from))) {}

upload upload::again(std::function<async_generator<std::string>()> begin,
                     std::optional<std::uint64_t> length) {
  return upload(std::make_shared<detail::again_source>(std::move(begin), length));
}

upload upload::path(std::string path) {
  return upload(std::make_shared<detail::path_source>(std::move(path)));
}

upload upload::text(std::string whole) {
  return upload(std::make_shared<detail::text_source>(std::move(whole)));
}

upload upload::coded(coding how) const {
  if (!source_) return {};
  return upload(std::make_shared<detail::coded_source>(source_, how));
}

bool upload::ready() const noexcept { return source_ && source_->ready(); }

}  // namespace heddle::http
