// SPDX-License-Identifier: MIT
// What message_core does with the kernel: one try each, none of which waits.
#include <heddle/io/datagram/message_core.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace heddle::detail {
namespace {

struct scratch_memory {
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;
};

/// Room for the headers of a batch. The bytes stand in the scratch memory.
struct batch_room {
  mmsghdr headers[most_in_batch];
  iovec pieces[most_in_batch];
  sockaddr_storage senders[most_in_batch];
  control_room controls[most_in_batch];
};

HEDDLE_NOINLINE batch_room& batch_of_thread() {
  thread_local std::unique_ptr<batch_room> mine;
  if (!mine) mine = std::make_unique<batch_room>();
  return *mine;
}

bool is_nothing(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

char* receive_scratch(std::size_t bytes) {
  thread_local scratch_memory mine;
  if (mine.size < bytes) {
    mine.size = 0;
    mine.bytes = std::make_unique_for_overwrite<char[]>(bytes);
    mine.size = bytes;
  }
  return mine.bytes.get();
}

// --- receiving ---

ssize_t message_core::try_receive(std::span<char> room, datagram_info& info, beside& other) {
  const stay inside(*this, "recvmsg");
  alignas(cmsghdr) char control[CMSG_SPACE(most_passed_descriptors * sizeof(int)) + 512];
  std::span<char> beside_room;
  if (other.descriptors || kind_.tells_beside || kind_.coalesces) beside_room = control;
  const ssize_t n =
      receive_message(socket_.get(), room, beside_room, info, other, kind_.type == SOCK_STREAM);
  if (n >= 0) return n;
  const int error = saturated<int>(-n);
  if (is_nothing(error)) return -1;
  throw_system_error(error, "recvmsg", about());
}

bool message_core::try_receive(std::span<char> room, datagram_info& info) {
  if (kind_.coalesces) {
    datagram whole;
    if (!try_receive_coalesced(whole)) return false;
    info = whole;
    info.size = std::min(whole.size, room.size());
    info.truncated = info.length > info.size;
    whole.bytes.copy(room.data(), info.size);
    return true;
  }
  beside other;
  if (family_ != AF_UNIX) return try_receive(room, info, other) >= 0;
  const std::lock_guard lock(whole_);
  return try_receive(room, info, other) >= 0;
}

HEDDLE_NOINLINE bool message_core::try_receive(datagram& into) {
  if (family_ == AF_UNIX) return try_receive_unix(into);
  if (kind_.coalesces) return try_receive_coalesced(into);
  const std::span<char> room(receive_scratch(largest_datagram), largest_datagram);
  beside other;
  if (try_receive(room, into, other) < 0) return false;
  into.bytes.assign(room.data(), into.size);
  return true;
}

// A Unix datagram may be as long as the sender's buffer allows. So its length is asked for first,
// and no other receiver of this socket takes it meanwhile.
bool message_core::try_receive_unix(datagram& into) {
  const std::lock_guard lock(whole_);
  ssize_t length = 0;
  {
    const stay inside(*this, "recv");
    char none;
    do {
      length = ::recv(socket_.get(), &none, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    } while (length < 0 && errno == EINTR);
    if (length < 0 && is_nothing(errno)) return false;
    check(length, "recv", about());
  }
  into.bytes.resize(static_cast<std::size_t>(length));
  beside other;
  if (try_receive(into.bytes, into, other) < 0) return false;
  into.bytes.resize(into.size);
  return true;
}

// What the kernel has joined is split at the segment size. The first piece is for the caller, the
// others wait for the next receives, which the end of this one wakes.
bool message_core::try_receive_coalesced(datagram& into) {
  const std::lock_guard lock(whole_);
  if (pending_.empty()) {
    const std::span<char> room(receive_scratch(largest_datagram), largest_datagram);
    datagram joined;
    beside other;
    if (try_receive(room, joined, other) < 0) return false;
    const std::size_t step = other.segment_size != 0 && other.segment_size < joined.size
                                 ? other.segment_size
                                 : joined.size;
    std::size_t at = 0;
    do {
      const std::size_t size = std::min(step, joined.size - at);
      datagram& piece = pending_.emplace_back();
      static_cast<datagram_info&>(piece) = joined;
      piece.size = piece.length = size;
      piece.bytes.assign(room.data() + at, size);
      at += size;
    } while (at < joined.size);
    pending_.back().truncated = joined.truncated;
  } else {
    const stay inside(*this, "recvmsg");  // closed: what is left is dropped
  }
  into = std::move(pending_.front());
  pending_.pop_front();
  return true;
}

bool message_core::try_receive(std::size_t most, std::vector<datagram>& into) {
  if (family_ != AF_UNIX && !kind_.coalesces) return try_receive_batch(most, into);
  while (into.size() < most) {
    datagram one;
    try {
      if (!try_receive(one)) break;
    } catch (const std::system_error& e) {
      if (into.empty()) throw;
      if (e.code().value() != ECANCELED) owe_error(e.code().value());
      break;
    }
    into.push_back(std::move(one));
  }
  return !into.empty();
}

bool message_core::try_receive_batch(std::size_t most, std::vector<datagram>& into) {
  const unsigned n = narrow<unsigned>(std::min(most, most_in_batch));
  char* const bytes = receive_scratch(n * largest_datagram);
  batch_room& room = batch_of_thread();
  into.reserve(n);  // before anything is taken
  for (unsigned i = 0; i < n; ++i) {
    room.pieces[i] = {bytes + i * largest_datagram, largest_datagram};
    msghdr& m = room.headers[i].msg_hdr;
    m = {};
    m.msg_name = &room.senders[i];
    m.msg_namelen = sizeof room.senders[i];
    m.msg_iov = &room.pieces[i];
    m.msg_iovlen = 1;
    if (!kind_.tells_beside) continue;
    m.msg_control = room.controls[i].bytes;
    m.msg_controllen = sizeof room.controls[i].bytes;
  }
  int got = 0;
  {
    const stay inside(*this, "recvmmsg");
    do {
      got = ::recvmmsg(socket_.get(), room.headers, n, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC,
                       nullptr);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && is_nothing(errno)) return false;
    check(got, "recvmmsg", about());
  }
  for (int i = 0; i < got; ++i) {
    datagram& one = into.emplace_back();
    beside other;
    read_message(room.headers[i].msg_hdr, room.headers[i].msg_len, largest_datagram, one, other);
    one.bytes.assign(static_cast<const char*>(room.pieces[i].iov_base), one.size);
  }
  return true;
}

// --- sending ---

sent message_core::result_of(ssize_t n, const char* call, const address& to) const {
  if (n >= 0) return sent::done;
  const int error = saturated<int>(-n);
  if (is_nothing(error)) return sent::full;
  if (error == ENOBUFS) return sent::no_memory;
  throw_system_error(error, call, about(to));
}

sent message_core::try_send(std::string_view bytes, const address& to, const send_options& how) {
  outgoing_message message(bytes, to);
  message.add(how, family_);
  std::size_t went = 0;
  return try_send(message, to, went);
}

sent message_core::try_send(outgoing_message& message, const address& to, std::size_t& went) {
  const stay inside(*this, "sendmsg");
  const ssize_t n = message.send(socket_.get());
  went = n > 0 ? static_cast<std::size_t>(n) : 0;
  return result_of(n, "sendmsg", to);
}

sent message_core::try_send(std::span<const outgoing_datagram> batch, std::size_t& went) {
  const stay inside(*this, "sendmmsg");
  mmsghdr headers[most_in_batch];
  iovec pieces[most_in_batch];
  const unsigned n = narrow<unsigned>(std::min(batch.size(), most_in_batch));
  for (unsigned i = 0; i < n; ++i) {
    pieces[i] = {const_cast<char*>(batch[i].bytes.data()), batch[i].bytes.size()};
    headers[i] = {};
    msghdr& m = headers[i].msg_hdr;
    m.msg_iov = &pieces[i];
    m.msg_iovlen = 1;
    if (batch[i].to.size() == 0) continue;
    m.msg_name = const_cast<sockaddr*>(batch[i].to.data());
    m.msg_namelen = batch[i].to.size();
  }
  int done = 0;
  do {
    done = ::sendmmsg(socket_.get(), headers, n, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (done < 0 && errno == EINTR);
  went = done > 0 ? static_cast<std::size_t>(done) : 0;
  return result_of(done < 0 ? -errno : done, "sendmmsg", batch.front().to);
}

}  // namespace heddle::detail
