// SPDX-License-Identifier: Apache-2.0
// The exception of the libraries and the two helpers that throw it.
#include "libcore/base/error.hpp"

#include <utility>

namespace stillhouse {

Error::Error(ErrorCode code, std::string message) : code_(code), text_(std::move(message)) {}

Error& Error::within(const std::string& context)
{
    const std::string prefix = context + ": ";
    if (text_.compare(0, prefix.size(), prefix) != 0) {       // a reader may have named its file already
        text_ = prefix + text_;
    }
    return *this;
}

void throw_error(ErrorCode code, std::string message)
{
    throw Error(code, std::move(message));
}

void fail_check(const char* condition, std::source_location where)
{
    throw Error(ErrorCode::internal, std::string(where.file_name()) + ":" + std::to_string(where.line()) +
                                         ": invariant violated: " + condition +
                                         "; this is a bug in stillhouse, please report it");
}

}  // namespace stillhouse
