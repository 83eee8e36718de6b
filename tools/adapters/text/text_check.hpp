// SPDX-License-Identifier: Apache-2.0
// Is this a text? What every reader of a text file asks and says alike.
#pragma once

#include "libcore/models/unicode.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace stillhouse::adapters {

/// Fed the bytes of one file in pieces. Bytes that are no UTF-8 (U+FFFD is read in their place) are told when they are
/// met, since a long text may not come to its end, and how many there were at the end; so is the first NUL byte, which
/// is encoded as it is. Where both stand in the first 64 KiB, the file is no text but a stream, an array,
/// token ids or UTF-16.
class TextCheck {
public:
    /// `name` of the file ("-": standard input) or option; `notice` may be empty.
    TextCheck(const std::string& name, std::function<void(const std::string&)> notice);
    /// Error{bad_data}: no text.
    void feed(std::string_view bytes);
    void finish();

private:
    void feed_block(std::string_view bytes);
    void look(Index replaced_before) const;
    void say(const std::string& what) const;

    std::string name_;
    std::function<void(const std::string&)> notice_;
    models::unicode::Sanitizer invalid_;
    std::string clean_;
    Index seen_ = 0;
    Index nul_ = -1;                         // where the first one is; -1: none yet
};

}  // namespace stillhouse::adapters
