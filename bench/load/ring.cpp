// SPDX-License-Identifier: MIT
#include "load/ring.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <new>
#include <system_error>

namespace bench {
namespace {

// liburing returns a negated errno.
void check(int result, const char* call) {
  if (result < 0) throw std::system_error(-result, std::generic_category(), call);
}

}  // namespace

ring::ring(std::span<const int> sockets) : memory_(std::size_t{buffer_count} * buffer_size) {
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                     IORING_SETUP_SUBMIT_ALL;
  parameters.cq_entries = 16384;
  check(io_uring_queue_init_params(4096, &ring_, &parameters), "io_uring_queue_init");
  check(io_uring_register_ring_fd(&ring_), "io_uring_register_ring_fd");

  void* block = std::aligned_alloc(4096, buffer_count * sizeof(io_uring_buf));
  if (block == nullptr) throw std::bad_alloc();
  buffers_.reset(static_cast<io_uring_buf_ring*>(block));
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(block);
  registration.ring_entries = buffer_count;
  registration.bgid = buffer_group;
  check(io_uring_register_buf_ring(&ring_, &registration, 0), "io_uring_register_buf_ring");
  io_uring_buf_ring_init(buffers_.get());
  for (unsigned i = 0; i < buffer_count; ++i) return_buffer(i);
  finish(0);

  check(io_uring_register_files(&ring_, sockets.data(), static_cast<unsigned>(sockets.size())),
        "io_uring_register_files");
}

ring::~ring() { io_uring_queue_exit(&ring_); }

void ring::receive(std::size_t connection) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_recv_multishot(entry, static_cast<int>(connection), nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
  entry->buf_group = buffer_group;
  entry->user_data = connection;
}

void ring::send(std::size_t connection, std::string_view bytes) {
  io_uring_sqe* entry = next_entry();
  io_uring_prep_send(entry, static_cast<int>(connection), bytes.data(), bytes.size(),
                     MSG_NOSIGNAL | MSG_WAITALL);
  entry->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
  entry->user_data = connection | send_mark;
}

void ring::submit_and_wait() {
  const int result = io_uring_submit_and_wait(&ring_, 1);
  if (result != -EINTR) check(result, "io_uring_submit_and_wait");
}

ring::event ring::take(const io_uring_cqe& entry) {
  const auto connection = static_cast<std::size_t>(entry.user_data & ~send_mark);
  if ((entry.user_data & send_mark) != 0) return {step::lost, connection, 0, -entry.res};
  if (entry.res == -ENOBUFS) return {step::starved, connection, 0, 0};
  if (entry.res <= 0) return {step::lost, connection, 0, -entry.res};
  return_buffer(entry.flags >> IORING_CQE_BUFFER_SHIFT);
  if ((entry.flags & IORING_CQE_F_MORE) == 0) receive(connection);
  return {step::received, connection, static_cast<std::size_t>(entry.res), 0};
}

// What was received is counted, never read, so a buffer goes back at once.
void ring::return_buffer(unsigned buffer) {
  io_uring_buf_ring_add(buffers_.get(), memory_.data() + std::size_t{buffer} * buffer_size,
                        buffer_size, static_cast<unsigned short>(buffer), buffer_count - 1,
                        returned_++);
}

void ring::finish(unsigned count) {
  io_uring_cq_advance(&ring_, count);
  if (returned_ > 0) io_uring_buf_ring_advance(buffers_.get(), returned_);
  returned_ = 0;
}

io_uring_sqe* ring::next_entry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {
    check(io_uring_submit(&ring_), "io_uring_submit");
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

}  // namespace bench
