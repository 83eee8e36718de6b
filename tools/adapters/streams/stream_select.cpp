// SPDX-License-Identifier: Apache-2.0
// A stream with fewer tensors or one note more.
#include "tools/adapters/streams/stream_select.hpp"

#include "formats/glob.hpp"
#include "formats/json.hpp"
#include "libcore/base/error.hpp"

#include <optional>
#include <utility>

namespace stillhouse::adapters {

namespace {

using formats::StreamReader;
using formats::Value;
using Frame = StreamReader::Frame;

// Patterns that remember whether they were of use.
class Patterns {
public:
    explicit Patterns(const std::vector<std::string>& globs) : globs_(globs), used_(globs.size(), false) {}

    bool any(const std::string& name)
    {
        bool found = false;
        for (std::size_t i = 0; i < globs_.size(); ++i) {
            if (formats::glob_matches(globs_[i], name)) {
                found = used_[i] = true;
            }
        }
        return found;
    }
    void check_used(const std::string& file) const
    {
        for (std::size_t i = 0; i < globs_.size(); ++i) {
            if (!used_[i]) {
                throw_error(ErrorCode::bad_data,
                            file + ": no tensor matches " + globs_[i] + "; tensor-stream list shows the names");
            }
        }
    }

private:
    const std::vector<std::string>& globs_;
    std::vector<bool> used_;
};

// A JSON scalar, else a text.
Value value_of(const std::string& text)
{
    try {
        Value value = formats::parse_json(text);
        if (!std::holds_alternative<formats::List>(value.kind()) &&
            !std::holds_alternative<formats::Map>(value.kind())) {
            return value;
        }
    } catch (const Error&) {
        // No JSON: then it is what it says.
    }
    return text;
}

}  // namespace

Index select_tensors(StreamReader& reader, const std::vector<std::string>& keep, const std::vector<std::string>& drop,
                     formats::StreamWriter writer, const Control& control)
{
    Patterns kept(keep);
    Patterns dropped(drop);
    for (Frame frame = reader.next(); frame != Frame::end; frame = reader.next()) {
        control.throw_if_stopped();
        if (frame == Frame::tensor) {
            const std::string& name = reader.header().name;
            const bool wanted = kept.any(name) || keep.empty();
            if (dropped.any(name) || !wanted) {
                continue;
            }
        }
        reader.copy_to(writer);
    }
    kept.check_used(reader.name());
    dropped.check_used(reader.name());
    writer.finish();
    return writer.tensors_written();
}

formats::Note note_of(const std::vector<std::string>& entries)
{
    formats::Note note;
    for (const std::string& entry : entries) {
        const std::size_t equal = entry.find('=');
        const std::string key = entry.substr(0, equal);
        if (equal == std::string::npos || key.empty()) {
            throw_error(ErrorCode::bad_argument, entry + ": KEY=VALUE is expected");
        }
        if (key == "frame" || formats::Value(note.map).find(key) != nullptr) {
            throw_error(ErrorCode::bad_argument,
                        entry + ": the key " + key + (key == "frame" ? " belongs to the format" : " is given twice"));
        }
        note.map.emplace_back(key, value_of(entry.substr(equal + 1)));
    }
    return note;
}

void add_note(StreamReader& reader, const formats::Note& note, formats::StreamWriter writer, const Control& control)
{
    while (reader.next() != Frame::end) {
        control.throw_if_stopped();
        reader.copy_to(writer);
    }
    writer.write(note);
    writer.finish();
}

}  // namespace stillhouse::adapters
