// SPDX-License-Identifier: Apache-2.0
// A model folder in the layout of Hugging Face.
#include "formats/model_folder.hpp"

#include "formats/fd.hpp"
#include "formats/json.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

namespace stillhouse::formats {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void bad(const std::string& message)
{
    throw_error(ErrorCode::bad_data, message);
}

bool exists(const std::string& path)
{
    std::error_code ignored;
    return fs::exists(path, ignored);
}

std::string text_if_there(const std::string& path)
{
    return exists(path) ? read_file(path) : std::string();
}

// Names in the folder that end with `suffix`, sorted.
std::vector<std::string> names_with(const std::string& folder, std::string_view suffix)
{
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        std::string name = entry->path().filename().string();
        if (name[0] != '.' && name.size() > suffix.size() &&
            name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0) {
            names.push_back(std::move(name));
        }
    }
    if (error) {
        throw_error(ErrorCode::io, folder + ": cannot list: " + error.message());
    }
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

bool is_folder(const std::string& path)
{
    std::error_code ignored;
    return fs::is_directory(path, ignored);
}

ModelFolder::ModelFolder(const std::string& path, Weights weights) : path_(path)
{
    if (!is_folder(path)) {
        throw_error(ErrorCode::io, path + ": " + (exists(path) ? "no folder" : "no such folder"));
    }
    const std::string base = path + "/";
    if (!exists(base + "config.json")) {
        bad(path + ": no config.json in it; a model folder has config.json, *.safetensors and tokenizer.json");
    }
    config_ = read_file(base + "config.json");
    tokenizer_ = text_if_there(base + "tokenizer.json");
    generation_config_ = text_if_there(base + "generation_config.json");
    if (weights == Weights::none) {
        return;
    }
    const std::string index = base + "model.safetensors.index.json";
    if (exists(base + "model.safetensors")) {
        add_file(base + "model.safetensors");
    } else if (exists(index)) {
        read_index(index);
    } else {
        const std::vector<std::string> names = names_with(path, ".safetensors");
        if (names.size() > 1) {
            bad(path + ": " + std::to_string(names.size()) +
                " .safetensors files and neither model.safetensors nor model.safetensors.index.json; which belong "
                "together "
                "is unknown");
        }
        if (names.empty()) {
            for (const char* suffix : {".bin", ".pt", ".pth", ".ckpt"}) {
                if (const std::vector<std::string> pickled = names_with(path, suffix); !pickled.empty()) {
                    throw_error(ErrorCode::unsupported, path + ": pickled weights only (" + pickled.front() +
                                                            "): convert to safetensors");
                }
            }
            bad(path + ": no weights in it; model.safetensors is expected");
        }
        add_file(base + names.front());
    }
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
        if (!by_name_.emplace(tensors_[i].header.name, i).second) {
            bad(path + ": tensor " + tensors_[i].header.name + " is in two files");
        }
    }
}

void ModelFolder::add_file(const std::string& path)
{
    const SafetensorsFile& file = files_.emplace_back(path);
    if (files_.size() == 1) {
        metadata_ = file.metadata();
    }
    tensors_.insert(tensors_.end(), file.tensors().begin(), file.tensors().end());
}

void ModelFolder::read_index(const std::string& index_path)
{
    const Value index = with_context(index_path, [&] { return parse_json(read_file(index_path)); });
    const Value* map = index.find("weight_map");
    if (map == nullptr) {
        bad(index_path + ": no 'weight_map' in it");
    }
    std::vector<std::string> files;
    std::unordered_map<std::string, std::string> file_of;
    with_context(index_path, [&] {
        for (const auto& [tensor, file] : map->map()) {
            const std::string& name = file.text();
            if (name.find('/') != std::string::npos || name.empty()) {
                bad("tensor " + tensor + " is in '" + name + "', which is no name of a file in the folder");
            }
            files.push_back(name);
            file_of.emplace(tensor, name);
        }
    });
    std::sort(files.begin(), files.end());
    files.erase(std::unique(files.begin(), files.end()), files.end());
    for (const std::string& file : files) {
        if (!exists(path_ + "/" + file)) {
            bad(index_path + ": names " + file + ", which is missing from the folder; fetch it");
        }
    }
    for (const std::string& file : files) {
        const std::size_t before = tensors_.size();
        add_file(path_ + "/" + file);
        // A file may hold more than the index says; what the index does not place there is not used.
        tensors_.erase(std::remove_if(tensors_.begin() + static_cast<std::ptrdiff_t>(before), tensors_.end(),
                                      [&](const StoredTensor& tensor) {
                                          const auto placed = file_of.find(tensor.header.name);
                                          return placed == file_of.end() || placed->second != file;
                                      }),
                       tensors_.end());
    }
    std::unordered_map<std::string, bool> found;
    for (const StoredTensor& tensor : tensors_) {
        found[tensor.header.name] = true;
    }
    for (const auto& [tensor, file] : map->map()) {
        if (found.count(tensor) == 0) {
            bad(index_path + ": says that tensor " + tensor + " is in " + file.text() + ", which does not hold it");
        }
    }
}

const StoredTensor* ModelFolder::find(std::string_view name) const
{
    const auto at = by_name_.find(std::string(name));
    return at == by_name_.end() ? nullptr : &tensors_[at->second];
}

void ModelFolder::forget(const StoredTensor& tensor) const noexcept
{
    for (const SafetensorsFile& file : files_) {
        const std::byte* const begin = file.file().data();
        if (tensor.data >= begin && tensor.data < begin + file.file().size()) {
            file.file().forget(tensor.data, tensor.data + tensor.header.bytes());
        }
    }
}

}  // namespace stillhouse::formats
