// SPDX-License-Identifier: Apache-2.0
// Arrays of other programs into a stream and out of one (tensor-stream import, get, export).
#pragma once

#include "formats/atomic_file.hpp"
#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/base/control.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::adapters {

/// Hears once of what is no fault: types widened, tensors left out.
using TellNotice = std::function<void(const std::string&)>;
using OpenFile = std::function<formats::Fd(const std::string&)>;

/// Does the name end with the suffix (".npy", ".safetensors")?
bool has_suffix(std::string_view name, std::string_view suffix);

/// The arrays of .npy and .safetensors files and of model folders, one after another. An only .npy is called `filter`
/// (or `name` where that is not empty), several are called by the stems of their files; the others keep their names. A
/// folder gives its texts as config.json, tokenizer.json, generation_config.json and makes the stream a model. Each
/// array is checked before it is given; memory: one array. `open` opens .npy files ("-": standard input).
/// Error{bad_data}: a damaged file, two arrays of one name; Error{bad_argument}: a file that is neither.
class ArrayFiles {
public:
    ArrayFiles(std::vector<std::string> paths, std::string name, OpenFile open);

    formats::StreamInfo info() const;            // kind, and the history that an exported folder or file kept
    void each(const std::function<void(const formats::TensorHeader&, const std::byte*)>& use) const;

private:
    std::vector<std::string> paths_;
    std::string name_;
    OpenFile open_;
};

/// The tensor of that name, or, where it is a glob, all that match, joined along the first axis in the order of the
/// stream. As .npy (BF16 widened to F32, of which `notice` hears) or as bare bytes. Returns how many there were.
/// Error{bad_data}: none; types, or as .npy inner shapes, that differ. A glob as .npy needs a regular file:
/// Error{bad_argument}.
enum class ArrayForm { npy, raw };
Index get_array(formats::StreamReader& reader, const std::string& name, ArrayForm form, formats::AtomicFile output,
                const TellNotice& notice, const Control& control);

/// A stream into a model folder (config.json, model.safetensors, and tokenizer.json, generation_config.json where the
/// stream has them), or, where `path` ends in .safetensors, its tensors into one file. Activations and notes are left
/// out, of which `notice` hears. A folder that is not there yet appears whole; into one that is there, files are
/// written one by one, the configuration last (Overwrite::refuse: Error{io}). Payloads wait in an unnamed file beside
/// the output, so memory is constant. Error{bad_data}: a folder without a tensor config.json.
void export_stream(formats::StreamReader& reader, const std::string& path, formats::Overwrite overwrite,
                   const TellNotice& notice, const Control& control);

}  // namespace stillhouse::adapters
