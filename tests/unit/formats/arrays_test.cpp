// SPDX-License-Identifier: Apache-2.0
// .npy, .safetensors and model folders: what others write is read, what is damaged is refused.
#include "tests/unit/formats/scratch.hpp"

#include "formats/json.hpp"
#include "formats/model_folder.hpp"
#include "formats/npy.hpp"
#include "formats/safetensors.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <complex>

using namespace stillhouse;
using namespace stillhouse::formats;
using namespace stillhouse::formats::test;
using namespace std::string_literals;

namespace {

std::string bytes_of(const Tensor& tensor)
{
    return {reinterpret_cast<const char*>(tensor.data.data()), static_cast<std::size_t>(tensor.data.size())};
}

template <class T>
std::string raw(const std::vector<T>& values)
{
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string npy_bytes(int version, std::string dictionary, const std::string& payload)
{
    dictionary += '\n';
    std::string bytes = "\x93NUMPY"s + static_cast<char>(version) + '\0' +
                        static_cast<char>(dictionary.size() & 0xffU) + static_cast<char>(dictionary.size() >> 8U);
    if (version > 1) {
        bytes += "\0\0"s;
    }
    return bytes + dictionary + payload;
}

Tensor npy_of(const std::string& bytes)
{
    const Scratch scratch;
    put_content(scratch.file("x.npy"), bytes);
    Fd input = Fd::open_input(scratch.file("x.npy"));
    return read_npy(input, "x");
}

std::string safetensors_bytes(const std::string& json, const std::string& payload)
{
    const std::uint64_t length = json.size();
    return raw<std::uint64_t>({length}) + json + payload;
}

// The code and message with which reading fails.
template <class Read>
std::string fault(Read read)
{
    const auto error = error_of(read);
    if (!error) {
        return "NOT REFUSED";
    }
    return (error->code() == ErrorCode::bad_data      ? "bad_data "s
            : error->code() == ErrorCode::unsupported ? "unsupported "s
            : error->code() == ErrorCode::io          ? "io "s
                                                      : "other "s) +
           error->what();
}

std::string safetensors_fault(const std::string& bytes)
{
    const Scratch scratch;
    put_content(scratch.file("x.safetensors"), bytes);
    return fault([&] { SafetensorsFile(scratch.file("x.safetensors")); });
}

std::string npy_fault(const std::string& bytes)
{
    return fault([&] { npy_of(bytes); });
}

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(arrays)

BOOST_AUTO_TEST_CASE(npy_versions_orders_and_byte_orders)
{
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    for (const int version : {1, 2, 3}) {
        const Tensor tensor =
            npy_of(npy_bytes(version, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", raw(values)));
        BOOST_TEST((tensor.header.dtype == DType::f32));
        BOOST_TEST(tensor.header.shape == (Shape{2, 3}), boost::test_tools::per_element());
        BOOST_TEST(bytes_of(tensor) == raw(values));
    }
    const Tensor fortran =
        npy_of(npy_bytes(1, "{\"shape\":(2,3),'fortran_order':True,'descr':'<f4'}", raw<float>({1, 4, 2, 5, 3, 6})));
    BOOST_TEST(bytes_of(fortran) == raw(values));
    // Three indices: element (i, j, k) of a Fortran array [2, 3, 2] is at i + 2 j + 6 k.
    std::vector<std::int16_t> fast_first(12);
    std::vector<std::int16_t> fast_last(12);
    for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 3; ++j) {
            for (int k = 0; k < 2; ++k) {
                const auto value = static_cast<std::int16_t>(100 * i + 10 * j + k);
                fast_first[static_cast<std::size_t>(i + 2 * j + 6 * k)] = value;
                fast_last[static_cast<std::size_t>((i * 3 + j) * 2 + k)] = value;
            }
        }
    }
    BOOST_TEST(bytes_of(npy_of(npy_bytes(1, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3, 2), }",
                                         raw(fast_first)))) == raw(fast_last));
    BOOST_TEST(bytes_of(npy_of(npy_bytes(1, "{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }",
                                         "\0\0\0\1\0\0\1\0"s))) == raw<std::int32_t>({1, 256}));
    BOOST_TEST(bytes_of(npy_of(npy_bytes(1, "{'descr': '>c8', 'fortran_order': False, 'shape': (), }",
                                         "\x3f\x80\0\0\x40\0\0\0"s))) == raw<float>({1, 2}));
}

BOOST_AUTO_TEST_CASE(npy_types)
{
    const std::array<std::pair<const char*, DType>, 14> types{{{"<f8", DType::f64},
                                                               {"<f2", DType::f16},
                                                               {"<i8", DType::i64},
                                                               {"|i1", DType::i8},
                                                               {"<u4", DType::u32},
                                                               {"<u2", DType::u16},
                                                               {"|u1", DType::u8},
                                                               {"|b1", DType::boolean},
                                                               {"<c8", DType::c64},
                                                               {"<c16", DType::c128},
                                                               {"<u8", DType::i64},
                                                               {"=f4", DType::f32},
                                                               {"<i4", DType::i32},
                                                               {"<i2", DType::i16}}};
    for (const auto& [name, type] : types) {
        const std::string payload(3 * size_of(type), '\1');
        const Tensor tensor =
            npy_of(npy_bytes(1, "{'descr': '"s + name + "', 'fortran_order': False, 'shape': (3,), }", payload));
        BOOST_TEST((tensor.header.dtype == type), name);
        BOOST_TEST(bytes_of(tensor) == payload);
        const Tensor again = npy_of(npy_header(tensor.header.dtype, tensor.header.shape) + payload);
        BOOST_TEST((again.header.dtype == type), name);
    }
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{2, 0, 3}, Shape{1, 1, 1, 1, 1, 1, 1, 1}}) {
        const std::string header = npy_header(DType::u8, shape);
        BOOST_TEST(header.size() % 64 == 0U);
        BOOST_TEST(
            (npy_of(header + std::string(static_cast<std::size_t>(element_count(shape)), 'x')).header.shape == shape));
    }
    BOOST_CHECK_THROW(npy_header(DType::bf16, {1}), Error);
    BOOST_TEST(
        contains(npy_header(DType::f64, {7, 33}), "{'descr': '<f8', 'fortran_order': False, 'shape': (7, 33), }  "));
    BOOST_TEST(contains(npy_header(DType::u8, {7}), "'shape': (7,), }"));
    BOOST_TEST(contains(npy_header(DType::u8, {}), "'shape': (), }"));
}

BOOST_AUTO_TEST_CASE(npy_faults)
{
    const auto of = [](const std::string& dictionary, const std::string& payload) {
        return npy_fault(npy_bytes(1, dictionary, payload));
    };
    const std::string good = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }";
    BOOST_TEST(of(good, "ab") == "NOT REFUSED");
    BOOST_TEST(contains(of(good, "a"), "after 1 of 2 bytes"));
    BOOST_TEST(contains(of(good, "abc"), "bytes behind"));
    BOOST_TEST(contains(of("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "ab"), "unsupported"));
    BOOST_TEST(contains(of("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "ab"), "Python objects"));
    BOOST_TEST(contains(of("{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }", "ab"), "texts"));
    BOOST_TEST(contains(of("{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (2,), }", "ab"), "dates"));
    BOOST_TEST(contains(of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "ab"), "structures"));
    BOOST_TEST(contains(of("{'descr': '<f16', 'fortran_order': False, 'shape': (2,), }", "ab"), "'<f16'"));
    BOOST_TEST(
        contains(of("{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", std::string(8, '\xff')), "2^63"));
    BOOST_TEST(contains(of("{'descr': '|u1', 'fortran_order': 0, 'shape': (2,), }", "ab"), "bad_data"));
    BOOST_TEST(contains(of("{'descr': '|u1', 'shape': (2,), }", "ab"), "lacks"));
    BOOST_TEST(contains(of("{'descr': '|u1', 'fortran_order': False, 'shape': (-2,), }", "ab"), "bad_data"));
    BOOST_TEST(
        contains(of("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904,), }", ""), "bad_data"));
    BOOST_TEST(
        contains(of("{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296,4294967296), }", ""), "bad_data"));
    BOOST_TEST(contains(of("{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", "a"), "rank 9"));
    BOOST_TEST(contains(of("", ""), "bad_data"));
    BOOST_TEST(contains(npy_fault(npy_bytes(4, good, "ab")), "version 4"));
    BOOST_TEST(contains(npy_fault("not an array at all"), "bad_data"));
    const std::string whole = npy_bytes(1, good, "ab");
    for (std::size_t n = 0; n < whole.size(); ++n) {
        BOOST_TEST(contains(npy_fault(whole.substr(0, n)), "bad_data"), n);
    }
}

BOOST_AUTO_TEST_CASE(safetensors_of_others)
{
    const Scratch scratch;
    const std::string json =
        R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},)"
        R"("a":{"dtype":"U64","shape":[],"data_offsets":[0,8]},)"
        R"("e":{"dtype":"F32","shape":[0,3],"data_offsets":[12,12]},)"
        R"("f":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[12,13]}}   )";
    put_content(scratch.file("x.safetensors"),
                safetensors_bytes(json, raw<std::uint64_t>({7}) + "\x80\x3f\x00\x40"s + "x"));
    const SafetensorsFile file(scratch.file("x.safetensors"));
    BOOST_REQUIRE(file.tensors().size() == 4U);
    BOOST_TEST(file.tensors()[0].header.name == "a");
    BOOST_TEST((file.tensors()[0].header.dtype == DType::i64));
    BOOST_TEST(read_stored(file.tensors()[0]).as<std::int64_t>()[0] == 7);
    BOOST_TEST((file.tensors()[1].header.dtype == DType::bf16));
    BOOST_TEST(bytes_of(read_stored(file.tensors()[1])) == "\x80\x3f\x00\x40"s);
    BOOST_TEST(read_stored(file.tensors()[2]).data.size() == 0);
    BOOST_TEST(contains(fault([&] { read_stored(file.tensors()[3]); }), "unsupported tensor f: type F8_E4M3"));
}

BOOST_AUTO_TEST_CASE(safetensors_go_both_ways)
{
    const Scratch scratch;
    std::vector<Tensor> tensors;
    tensors.push_back(tensor_of<std::uint8_t>("bytes", DType::u8, {3}, {1, 2, 3}));
    tensors.push_back(tensor_of<double>("poles", DType::c128, {1, 2}, {1, 2, 3, 4}));
    tensors.push_back(tensor_of<float>("pairs", DType::f32, {2, 2}, {1, 2, 3, 4}));
    tensors.push_back(tensor_of<float>("small", DType::c64, {}, {5, 6}));
    tensors[2].header.attributes = {{"delay", 16}, {"scale", 0.1}};
    std::vector<TensorHeader> headers;
    for (const Tensor& tensor : tensors) {
        headers.push_back(tensor.header);
    }
    SafetensorsWriter writer(AtomicFile(scratch.file("x.safetensors"), Overwrite::refuse), headers, {{"note", "mine"}});
    for (const std::size_t i : writer.order()) {
        writer.append(tensors[i].data.data(), static_cast<std::size_t>(tensors[i].data.size()));
    }
    writer.finish();
    const SafetensorsFile file(scratch.file("x.safetensors"));
    BOOST_TEST(Value(file.metadata()).find("format")->text() == "pt");
    BOOST_TEST(Value(file.metadata()).find("note")->text() == "mine");
    BOOST_REQUIRE(file.tensors().size() == tensors.size());
    for (const Tensor& tensor : tensors) {
        bool found = false;
        for (const StoredTensor& stored : file.tensors()) {
            if (stored.header.name == tensor.name()) {
                found = true;
                BOOST_TEST((stored.header.dtype == tensor.header.dtype));
                BOOST_TEST((stored.header.shape == tensor.header.shape));
                BOOST_TEST((stored.header.attributes == tensor.header.attributes));
                BOOST_TEST(bytes_of(read_stored(stored)) == bytes_of(tensor));
                BOOST_TEST((stored.data - file.file().data()) %
                               static_cast<std::ptrdiff_t>(
                                   size_of(stored.header.dtype) > 8 ? 8 : size_of(stored.header.dtype)) ==
                           0);
            }
        }
        BOOST_TEST(found);
    }
}

BOOST_AUTO_TEST_CASE(safetensors_faults)
{
    const auto of = [](const std::string& json, const std::string& payload) {
        return safetensors_fault(safetensors_bytes(json, payload));
    };
    const std::string good = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
    BOOST_TEST(of(good, "hi") == "NOT REFUSED");
    BOOST_TEST(contains(of(good, "h"), "cut or damaged"));
    BOOST_TEST(contains(of(good, "hix"), "belong to none"));
    BOOST_TEST(contains(of(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}})", "hi"), "another size"));
    BOOST_TEST(contains(of(R"({"a":{"dtype":"U9","shape":[2],"data_offsets":[0,2]}})", "hi"), "unknown type 'U9'"));
    BOOST_TEST(contains(of(R"({"a":{"dtype":"U8","shape":[2]}})", "hi"), "'data_offsets' is missing"));
    BOOST_TEST(contains(of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}})", "hi"), "bad_data"));
    BOOST_TEST(contains(of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2,3]}})", "hi"), "found 3 numbers"));
    BOOST_TEST(contains(of(R"({"a":{"dtype":"U8","shape":[-2],"data_offsets":[0,2]}})", "hi"), "bad_data"));
    BOOST_TEST(
        contains(of(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,2]}})", "hi"), "bad_data"));
    BOOST_TEST(
        contains(of(R"({"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}})", ""), "bad_data"));
    BOOST_TEST(contains(of(R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,2]}})", "hi"), "bad_data"));
    BOOST_TEST(contains(
        of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
           R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
           "hi"),
        "tensor b: begins at byte 1 where the one before ends at 2"));
    BOOST_TEST(contains(of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "hi"), "begins at byte 1"));
    BOOST_TEST(contains(of("{nonsense", ""), "not JSON"));
    BOOST_TEST(contains(of("[1, 2]", ""), "bad_data"));
    BOOST_TEST(contains(safetensors_fault(""), "bad_data"));
    BOOST_TEST(contains(safetensors_fault(std::string(8, '\xff') + "{}"), "bad_data"));
    BOOST_TEST(contains(safetensors_fault(raw<std::uint64_t>({1000}) + "{}"), "after 2 of 1000 bytes"));
    const std::string whole = safetensors_bytes(good, "hi");
    for (std::size_t n = 0; n < whole.size(); ++n) {
        BOOST_TEST(contains(safetensors_fault(whole.substr(0, n)), "bad_data"), n);
    }
    const Scratch scratch;
    BOOST_TEST(contains(fault([&] { SafetensorsFile(scratch.file("absent")); }), "io "));
    BOOST_TEST(contains(fault([&] { SafetensorsFile("/dev/null"); }), "not a regular file"));
}

BOOST_AUTO_TEST_CASE(model_folders)
{
    const Scratch scratch;
    const auto folder_fault = [&] { return fault([&] { ModelFolder(scratch.folder()); }); };
    BOOST_TEST(contains(fault([&] { ModelFolder(scratch.file("absent")); }), "no such folder"));
    BOOST_TEST(contains(folder_fault(), "no config.json"));
    put_content(scratch.file("config.json"), "{}");
    BOOST_TEST(contains(folder_fault(), "no weights"));
    BOOST_TEST(ModelFolder(scratch.folder(), ModelFolder::Weights::none).config() == "{}");
    put_content(scratch.file("pytorch_model.bin"), "");
    BOOST_TEST(contains(folder_fault(), "unsupported"));
    BOOST_TEST(contains(folder_fault(), "pickled weights only (pytorch_model.bin): convert to safetensors"));

    const auto shard = [&](const std::string& file, const std::string& tensor) {
        put_content(scratch.file(file),
                    safetensors_bytes("{\"" + tensor + R"(":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "hi"));
    };
    shard("model-1.safetensors", "a");
    const ModelFolder single(scratch.folder());
    BOOST_TEST(single.tensors().size() == 1U);
    shard("model-2.safetensors", "b");
    BOOST_TEST(contains(folder_fault(), "which belong together"));
    put_content(scratch.file("model.safetensors.index.json"),
                R"({"metadata": {}, "weight_map": {"b": "model-2.safetensors", "a": "model-1.safetensors"}})");
    put_content(scratch.file("tokenizer.json"), "{\"x\": 1}");
    const ModelFolder folder(scratch.folder());
    BOOST_TEST(folder.tokenizer() == "{\"x\": 1}");
    BOOST_TEST(folder.generation_config().empty());
    BOOST_TEST(folder.tensors().size() == 2U);
    BOOST_REQUIRE(folder.find("b") != nullptr);
    BOOST_TEST(bytes_of(read_stored(*folder.find("b"))) == "hi");
    BOOST_TEST(folder.find("c") == nullptr);
    folder.forget(*folder.find("b"));
    BOOST_TEST(bytes_of(read_stored(*folder.find("b"))) == "hi");

    put_content(scratch.file("model.safetensors.index.json"),
                R"({"weight_map": {"a": "model-1.safetensors", "c": "model-2.safetensors"}})");
    BOOST_TEST(contains(folder_fault(), "says that tensor c is in model-2.safetensors, which does not hold it"));
    put_content(scratch.file("model.safetensors.index.json"), R"({"weight_map": {"a": "model-3.safetensors"}})");
    BOOST_TEST(contains(folder_fault(), "names model-3.safetensors, which is missing"));
    put_content(scratch.file("model.safetensors.index.json"), R"({"weight_map": {"a": "../model-1.safetensors"}})");
    BOOST_TEST(contains(folder_fault(), "no name of a file"));
    put_content(scratch.file("model.safetensors.index.json"), "{}");
    BOOST_TEST(contains(folder_fault(), "no 'weight_map'"));
    shard("model.safetensors", "z");                         // stands before the index
    BOOST_TEST(ModelFolder(scratch.folder()).tensors()[0].header.name == "z");
}

BOOST_AUTO_TEST_CASE(the_bundled_teacher)
{
    const ModelFolder folder(STILLHOUSE_TEST_DATA "/../../share/teachers/bookworm");
    BOOST_TEST(parse_json(folder.config()).find("model_type")->text() == "gpt_neox");
    BOOST_TEST(!folder.tokenizer().empty());
    const StoredTensor* embedding = folder.find("gpt_neox.embed_in.weight");
    BOOST_REQUIRE(embedding != nullptr);
    BOOST_TEST(embedding->header.shape.size() == 2U);
}

BOOST_AUTO_TEST_SUITE_END()
