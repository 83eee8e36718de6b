// SPDX-License-Identifier: Apache-2.0
// Provenance: which tools, with which settings, made what is in a stream.
#include "formats/history.hpp"

#include <utility>

namespace stillhouse::formats {

Map history_entry(const std::string& tool, const std::string& version, Map settings)
{
    return {{"tool", tool}, {"version", version}, {"settings", std::move(settings)}};
}

std::string history_text(const List& history)
{
    std::string text;
    for (const Value& entry : history) {
        const Value* tool = entry.find("tool");
        const auto* name = tool == nullptr ? nullptr : std::get_if<std::string>(&tool->kind());
        text += text.empty() ? "" : " | ";
        text += name == nullptr ? "?" : *name;
    }
    return text;
}

}  // namespace stillhouse::formats
