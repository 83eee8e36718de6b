// SPDX-License-Identifier: Apache-2.0
// A model folder in the layout of Hugging Face: texts, and weights that lie mapped in one or several files.
#pragma once

#include "formats/safetensors.hpp"

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stillhouse::formats {

bool is_folder(const std::string& path);

/// config.json is required; tokenizer.json and generation_config.json are read where present. Weights are
/// model.safetensors, or the files that model.safetensors.index.json names (each tensor must be in the file that the
/// index says), or, where neither is there, a single other .safetensors file. Error{io}: no folder, not readable.
/// Error{bad_data}: no config.json, no weights, a file of the index missing, a tensor missing or twice.
/// Error{unsupported}: only pickled weights (pytorch_model.bin, .pt, ...).
class ModelFolder {
public:
    enum class Weights { required, none };               // none: tokens are all that is wanted
    explicit ModelFolder(const std::string& path, Weights weights = Weights::required);

    const std::string& name() const { return path_; }
    const std::string& config() const { return config_; }                        // the bytes of the files;
    const std::string& tokenizer() const { return tokenizer_; }                  // empty: absent
    const std::string& generation_config() const { return generation_config_; }
    const Map& metadata() const { return metadata_; }                            // of the first file

    const std::vector<StoredTensor>& tensors() const { return tensors_; }        // file by file, in the order of bytes
    const StoredTensor* find(std::string_view name) const;                       // null when absent

    /// Lets the pages of a tensor go that was copied; loading then never holds more than the copy and one tensor.
    void forget(const StoredTensor& tensor) const noexcept;

private:
    void read_index(const std::string& index_path);
    void add_file(const std::string& path);

    std::string path_, config_, tokenizer_, generation_config_;
    Map metadata_;
    std::deque<SafetensorsFile> files_;
    std::vector<StoredTensor> tensors_;
    std::unordered_map<std::string, std::size_t> by_name_;
};

}  // namespace stillhouse::formats
