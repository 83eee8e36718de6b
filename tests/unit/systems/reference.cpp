// SPDX-License-Identifier: Apache-2.0
// Reads ../shared/data/filters, or what STILLHOUSE_SHARED names.
#include "tests/unit/systems/reference.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace stillhouse::systems::test {

namespace {

std::string read(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// float32 [channels, L] in C order, version 1: all that is there.
std::vector<std::vector<double>> read_filters(const std::string& path)
{
    const std::string bytes = read(path);
    BOOST_REQUIRE(bytes.size() > 10);
    const std::size_t header = static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
    const std::string text = bytes.substr(10, header);
    BOOST_REQUIRE(text.find("<f4") != std::string::npos);
    BOOST_REQUIRE(text.find("False") != std::string::npos);
    const std::size_t open = text.find('(');
    const std::size_t channels = std::stoul(text.substr(open + 1));
    const std::size_t length = std::stoul(text.substr(text.find(',', open) + 1));
    std::vector<std::vector<double>> filters(channels, std::vector<double>(length));
    const char* at = bytes.data() + 10 + header;
    for (std::vector<double>& filter : filters) {
        for (double& x : filter) {
            float value = 0.0f;
            std::memcpy(&value, at, sizeof value);
            at += sizeof value;
            x = value;
        }
    }
    return filters;
}

}  // namespace

bool each_reference(const std::function<void(const std::string&, std::size_t, const std::vector<double>&,
                                             const formats::Value&)>& visit)
{
    const char* shared = std::getenv("STILLHOUSE_SHARED");
    const std::string folder = (shared != nullptr ? std::string(shared) : std::string(STILLHOUSE_TEST_DATA) +
                                "/../../../shared") + "/data/filters/";
    const std::string text = read(folder + "reference.json");
    if (text.empty()) {
        BOOST_TEST_MESSAGE("skipped: no reference filters in " << folder << "; set STILLHOUSE_SHARED");
        return false;
    }
    const formats::Value reference = formats::parse_json(text);
    for (const auto& [name, channels] : reference.map()) {
        const std::vector<std::vector<double>> filters = read_filters(folder + name + ".npy");
        BOOST_REQUIRE(filters.size() == channels.list().size());
        for (std::size_t c = 0; c < filters.size(); ++c) {
            visit(name, c, filters[c], channels.list()[c]);
        }
    }
    return true;
}

}  // namespace stillhouse::systems::test
