// SPDX-License-Identifier: MIT
#include <heddle/io/http/content/directory_page.h>

#include <heddle/io/http/websocket/utf8.h>

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

namespace heddle::http::detail {
namespace {

struct end_of_reading {
  void operator()(DIR* d) const noexcept { ::closedir(d); }
};

bool by_name(const directory_entry& a, const directory_entry& b) noexcept {
  return a.name < b.name;
}

bool is_plain(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

void append_link(std::string& out, std::string_view name) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (const char c : name) {
    if (is_plain(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
}

void append_text(std::string& out, std::string_view text) {
  const bool is_text = is_utf8(text);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '<': out += "&lt;"; continue;
      case '>': out += "&gt;"; continue;
      case '&': out += "&amp;"; continue;
      case '"': out += "&quot;"; continue;
      case '\'': out += "&#39;"; continue;
      default: break;
    }
    if (byte < ' ' || byte == 0x7f || (byte > 0x7f && !is_text))
      out += "&#xFFFD;";
    else
      out += c;
  }
}

}  // namespace

void first_entries::add(directory_entry e) {
  if (heap_.size() == most_) {
    cut_ = true;
    if (heap_.empty() || !by_name(e, heap_.front())) return;
    std::ranges::pop_heap(heap_, by_name);
    heap_.back() = std::move(e);
  } else {
    heap_.push_back(std::move(e));
  }
  std::ranges::push_heap(heap_, by_name);
}

std::vector<directory_entry> first_entries::take() {
  std::ranges::sort_heap(heap_, by_name);
  return std::exchange(heap_, {});
}

void read_entries(int descriptor, first_entries& into) {
  const std::unique_ptr<DIR, end_of_reading> all(::fdopendir(descriptor));
  if (!all) {
    const int error = errno;
    ::close(descriptor);
    throw std::system_error(error, std::generic_category(), "fdopendir");
  }
  for (;;) {
    errno = 0;
    const dirent* const one = ::readdir(all.get());
    if (one == nullptr) {
      if (errno != 0) throw std::system_error(errno, std::generic_category(), "readdir");
      return;
    }
    if (one->d_name[0] == '.') continue;
    using enum directory_entry::kind;
    switch (one->d_type) {
      case DT_REG: into.add({one->d_name, file}); break;
      case DT_DIR: into.add({one->d_name, directory}); break;
      case DT_LNK:
      case DT_UNKNOWN: into.add({one->d_name, unknown}); break;
      default: break;
    }
  }
}

std::string directory_page(std::string_view title, bool has_parent,
                           const std::vector<directory_entry>& entries, std::string_view more) {
  std::string page = "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>";
  append_text(page, title);
  page += "</title></head>\n<body>\n<h1>";
  append_text(page, title);
  page += "</h1>\n<ul>\n";
  if (has_parent) page += "<li><a href=\"../\">../</a></li>\n";
  for (const auto& e : entries) {
    const bool is_directory = e.is == directory_entry::kind::directory;
    page += "<li><a href=\"./";
    append_link(page, e.name);
    if (is_directory) page += '/';
    page += "\">";
    append_text(page, e.name);
    if (is_directory) page += '/';
    page += "</a></li>\n";
  }
  page += "</ul>\n";
  if (!more.empty()) {
    page += "<p>";
    append_text(page, more);
    page += "</p>\n";
  }
  return page += "</body>\n</html>\n";
}

}  // namespace heddle::http::detail
