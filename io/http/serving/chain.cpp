// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/chain.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/serving/app_scope.h>
#include <heddle/io/http/serving/request_scope.h>

#include <exception>
#include <memory>
#include <optional>
#include <utility>

namespace heddle::http {
namespace detail {
namespace {

task<response> call_inner(const handler_chain& c, request& r) {
  if (c.loads) {
    task<> loading = r.load_body();
    co_await loading;
  }
  if (const auto& waiting = handler_access::waiting(c.inner)) {
    task<response> work = waiting(r);
    response answer = co_await work;
    co_return answer;
  }
  co_return handler_access::direct(c.inner)(r);
}

task<response> run_from(const handler_chain& c, std::size_t at, request& r) {
  std::exception_ptr failure;
  try {
    task<response> work =
        at < c.around.size() ? c.around[at](r, next(c, at + 1)) : call_inner(c, r);
    response answer = co_await work;
    co_return answer;
  } catch (const cancelled_error&) { throw; } catch (const fatal_error&) {
    throw;
  } catch (...) { failure = std::current_exception(); }
  const auto* scope = r.scope.get();
  auto answer = answer_to(scope ? scope->app() : nullptr, failure, r);
  if (!answer) std::rethrow_exception(failure);
  co_return std::move(*answer);
}

}  // namespace

handler::waiting in_chain(handler_chain c) {
  auto shared = std::make_shared<const handler_chain>(std::move(c));
  return [shared = std::move(shared)](request& r) { return run_from(*shared, 0, r); };
}

}  // namespace detail

task<response> next::operator()(request& r) const { return detail::run_from(*chain_, at_, r); }

}  // namespace heddle::http
