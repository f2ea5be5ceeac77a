// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/ares/configuration.h>

#include <arpa/inet.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <utility>

namespace heddle::detail {
namespace {

/// The words of a line, up to a '#'.
std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line.substr(0, line.find('#')));
  std::vector<std::string> all;
  for (std::string word; in >> word;) all.push_back(std::move(word));
  return all;
}

}  // namespace

followed_files::followed_files(std::vector<std::string> paths)
    : paths_(std::move(paths)), looked_(clock::now()) {
  for (const auto& p : paths_) stamps_.push_back(stamp_of(p));
}

followed_files::stamp followed_files::stamp_of(const std::string& path) noexcept {
  struct stat s{};
  if (path.empty() || ::stat(path.c_str(), &s) != 0) return {};
  return {static_cast<std::int64_t>(s.st_dev),
          static_cast<std::int64_t>(s.st_ino),
          s.st_size,
          s.st_mtim.tv_sec,
          s.st_mtim.tv_nsec,
          s.st_ctim.tv_sec,
          s.st_ctim.tv_nsec};
}

std::uint64_t followed_files::version() noexcept {
  const std::lock_guard hold(lock_);
  const time_point now = clock::now();
  if (now - looked_ < look_every) return version_;
  looked_ = now;
  bool changed = false;
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    const stamp s = stamp_of(paths_[i]);
    changed = changed || s != stamps_[i];
    stamps_[i] = s;
  }
  if (changed) ++version_;
  return version_;
}

bool needs_the_system(const std::string& nsswitch_conf) {
  std::ifstream in(nsswitch_conf);
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> words = words_of(line);
    if (words.empty() || !words.front().starts_with("hosts:")) continue;
    words.front().erase(0, 6);
    if (words.front().empty()) words.erase(words.begin());
    return words != std::vector<std::string>{"files", "dns"};
  }
  return false;
}

void hosts_table::read(const std::string& path) {
  names_.clear();
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() < 2) continue;
    unsigned char bytes[sizeof(in6_addr)];
    if (::inet_pton(AF_INET, words[0].c_str(), bytes) != 1 &&
        ::inet_pton(AF_INET6, words[0].c_str(), bytes) != 1)
      continue;
    const address at = address::ip(words[0], 0);
    for (std::size_t i = 1; i < words.size(); ++i) {
      entry& e = names_[folded(words[i])];
      e.addresses.push_back(at);
      if (e.canonical.empty()) e.canonical = words[1];
    }
  }
}

bool hosts_table::find(const std::string& name, int family, name_answer& out) const {
  std::string key = folded(name);
  if (key.ends_with('.')) key.pop_back();
  const auto at = names_.find(key);
  if (at == names_.end()) return false;
  for (const auto& a : at->second.addresses)
    if (family == 0 || family == a.family()) out.addresses.push_back(a);
  out.canonical_name = at->second.canonical;
  return !out.addresses.empty();
}

std::string folded(std::string name) {
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return name;
}

}  // namespace heddle::detail
