// SPDX-License-Identifier: Apache-2.0
// The settings of tensor-stream, and what import and export do with --layout.
#pragma once

#include "tools/adapters/filters/layouts.hpp"
#include "tools/cli/context.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stillhouse::tensor_stream {

using cli::Context;
using cli::Exit;

struct Settings {
    std::vector<std::string> files;          // what the verb takes
    std::vector<std::string> drop;
    Index parts = 0;
    std::optional<double> tolerance;
    cli::IndexList ids;
    bool skip_special = false, lines = false, force = false;
    std::string name, tokenizer, folder;
    std::string layout = "stillhouse";
};

inline std::string file_of(const Settings& s, std::size_t at = 0)
{
    return s.files.size() > at ? s.files[at] : "-";
}

inline std::optional<adapters::Layout> foreign_layout(const Settings& s)
{
    return s.layout == "s4d"            ? std::optional(adapters::Layout::s4d)
           : s.layout == "stripedhyena" ? std::optional(adapters::Layout::stripedhyena)
                                        : std::nullopt;
}

inline Exit tell_filters(Context& c, Index found)
{
    c.note(std::to_string(found) + (found == 1 ? " tensor of filters" : " tensors of filters"));
    return Exit::ok;
}

inline Exit import_layout(Context& c, const adapters::ArrayFiles& arrays, adapters::Layout layout,
                          formats::StreamWriter writer)
{
    const Index found = adapters::import_layout(arrays, layout, writer, [&](auto& text) { c.warn(text); });
    writer.finish();
    return tell_filters(c, found);
}

inline Exit export_layout(const Settings& s, Context& c, adapters::Layout layout, formats::Overwrite overwrite)
{
    adapters::ArrayInput input({file_of(s)}, {[&](auto& path) { return c.open_stream(path); },
                                              [&](auto& path) { return c.open_input(path); }});
    return tell_filters(c, adapters::export_layout(input, s.folder, overwrite, layout, [&](auto& t) { c.warn(t); }));
}

}  // namespace stillhouse::tensor_stream
