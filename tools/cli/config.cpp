// SPDX-License-Identifier: Apache-2.0
// Reads option files: the part of TOML that a table of options needs.
#include "tools/cli/config.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <cctype>

namespace stillhouse::cli {

namespace {

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    std::vector<ConfigLine> parse()
    {
        std::vector<ConfigLine> lines;
        for (skip_blank(true); at_ < text_.size(); skip_blank(true)) {
            ConfigLine line;
            line.line = line_;
            if (peek() == '[') {
                refuse("a [table] has no meaning here: options of one tool stand one a line as name = value");
            }
            line.key = key();
            for (const ConfigLine& earlier : lines) {
                if (earlier.key == line.key) {
                    refuse(line.key + " was given before, in line " + std::to_string(earlier.line));
                }
            }
            skip_blank(false);
            if (peek() != '=') {
                refuse("'=' and a value are expected after '" + line.key + "'");
            }
            ++at_;
            skip_blank(false);
            if (peek() == '[') {
                array(line.values);
            } else {
                line.values.push_back(scalar());
            }
            skip_blank(false);
            if (at_ < text_.size() && peek() != '\n') {
                refuse("nothing is expected after the value of '" + line.key + "'; put text between quotes");
            }
            lines.push_back(std::move(line));
        }
        return lines;
    }

private:
    [[noreturn]] void refuse(const std::string& message) const
    {
        throw_error(ErrorCode::bad_argument, "line " + std::to_string(line_) + ": " + message);
    }

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    void skip_blank(bool lines)
    {
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '#') {
                at_ = std::min(text_.find('\n', at_), text_.size());
                if (at_ == text_.size()) {
                    return;
                }
            }
            if (text_[at_] == '\n') {
                if (!lines) {
                    return;
                }
                ++line_;
            } else if (c != ' ' && c != '\t' && c != '\r') {
                return;
            }
        }
    }

    std::string key()
    {
        if (peek() == '"' || peek() == '\'') {
            return scalar();
        }
        const std::size_t begin = at_;
        while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '-' || peek() == '_') {
            ++at_;
        }
        if (at_ == begin) {
            refuse("the name of an option is expected");
        }
        return std::string(text_.substr(begin, at_ - begin));
    }

    std::string scalar()
    {
        if (peek() == '"') {
            return basic_string();
        }
        if (peek() == '\'') {
            const std::size_t end = text_.find_first_of("'\n", at_ + 1);
            if (end == std::string_view::npos || text_[end] == '\n') {
                refuse("a string is not closed");
            }
            const std::string value(text_.substr(at_ + 1, end - at_ - 1));
            at_ = end + 1;
            return value;
        }
        const std::size_t begin = at_;
        while (at_ < text_.size() && std::string_view(" \t\r\n,]#").find(peek()) == std::string_view::npos) {
            ++at_;
        }
        if (at_ == begin) {
            refuse("a value is expected");
        }
        return std::string(text_.substr(begin, at_ - begin));
    }

    std::string basic_string()
    {
        std::string value;
        for (++at_; peek() != '"'; ++at_) {
            if (at_ >= text_.size() || peek() == '\n') {
                refuse("a string is not closed");
            }
            if (peek() != '\\') {
                value += peek();
                continue;
            }
            ++at_;
            constexpr std::string_view letters = "\"\\ntr";
            constexpr std::string_view meanings = "\"\\\n\t\r";
            const std::size_t i = at_ < text_.size() ? letters.find(peek()) : std::string_view::npos;
            if (i == std::string_view::npos) {
                refuse("unknown escape in a string; \\\" \\\\ \\n \\t \\r are known");
            }
            value += meanings[i];
        }
        ++at_;
        return value;
    }

    void array(std::vector<std::string>& values)
    {
        ++at_;
        for (;;) {
            skip_blank(true);
            if (peek() == ']') {
                break;
            }
            if (at_ >= text_.size()) {
                refuse("an array is not closed");
            }
            values.push_back(scalar());
            skip_blank(true);
            if (peek() == ',') {
                ++at_;
            } else if (peek() != ']') {
                refuse("',' or ']' is expected in an array");
            }
        }
        ++at_;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int line_ = 1;
};

}  // namespace

std::vector<ConfigLine> parse_config(std::string_view text)
{
    return Parser(text).parse();
}

}  // namespace stillhouse::cli
