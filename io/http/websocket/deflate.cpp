// SPDX-License-Identifier: MIT
#include <heddle/io/http/websocket/deflate.h>

#include <heddle/core/base/config.h>

#include <zlib.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

namespace heddle::http::detail {
namespace {

// A message ends with an empty stored block, whose last four bytes are left out.
constexpr std::string_view tail("\0\0\xff\xff", 4);
constexpr std::size_t step = std::size_t{16} * 1024;
// Streams of deflate within one message. Each may hold nothing, so they are counted.
constexpr unsigned most_members = 1024;
// Spares that a thread keeps of each kind.
constexpr std::size_t most_spares = 4;

Bytef* bytes_of(const char* at) noexcept {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(at));
}

}  // namespace

struct deflater::state {
  z_stream stream{};
};

struct inflater::state {
  z_stream stream{};
};

deflater::deflater(int window, int memory)
    : z_(std::make_unique<state>()), window_(window), memory_(memory) {
  if (::deflateInit2(&z_->stream, Z_BEST_SPEED, Z_DEFLATED, -window, memory, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    throw std::bad_alloc();
}

deflater::~deflater() { (void)::deflateEnd(&z_->stream); }

void deflater::forget() noexcept { (void)::deflateReset(&z_->stream); }

void deflater::add(std::string_view piece, bool last, std::string& to) {
  auto& z = z_->stream;
  const auto before = to.size();
  do {
    const auto part = std::min<std::size_t>(piece.size(), std::size_t{1} << 30U);
    z.next_in = bytes_of(piece.data());
    z.avail_in = static_cast<uInt>(part);
    piece.remove_prefix(part);
    do {
      const auto at = to.size();
      to.resize(at + std::clamp<std::size_t>(part / 2, 128, step));
      z.next_out = bytes_of(to.data() + at);
      z.avail_out = static_cast<uInt>(to.size() - at);
      (void)::deflate(&z, piece.empty() ? Z_SYNC_FLUSH : Z_NO_FLUSH);
      to.resize(to.size() - z.avail_out);
    } while (z.avail_out == 0);
  } while (!piece.empty());
  if (!last) return;
  if (std::string_view(to).substr(before).ends_with(tail)) to.resize(to.size() - tail.size());
  if (to.size() == before) to += '\0';  // an empty message is one byte (RFC 7692, 7.2.3.6)
}

inflater::inflater(int window) : z_(std::make_unique<state>()), window_(window) {
  if (::inflateInit2(&z_->stream, -window) != Z_OK) throw std::bad_alloc();
}

inflater::~inflater() { (void)::inflateEnd(&z_->stream); }

void inflater::forget() noexcept {
  (void)::inflateReset(&z_->stream);
  members_ = 0;
  ending_ = false;
}

inflated inflater::next(std::string_view& from, std::string& to, std::size_t room) {
  auto& z = z_->stream;
  const auto at = to.size();
  const auto part = std::min<std::size_t>(from.size(), std::size_t{1} << 30U);
  to.resize(at + std::clamp<std::size_t>(room, 1, step));
  z.next_in = bytes_of(from.data());
  z.avail_in = static_cast<uInt>(part);
  z.next_out = bytes_of(to.data() + at);
  z.avail_out = static_cast<uInt>(to.size() - at);
  const int result = ::inflate(&z, Z_SYNC_FLUSH);
  from.remove_prefix(part - z.avail_in);
  const bool full = z.avail_out == 0;
  to.resize(to.size() - z.avail_out);
  if (result == Z_STREAM_END) {
    // A block that calls itself the last one (RFC 7692, 7.2.3.4). What follows is a further stream,
    // which may refer to what stands before. zlib forgets that at a reset, so it is told again.
    if (++members_ > most_members) return inflated::broken;
    std::string window(std::size_t{1} << 15U, '\0');
    uInt size = 0;
    if (::inflateGetDictionary(&z, bytes_of(window.data()), &size) != Z_OK) return inflated::broken;
    (void)::inflateReset(&z);
    if (size > 0 && ::inflateSetDictionary(&z, bytes_of(window.data()), size) != Z_OK)
      return inflated::broken;
    return from.empty() ? inflated::all : inflated::some;
  }
  if (result != Z_OK && result != Z_BUF_ERROR) return inflated::broken;
  return full || !from.empty() ? inflated::some : inflated::all;
}

inflated inflater::end(std::string& to, std::size_t room) {
  if (!ending_) {
    ending_ = true;
    tail_left_ = tail;
  }
  const auto result = next(tail_left_, to, room);
  if (result != inflated::some) {
    ending_ = false;
    members_ = 0;
  }
  return result;
}

namespace {

struct spares {
  std::vector<std::unique_ptr<deflater>> deflaters;
  std::vector<std::unique_ptr<inflater>> inflaters;
};

/// Never inlined: a coroutine that calls it may resume on another thread.
HEDDLE_NOINLINE spares& of_thread() {
  thread_local spares mine;
  return mine;
}

template <class T, class Fits>
std::unique_ptr<T> take_from(std::vector<std::unique_ptr<T>>& list, Fits fits) {
  const auto at = std::ranges::find_if(list, [&](const auto& s) { return fits(*s); });
  if (at == list.end()) return nullptr;
  auto mine = std::move(*at);
  list.erase(at);
  return mine;
}

template <class T>
void keep_in(std::vector<std::unique_ptr<T>>& list, std::unique_ptr<T> spare) noexcept {
  if (!spare || list.size() >= most_spares) return;
  spare->forget();
  try {
    list.push_back(std::move(spare));
  } catch (const std::bad_alloc&) {}  // then it is not kept
}

}  // namespace

HEDDLE_NOINLINE std::unique_ptr<deflater> take_deflater(int window, int memory) {
  auto spare =
      take_from(of_thread().deflaters, [&](const deflater& d) { return d.fits(window, memory); });
  return spare ? std::move(spare) : std::make_unique<deflater>(window, memory);
}

HEDDLE_NOINLINE void give_back(std::unique_ptr<deflater> d) noexcept {
  keep_in(of_thread().deflaters, std::move(d));
}

HEDDLE_NOINLINE std::unique_ptr<inflater> take_inflater(int window) {
  auto spare = take_from(of_thread().inflaters, [&](const inflater& i) { return i.fits(window); });
  return spare ? std::move(spare) : std::make_unique<inflater>(window);
}

HEDDLE_NOINLINE void give_back(std::unique_ptr<inflater> i) noexcept {
  keep_in(of_thread().inflaters, std::move(i));
}

}  // namespace heddle::http::detail
