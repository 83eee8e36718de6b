// SPDX-License-Identifier: Apache-2.0
// Texts and what is none.
#include "tools/adapters/text/text_check.hpp"

#include "libcore/base/error.hpp"

#include <utility>

namespace stillhouse::adapters {

namespace {

constexpr std::size_t block = 65536;

}  // namespace

TextCheck::TextCheck(const std::string& name, std::function<void(const std::string&)> notice)
    : name_(name == "-" ? "standard input" : name), notice_(std::move(notice))
{
}

void TextCheck::feed(std::string_view bytes)
{
    for (std::size_t begin = 0; begin < bytes.size(); begin += block) {
        feed_block(bytes.substr(begin, block));
    }
}

void TextCheck::feed_block(std::string_view bytes)
{
    const Index before = invalid_.replaced();
    const bool none_yet = nul_ < 0;
    if (const std::size_t at = none_yet ? bytes.find('\0') : std::string_view::npos; at != std::string_view::npos) {
        nul_ = seen_ + static_cast<Index>(at);
    }
    seen_ += static_cast<Index>(bytes.size());
    clean_.clear();
    invalid_.feed(bytes, clean_);
    look(before);
    if (none_yet && nul_ >= 0) {
        say("byte " + std::to_string(nul_) + " is NUL, which texts do not hold; it is encoded as it is");
    }
}

void TextCheck::finish()
{
    const Index before = invalid_.replaced();
    clean_.clear();
    invalid_.finish(clean_);
    look(before);
    if (invalid_.replaced() > 1) {
        say(std::to_string(invalid_.replaced()) + " invalid UTF-8 sequences were replaced by U+FFFD");
    }
}

void TextCheck::look(Index replaced_before) const
{
    // Both at once, early: no text. Later they are accidents of a long one, which is not worth less for them.
    const auto early = static_cast<Index>(block);
    if (invalid_.replaced() > 0 && invalid_.first() < early && nul_ >= 0 && nul_ < early) {
        throw_error(ErrorCode::bad_data, name_ + ": byte " + std::to_string(invalid_.first()) +
                                             " begins no UTF-8 character and byte " + std::to_string(nul_) +
                                             " is NUL: this is no text; UTF-8 text is expected (iconv converts UTF-16; "
                                             "token ids have an option of their own)");
    }
    if (replaced_before == 0 && invalid_.replaced() > 0) {
        say("byte " + std::to_string(invalid_.first()) + " begins no UTF-8 character; U+FFFD is read in its place");
    }
}

void TextCheck::say(const std::string& what) const
{
    if (notice_) {
        notice_(name_ + ": " + what);
    }
}

}  // namespace stillhouse::adapters
