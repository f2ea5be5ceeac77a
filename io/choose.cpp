// SPDX-License-Identifier: MIT
#include <heddle/core/errors.h>
#include <heddle/io/epoll_reactor.h>

#include <cstdlib>
#include <string>

namespace heddle::detail {

std::unique_ptr<driver> make_driver(reactor_kind, unsigned) { return std::make_unique<epoll_reactor>(); }

reactor_kind choose_reactor(reactor_kind, std::string&) { return reactor_kind::epoll; }

}  // namespace heddle::detail
