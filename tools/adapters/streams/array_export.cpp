// SPDX-License-Identifier: Apache-2.0
// A stream into a model folder or a .safetensors file.
#include "formats/json.hpp"
#include "formats/mapped_file.hpp"
#include "formats/safetensors.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/streams/array_files.hpp"
#include "tools/adapters/streams/stream_merge.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include <unistd.h>

namespace stillhouse::adapters {

namespace {

namespace fs = std::filesystem;
using formats::StreamReader;
using formats::TensorHeader;
using Frame = StreamReader::Frame;

constexpr std::array<const char*, 3> texts{"tokenizer.json", "generation_config.json", "config.json"};

// Payloads in a file without a name: safetensors wants all headers before the first of them.
class Spool {
public:
    explicit Spool(const std::string& folder)
    {
        std::string pattern = folder + "/.stillhouse-XXXXXX";
        const int fd = ::mkstemp(pattern.data());
        if (fd < 0) {
            throw_error(ErrorCode::io, folder + ": cannot write into it: " + std::strerror(errno));
        }
        ::unlink(pattern.c_str());
        fd_ = formats::Fd(fd, "temporary file in " + folder, true);
    }
    void append(const std::byte* bytes, std::size_t n)
    {
        fd_.write_full(bytes, n);
        size_ += n;
    }
    std::uint64_t size() const { return size_; }
    // Bytes [at, at + n) in pieces.
    template <class Use>
    void read(std::uint64_t at, std::uint64_t n, Use use)
    {
        if (::lseek(fd_.get(), static_cast<off_t>(at), SEEK_SET) < 0) {
            throw_error(ErrorCode::io, fd_.name() + ": " + std::strerror(errno));
        }
        std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(n, 1U << 20U)));
        while (n > 0) {
            const std::size_t got =
                fd_.read_full(piece.data(), static_cast<std::size_t>(std::min<std::uint64_t>(n, piece.size())));
            if (got == 0) {
                throw_error(ErrorCode::io, fd_.name() + ": shorter than what was written");
            }
            use(piece.data(), got);
            n -= got;
        }
    }

private:
    formats::Fd fd_;
    std::uint64_t size_ = 0;
};

struct Contents {
    std::vector<TensorHeader> headers;
    std::vector<std::uint64_t> offsets;          // in the spool
    std::array<std::optional<std::string>, texts.size()> text;
    Index activations = 0, notes = 0;
};

Contents gather(StreamReader& reader, bool folder, Spool& spool, const Control& control)
{
    Contents contents;
    for (Frame frame = reader.next(); frame != Frame::end; frame = reader.next()) {
        control.throw_if_stopped();
        if (frame == Frame::note) {
            ++contents.notes;
            continue;
        }
        const TensorHeader& header = reader.header();
        if (folder && batch_number(header.name) >= 0) {
            ++contents.activations;
            continue;
        }
        bool is_text = false;
        for (std::size_t i = 0; i < texts.size(); ++i) {
            if (folder && header.name == texts[i]) {
                std::string& text = contents.text[i].emplace(static_cast<std::size_t>(header.bytes()), '\0');
                reader.read_into(reinterpret_cast<std::byte*>(text.data()));
                is_text = true;
            }
        }
        if (!is_text) {
            contents.headers.push_back(header);
            contents.offsets.push_back(spool.size());
            reader.read_pieces([&](const std::byte* bytes, std::size_t n) { spool.append(bytes, n); });
        }
    }
    return contents;
}

void write_weights_file(const std::string& path, formats::Overwrite overwrite, const Contents& contents,
                        const formats::StreamInfo& info, Spool& spool)
{
    formats::Map metadata;
    if (!info.history.empty()) {
        metadata.emplace_back("stillhouse_history", formats::to_json(info.history));
    }
    formats::SafetensorsWriter writer(formats::AtomicFile(path, overwrite), contents.headers, metadata);
    for (const std::size_t i : writer.order()) {
        spool.read(contents.offsets[i], contents.headers[i].bytes(),
                   [&](const std::byte* bytes, std::size_t n) { writer.append(bytes, n); });
    }
    writer.finish();
}

void write_folder(const std::string& folder, formats::Overwrite overwrite, const Contents& contents,
                  const formats::StreamInfo& info, Spool& spool)
{
    write_weights_file(folder + "/model.safetensors", overwrite, contents, info, spool);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (contents.text[i]) {
            formats::AtomicFile file(folder + "/" + texts[i], overwrite);
            file.fd().write_full(*contents.text[i]);
            file.commit();
        }
    }
}

// A hidden neighbour of a folder to come, removed with its content unless it got its name.
class FolderToCome {
public:
    explicit FolderToCome(const fs::path& target) : target_(target)
    {
        std::string pattern = (target.parent_path() / ("." + target.filename().string() + ".XXXXXX.part")).string();
        pattern.resize(pattern.size() - 5);      // mkdtemp wants the X at the end
        if (::mkdtemp(pattern.data()) == nullptr) {
            throw_error(ErrorCode::io, target.string() + ": cannot create: " + std::strerror(errno));
        }
        part_ = pattern;
        std::error_code ignored;
        fs::permissions(part_, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                                   fs::perms::others_read | fs::perms::others_exec, ignored);
    }
    FolderToCome(const FolderToCome&) = delete;
    FolderToCome& operator=(const FolderToCome&) = delete;
    ~FolderToCome()
    {
        if (!part_.empty()) {
            std::error_code ignored;
            fs::remove_all(part_, ignored);
        }
    }
    std::string path() const { return part_.string(); }
    void commit()
    {
        std::error_code error;
        fs::rename(part_, target_, error);
        if (error) {
            throw_error(ErrorCode::io, target_.string() + ": cannot rename the finished folder: " + error.message());
        }
        part_.clear();
    }

private:
    fs::path target_, part_;
};

}  // namespace

void export_stream(StreamReader& reader, const std::string& path, formats::Overwrite overwrite,
                   const TellNotice& notice, const Control& control)
{
    fs::path target(path);
    if (!target.has_filename() && target.has_parent_path()) {
        target = target.parent_path();           // "folder/"
    }
    const bool folder = !has_suffix(path, ".safetensors");
    std::error_code ignored;
    const bool exists = fs::exists(target, ignored);
    if (folder && exists && !fs::is_directory(target, ignored)) {
        throw_error(ErrorCode::io, path + ": exists and is no folder");
    }
    if (exists && overwrite == formats::Overwrite::refuse && (!folder || !fs::is_empty(target, ignored))) {
        throw_error(ErrorCode::io, path + ": exists; give -f to overwrite" + (folder ? " what is in it" : " it"));
    }
    const std::string parent = target.has_parent_path() ? target.parent_path().string() : ".";
    Spool spool(parent);
    const Contents contents = gather(reader, folder, spool, control);
    if (folder && !contents.text.back()) {
        throw_error(ErrorCode::bad_data, reader.name() +
                                             ": no tensor config.json, so it is no model; export it to a name that "
                                             "ends in .safetensors");
    }
    if (contents.activations > 0) {
        notice(std::to_string(contents.activations) + " tensors of activations (batches.*) are left out");
    }
    if (contents.notes > 0) {
        notice(std::to_string(contents.notes) + " notes are left out");
    }
    if (!folder) {
        write_weights_file(target.string(), overwrite, contents, reader.info(), spool);
    } else if (exists) {
        write_folder(target.string(), overwrite, contents, reader.info(), spool);
    } else {
        FolderToCome part(target);
        write_folder(part.path(), formats::Overwrite::refuse, contents, reader.info(), spool);
        part.commit();
    }
}

}  // namespace stillhouse::adapters
