// SPDX-License-Identifier: Apache-2.0
// A folder of numbered files: what is there, what is refused, and that a refusal leaves nothing open.
#include "tools/adapters/checkpoint_folder.hpp"

#include "libcore/base/error.hpp"

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <unistd.h>

using namespace stillhouse;
using adapters::CheckpointFolder;
using formats::Overwrite;

namespace {

std::ptrdiff_t open_descriptors()
{
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
}

}  // namespace

BOOST_AUTO_TEST_CASE(folders_of_checkpoints)
{
    const auto parent =
        std::filesystem::temp_directory_path() / ("stillhouse-checkpoints-" + std::to_string(::getpid()));
    const std::string folder = (parent / "kept").string();
    const auto opened = [&](CheckpointFolder::Begin begin, Overwrite overwrite) {
        return std::make_unique<CheckpointFolder>(folder, "step-", "checkpoints", begin, overwrite);
    };
    std::string half;
    {
        const auto first = opened(CheckpointFolder::Begin::anew, Overwrite::refuse);
        for (const Index number : {20, 100}) {
            std::ofstream(first->path(number)) << "x";
            first->added(number);
        }
        half = folder + "/.step-000000000120.mts.part";
        std::ofstream(half) << "x";
        std::ofstream(folder + "/notes.txt") << "x";
    }
    const auto before = open_descriptors();
    for (int i = 0; i < 3; ++i) {
        BOOST_CHECK_THROW(opened(CheckpointFolder::Begin::anew, Overwrite::refuse), Error);
    }
    BOOST_TEST(open_descriptors() == before);
    {
        const auto again = opened(CheckpointFolder::Begin::resume, Overwrite::refuse);   // nobody holds it
        BOOST_TEST(again->numbers() == (std::vector<Index>{20, 100}), boost::test_tools::per_element());
        BOOST_TEST(!std::filesystem::exists(half));
        BOOST_TEST(open_descriptors() == before + 1);
        again->remove(20);
        BOOST_TEST(!std::filesystem::exists(again->path(20)));
    }
    BOOST_TEST(opened(CheckpointFolder::Begin::anew, Overwrite::replace)->numbers().empty());
    BOOST_TEST(std::filesystem::exists(folder + "/notes.txt"));
    std::filesystem::remove_all(folder);
    std::ofstream(folder) << "a file";
    BOOST_CHECK_THROW(opened(CheckpointFolder::Begin::resume, Overwrite::refuse), Error);
    BOOST_TEST(open_descriptors() == before);
    std::filesystem::remove_all(parent);
}
