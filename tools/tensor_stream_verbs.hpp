// SPDX-License-Identifier: Apache-2.0
// What each verb of tensor-stream does; their tables are in tensor-stream.cpp.
#pragma once

#include "libcore/base/error.hpp"
#include "tools/adapters/streams/array_files.hpp"
#include "tools/adapters/streams/stream_diff.hpp"
#include "tools/adapters/streams/stream_list.hpp"
#include "tools/adapters/streams/stream_merge.hpp"
#include "tools/adapters/streams/stream_select.hpp"
#include "tools/adapters/text/token_text.hpp"
#include "tools/tensor_stream_layouts.hpp"

#include <algorithm>

namespace stillhouse::tensor_stream {

inline Exit list(const Settings& s, Context& c)
{
    auto reader = c.open_stream(file_of(s));
    const auto tell = [&](auto& json, auto& text) { c.result(json, text); };
    c.note(std::to_string(adapters::list_stream(reader, tell, c.control())) + " tensors");
    return Exit::ok;
}

inline Exit check(const Settings& s, Context& c)
{
    for (std::size_t i = 0; i < std::max<std::size_t>(s.files.size(), 1); ++i) {
        auto reader = c.open_stream(file_of(s, i));
        const Index tensors = adapters::check_stream(reader, c.control());
        c.note(reader.name() + " is whole with " + std::to_string(tensors) + " tensors");
    }
    return Exit::ok;
}

inline Exit cat(const Settings& s, Context& c)
{
    c.check_output();
    std::vector<formats::StreamReader> inputs;
    for (std::size_t i = 0; i < std::max<std::size_t>(s.files.size(), 1); ++i) {
        inputs.push_back(c.open_stream(file_of(s, i)));
    }
    const auto create = [&](formats::StreamInfo info) { return c.create_stream(std::move(info)); };
    c.note(std::to_string(adapters::merge_streams(std::move(inputs), create, c.control())) + " tensors");
    return Exit::ok;
}

inline Exit split(const Settings& s, Context& c)
{
    const std::size_t mark = c.output().find('%');
    if (s.parts < 1 || mark == std::string::npos) {
        throw_error(ErrorCode::bad_argument, "split needs -n N and -o PATTERN with a %: -n 4 -o part-%.mts");
    }
    const std::size_t width = std::to_string(s.parts).size();
    const auto create = [&](Index part, formats::StreamInfo info) {
        std::string number = std::to_string(part), path = c.output();
        number.insert(0, width - number.size(), '0');
        path.replace(mark, path.compare(mark, 2, "%d") == 0 ? 2 : 1, number);
        return formats::StreamWriter(c.create_file(path), info);
    };
    adapters::split_stream([&] { return c.open_stream(file_of(s)); }, s.parts, create, c.control());
    c.note(std::to_string(s.parts) + " shards");
    return Exit::ok;
}

inline Exit select(const Settings& s, Context& c)
{
    c.check_output();
    auto reader = c.open_stream(file_of(s));
    const std::vector<std::string> keep(s.files.begin() + std::min<std::ptrdiff_t>(1, std::ssize(s.files)),
                                        s.files.end());
    auto writer = c.create_stream(reader.info());
    c.note(std::to_string(adapters::select_tensors(reader, keep, s.drop, std::move(writer), c.control())) + " tensors");
    return Exit::ok;
}

inline Exit get(const Settings& s, Context& c)
{
    c.check_output();
    auto reader = c.open_stream(file_of(s, 1));
    const auto form = adapters::has_suffix(c.output(), ".npy") ? adapters::ArrayForm::npy : adapters::ArrayForm::raw;
    adapters::get_array(reader, s.files[0], form, c.create_output(), [&](auto& text) { c.warn(text); }, c.control());
    return Exit::ok;
}

inline Exit import(const Settings& s, Context& c)
{
    c.check_output();
    const adapters::ArrayFiles arrays(s.files, s.name, [&](auto& path) { return c.open_input(path); });
    auto writer = c.create_stream(arrays.info());
    if (const auto layout = foreign_layout(s)) {
        return import_layout(c, arrays, *layout, std::move(writer));
    }
    arrays.each([&](auto& header, auto* data) { writer.write(header, data); });
    writer.finish();
    c.note(std::to_string(writer.tensors_written()) + " tensors");
    return Exit::ok;
}

inline Exit export_(const Settings& s, Context& c)
{
    const auto overwrite = s.force ? formats::Overwrite::replace : formats::Overwrite::refuse;
    if (const auto layout = foreign_layout(s)) {
        return export_layout(s, c, *layout, overwrite);
    }
    auto reader = c.open_stream(file_of(s));
    adapters::export_stream(reader, s.folder, overwrite, [&](auto& text) { c.warn(text); }, c.control());
    return Exit::ok;
}

inline Exit diff(const Settings& s, Context& c)
{
    auto a = c.open_stream(s.files[0]), b = c.open_stream(s.files[1]);
    const auto tell = [&](auto& json, auto& text) { c.result(json, text); };
    const auto found = adapters::diff_streams(a, b, s.tolerance, tell, c.control());
    c.note(std::to_string(found.compared) + " tensors compared, " + std::to_string(found.different) + " differences");
    return found.different == 0 ? Exit::ok : Exit::check_failed;
}

inline Exit note(const Settings& s, Context& c)
{
    c.check_output();
    const auto entries = adapters::note_of({s.files.begin() + 1, s.files.end()});
    auto reader = c.open_stream(s.files[0]);
    adapters::add_note(reader, entries, c.create_stream(reader.info()), c.control());
    return Exit::ok;
}

inline Exit text(const Settings& s, Context& c)
{
    const bool of_ids = !s.ids.values.empty();
    const std::string model = of_ids ? file_of(s) : s.tokenizer;
    const std::string tokenizer =
        model.empty() ? "" : adapters::tokenizer_of(model, [&](auto& path) { return c.open_stream(path); });
    if (of_ids) {
        adapters::write_ids_text(s.ids.values, tokenizer, s.skip_special, c.create_output());
        return Exit::ok;
    }
    if (s.files.empty()) {
        throw_error(ErrorCode::bad_argument, "text needs the NAME of a tensor of ids, or --ids 1,2,3 and a MODEL");
    }
    auto reader = c.open_stream(file_of(s, 1));
    const auto rows = s.lines ? adapters::Rows::lines : adapters::Rows::joined;
    adapters::write_tensor_text(reader, s.files[0], tokenizer, s.skip_special, rows, c.create_output(), c.control());
    return Exit::ok;
}

}  // namespace stillhouse::tensor_stream
