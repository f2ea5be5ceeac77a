// SPDX-License-Identifier: MIT
//
// libcurl's multi interface over an epoll set, which is its fastest way to wait: curl tells which
// sockets it waits for, and is told which of them are ready. Handles are used again and again.
#include <curl/curl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/program.h"
#include "load/loopback.h"
#include "load/plan.h"

namespace {

struct request {
  CURL* handle = nullptr;
  std::size_t received = 0;
  std::int64_t began = 0;
};

void good(CURLMcode code) {
  if (code != CURLM_OK) throw std::runtime_error(curl_multi_strerror(code));
}

std::size_t count_bytes(char*, std::size_t size, std::size_t n, void* of) {
  static_cast<request*>(of)->received += size * n;
  return size * n;
}

class closed_loop {
 public:
  explicit closed_loop(const bench::load_plan& plan)
      : plan_(plan),
        multi_(curl_multi_init()),
        set_(bench::checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        requests_(plan.connections) {
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &closed_loop::on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &closed_loop::on_timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(plan.connections));
  }

  void run() {
    const std::string url = "http://127.0.0.1:" + std::to_string(plan_.port) + plan_.path;
    for (auto& r : requests_) {
      r.handle = curl_easy_init();
      curl_easy_setopt(r.handle, CURLOPT_URL, url.c_str());
      curl_easy_setopt(r.handle, CURLOPT_PROXY, "");
      curl_easy_setopt(r.handle, CURLOPT_WRITEFUNCTION, &count_bytes);
      curl_easy_setopt(r.handle, CURLOPT_WRITEDATA, &r);
      curl_easy_setopt(r.handle, CURLOPT_PRIVATE, &r);
      begin(r);
    }
    const auto turns = [this](std::int64_t end) { turn_until(end); };
    figures_.warm_up(plan_, turns);
    figures_.count(plan_, turns);
    figures_.print();
  }

 private:
  static int on_socket(CURL*, curl_socket_t socket, int what, void* of, void* known) {
    auto& self = *static_cast<closed_loop*>(of);
    if (what == CURL_POLL_REMOVE) {
      epoll_ctl(self.set_, EPOLL_CTL_DEL, socket, nullptr);
      return 0;
    }
    const unsigned events = ((what & CURL_POLL_IN) != 0 ? unsigned{EPOLLIN} : 0u) |
                            ((what & CURL_POLL_OUT) != 0 ? unsigned{EPOLLOUT} : 0u);
    bench::watch(self.set_, known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, events,
                 {.fd = socket});
    curl_multi_assign(self.multi_, socket, of);  // anything that is not null: it is in the set
    return 0;
  }

  static int on_timer(CURLM*, long ms, void* of) {
    static_cast<closed_loop*>(of)->wait_ms_ = ms;
    return 0;
  }

  void begin(request& r) {
    r.received = 0;
    r.began = bench::now_ns();
    good(curl_multi_add_handle(multi_, r.handle));
  }

  void turn_until(std::int64_t end) {
    std::array<epoll_event, 256> events;
    while (bench::now_ns() < end) {
      const int patience = static_cast<int>(std::clamp(wait_ms_, -1L, 10L));
      const int n = epoll_wait(set_, events.data(), events.size(), patience < 0 ? 10 : patience);
      int running = 0;
      if (n == 0) {
        wait_ms_ = -1;  // curl sets it anew if it wants to
        good(curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running));
      }
      for (int i = 0; i < n; ++i) {
        const auto& e = events[static_cast<std::size_t>(i)];
        const int what = ((e.events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                         ((e.events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                         ((e.events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
        good(curl_multi_socket_action(multi_, e.data.fd, what, &running));
      }
      take_answers();
    }
  }

  void take_answers() {
    int left = 0;
    while (const CURLMsg* told = curl_multi_info_read(multi_, &left)) {
      if (told->msg != CURLMSG_DONE) continue;
      if (told->data.result != CURLE_OK)
        throw std::runtime_error(curl_easy_strerror(told->data.result));
      CURL* const handle = told->easy_handle;
      request* of = nullptr;
      long status = 0;
      curl_easy_getinfo(handle, CURLINFO_PRIVATE, &of);
      curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
      if (status != 200 || of->received != plan_.bytes) {
        throw std::runtime_error("the server answered " + std::to_string(status) + " and " +
                                 std::to_string(of->received) + " bytes");
      }
      figures_.answered(of->began, bench::now_ns());
      good(curl_multi_remove_handle(multi_, handle));
      begin(*of);
    }
  }

  const bench::load_plan& plan_;
  CURLM* multi_;
  int set_;
  long wait_ms_ = -1;
  std::vector<request> requests_;
  bench::figures figures_;
};

}  // namespace

int main(int argc, char** argv) {
  return bench::load_main(argc, argv, "client/curl", "GETs by one multi handle of libcurl.\n",
                          {"http"}, [](const bench::load_plan& plan) {
                            curl_global_init(CURL_GLOBAL_DEFAULT);
                            closed_loop(plan).run();
                          });
}
