// SPDX-License-Identifier: Apache-2.0
// The one exception of the libraries: a code, a message, and the context it was met in.
#pragma once

#include <exception>
#include <source_location>
#include <string>
#include <vector>

namespace stillhouse {

enum class ErrorCode {
    bad_argument,   // the caller asked for what cannot be (exit 2)
    bad_data,       // what is in a file or tensor (exit 3)
    unsupported,    // valid, but would change results and is not implemented (exit 3)
    io,             // open, read, write, full, exists (exit 4)
    resource,       // device or memory (exit 5)
    stopped,        // a stop was requested and honoured (exit 75 or the signal)
    broken_pipe,    // the reader of our output has gone (dies of SIGPIPE)
    internal,       // a bug (exit 70)
};

/// Message grammar: `[input:] what: why; what to do`, lower case, no full stop. Each layer that knows more
/// (the file, the tensor) prepends one context with `within`; `what()` joins them, outermost first, with ": ".
class Error : public std::exception {
public:
    Error(ErrorCode code, std::string message);

    /// Prepends a context ("l3.mts", "tensor layers.0.mixer.filter"); returns *this for `throw error.within(...)`.
    Error& within(const std::string& context);

    ErrorCode code() const noexcept { return code_; }
    const char* what() const noexcept override { return text_.c_str(); }

private:
    ErrorCode code_;
    std::string text_;
};

[[noreturn]] void throw_error(ErrorCode code, std::string message);
[[noreturn]] void fail_check(const char* condition, std::source_location where);

/// Runs `body`; an Error that leaves it gets `context` prepended.
template <class Body>
decltype(auto) with_context(const std::string& context, Body&& body)
{
    try {
        return body();
    } catch (Error& error) {
        error.within(context);
        throw;
    }
}

}  // namespace stillhouse

/// An invariant of the program, kept on in release: throws Error{internal} naming the place.
#define STILLHOUSE_CHECK(condition)                                                                  \
    ((condition) ? void(0) : ::stillhouse::fail_check(#condition, std::source_location::current()))
