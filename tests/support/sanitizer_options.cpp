// SPDX-License-Identifier: MIT
// The sanitizers' settings, compiled in, so that a test run by hand behaves as under ctest.

// Debian's symbolizer carries its version in its name, so the sanitizers do not find it by
// themselves.
#define HEDDLE_SYMBOLIZER "external_symbolizer_path=/usr/lib/llvm-19/bin/llvm-symbolizer"

extern "C" const char* __asan_default_options() {
  return "detect_stack_use_after_return=1:strict_string_checks=1:" HEDDLE_SYMBOLIZER;
}

extern "C" const char* __ubsan_default_options() { return "print_stacktrace=1:" HEDDLE_SYMBOLIZER; }

// An exception object is freed by libstdc++, which is not instrumented: its count of the
// std::exception_ptrs that share the object is an atomic that ThreadSanitizer does not see, so it
// takes the last release for a race with the reads before the others. OpenSSL is not instrumented,
// either: ThreadSanitizer sees its calls of memcpy and free, and not the atomics between them. So
// what it calls is not looked at; what the library does around it is.
// The last line is the known report of sched/loop/shared_queue.h: moodycamel's queue fills a block
// again that other threads have read. It comes when a foreign thread schedules many tasks at once,
// as the end of a runtime does that cancels them.
extern "C" const char* __tsan_default_suppressions() {
  return "race:std::runtime_error::~runtime_error\nrace:std::logic_error::~logic_error\n"
         "race:std::__exception_ptr::exception_ptr::_M_release\n"
         "called_from_lib:libcrypto.so\ncalled_from_lib:libssl.so\n"
         "race:shared_queue_traits>::ImplicitProducer::dequeue\n";
}

extern "C" const char* __tsan_default_options() {
  return "halt_on_error=1:second_deadlock_stack=1:history_size=4:" HEDDLE_SYMBOLIZER;
}
