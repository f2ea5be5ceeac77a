// SPDX-License-Identifier: MIT
// The reader over a copy of a program's memory, whole and damaged.
#include "looking.h"

#include <heddle/core/seeing/report.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <regex>

namespace {

using namespace conformance;
namespace seeing = h::detail::seeing;
using seeing::address;

LOOKING_CASES(IN_SAFE_COPIES);

/// Reads a process, and keeps each page that was read.
class copying_memory final : public seeing::memory {
 public:
  using pages = std::map<address, std::vector<unsigned char>>;
  explicit copying_memory(pid_t of) : from_(of) {}

  bool read(address at, void* to, std::size_t n) noexcept override {
    for (address page = at & ~address{4095}; page < at + n; page += 4096) {
      if (kept_.count(page) != 0) continue;
      std::vector<unsigned char> bytes(4096);
      if (from_.read(page, bytes.data(), bytes.size())) kept_[page] = std::move(bytes);
    }
    return from_.read(at, to, n);
  }
  [[nodiscard]] const pages& kept() const { return kept_; }

 private:
  seeing::process_memory from_;
  pages kept_;
};

/// What was kept, perhaps damaged since.
class copied_memory final : public seeing::memory {
 public:
  explicit copied_memory(copying_memory::pages from) : pages_(std::move(from)) {}

  bool read(address at, void* to, std::size_t n) noexcept override {
    auto* out = static_cast<unsigned char*>(to);
    while (n != 0) {
      const auto page = pages_.find(at & ~address{4095});
      if (page == pages_.end()) return false;
      const auto inside = static_cast<std::size_t>(at & 4095);
      const auto piece = std::min(n, 4096 - inside);
      std::memcpy(out, page->second.data() + inside, piece);
      at += piece;
      out += piece;
      n -= piece;
    }
    return true;
  }
  copying_memory::pages& all() { return pages_; }

 private:
  copying_memory::pages pages_;
};

/// The text that the reader makes of a memory, as dump() would write it.
std::string text_of(pid_t process, seeing::memory& from, seeing::opening& how) {
  char path[] = "/tmp/heddle-inside-XXXXXX";
  const int file = ::mkstemp(path);
  ::unlink(path);
  {
    const auto s = std::make_unique<seeing::sight>(process, &from);
    how = s->open();
    seeing::output to(file);
    if (how == seeing::opening::good) (void)seeing::put_everything(to, *s);
  }
  std::string text(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)), ' ');
  EXPECT_EQ(::pread(file, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  ::close(file);
  return text;
}

/// A stopped program, and a copy of all that a reader looks at.
class copied {
 public:
  explicit copied(unsigned loops) : program_("chat", loops), memory_(program_.process()) {
    tool_until({"ps", program_.number()}, [](const ran& r) {
      return lines_with(r.out, {">", " mutex, held by ", "copy_line"}).size() == 2;
    });
    program_.stop();
    seeing::opening how;
    whole_ = text_of(program_.process(), memory_, how);
  }
  [[nodiscard]] pid_t process() const { return program_.process(); }
  [[nodiscard]] const copying_memory::pages& pages() const { return memory_.kept(); }
  [[nodiscard]] const std::string& whole() const { return whole_; }

 private:
  watched program_;
  copying_memory memory_;
  std::string whole_;
};

/// Puts `to` in place of `from` wherever that stands as a text of a row.
void rename(copying_memory::pages& in, const std::string& from, const std::string& to) {
  for (auto& [at, bytes] : in)
    for (auto i = std::search(bytes.begin(), bytes.end(), from.begin(), from.end());
         i != bytes.end(); i = std::search(i + 1, bytes.end(), from.begin(), from.end()))
      std::copy(to.begin(), to.end(), i);
}

/// The table without its column SINCE: the clock goes on while the program is stopped.
std::string ageless(const std::string& text) {
  return std::regex_replace(text, std::regex(" [0-9]+(\\.[0-9])? [a-z]+ +(?=[a-z])"), " ");
}

TEST_P(IN_SAFE_COPIES, IN_SAFE_07_ACopyReadsTheSameAndOtherVersionsAreRefused) {
  const copied c(loops());
  seeing::opening how;
  copied_memory same(c.pages());
  EQUAL(ageless(text_of(c.process(), same, how)), ageless(c.whole()));
  HOLDS(lines_with(c.whole(), {">", "mutex", "copy_line"}).size() == 2);

  copied_memory older(c.pages());
  rename(older.all(), std::string("record.wait\0", 12), std::string("record.what\0", 12));
  (void)text_of(c.process(), older, how);
  EQUAL(static_cast<int>(how), static_cast<int>(seeing::opening::incomplete));

  copied_memory newer(c.pages());
  rename(newer.all(), std::string("heddle layout\0\0\0\1", 17),
         std::string("heddle layout\0\0\0\7", 17));
  (void)text_of(c.process(), newer, how);
  EQUAL(static_cast<int>(how), static_cast<int>(seeing::opening::other_version));

  // A row that this reader can do without: less is told, and nothing fails.
  copied_memory lesser(c.pages());
  rename(lesser.all(), std::string("group.next\0", 11), std::string("group.else\0", 11));
  const auto text = text_of(c.process(), lesser, how);
  EQUAL(static_cast<int>(how), static_cast<int>(seeing::opening::good));
  HOLDS(lines_with(text, {">", "mutex"}).size() == 2);
}

TEST_P(IN_SAFE_COPIES, IN_SAFE_01_DamagedMemoryEndsNoReader) {
  const copied c(loops());
  const char* given = std::getenv("HEDDLE_TEST_SEED");
  const unsigned seed = given ? static_cast<unsigned>(std::atoi(given)) : loops();
  SCOPED_TRACE("HEDDLE_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<address> places;
  for (const auto& [at, bytes] : c.pages()) places.push_back(at);
  const int rounds_wanted = sanitized ? 60 : 300;
  for (int i = 0; i < rounds_wanted; ++i) {
    copied_memory damaged(c.pages());
    const unsigned flips = 1u << (random() % 12);
    for (unsigned k = 0; k < flips; ++k) {
      auto& bytes = damaged.all()[places[random() % places.size()]];
      bytes[random() % bytes.size()] ^= static_cast<unsigned char>(1u << (random() % 8));
    }
    seeing::opening how;
    const auto text = text_of(c.process(), damaged, how);
    HOLDS(text.size() < (std::size_t{64} << 20));
  }
}

}  // namespace
